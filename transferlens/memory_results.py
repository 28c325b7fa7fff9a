"""The read API of studies of memories, as labelled xarray data sets (docs/memories.md)."""

import json

import h5py
import numpy as np
import xarray as xr

from transferlens.core import store
from transferlens.data.index import HALVES
from transferlens.memories.agreement import measures
from transferlens.memories.effect import interference
from transferlens.memories.images import panels, ranking, rows
from transferlens.memories.kept import probes
from transferlens.memories.remedies import comparison
from transferlens.memories.retraining import retrained
from transferlens.results_folder import ResultsFolder, provenance


class MemoryResults(ResultsFolder):
    """What `Results` tells of studies of memories."""

    def memories(self, target: str, recipe: str) -> xr.Dataset:
        """What models adapted by a recipe still see of source classes, and what that does to them.

        Retention (source_class): `retained`, accuracy after over accuracy before, with `_low`, `_high`.
        Binding (half, source_class, target_class): `binding`, `_se`, `_low`, `_high`, `_p`, `_q`; and
        `coupling` (model, source_class, target_class). Interference (half, source_class, target_class), NaN
        where it was not estimated: `interference`, `_low`, `_high`, `_p`, `_q`, `_n`; `gross`, `drop_*`,
        `flips_*`; `congruent` and `overlap` (source_class, target_class). Attributes `note` and `skipped` say
        what must be known.
        """
        folder = f"memories/{target}/{recipe}"
        with self._open(f"{folder}/probes.h5", probes.KIND) as file:
            names = [store.strings(file[f"{side}_class_names"]) for side in ("source", "target")]
            classes = ("source_class", "target_class")
            cell = ("half", *classes)
            variables = {
                f"retained{key}": (classes[:1], file[f"retention/retained{key}"][:])
                for key in ("", "_low", "_high")
            }
            for key in ("accuracy_before", "accuracy_after", "rank_after", "p_true_after"):
                variables[key] = (("model", "half", "source_class"), file[f"retention/{key}"][:])
            for key in ("effect", "se", "low", "high", "p", "q"):
                name = "binding" if key == "effect" else f"binding_{key}"
                variables[name] = (cell, file[f"binding/{key}"][:])
            variables |= {
                "coupling": (("model", *classes), file["coupling"][:]),
                "overlap": (classes, file["overlap"][:]),
                "temperature": (("model",), file["temperature"][:]),
            }
            attributes = provenance(file) | {"note": file.attrs.get("note", "")}
        with self._open(f"{folder}/interference.h5", interference.KIND) as file:
            listed, shape = file["source_class"][:], (len(HALVES), *map(len, names))
            for key, stored in _interference_variables(file).items():
                values = np.zeros(shape, int) if key == "interference_n" else np.full(shape, np.nan)
                values[:, listed] = stored
                variables[key] = (cell, values)
            congruent = np.zeros(shape[1:], bool)
            congruent[listed] = file["congruent"][:]
            variables["congruent"] = (classes, congruent)
            attributes["skipped"] = file.attrs.get("skipped", "")
        coordinates = dict(zip(classes, names, strict=True)) | {"half": list(HALVES)}
        return xr.Dataset(variables, coordinates, attributes)

    def ranked_examples(self, target: str, recipe: str) -> xr.Dataset:
        """Report-half examples by how far memories distract, the highest score first (docs/memories.md).

        Variables (example): `true`, `predicted`, `memory` (class names), `distraction`, `distraction_se`,
        `overlap`, `iou`, `spearman`, `score`, `p_true`, `p_predicted`, `p_memory`, `margin`, `wrong`,
        `low_margin`; of the examples that were tested (else NaN) `removal_` and `ablation_` with `effect`,
        `null_mean`, `p`, `q`; and `without_` with `effect`, `low`, `high`, `control_mean`, where classes were
        left out. `failures_auc`, `_low`, `_high` (predictor): how well failures are predicted.
        """
        with self._open(f"memories/{target}/{recipe}/ranking.h5", ranking.KIND) as file:
            names = {h: np.array(store.strings(file[f"{h}_class_names"])) for h in ("source", "target")}
            example, count = ("example",), len(file["examples"])
            variables = {
                name: (example, names[head][file[name][:]])
                for name, head in (("true", "target"), ("predicted", "target"), ("memory", "source"))
            }
            for name in ranking.COLUMNS:
                variables.setdefault(name, (example, file[name][:]))
            for group in ranking.TESTS:
                for name in file.get(group, ()):
                    values = file[f"{group}/{name}"][:]
                    if name != "examples":
                        rest = np.full(count - len(values), np.nan)
                        variables[f"{group}_{name}"] = (example, np.concatenate([values, rest]))
            for key, suffix in (("value", ""), ("low", "_low"), ("high", "_high")):
                values = [file[f"auc/{name}/{key}"][()] for name in ranking.AUCS]
                variables[f"failures_auc{suffix}"] = (("predictor",), values)
            coordinates = {"example": store.strings(file["example_ids"]), "predictor": list(ranking.AUCS)}
            attributes = {"map_method": file.attrs["map_method"]}
            return xr.Dataset(variables, coordinates, attributes | provenance(file))

    def memory_panels(self, target: str, recipe: str) -> xr.Dataset:
        """Images with the class maps of all models: natural examples and composites.

        Variables: `image` (row, y, x, channel), `class_map` (role, row, map_y, map_x), with `class_name`,
        `probability`, `logit`, `raw_max`, `raw_min` (role, row); and of each row its `kind`, `true`,
        `predicted`, `memory`, `wrong`, `congruent`, `background`, and scores (NaN where they do not apply).
        """
        with self._open(f"memories/{target}/{recipe}/panels.h5", panels.KIND) as file:
            names = {h: np.array(store.strings(file[f"{h}_class_names"])) for h in ("source", "target")}
            row, of_role = ("row",), ("role", "row")
            maps = [file[f"maps/{role}"] for role in panels.ROLES]
            classes = [
                names[head][group["class"][:]]
                for (head, _), group in zip(panels.ROLES.values(), maps, strict=True)
            ]
            variables = {
                "image": (("row", "y", "x", "channel"), file["image"][:]),
                "class_map": ((*of_role, "map_y", "map_x"), np.stack([group["map"][:] for group in maps])),
                "class_name": (of_role, np.stack(classes)),
                "true": (row, names["target"][file["true"][:]]),
                "predicted": (row, names["target"][file["predicted"][:]]),
                "memory": (row, names["source"][file["memory"][:]]),
                "kind": (row, store.strings(file["kind"])),
                "background": (row, store.strings(file["background_ids"])),
            }
            for key in ("probability", "logit", "raw_max", "raw_min"):
                variables[key] = (of_role, np.stack([group[key][:] for group in maps]))
            for key in ("wrong", "congruent", *rows.SCORES):
                variables[key] = (row, file[key][:])
            coordinates = {
                "role": list(panels.ROLES),
                "example": (row, store.strings(file["example_ids"])),
            }
            found = {"signed": bool(file.attrs["signed"]), "skipped": file.attrs.get("skipped", "")}
            return xr.Dataset(variables, coordinates, found | provenance(file))

    def memory_remedies(self, target: str, recipe: str) -> xr.Dataset:
        """What remedies change on the report half; a comparison has a `remedy`, a `measure` and `pairs`.

        `before`, `after` and `change` (comparison), with `_low` and `_high`; `n`, `p`, `q`. The
        attribute `classes` has the source classes that each remedy used.
        """
        with self._open(f"memories/{target}/{recipe}/remedies.h5", comparison.KIND) as file:
            names = ("remedy", "measure", "pairs")
            variables = {key: (("comparison",), file[key][:]) for key in file if key not in names}
            coordinates = {key: (("comparison",), store.strings(file[key])) for key in names}
            used = {"classes": json.loads(file.attrs["classes"])}
            return xr.Dataset(variables, coordinates, provenance(file) | used)

    def memory_agreement(self, target: str, recipe: str) -> xr.Dataset:
        """How influence, interference, bindings and weights agree, and what leaving out a memory changes.

        `influence`, `interference` (source_class, target_class), `_low`, `_high`, `_q`, on the report half;
        `measures` (measure, source_class, target_class), each larger the worse; `quadrant` of every pair (''
        where an effect is unknown), `quadrant_count`; `correlation` (pair) and `precision` (pair, k) of two
        measures, and `agreement` (statistic) on single examples, with `_low`, `_high`, `_null_mean`, `_p`,
        `_n`. Where models were trained again without a memory: `<output>_change` (left_out), and
        `<output>_own`, `_control`, `_more` (memory, the last one `all`), with `_low`, `_high`.
        """
        with self._open(f"memories/{target}/{recipe}/agreement.h5", measures.KIND) as file:
            pairs = zip(*(store.strings(file[f"pairs/{key}"]) for key in ("first", "second")), strict=True)
            coordinates = {
                "source_class": store.strings(file["source_class_names"]),
                "target_class": store.strings(file["target_class_names"]),
                "quadrant_name": store.strings(file["quadrants/names"]),
                "measure": list(file["measures"]),
                "pair": [f"{first}, {second}" for first, second in pairs],
                "k": file["ks"][:],
            }
            variables = _agreement_cells(file)
            tables = {"pairs/correlation": ("pair",), "pairs/precision": ("pair", "k")}
            if "examples" in file:
                tables["examples/agreement"] = ("statistic",)
                coordinates["statistic"] = store.strings(file["examples/names"])
            for name, dims in tables.items():
                for key, values in file[name].items():
                    suffix = "" if key == "value" else f"_{key}"
                    variables[name.split("/")[1] + suffix] = (dims, values[:])
            if "without" in file:
                _add_without(file["without"], variables, coordinates)
            found = {k: file.attrs[k] for k in ("skipped",) if k in file.attrs}
            return xr.Dataset(variables, coordinates, provenance(file) | found)


