"""The read API for people: a results folder as labelled xarray data sets.

>>> from transferlens import open_results
>>> results = open_results("results")
>>> results.influence("optdigits", "fixed").effect.sel(source_class="digit 3").mean("example")
"""

import json
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from transferlens import store
from transferlens.counterfactual import curves
from transferlens.data import index
from transferlens.data.index import HALVES
from transferlens.errors import ArtefactError, nearest
from transferlens.explain import hurt_examples
from transferlens.influence import artefact as influences
from transferlens.influence import scores as influence_scores
from transferlens.memories import agreement, interference, panels, probes, ranking, retrained, rows
from transferlens.training import outputs as stored
from transferlens.training import source as sources
from transferlens.training import summary as summaries


class Results:
    """A results folder. Every method returns an `xarray.Dataset` whose axes carry names and ids.

    Raises:
        ArtefactError: the folder or the file asked for is missing, damaged, or of a newer schema.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise ArtefactError(f"{folder}: no such results folder; run snakemake to make it")

    @property
    def adaptations(self) -> list[tuple[str, str]]:
        """(target, recipe) of every influence that was estimated."""
        return sorted((p.parent.name, p.stem) for p in self.folder.glob("influence/*/*.h5"))

    @property
    def studies(self) -> list[str]:
        """Names of the studies."""
        return sorted(p.name for p in self.folder.glob("studies/*"))

    def influence(self, target: str, recipe: str, output: str = "margin") -> xr.Dataset:
        """Influences on one output, with standard errors over models.

        `source_class` holds the units of the masks: source classes, or groups of them
        (`studies.influence.units`).
        Variables: `effect`, `se` (example, source_class); `class_effect`, `_se`, `_low`, `_high`, `_q` (half,
        target_class, source_class); the same with `overall_` (half, source_class); and `relation_value`,
        `_low`, `_high` (half, relation) where class names and groups relate the two data sets.
        """
        return self._influence(f"influence/{target}/{recipe}.h5", output)

    def example_influence(self, target: str, recipe: str, output: str = "margin") -> xr.Dataset:
        """As `influence`, of blocks of source images (study `examples`) in place of source classes."""
        return self._influence(f"example_influence/{target}/{recipe}.h5", output)

    def _influence(self, path: str, output: str) -> xr.Dataset:
        with self._open(path, influences.KIND) as file:
            _require_output(file, output)
            group = file[output]
            example, source, classes = ("example",), ("source_class",), ("half", "target_class")
            variables = {key: (example + source, group[key][:]) for key in ("effect", "se")}
            for key in ("effect", "se", "low", "high", "q"):
                variables[f"class_{key}"] = (classes + source, group[f"class/{key}"][:])
                variables[f"overall_{key}"] = (("half", *source), group[f"overall/{key}"][:])
            coordinates = _example_coordinates(file) | {
                "source_class": store.strings(file["unit_names"]),
                "n_in": (source, file["n_in"][:]),
                "n_out": (source, file["n_out"][:]),
            }
            relations = store.strings(group["relations/names"])
            if relations:
                coordinates["relation"] = relations
                for key in ("value", "low", "high"):
                    variables[f"relation_{key}"] = (
                        ("half", "relation"),
                        group[f"relations/{key}"][:],
                    )
            attributes = {"output": output, "df": float(file.attrs[f"{output}_df"])}
            return xr.Dataset(variables, coordinates, attributes | _attributes(file))

    def scores(self, target: str, recipe: str) -> xr.Dataset:
        """How good the influences are.

        `score` (estimator, models): correlation of predicted and actual outputs of held-out models, with
        `_low`, `_high`; `ceiling`: the most it can be (where masks were repeated); `reliability`
        (estimator, models) of the class influences; `models_needed` (estimator) for a reliability of 0.9.
        """
        with self._open(f"scores/{target}/{recipe}.h5", influence_scores.KIND) as file:
            axes = {
                "score": ("estimator", "models"),
                "ceiling": (),
                "reliability": ("estimator", "models"),
                "models_needed": ("estimator",),
            }
            variables = {
                name + suffix: (dims, file[f"{name}/{key}"][()])
                for name, dims in axes.items()
                if name in file
                for key, suffix in (("value", ""), ("low", "_low"), ("high", "_high"))
            }
            coordinates = {"estimator": store.strings(file["estimators"]), "models": file["models"][:]}
            attributes = {
                "reported_estimator": file.attrs["estimator"],
                "examples": int(file.attrs["examples"]),
            }
            return xr.Dataset(variables, coordinates, attributes | _attributes(file))

    def summary(
        self, study: str, target: str, recipe: str, outputs: Sequence[str] = tuple(stored.OUTPUTS)
    ) -> xr.Dataset:
        """Masks, accuracies and the named outputs of every model of a study on every target example."""
        path = f"studies/{study}/summary/{target}/{recipe}.h5"
        with self._open(path, summaries.KIND) as file:
            model, example = ("model",), ("example",)
            variables = {name: (model + example, stored.Output(file, name)[:]) for name in outputs}
            variables |= {
                "mask": ((*model, "source_class"), file["masks"][:]),
                "accuracy": ((*model, "half"), file["accuracy"][:]),
                "class_accuracy": ((*model, "half", "target_class"), file["class_accuracy"][:]),
                "source_accuracy": (model, file["source_accuracy"][:]),
                "train_images": (model, file["train_images"][:]),
            }
            coordinates = _example_coordinates(file) | {
                "model": file["rows"][:],
                "label": (model, store.strings(file["labels"])),
                "source_class": store.strings(file["unit_names"]),
            }
            attributes = {"metric": file.attrs["metric"]}
            return xr.Dataset(variables, coordinates, attributes | _attributes(file))

    def counterfactual(self, target: str, recipe: str) -> xr.Dataset:
        """Accuracy (order, k, half, repeat) without k classes; means and gains with intervals.

        `single_*` (removed_class): realised and predicted change of the mean output without one class; the
        line through them is in the attributes `singles_slope`, `singles_r_squared`, ... `handpicked_*`
        (half): the source cut down to the classes picked by hand.
        """
        return self._counterfactual(f"counterfactual/{target}/{recipe}.h5")

    def reuse(self, target: str, recipe: str) -> xr.Dataset:
        """As `counterfactual`, for the other architecture or recipe that influences were reused for."""
        return self._counterfactual(f"reuse/{target}/{recipe}.h5")

    def _counterfactual(self, path: str) -> xr.Dataset:
        with self._open(path, curves.KIND) as file:
            axes = ("order", "k", "half")
            variables = {"accuracy": ((*axes, "repeat"), file["accuracy"][:])}
            for name in ("accuracy", "gain"):
                for key in ("mean", "low", "high"):
                    variables[f"{name}_{key}"] = (axes, file[f"{name}_{key}"][:])
            for key in ("best_k", "best_gain_mean", "best_gain_low", "best_gain_high"):
                variables[key] = (("order",), file[key][:])
            for key in ("full", "scratch"):
                variables[key] = (("reference_repeat", "half"), file[key][:])
            if "handpicked" in file:
                for name in file["handpicked"]:
                    variables[f"handpicked_{name}"] = (("half",), file[f"handpicked/{name}"][:])
            coordinates = {
                "order": store.strings(file["orders"]),
                "k": file["ks"][:],
                "half": list(HALVES),
            }
            if "singles" in file:
                names = np.array(store.strings(file["unit_names"]))
                coordinates["removed_class"] = names[file["singles/units"][:]]
                for name in (
                    "change_mean",
                    "change_low",
                    "change_high",
                    "predicted",
                    "predicted_se",
                    "predicted_reach",
                ):
                    variables[f"single_{name}"] = (("removed_class",), file[f"singles/{name}"][:])
            found = {k: v for k, v in file.attrs.items() if k.startswith(("singles_", "handpicked_"))}
            return xr.Dataset(variables, coordinates, _attributes(file) | found)

    def heatmaps(self, target: str, recipe: str) -> xr.Dataset:
        """Images most hurt by a source class and their `class_map` (role, example, map_y, map_x)."""
        with self._open(f"heatmaps/{target}/{recipe}.h5", hurt_examples.KIND) as file:
            roles = list(hurt_examples.ROLES)
            targets = np.array(store.strings(file["target_class_names"]))
            harmful = np.array(store.strings(file["source_class_names"]))
            variables = {
                "image": (("example", "y", "x", "channel"), file["images"][:]),
                "class_map": (
                    ("role", "example", "map_y", "map_x"),
                    np.stack([file[f"maps/{r}/map"][:] for r in roles]),
                ),
                "true": (("example",), targets[file["true"][:]]),
                "predicted": (("example",), targets[file["predicted"][:]]),
                "harmful": (("example",), harmful[file["harmful"][:]]),
            }
            for key in ("effect", "se", "q"):
                variables[key] = (("example",), file[key][:])
            for key in ("raw_min", "raw_max", "logit", "probability"):
                values = np.stack([file[f"maps/{r}/{key}"][:] for r in roles])
                variables[key] = (("role", "example"), values)
            coordinates = {"example": store.strings(file["example_ids"]), "role": roles}
            attributes = _attributes(file) | {"signed": bool(file.attrs["signed"])}
            return xr.Dataset(variables, coordinates, attributes)

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
            attributes = _attributes(file) | {"note": file.attrs.get("note", "")}
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
            return xr.Dataset(variables, coordinates, attributes | _attributes(file))

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
            return xr.Dataset(variables, coordinates, found | _attributes(file))

    def memory_agreement(self, target: str, recipe: str) -> xr.Dataset:
        """How influence, interference, bindings and weights agree, and what leaving out a memory changes.

        `influence`, `interference` (source_class, target_class), `_low`, `_high`, `_q`, on the report half;
        `measures` (measure, source_class, target_class), each larger the worse; `quadrant` of every pair (''
        where an effect is unknown), `quadrant_count`; `correlation` (pair) and `precision` (pair, k) of two
        measures, and `agreement` (statistic) on single examples, with `_low`, `_high`, `_null_mean`, `_p`,
        `_n`. Where models were trained again without a memory: `<output>_change` (left_out), and
        `<output>_own`, `_control`, `_more` (memory, the last one `all`), with `_low`, `_high`.
        """
        with self._open(f"memories/{target}/{recipe}/agreement.h5", agreement.KIND) as file:
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
            return xr.Dataset(variables, coordinates, _attributes(file) | found)

    def source_models(self, study: str) -> xr.Dataset:
        """Masks, accuracies and training logs of a study's source models (not their weights)."""
        shards = sorted(self.folder.glob(f"studies/{study}/training/*.h5"))
        if not shards:
            raise ArtefactError(
                f"{self.folder}: no source models of '{study}'" + nearest(study, self.studies)
            )
        return xr.concat([self._source_shard(p) for p in shards], dim="model")

    def _source_shard(self, path: Path) -> xr.Dataset:
        with store.open(path, sources.RECORD_KIND) as file:
            axes = {
                "masks": ("model", "unit"),
                "accuracy": ("model",),
                "class_accuracy": ("model", "source_class"),
                "train_images": ("model",),
                "log": ("model", "epoch", "quantity"),
            }
            coordinates = {
                "model": file["rows"][:],
                "unit": store.strings(file["unit_names"]),
                "source_class": store.strings(file["source_class_names"]),
                "quantity": ["loss", "accuracy", "learning rate"],
            }
            return xr.Dataset({k: (a, file[k][:]) for k, a in axes.items()}, coordinates)

    def dataset(self, name: str) -> index.Index:
        """The index of a data set: classes, and the examples of its splits."""
        return index.read_index(self.folder / "data" / name / "index.h5")

    def settings(self, path: str, kind: str) -> dict:
        """The settings that an artefact (path within the folder) was made with."""
        with self._open(path, kind) as file:
            return store.settings(file)

    def _open(self, path: str, kind: str):
        full = self.folder / path
        if not full.exists():
            made = [str(p.relative_to(self.folder)) for p in full.parent.parent.glob("*/*.h5")]
            raise ArtefactError(f"{full}: no such file" + (nearest(path, made) if made else ""))
        return store.open(full, kind)


def open_results(folder: str | Path = "results") -> Results:
    """Open a results folder for reading."""
    return Results(folder)


def _example_coordinates(file: h5py.File) -> dict:
    """Coordinates of target examples and classes, shared by summaries and influences."""
    names = np.array(store.strings(file["target_class_names"]))
    halves = np.array(HALVES)
    return {
        "example": store.strings(file["example_ids"]),
        "example_class": (("example",), names[file["example_labels"][:]]),
        "example_half": (("example",), halves[file["example_halves"][:]]),
        "target_class": names,
        "half": halves,
    }


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


def _require_output(file: h5py.File, output: str) -> None:
    known = [k for k in file if isinstance(file[k], h5py.Group)]
    if output not in known:
        raise ArtefactError(f"{file.filename}: no influences on '{output}'" + nearest(output, known))


def _attributes(file: h5py.File) -> dict:
    """The provenance of an artefact."""
    plain = ("kind", "created", "transferlens_version", "git_commit", "device")
    return {k: file.attrs[k] for k in plain} | {
        "config": store.settings(file),
        "software": json.loads(file.attrs["software"]),
    }
