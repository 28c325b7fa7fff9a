"""The influence artefact: everything estimated from one summary."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from transferlens.core import job, store
from transferlens.core.statistics import q_values, t_interval
from transferlens.data.index import HALVES, Index
from transferlens.estimation import estimators
from transferlens.estimation.estimators import Effects, Estimator
from transferlens.influence import relations
from transferlens.training import outputs as stored
from transferlens.training import summary as summaries
from transferlens.training.summary import Summary

KIND = "influence"


def write_influence(
    path: Path,
    summary_path: Path,
    target: Index,
    outputs: list[str],
    estimator: str,
    *,
    config: dict,
    inputs: list,
) -> None:
    """Estimate the influence of every unit of the source on every target example, class, and the whole
    target.

    Written for each output: per example (all), and per target class and overall for both halves apart, with
    standard errors, 95 % intervals and q-values (Benjamini-Hochberg within a table and half).
    """
    with (
        store.open(summary_path, summaries.KIND) as file,
        store.create(path, KIND, config=config, inputs=inputs) as out,
    ):
        summary = summaries.read_summary(file)
        rows = summary.rows
        estimators.check_masks(rows.masks, rows.unit_names)
        _write_axes(out, summary)
        members = relations.relation_members(
            target.class_names, target.class_groups, rows.unit_names, rows.unit_groups
        )
        for output in job.progress(outputs, f"influence {path.stem}", "outputs"):
            values = stored.Output(file, output)
            fitted = estimators.make(estimator, rows.masks, values)
            by_class, overall = _write_examples(out, output, fitted, values, summary)
            _write_aggregate(out, f"{output}/class", "target classes", fitted, by_class)
            _write_aggregate(out, f"{output}/overall", None, fitted, overall[:, :, None])
            _write_relations(out, output, rows.masks, by_class, members)


def _write_axes(out: store.Writer, summary: Summary) -> None:
    masks = summary.rows.masks
    out.strings("unit_names", summary.rows.unit_names, ["units"], "source class, group of them, or block")
    out.strings("unit_groups", summary.rows.unit_groups, ["units"], "coarser name of the unit")
    out.strings("target_class_names", summary.class_names, ["target classes"], "target class")
    out.strings("example_ids", summary.example_ids, ["examples"], "the data set's own example id")
    out.array("example_labels", summary.example_labels, ["examples"], "index into target classes")
    out.array("example_halves", summary.example_halves, ["examples"], f"index into {HALVES}")
    out.array("n_in", masks.sum(0), ["units"], "models that saw the unit")
    out.array("n_out", (~masks).sum(0), ["units"], "models that did not see the unit")


def _write_examples(
    out: store.Writer, output: str, fitted: Estimator, values: stored.Output, summary: Summary
) -> tuple[np.ndarray, np.ndarray]:
    """Effects on every example, block by block; returns the models' means, by class and overall."""
    models, examples = values.shape
    units = summary.rows.masks.shape[1]
    columns = {
        name: out.empty(
            f"{output}/{name}",
            (examples, units),
            np.float32,
            ["examples", "units"],
            meaning,
            stored.UNITS.get(output, "share"),
            compress=False,  # the digits of an estimate are noise, which does not compress
        )
        for name, meaning in (
            ("effect", "what the unit adds to the output"),
            ("se", "standard error of the effect over models"),
        )
    }
    means = ModelMeans(models, summary)
    # HDF5 does one thing at a time, but leaves the processor to the arithmetic meanwhile.
    with ThreadPoolExecutor(1) as disk:
        written = None
        for block, part in estimators.blocks(values, disk):
            effects = fitted.effects(part, exact_df=False)
            means.add(block, part)
            if written:
                written.result()
            written = disk.submit(_write_block, columns, block, effects)
        written.result()
    out.attribute(f"{output}_df", float(effects.df))
    return means.by_class(), means.overall()


def _write_block(columns: dict[str, h5py.Dataset], block: slice, effects: Effects) -> None:
    columns["effect"][block] = effects.effect
    columns["se"][block] = effects.se


