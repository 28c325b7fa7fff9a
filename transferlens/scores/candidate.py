"""A candidate: what one source model makes of a target's training images. All that a score may look at."""

from dataclasses import dataclass, field
from functools import partial

import numpy as np

from transferlens.core.errors import DataError, TransferlensError
from transferlens.scores.moments import Axes, Moments
from transferlens.scores.shared import Shared


class Unavailable(TransferlensError):
    """A score that cannot be had of a candidate; the message says why."""


@dataclass(frozen=True)
class Candidate:
    """Features, labels and, where there are any, outputs of the source head.

    Attributes:
        features: float64[images, features], before the head.
        labels: int64[images], positions in the target's classes; every one of range(classes) occurs.
        classes: how many the target has.
        logits: float64[images, source classes] of the source head; None where there is none.
        source: (float64[images, features], int64[images]) of source images by the same model, for scores
            that compare the two tasks; None where there are none.
        shared: what several scores read, made when first asked for.

    Raises:
        DataError: arrays that do not belong together, a class without an image, fewer images than classes.
    """

    features: np.ndarray
    labels: np.ndarray
    classes: int
    logits: np.ndarray | None = None
    source: tuple[np.ndarray, np.ndarray] | None = None
    shared: Shared = field(init=False, default_factory=Shared, compare=False, repr=False)

    def __post_init__(self) -> None:
        _check_rows("features", self.features, self.labels)
        if self.logits is not None:
            _check_rows("logits", self.logits, self.labels)
        if self.source is not None:
            _check_rows("source features", *self.source)
            _check_width(self.source[0], self.features)
        _check_labels(self.labels, self.classes)

    @property
    def moments(self) -> Moments:
        """Means and scatter of the features."""
        make = partial(Moments.of, self.features, self.labels, self.classes)
        return self.shared.part("moments", make)

    @property
    def axes(self) -> Axes:
        """Principal axes of the features."""
        return self.shared.part("axes", lambda: self.moments.axes())

    def principal(self, components: int) -> np.ndarray:
        """Coordinates float64[images, components] along the first principal axes, all if there are fewer."""
        return self.moments.coordinates @ self.axes.vectors[:, :components]


def _check_rows(what: str, values: np.ndarray, labels: np.ndarray) -> None:
    if values.ndim != 2 or labels.shape != (len(values),):
        raise DataError(
            f"{what} of shape {values.shape} with labels of shape {labels.shape}; give [images, {what}] and "
            "[images]"
        )


def _check_width(source: np.ndarray, target: np.ndarray) -> None:
    if source.shape[1] != target.shape[1]:
        raise DataError(
            f"{source.shape[1]} features of source images, but {target.shape[1]} of target images; take both "
            "from the same model"
        )


def _check_labels(labels: np.ndarray, classes: int) -> None:
    if len(labels) < classes:
        raise DataError(f"{len(labels)} images of {classes} classes; give at least one of every class")
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"labels are not all in 0 to {classes - 1}; number the classes from 0")
    missing = np.flatnonzero(np.bincount(labels, minlength=classes) == 0)
    if len(missing):
        raise DataError(f"no image of class {missing[0]} of {classes}; give at least one of every class")
