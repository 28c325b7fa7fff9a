"""Everything that is estimated from one summary."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from transferlens.core import artefacts, job
from transferlens.core.artefacts import Artefact
from transferlens.core.errors import ConfigError
from transferlens.core.statistics import q_values, t_interval
from transferlens.data.artefacts import write_examples
from transferlens.data.index import Index
from transferlens.estimation import crossfit, estimators
from transferlens.estimation.estimators import Effects, Estimator
from transferlens.influence import relations
from transferlens.influence.artefacts import INFLUENCE
from transferlens.training import outputs as stored
from transferlens.training import summary as summaries
from transferlens.training.artefacts import SUMMARY
from transferlens.training.summary import Summary


@dataclass(frozen=True)
class Fits:
    """The estimators of one output.

    Attributes:
        whole: of all models.
        by_fold: of the models of each fold, with their positions bool[models]; empty without folds.
    """

    whole: Estimator
    by_fold: list[tuple[np.ndarray, Estimator]]


def write_influence(
    path: Path, artefact: Artefact, summary_path: Path, target: Index, outputs: list[str], estimator: str
) -> None:
    """Estimate the influence of every unit of the source on every target example, class, and the whole
    target.

    Args:
        artefact: INFLUENCE, or EXAMPLE_INFLUENCE for blocks of source images.

    Written for each output: per example (all), and per target class and overall for both halves apart, with
    standard errors, 95 % intervals and q-values (Benjamini-Hochberg within a table and half). Of INFLUENCE
    also by two folds of the draws, for what is chosen (`estimation.crossfit`).
    """
    with (
        artefacts.open(summary_path, SUMMARY) as file,
        artefacts.create(path, artefact) as out,
    ):
        summary = summaries.read_summary(file)
        rows = summary.rows
        estimators.check_masks(rows.masks, rows.unit_names)
        members = relations.relation_members(
            target.class_names, target.class_groups, rows.unit_names, rows.unit_groups
        )
        _write_axes(out, summary, relations.compared_names(members))
        folds = _write_folds(out, rows.masks, estimator) if artefact is INFLUENCE else None
        for output in job.progress(outputs, f"influence {path.stem}", "outputs"):
            values = stored.Output(file, output)
            fits = _fits(rows.masks, values, estimator, folds)
            by_class, overall = _write_examples(out, output, fits, values, summary)
            for name, means in (("class_effect", by_class), ("overall_effect", overall)):
                _write_aggregate(out, f"{output}/{name}", fits.whole, means)
                _write_by_fold(out, f"{output}/{name}_by_fold", fits, means)
            _write_relations(out, output, rows.masks, by_class, members)


def _write_folds(out: artefacts.Writer, masks: np.ndarray, estimator: str) -> crossfit.Folds | None:
    """Divide the draws, and note how, or why not."""
    try:
        folds = crossfit.divide(masks, estimator)
    except ConfigError as reason:
        out.attribute("fold_estimator", "")
        out.attribute("folds_missing", str(reason))
        return None
    out.attribute("fold_estimator", folds.estimator)
    out.attribute("folds_missing", "")
    out.write("fold", np.arange(crossfit.FOLDS))
    return folds


def _fits(masks: np.ndarray, values: stored.Output, estimator: str, folds: crossfit.Folds | None) -> Fits:
    of_fold = [folds.of_model == f for f in range(crossfit.FOLDS)] if folds else []
    return Fits(
        estimators.make(estimator, masks, values),
        [(chosen, estimators.make(folds.estimator, masks[chosen], values)) for chosen in of_fold],
    )


def _write_axes(out: artefacts.Writer, summary: Summary, relation_names: list[str]) -> None:
    rows = summary.rows
    write_examples(
        out, summary.example_ids, summary.example_labels, summary.example_halves, summary.class_names
    )
    out.write("source_class", rows.unit_names)
    out.write("source_group", rows.unit_groups)
    out.write("n_in", rows.masks.sum(0))
    out.write("n_out", (~rows.masks).sum(0))
    out.write("relation", relation_names)


def _write_examples(
    out: artefacts.Writer, output: str, fits: Fits, values: stored.Output, summary: Summary
) -> tuple[np.ndarray, np.ndarray]:
    """Effects on every example, block by block; returns the models' means, by class and overall."""
    models, examples = values.shape
    cells = (examples, summary.rows.masks.shape[1])
    columns = {name: out.reserve(f"{output}/{name}", cells) for name in ("effect", "effect_se")}
    if fits.by_fold:
        columns |= {
            name: out.reserve(f"{output}/{name}", (len(fits.by_fold), *cells))
            for name in ("effect_by_fold", "effect_by_fold_se")
        }
    means = ModelMeans(models, summary)
    # HDF5 does one thing at a time, but leaves the processor to the arithmetic meanwhile.
    with ThreadPoolExecutor(1) as disk:
        written = None
        for block, part in estimators.blocks(values, disk):
            effects = fits.whole.effects(part, exact_df=False)
            of_folds = [fit.effects(part[chosen], exact_df=False) for chosen, fit in fits.by_fold]
            means.add(block, part)
            if written:
                written.result()
            written = disk.submit(_write_block, columns, block, effects, of_folds)
        written.result()
    out.write(f"{output}/df", float(effects.df))
    if of_folds:
        out.write(f"{output}/fold_df", [float(of_fold.df) for of_fold in of_folds])
    return means.by_class(), means.overall()