class ModelMeans:
    """Each model's mean output, by half and target class and by half alone.

    Aggregates are formed per model first: target examples share their models, so the errors of their
    influences are not independent and cannot be averaged.
    """

    def __init__(self, models: int, summary: Summary):
        self.classes = len(summary.class_names)
        groups = summary.example_halves.astype(int) * self.classes + summary.example_labels
        self.counts = np.bincount(groups, minlength=2 * self.classes)
        self.indicator = np.zeros((len(groups), 2 * self.classes), np.float32)
        self.indicator[np.arange(len(groups)), groups] = 1
        self.sums = np.zeros((models, 2 * self.classes))

    def add(self, block: slice, outputs: np.ndarray) -> None:
        """Add the outputs [models, examples of the block]."""
        self.sums += outputs.astype(np.float32, copy=False) @ self.indicator[block]

    def by_class(self) -> np.ndarray:
        """float64[models, halves, target classes]."""
        return (self.sums / self.counts).reshape(-1, 2, self.classes)

    def overall(self) -> np.ndarray:
        """float64[models, halves]."""
        totals = self.counts.reshape(2, self.classes).sum(1)
        return self.sums.reshape(-1, 2, self.classes).sum(2) / totals


def _write_aggregate(
    out: store.Writer, name: str, axis: str | None, fitted: Estimator, means: np.ndarray
) -> None:
    """Effects on per-model means float64[models, halves, groups]; the group axis is dropped if unnamed."""
    effects = fitted.effects(means.reshape(len(means), -1))
    shape = (*means.shape[1:], effects.effect.shape[1])
    interval = t_interval(effects.effect, effects.se, effects.df)
    q = np.stack([q_values(p) for p in effects.p().reshape(shape)])
    tables = {
        "effect": (effects.effect, "influence on the mean output"),
        "se": (effects.se, "standard error over models"),
        "low": (interval.low, "lower end of the 95 % interval"),
        "high": (interval.high, "upper end of the 95 % interval"),
        "q": (q, "Benjamini-Hochberg q-value within the half"),
    }
    dims = ["halves", axis, "units"] if axis else ["halves", "units"]
    for key, (values, meaning) in tables.items():
        values = values.reshape(shape)
        out.array(f"{name}/{key}", values if axis else values[:, 0], dims, meaning)


def _write_relations(out, output, masks, by_class, members) -> None:
    """What same, related and unrelated source classes add, where names and groups tell them apart."""
    draws = estimators.independent_rows(masks)
    compared = [relations.compare_relations(masks, by_class[:, h], members, draws) for h in range(2)]
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
        effect, se: float32[examples, units].
        df: degrees of freedom of the effects' intervals.
        overall: float32[halves, units], on the mean output of a half.
    """

    effect: np.ndarray
    se: np.ndarray
    df: float
    overall: np.ndarray
    example_ids: list[str]
    example_halves: np.ndarray
    unit_names: list[str]
    target_class_names: list[str]


def read_influence(path: Path, output: str) -> ExampleInfluence:
    """Read the influences on one output."""
    with store.open(path, KIND) as file:
        return ExampleInfluence(
            file[f"{output}/effect"][:],
            file[f"{output}/se"][:],
            float(file.attrs[f"{output}_df"]),
            file[f"{output}/overall/effect"][:],
            store.strings(file["example_ids"]),
            file["example_halves"][:],
            store.strings(file["unit_names"]),
            store.strings(file["target_class_names"]),
        )


def read_overall(path: Path, output: str) -> dict[str, np.ndarray]:
    """Influences on the mean output of each half: `effect`, `se`, `low`, `high`, `q`, float[halves,
    units] each.
    """
    with store.open(path, KIND) as file:
        return {key: values[:] for key, values in file[f"{output}/overall"].items()}


def read_by_class(path: Path, output: str) -> np.ndarray:
    """Influences on the mean output of each target class: float64[halves, target classes, units]."""
    with store.open(path, KIND) as file:
        return file[f"{output}/class/effect"][:]
