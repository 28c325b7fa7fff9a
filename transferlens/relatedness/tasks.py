"""Tasks: labelled images of some classes, as an encoder sees them, on a scale of their own."""

from dataclasses import dataclass

import numpy as np

from transferlens.core.errors import DataError


@dataclass(frozen=True)
class Sample:
    """Some labelled images of a task; every class of it occurs.

    Attributes:
        features: float64[images, features], standardised.
        labels: int64[images], positions in the task's classes.
    """

    features: np.ndarray
    labels: np.ndarray

    @property
    def classes(self) -> int:
        return int(self.labels.max()) + 1

    @property
    def frequencies(self) -> np.ndarray:
        """Share of each class among the images, float64[classes]."""
        return np.bincount(self.labels) / len(self.labels)

    def of_class(self, label: int) -> np.ndarray:
        """Features of the images of a class, float64[images, features]."""
        return self.features[self.labels == label]

    def class_means(self, values: np.ndarray) -> np.ndarray:
        """Means of values float64[images] over the images of each class, float64[classes]."""
        return np.bincount(self.labels, values) / np.bincount(self.labels)


@dataclass(frozen=True)
class Task:
    """A classification task.

    Attributes:
        train: what heads and transforms are fitted on.
        test: what every number is of.
        classes: how many; each has images in both samples.
    """

    train: Sample
    test: Sample
    classes: int

    @property
    def prior(self) -> np.ndarray:
        """Frequencies of the classes among the training images, float64[classes]."""
        return self.train.frequencies

    @property
    def dimensions(self) -> int:
        return self.train.features.shape[1]


def part_of(sample: Sample, images: int, rng: np.random.Generator) -> Sample:
    """About so many random images of a sample at most, classes as frequent as in it, one of each at least."""
    if len(sample.labels) <= images:
        return sample
    counts = np.maximum(largest_remainder(sample.frequencies, images), 1)
    mixed = rng.permutation(len(sample.labels))
    rows = [mixed[sample.labels[mixed] == label][:count] for label, count in enumerate(counts)]
    rows = np.sort(np.concatenate(rows))
    return Sample(sample.features[rows], sample.labels[rows])


def largest_remainder(shares: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers int64[n] that add up to `total`, each within 1 of its share; `shares` add up to 1."""
    exact = shares * total
    counts = np.floor(exact).astype(np.int64)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: total - counts.sum()]] += 1
    return counts


def standardised(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    classes: int,
    *,
    name: str,
    model: str = "",
) -> Task:
    """The task on the scale of its own training features: mean 0 and deviation 1 of each.

    A feature that is the same in all training images becomes 0 in all images, those of the test too.

    Args:
        train_features, test_features: float[images, features].
        train_labels, test_labels: int[images], positions in the classes.
        name: of the task, for messages.
        model: whose features these are, for messages.

    Raises:
        DataError: one class only; fewer images than classes; a class without an image in a split; features
            that are not finite, or all the same.
    """
    if classes < 2:
        raise DataError(f"{name}: {classes} class; a task needs two or more.")
    train = _checked(train_features, train_labels, classes, f"{name}, training images", model)
    test = _checked(test_features, test_labels, classes, f"{name}, test images", model)
    mean, deviation = train.features.mean(0), train.features.std(0)
    # Rounding leaves a constant feature a deviation of about 1e-16 of its value.
    varies = deviation > 1e-9 * np.abs(mean)
    if not varies.any():
        raise DataError(f"{name}{_of(model)}: all features are the same in all training images.")
    scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=varies)
    samples = [Sample((of.features - mean) * scale, of.labels) for of in (train, test)]
    return Task(*samples, classes)


def check_same_dimensions(reference: Task, target: Task) -> None:
    """Refuse a reference and a target that different encoders, or layers, have seen."""
    if reference.dimensions != target.dimensions:
        raise DataError(
            f"The reference has {reference.dimensions} features and the target {target.dimensions}: "
            "take both from the same layer of the same encoder."
        )


def _checked(features: np.ndarray, labels: np.ndarray, classes: int, name: str, model: str) -> Sample:
    """The sample, if it can be one of a task with these classes."""
    if len(labels) < classes:
        raise DataError(f"{name}: {len(labels)} images for {classes} classes; every class needs one.")
    missing = np.flatnonzero(np.bincount(labels, minlength=classes) == 0)
    if len(missing):
        raise DataError(f"{name}: no image of class {missing[0]} ({len(missing)} of {classes} are missing).")
    bad = np.flatnonzero(~np.isfinite(features).all(1))
    if len(bad):
        raise DataError(
            f"{name}{_of(model)}: features of image {bad[0]} are NaN or infinite ({len(bad)} are)."
        )
    return Sample(features.astype(np.float64), labels.astype(np.int64))


def _of(model: str) -> str:
    return f", model {model}" if model else ""
