"""Would the influences come out again, from as many other models?

The reliability of an estimator is the squared correlation, over the source classes of a target class, of its
estimates and the truth: what two studies of this size would correlate with each other. Squares are summed
over target classes first. Halves of the models do not tell it: they lose more than half of what the whole
knows, and the halves of a balanced block err in opposite directions. Instead:

* the spread of the true effects is that of unbiased estimates (least squares, else differences of means)
  minus their squared errors;
* of it an estimator passes on a known share, which the masks decide (one for unbiased ones);
* what it passes on, over the spread of its estimates, is the reliability.
"""

import numpy as np

from transferlens.core.errors import ConfigError
from transferlens.core.statistics import Interval
from transferlens.estimation import crossfit, estimators
from transferlens.influence.resampling import NOTHING, Outputs, ratio_interval

_WANTED = 0.9


def reliability(means: Outputs, name: str, models: int, confidence: float = 0.95) -> Interval:
    """Reliability of the influences on target classes from the first `models` models.

    Args:
        means: each model's mean output on each target class.

    NaN where models are too few to know the errors of any unbiased estimate.
    """
    means = means.rows(np.arange(models))
    try:
        reference = unbiased(means.masks, name)
        value = np.divide(*passed_on(means, reference, name))
    except ConfigError:
        return NOTHING

    def ratio(kept: np.ndarray, values: np.ndarray) -> tuple[float, float]:
        of_kept = Outputs(means.masks[kept], values[kept])
        return passed_on(of_kept, _Linear(reference.name, of_kept.masks, None), reference.name)

    found = ratio_interval(means, ratio, confidence)
    return found if name == reference.name else _rescaled(found, float(value))


def passed_on(means: Outputs, reference: "_Linear", name: str) -> tuple[float, float]:
    """The spread of true effects that an estimator passes on, and that of its estimates.

    Args:
        reference: of unbiased estimates from the same masks.
    """
    spread = reference.spread(means.values)
    true = spread - reference.error(means.values)
    if name == reference.name:
        return true, spread
    fitted = _Linear(name, means.masks, means.values)
    return fitted.share**2 * true, fitted.spread(means.values)


def _rescaled(unbiased: Interval, value: float) -> Interval:
    """The interval of another estimator's reliability: its errors are those of the unbiased one times a
    number that the masks decide, and so are the odds of its reliability.
    """

    # As weights of the two odds' parts, so that an end of 0 or 1 stays one.
    reliable, not_reliable = value * (1 - unbiased.value), (1 - value) * unbiased.value

    def rescaled(end: float) -> float:
        return reliable * end / (reliable * end + not_reliable * (1 - end))

    return Interval(value, rescaled(unbiased.low), rescaled(unbiased.high))


def unbiased(masks: np.ndarray, name: str) -> "_Linear":
    """The unbiased estimator whose errors are known best.

    Differences of means have known errors of their own where draws are independent; within balanced blocks,
    other classes would count as noise.

    Raises:
        ConfigError: too few models.
    """
    blocked = crossfit.draws_a_block(masks) > 1
    if name == "difference_of_means" and not blocked:
        return _Linear(name, masks, None)
    try:
        return _Linear("least_squares", masks, None)
    except ConfigError:
        if blocked:
            raise
    return _Linear("difference_of_means", masks, None)


class _Linear:
    """An estimator whose effects are weighted sums of observations.

    Attributes:
        name: of the estimator.
        fitted: it, made for these masks.
        by_pairs: whether an observation is a pair of models.
        seen: float[observations, units], the masks as they enter the observations.
        weights: float[observations, units].
    """

    def __init__(self, name: str, masks: np.ndarray, outputs: np.ndarray | None):
        self.name, self.masks = name, masks
        self.fitted = estimators.make(name, masks, np.zeros((len(masks), 1)) if outputs is None else outputs)
        self.by_pairs = estimators.is_fold_over(masks)
        if name != "difference_of_means":
            self.seen, self.weights = self.fitted.x, self.fitted.weights
        elif self.by_pairs:
            self.seen = estimators.pair_signs(masks)
            self.weights = self.seen / len(self.seen)
        else:
            n_in = masks.sum(0)
            self.seen, self.weights = masks - masks.mean(0), masks / n_in - ~masks / (len(masks) - n_in)

    @property
    def share(self) -> float:
        """Of differences between true effects, the share that estimates show on average."""
        passed = self.weights.T @ self.seen
        units = len(passed)
        return float((np.trace(passed) - passed.sum() / units) / (units - 1))

    @property
    def _centred_weights(self) -> np.ndarray:
        return self.weights - self.weights.mean(1, keepdims=True, dtype=np.float64)

    def spread(self, outputs: np.ndarray) -> float:
        """Sum over outputs of the squared differences of the estimates from their mean over units."""
        effects = self.fitted.coefficients(outputs).astype(np.float64)
        return float(np.square(effects - effects.mean(1, keepdims=True)).sum())

    def error(self, outputs: np.ndarray) -> float:
        """What errors are expected to add to the spread."""
        if self.name == "least_squares":
            noise = np.square(self.fitted.residuals(outputs), dtype=np.float64).sum(1)
            return float((noise @ np.square(self._centred_weights)).sum())
        total = np.square(self.fitted.effects(outputs, exact_df=False).se, dtype=np.float64).sum()
        units = self.weights.shape[1]
        # Errors of masks of a fixed size sum to zero; else their mean has a share, and centring takes it off.
        return float(total * (1 if np.ptp(self.masks.sum(1)) == 0 else (units - 1) / units))

    def draws(self) -> tuple[float, int]:
        """Draws that tell of differences between effects, and those that are used up by telling units apart.

        Errors are inversely proportional to the first. Random masks use up as many draws as there are
        coefficients and one (the mean of an inverted Wishart matrix); balanced blocks use up none, and lose
        only what their last one lacks.
        """
        observations, units = self.seen.shape
        if crossfit.draws_a_block(self.masks) > 1:
            return (units - 1) / float(np.square(self._centred_weights).sum()), 0
        if self.name == "difference_of_means":
            return observations, 0
        same_size = np.ptp(self.masks.sum(1)) == 0
        used = units + 1 + (0 if self.by_pairs or same_size else 1)
        return observations - used, used


def models_needed(means: Outputs, name: str) -> Interval:
    """Models for a reliability of 0.9; infinite where that of all models may be zero.

    Errors shrink as draws grow, so that the odds of a reliability grow with them (Spearman 1910, Brown 1910).
    Ridge needs what least squares needs: with so many models they agree.
    """
    try:
        reference = unbiased(means.masks, name)
    except ConfigError:
        return NOTHING
    found = reliability(means, reference.name, len(means.masks))
    if np.isnan(found.value) or (name == "ridge" and reference.name != "least_squares"):
        return NOTHING
    telling, used = reference.draws()
    models_a_draw = 2 if reference.by_pairs else 1

    def needed(r: float) -> float:
        odds = _WANTED / (1 - _WANTED)
        return np.inf if r <= 0 else models_a_draw * (used + telling * odds * (1 - r) / r)

    return Interval(needed(found.value), needed(found.high), needed(found.low))