def _write_block(
    columns: dict[str, h5py.Dataset], block: slice, effects: Effects, of_folds: list[Effects]
) -> None:
    columns["effect"][block] = effects.effect
    columns["effect_se"][block] = effects.se
    for fold, of_fold in enumerate(of_folds):
        columns["effect_by_fold"][fold, block] = of_fold.effect
        columns["effect_by_fold_se"][fold, block] = of_fold.se


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


def model_means(summary: Summary, values: stored.Output) -> ModelMeans:
    """The means of an output of a summary."""
    means = ModelMeans(len(summary.rows), summary)
    with ThreadPoolExecutor(1) as disk:
        for block, part in estimators.blocks(values, disk):
            means.add(block, part)
    return means


def _write_aggregate(out: artefacts.Writer, name: str, fitted: Estimator, means: np.ndarray) -> None:
    """Effects on per-model means float64[models, halves] or [models, halves, target classes]."""
    effects = fitted.effects(means.reshape(len(means), -1))
    shape = (*means.shape[1:], effects.effect.shape[1])
    interval = t_interval(effects.effect, effects.se, effects.df)
    q = np.stack([q_values(p) for p in effects.p().reshape(shape)])  # within a half
    for suffix, values in (
        ("", effects.effect),
        ("_se", effects.se),
        ("_low", interval.low),
        ("_high", interval.high),
        ("_q", q),
    ):
        out.write(f"{name}{suffix}", values.reshape(shape))


def _write_by_fold(out: artefacts.Writer, name: str, fits: Fits, means: np.ndarray) -> None:
    """The same from the models of each fold; nothing without folds."""
    effects = [fit.effects(means[chosen].reshape(chosen.sum(), -1)) for chosen, fit in fits.by_fold]
    if effects:
        shape = (len(effects), *means.shape[1:], effects[0].effect.shape[1])
        out.write(name, np.stack([e.effect for e in effects]).reshape(shape))
        out.write(f"{name}_se", np.stack([e.se for e in effects]).reshape(shape))


def _write_relations(
    out: artefacts.Writer,
    output: str,
    masks: np.ndarray,
    by_class: np.ndarray,
    members: dict[str, np.ndarray],
) -> None:
    """What same, related and unrelated source classes add, where names and groups tell them apart."""
    draws = estimators.independent_rows(masks)
    compared = [relations.compare_relations(masks, by_class[:, h], members, draws) for h in range(2)]
    if not compared[0]:
        return
    for key, suffix in (("value", ""), ("low", "_low"), ("high", "_high")):
        table = [[getattr(half[name], key) for name in compared[0]] for half in compared]
        out.write(f"{output}/relation_value{suffix}", np.array(table))
