"""Whether models are as often right as their probabilities say."""

import numpy as np


def calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> np.ndarray:
    """Expected calibration error of every model: float64[models], in 0..1.

    Images are ordered by confidence and cut into bins of equally many; the error is the mean over bins,
    weighted by their images, of |share that is right - mean confidence| (Naeini et al. 2015; Guo et al. 2017
    cut at equal distances, which leaves most bins of a confident network empty). Images of equal confidence
    count as their mean does, so that their order decides nothing where a bin ends among them. With few
    images in a bin the error is too high: a calibrated model's is not 0 but about what chance gives.

    Args:
        confidence: float[models, images], probability of the answer given.
        correct: bool[models, images], whether that answer is right.
        bins: some stay empty where there are fewer images.
    """
    images = confidence.shape[1]
    order = confidence.argsort(1, kind="stable")
    confidence = np.take_along_axis(confidence.astype(np.float64), order, 1)
    gaps = _means_of_ties(confidence, np.take_along_axis(correct, order, 1) - confidence)
    sums = np.pad(gaps.cumsum(1), ((0, 0), (1, 0)))
    ends = np.arange(bins + 1) * images // bins
    return np.abs(np.diff(sums[:, ends], axis=1)).sum(1) / images


def _means_of_ties(keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values [models, images], each as the mean of those with an equal key beside it in its row."""
    first = np.ones(keys.shape, bool)
    first[:, 1:] = np.diff(keys, axis=1) != 0
    group = first.ravel().cumsum() - 1
    means = np.bincount(group, values.ravel()) / np.bincount(group)
    return means[group].reshape(values.shape)
