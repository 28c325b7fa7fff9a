"""Variance components: planted ones, as large as those of the default study, seen by the real estimator."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from transferlens.variance import components

from .row import Row

REPEATS, TRANSFERS, IMAGES = 8, 2, 648
_EACH = 2500
_ERRORS = " and 2 MC errors"
_PARTS = ("source", "transfer", "images", "both", "models")


@dataclass(frozen=True)
class Planted:
    """Standard deviations that parts give to the score of one model, as estimated of the default study."""

    name: str
    source: float
    transfer: float
    images: float
    both: float

    @property
    def variances(self) -> dict[str, float]:
        """True values by component."""
        found = {part: getattr(self, part) ** 2 for part in _PARTS[:-1]}
        return {**found, "models": self.source**2 + self.transfer**2 + self.both**2}


CASES = (
    Planted("accuracy, fixed features", 0.015, 0.003, 0.010, 0.011),
    Planted("gain in mean p_true, fixed features", 0.055, 0.005, 0.008, 0.012),
    Planted("gain in accuracy, full fine-tuning", 0.008, 0.040, 0.005, 0.015),
)


def rows(scale: float) -> Iterator[Row]:
    """Bias and coverage of every component, and coverage of the interval of a mean that follows from them."""
    count, rng = max(round(_EACH * scale), 1), np.random.default_rng(0)
    for case in CASES:
        yield from _rows_of(case, count, rng)


def _rows_of(case: Planted, count: int, rng: np.random.Generator) -> Iterator[Row]:
    estimated, covered, means = [], [], []
    for _ in range(count):
        values = simulated(case, rng)
        parts = components.estimate(values)
        intervals = [getattr(parts, part) for part in _PARTS]
        estimated.append([i.value for i in intervals])
        truth = case.variances.values()
        covered.append([i.low <= v <= i.high for i, v in zip(intervals, truth, strict=True)])
        means.append(abs(values[:, 0].mean()) <= components.spread_of(parts, IMAGES).reach(REPEATS))
    found, inside, error = np.array(estimated), np.mean(covered, axis=0), 2 * np.sqrt(0.95 * 0.05 / count)
    most = 0.1 + 2 / np.sqrt(count)
    for i, (part, truth) in enumerate(case.variances.items()):
        name, bias = f"variance of {part}: {case.name}", (found[:, i].mean() - truth) / found[:, i].std()
        yield Row(name, "bias / se", f"0 +- .1{_ERRORS}", bias, -most, most, count)
        bounds = (0.93 - error, 0.97 + error)
        yield Row(name, "coverage", f".95 +- .02{_ERRORS}", float(inside[i]), *bounds, count)
    # Student's quantile is that of repeats transferred once, while the variance is known from more transfers.
    name, bounds = f"interval of a mean: {case.name}", (0.93 - error, 0.98 + error)
    yield Row(name, "coverage", f".93 to .98{_ERRORS}", float(np.mean(means)), *bounds, count)


def simulated(case: Planted, rng: np.random.Generator) -> np.ndarray:
    """Values [repeats, transfers, images] of mean zero: images are of two kinds, easy ones and others, and
    what models have of their own on an image is little on the easy ones.
    """
    source = rng.normal(0, case.source, (REPEATS, 1, 1))
    transfer = rng.normal(0, case.transfer, (REPEATS, TRANSFERS, 1))
    ease = rng.beta(0.8, 0.2, IMAGES)
    image = (ease - 0.8) / np.sqrt(0.8 * 0.2 / 2)
    width = np.sqrt(ease * (1 - ease) / (0.8 * 0.2 / 2))  # its mean square is one
    own = rng.normal(size=(REPEATS, 1, IMAGES)) + rng.normal(size=(REPEATS, TRANSFERS, IMAGES))
    images = case.images * image + case.both * width * own / np.sqrt(2)
    return source + transfer + np.sqrt(IMAGES) * images