def _interference_variables(file: h5py.File) -> dict[str, np.ndarray]:
    """Estimates of an interference artefact by the name they have in `Results.memories`."""
    found = {}
    for name in ("effect", "low", "high", "p", "q", "n"):
        found["interference" if name == "effect" else f"interference_{name}"] = file[name][:]
    for group in ("drop", "flips"):
        found |= {f"{group}_{key}": file[f"{group}/{key}"][:] for key in file[group]}
    return found | {"gross": file["gross"][:]}


def _agreement_cells(file: h5py.File) -> dict:
    """Variables of every pair of a source and a target class."""
    cell, names = ("source_class", "target_class"), np.array([*store.strings(file["quadrants/names"]), ""])
    variables = {
        "overlap": (cell, file["overlap"][:]),
        "measures": (("measure", *cell), np.stack([values[:] for values in file["measures"].values()])),
        "quadrant": (cell, names[file["quadrants/of_cells"][:]]),
        "quadrant_count": (("quadrant_name",), file["quadrants/counts"][:]),
    }
    for name in ("influence", "interference"):
        for key, values in file.get(name, {}).items():
            variables[name if key == "effect" else f"{name}_{key}"] = (cell, values[:])
    return variables


def _add_without(group: h5py.Group, variables: dict, coordinates: dict) -> None:
    """What leaving out each class changes, to the variables and coordinates of an agreement."""
    kinds = np.array(store.strings(group["kinds"]))
    names = np.array(coordinates["source_class"])[group["classes"][:]]
    coordinates |= {
        "left_out": names,
        "left_out_kind": (("left_out",), kinds),
        "memory": [*names[kinds == "distracting"], "all"],
        "memory_examples": (("memory",), group["own_examples"][:]),
    }
    for output in retrained.OUTPUTS:
        for key, values in group[output].items():
            dims = ("left_out",) if key.startswith("change") else ("memory",)
            variables[f"{output}_{key}"] = (dims, values[:])
