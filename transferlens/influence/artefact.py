"""The influence artefact: everything estimated from one summary."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from transferlens import job, store
from transferlens.data.index import HALVES, Index
from transferlens.influence import estimators, relations
from transferlens.statistics import q_values, t_interval
from transferlens.training import outputs as stored
from transferlens.training import summary as summaries
from transferlens.training.summary import Summary

KIND = "influence"


def write_influence(
    path: Path,
    summary_path: Path,
    source: Index,
    target: Index,
    outputs: list[str],
    *,
    config: dict,
    inputs: list,
) -> None:
    """Estimate the influence of every source class on every target example, class, and the whole target.

    Written for each output: per example (all), and per target class and overall for both halves apart, with
    standard errors, 95 % intervals and q-values (Benjamini-Hochberg within a table and half).
    """
    with (
        store.open(summary_path, summaries.KIND) as file,
        store.create(path, KIND, config=config, inputs=inputs) as out,
    ):
        summary = summaries.read_summary(file)
        masks = summary.rows.masks
        estimators.check_masks(masks, summary.rows.class_names)
        _write_axes(out, summary)
        members = relations.relation_members(
            target.class_names, target.class_groups, source.class_names, source.class_groups
        )
        for output in job.progress(outputs, f"influence {path.stem}", "outputs"):
            values = estimators.at_hand(file[f"outputs/{output}"])
            _write_examples(out, output, masks, values)
            by_class, overall = estimators.model_means(
                values, summary.example_labels, summary.example_halves, len(summary.class_names)
            )
            _write_aggregate(out, f"{output}/class", "target classes", masks, by_class)
            _write_aggregate(out, f"{output}/overall", None, masks, overall[:, :, None])
            _write_relations(out, output, masks, by_class, members)


def _write_axes(out: store.Writer, summary: Summary) -> None:
    masks = summary.rows.masks
    out.strings("source_class_names", summary.rows.class_names, ["classes"], "source class")
    out.strings("target_class_names", summary.class_names, ["target classes"], "target class")
    out.strings("example_ids", summary.example_ids, ["examples"], "the data set's own example id")
    out.array("example_labels", summary.example_labels, ["examples"], "index into target classes")
    out.array("example_halves", summary.example_halves, ["examples"], f"index into {HALVES}")
    out.array("n_in", masks.sum(0), ["classes"], "models that saw the class")
    out.array("n_out", (~masks).sum(0), ["classes"], "models that did not see the class")


def _write_examples(out: store.Writer, output: str, masks: np.ndarray, values: h5py.Dataset) -> None:
    shape = (values.shape[1], masks.shape[1])
    columns = {
        name: out.empty(
            f"{output}/{name}",
            shape,
            np.float32,
            ["examples", "classes"],
            meaning,
            stored.UNITS.get(output, "share"),
            chunks=(min(estimators.examples_a_piece(shape[1]), shape[0]), shape[1]),
        )
        for name, meaning in (
            ("effect", "mean over models with the class minus mean over models without"),
            ("se", "standard error of the effect over models"),
        )
    }
    for block, effects in estimators.blockwise(masks, values):
        columns["effect"][block] = effects.effect
        columns["se"][block] = effects.se


def _write_aggregate(
    out: store.Writer, name: str, axis: str | None, masks: np.ndarray, means: np.ndarray
) -> None:
    """Effects on per-model means float64[models, halves, groups]; the group axis is dropped if unnamed."""
    shape = (*means.shape[1:], masks.shape[1])
    effects = estimators.difference_of_means(masks, means.reshape(len(means), -1))
    interval = t_interval(effects.effect, effects.se, effects.df)
    q = np.stack([q_values(p) for p in effects.p().reshape(shape)])
    tables = {
        "effect": (effects.effect, "influence on the mean output"),
        "se": (effects.se, "standard error over models"),
        "low": (interval.low, "lower end of the 95 % interval"),
        "high": (interval.high, "upper end of the 95 % interval"),
        "q": (q, "Benjamini-Hochberg q-value within the half"),
    }
    dims = ["halves", axis, "classes"] if axis else ["halves", "classes"]
    for key, (values, meaning) in tables.items():
        values = values.reshape(shape)
        out.array(f"{name}/{key}", values if axis else values[:, 0], dims, meaning)


def _write_relations(out, output, masks, by_class, members) -> None:
    """What same, related and unrelated source classes add, where names and groups tell them apart."""
    compared = [relations.compare_relations(masks, by_class[:, h], members) for h in range(2)]
    names = list(compared[0])
    out.strings(f"{output}/relations/names", names, ["relations"], "kind of pair, or difference")
    if not names:
        return
    for key in ("value", "low", "high"):
        table = [[getattr(half[name], key) for name in names] for half in compared]
        out.array(
            f"{output}/relations/{key}",
            np.array(table),
            ["halves", "relations"],
            "what one seen class of the relation adds to the target class's mean output",
        )


@dataclass(frozen=True)
class ExampleInfluence:
    """Influences on one output of every example, as other rooms use them.

    Attributes:
        effect, se: float32[examples, classes].
        overall: float32[halves, classes], on the mean output of a half.
        models: models they were estimated from.
    """

    effect: np.ndarray
    se: np.ndarray
    overall: np.ndarray
    models: int
    example_ids: list[str]
    example_halves: np.ndarray
    source_class_names: list[str]
    target_class_names: list[str]


def read_influence(path: Path, output: str) -> ExampleInfluence:
    """Read the influences on one output."""
    with store.open(path, KIND) as file:
        return ExampleInfluence(
            file[f"{output}/effect"][:],
            file[f"{output}/se"][:],
            file[f"{output}/overall/effect"][:],
            int(file["n_in"][0] + file["n_out"][0]),
            store.strings(file["example_ids"]),
            file["example_halves"][:],
            store.strings(file["source_class_names"]),
            store.strings(file["target_class_names"]),
        )
