"""What each observation (a model, or a pair of complementary ones) says of an effect, output by output.

The mean of these numbers over observations is the effect, and their spread its error. Where outputs are
single images, errors over models and images at once follow from them (`core.crossed`), and so do those of
differences between two kinds of outputs of the same models on the same images.
"""

import numpy as np

from transferlens.estimation.estimators import LinearFit, is_fold_over, make, observe


def of_differences(seen: np.ndarray, outputs: np.ndarray, by_pairs: bool) -> np.ndarray:
    """Of models that saw something minus those that did not.

    Deviations from the mean of either side are scaled so that their squares tell the noise's variance
    without bias (one over one minus the leverage, as of `LinearFit`).

    Args:
        seen: bool[models, outputs] or [models, 1], whether a model saw what an output is compared by; at
            least two did and two did not.
        outputs: float[models, outputs].
        by_pairs: whether rows 2p and 2p + 1 of `seen` are complements: they are then one observation.

    Returns:
        float64[observations, outputs].
    """
    outputs = outputs.astype(np.float64)
    if by_pairs:
        return np.where(seen[0::2], 1, -1) * (outputs[0::2] - outputs[1::2])
    return _of_side(seen, outputs) - _of_side(~seen, outputs)


def _of_side(members: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """The mean of a side, and what each of its models adds to that, times the number of all models."""
    count = members.sum(0)
    mean = np.where(members, outputs, 0).sum(0) / count
    scale = len(outputs) / count * np.sqrt(count / (count - 1))
    return mean + np.where(members, scale * (outputs - mean), 0)


def of_fit(fit: LinearFit, outputs: np.ndarray, unit: int) -> np.ndarray:
    """Of least squares' effect of a unit on outputs float[models, outputs]: as of `of_differences`."""
    added = len(fit.weights) * fit.weights[:, [unit]].astype(np.float64) * fit.residuals(outputs)
    effect = observe(outputs, fit.by_pairs).T @ fit.weights[:, unit]
    return effect + added - added.mean(0)


def free_observations(seen: np.ndarray, by_pairs: bool) -> float:
    """Degrees of freedom of a difference of means: pairs less one, or Welch's for equal noise on sides of
    these sizes; the mean over columns of `seen`, as of `of_differences`.
    """
    if by_pairs:
        return len(seen) / 2 - 1
    sides = [side.sum(0).astype(np.float64) for side in (seen, ~seen)]
    variance = sum(1 / side for side in sides)
    return float(np.mean(variance**2 / sum(1 / (side**2 * (side - 1)) for side in sides)))


class Contributions:
    """Contributions to the effects of units on outputs float[models, outputs], by an estimator.

    Args:
        estimator: `least_squares` or `difference_of_means`, as `crossfit.divide` gives it.
        masks: bool[models, units].
    """

    def __init__(self, estimator: str, masks: np.ndarray):
        self.masks, self.by_pairs = masks, is_fold_over(masks)
        self.fit = make(estimator, masks, np.zeros((len(masks), 1))) if estimator == "least_squares" else None

    def of(self, outputs: np.ndarray, unit: int) -> np.ndarray:
        """Of the effect of a unit: float64[observations, outputs]."""
        if self.fit is not None:
            return of_fit(self.fit, outputs, unit)
        return of_differences(self.masks[:, [unit]], outputs, self.by_pairs)

    @property
    def df(self) -> float:
        """Degrees of freedom that the observations leave."""
        if self.fit is not None:
            return float(self.fit.df.mean())
        return free_observations(self.masks, self.by_pairs)
