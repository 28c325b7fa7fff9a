"""Analyses: what is chosen by some models is right by others."""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from scipy import stats

from simulations.row import Row, bias_row, coverage_row
from transferlens.analyses import leakage, subpopulations
from transferlens.analyses.failures import Found, find_failures
from transferlens.core.statistics import Interval

# Of the default study: of the probability of the true class, the mean over examples, the standard deviations
# between examples, between models on one example, and of a model's mean.
_MEAN, _BETWEEN, _WITHIN, _MODEL = 0.72, 0.26, 0.17, 0.015
# Influences on single examples: standard deviation within a target class beyond noise, and of the noise of a
# fold, of which this share is common to the examples of a class.
_TRUE, _NOISE, _COMMON = 0.022, 0.05, 0.28
_EXAMPLES, _CLASSES, _SOURCES, _FULL, _PAIRED = 400, 10, 20, 8, 4
_TARGETS = [f"t{i}" for i in range(_CLASSES)]
_NAMES = [f"s{i}" for i in range(_SOURCES)]
_LABELS = np.arange(_EXAMPLES) % _CLASSES
_HALF = np.array(["select", "report"])[np.arange(_EXAMPLES) // _CLASSES % 2]


def rows(scale: float) -> Iterator[Row]:
    """See `simulations.row`."""
    rng = np.random.default_rng(0)
    yield from _failures(int(600 * scale), rng)
    yield from _subpopulations(int(600 * scale), rng)
    yield from _leakage(int(300 * scale), rng)
    yield from _finer(int(300 * scale), rng)


def _influence(rng: np.random.Generator, sd: float = _TRUE) -> tuple[np.ndarray, xr.Dataset]:
    """True influences float64[examples, sources], and both folds' estimates of them."""
    truth = rng.normal(0, sd, (_EXAMPLES, _SOURCES))
    shape = (2, _CLASSES, _SOURCES)
    common = rng.normal(0, _NOISE * np.sqrt(_COMMON), shape)[:, _LABELS]
    alone = rng.normal(0, _NOISE * np.sqrt(1 - _COMMON), (2, *truth.shape))
    cells = ("fold", "example", "source_class")
    fields = {
        "effect_by_fold": (cells, truth + common + alone),
        "effect_by_fold_se": (cells, np.full(alone.shape, _NOISE)),
        "fold_df": ("fold", [25.0, 25.0]),
    }
    coordinates = {
        "source_class": _NAMES,
        "target_class": _TARGETS,
        "example_class": ("example", np.array(_TARGETS)[_LABELS]),
        "example_half": ("example", _HALF),
    }
    return truth, xr.Dataset(fields, coordinates)


def _failures(repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """Removal of two classes that do nothing; influences of nothing but noise."""
    found = [_one_study(rng) for _ in range(repetitions)]
    design = "nothing happens"
    for name, intervals in (
        ("mean change of failures", [one.change for one in found]),
        ("placebo of failures", [one.placebo for one in found]),
    ):
        together = _stacked(intervals)
        yield bias_row(name, design, together.value)
        yield coverage_row(name, design, together, 0.0)
    yield bias_row("expected change of failures", design, np.array([one.expected for one in found]))


def _one_study(rng: np.random.Generator) -> Found:
    level = np.clip(rng.normal(_MEAN, _BETWEEN, _EXAMPLES), 0.02, 0.98)
    p = level + rng.normal(0, _WITHIN, (_FULL + 2 * _PAIRED, _EXAMPLES))
    p += rng.normal(0, _MODEL, (len(p), 1))
    full = _summary(p[:_FULL], "full", [""] * _FULL, np.ones((_FULL, _SOURCES), bool))
    masks = np.tile(~np.eye(_SOURCES, dtype=bool)[:2], (_PAIRED, 1))
    removals = _summary(p[_FULL:], "removal", ["single"] * len(masks), masks)
    _, influence = _influence(rng, sd=0.0)
    return find_failures(influence, full, removals, "p_true", 6)


def _summary(p: np.ndarray, role: str, removed_by: list[str], masks: np.ndarray) -> xr.Dataset:
    """Models with probabilities [models, examples] of the true class, right where they are above one half."""
    correct = p > 0.5
    cells = ("model", "example")
    return xr.Dataset(
        {
            "role": ("model", [role] * len(p)),
            "removed_by": ("model", removed_by),
            "mask": (("model", "unit"), masks),
            "p_true": (cells, p),
            "raw_margin": (cells, p - 0.5),
            "correct": (cells, correct),
            "prediction": (cells, np.where(correct, _LABELS, (_LABELS + 1) % _CLASSES)),
        },
        {"unit": _NAMES},
    )


def _subpopulations(repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """Influences shown at the ends of the strongest pair, against the true ones."""
    errors = []
    for _ in range(repetitions):
        truth, influence = _influence(rng)
        (pair,) = subpopulations.find_pairs(influence, 1, 6)
        true = truth[pair.examples, _NAMES.index(pair.source_class)]
        errors.append((pair.effect - true)[0].mean() - (pair.effect - true)[1].mean())
    yield bias_row("most helped minus most hurt examples", "the strongest of 200 pairs", np.array(errors))


class _NoImages:
    """Images that look like nothing, for what is found without looking."""

    def pick(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Their numbers and their pixels."""
        return positions, np.zeros((len(positions), 16, 16, 3), np.uint8)


def _leakage(repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """No block of images does anything: how strong are the pairs that look strongest?"""
    images, members = _NoImages(), [np.arange(1)] * _SOURCES
    shown, false = [], []
    for _ in range(repetitions):
        _, influence = _influence(rng, sd=0.0)
        pairs, _ = leakage.find_pairs(influence, 8, members, images, images)
        shown.append(np.mean([p.effect for p in pairs[:8]]))
        false.append(min(p.q for p in pairs) <= 0.05)
    yield bias_row("strongest pairs of block and example", "none does anything", np.array(shown))
    above = float(np.mean(false))
    allowed = 0.05 + 2 * np.sqrt(0.05 * 0.95 / repetitions)
    yield Row("strongest pairs", "any false one at q .05", "at most .05", above, 0, allowed, repetitions)


def _finer(repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """Area under the ROC curve of 15 examples among 65, over draws of examples, for given models."""
    positive = np.arange(65) < 15
    areas = [subpopulations.auroc(rng.normal(positive, 1.0), positive) for _ in range(repetitions)]
    truth = float(stats.norm.cdf(1 / np.sqrt(2)))
    yield coverage_row("area of a finer class", "draws of examples only", _stacked(areas), truth)


def _stacked(intervals: list[Interval]) -> Interval:
    return Interval(*(np.array([getattr(i, end) for i in intervals]) for end in ("value", "low", "high")))
