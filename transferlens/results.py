"""The read API for people: a results folder as labelled xarray data sets.

>>> from transferlens import open_results
>>> results = open_results("results")
>>> results.influence("optdigits", "fixed").effect.sel(source_class="digit 3").mean("example")
"""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from transferlens.core import store
from transferlens.core.errors import ArtefactError, nearest
from transferlens.counterfactual import curves
from transferlens.data import index
from transferlens.data.index import HALVES
from transferlens.heatmaps import faithfulness, faithfulness_report, hurt_examples
from transferlens.influence import artefact as influences
from transferlens.influence import scores as influence_scores
from transferlens.influence_maps import estimates as influence_maps
from transferlens.memory_results import MemoryResults
from transferlens.results_folder import provenance
from transferlens.training import outputs as stored
from transferlens.training import source as sources
from transferlens.training import summary as summaries


class Results(MemoryResults):
    """A results folder. Every method returns an `xarray.Dataset` whose axes carry names and ids.

    Raises:
        ArtefactError: the folder or the file asked for is missing, damaged, or of a newer schema.
    """

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
            return xr.Dataset(variables, coordinates, attributes | provenance(file))

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
            return xr.Dataset(variables, coordinates, attributes | provenance(file))

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
            return xr.Dataset(variables, coordinates, attributes | provenance(file))

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
            return xr.Dataset(variables, coordinates, provenance(file) | found)

    def heatmaps(self, target: str, recipe: str) -> xr.Dataset:
        """Images most hurt by a source class and their `class_map` (role, example, map_y, map_x).

        Role `contrast` is evidence for the class `predicted` rather than `rival`; its logits and
        probabilities are differences. `zero` maps are zero everywhere.
        """
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
                "rival": (("example",), targets[file["rival"][:]]),
                "harmful": (("example",), harmful[file["harmful"][:]]),
            }
            for key in ("effect", "se", "q"):
                variables[key] = (("example",), file[key][:])
            for key in ("raw_min", "raw_max", "logit", "probability", "zero"):
                values = np.stack([file[f"maps/{r}/{key}"][:] for r in roles])
                variables[key] = (("role", "example"), values)
            coordinates = {"example": store.strings(file["example_ids"]), "role": roles}
            attributes = provenance(file) | {"signed": bool(file.attrs["signed"])}
            return xr.Dataset(variables, coordinates, attributes)

    def faithfulness(self, target: str, recipe: str) -> xr.Dataset:
        """How well class maps show what predictions depend on, of every method and control.

        `value` (measure, map_method, image); `mean` and `minus_random` (measure, map_method) with `_low` and
        `_high`, and `minus_random_q`; `probability` (baseline, curve, map_method, image, fraction) along the
        curves; `randomised` (likeness, map_method, image): maps of the trained network against those of one
        with random weights; `zero` maps.
        """
        with self._open(f"faithfulness/{target}/{recipe}.h5", faithfulness_report.KIND) as file:
            measures, by_image = store.strings(file["measures"]), ("map_method", "image")
            curves = [
                [file[f"curves/{curve}_{name}"][:] for curve in ("deletion", "insertion")]
                for name in faithfulness.BASELINES
            ]
            variables = {
                "value": (("measure", *by_image), np.stack([file[f"values/{m}"][:] for m in measures])),
                "probability": (("baseline", "curve", *by_image, "fraction"), np.array(curves)),
                "randomised": (
                    ("likeness", *by_image),
                    np.stack([file[f"randomised/{name}/values"][:] for name in faithfulness.RANDOMISED]),
                ),
                "zero": (by_image, file["zero"][:]),
                "minus_random_q": (("measure", "map_method"), file["minus_random/q"][:]),
            }
            for name in ("mean", "minus_random"):
                for key, suffix in (("value", ""), ("low", "_low"), ("high", "_high")):
                    variables[name + suffix] = (("measure", "map_method"), file[f"{name}/{key}"][:])
            coordinates = {
                "measure": measures,
                "map_method": store.strings(file["methods"]),
                "image": store.strings(file["example_ids"]),
                "baseline": list(faithfulness.BASELINES),
                "curve": ["deletion", "insertion"],
                "likeness": list(faithfulness.RANDOMISED),
                "fraction": file["fractions"][:],
            }
            attributes = provenance(file) | {"layer": file.attrs["layer"]}
            return xr.Dataset(variables, coordinates, attributes)

    def influence_maps(self, target: str, recipe: str) -> xr.Dataset:
        """Influences of source classes on the logit of the true class of probe examples, cell by cell.

        `logit_map_effect`, `_se`, `_q` (example, source_class, map_y, map_x): on the evidence with the head's
        bias in every cell; its mean over cells is `logit_effect` (example, source_class). `map_effect` and
        `_se`: on the evidence alone; its mean plus `bias_effect` is `logit_effect`. The same with `class_` in
        front (target_class in place of example): on each model's mean over the class's probe examples.
        `helpful`, `harmful` (target_class): the source classes that the select half names.
        """
        with self._open(f"influence_maps/{target}/{recipe}.h5", influence_maps.KIND) as file:
            cells, variables = ("map_y", "map_x"), {}
            for group, prefix, axis in (("", "", "example"), ("class/", "class_", "target_class")):
                for name in ("map", "logit_map", "logit", "bias"):
                    dims = (axis, "source_class", *cells) if "map" in name else (axis, "source_class")
                    for key, values in file[f"{group}{name}"].items():
                        variables[f"{prefix}{name}_{key}"] = (dims, values[:])
            units, targets = (
                np.array(store.strings(file[name])) for name in ("unit_names", "target_class_names")
            )
            for name in ("helpful", "harmful"):
                variables[name] = (("target_class",), units[file[f"chosen/{name}"][:]])
            variables["permuted_share"] = (("permutation",), file["permuted_share"][:])
            variables["image"] = (("example", "y", "x", "channel"), file["images"][:])
            coordinates = {
                "example": store.strings(file["example_ids"]),
                "example_class": (("example",), targets[file["example_labels"][:]]),
                "source_class": units,
                "target_class": targets[file["classes"][:]],
            }
            found = {"models": int(file.attrs["models"]), "share": float(file.attrs["share"])}
            return xr.Dataset(variables, coordinates, provenance(file) | found)

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


def _require_output(file: h5py.File, output: str) -> None:
    known = [k for k in file if isinstance(file[k], h5py.Group)]
    if output not in known:
        raise ArtefactError(f"{file.filename}: no influences on '{output}'" + nearest(output, known))
