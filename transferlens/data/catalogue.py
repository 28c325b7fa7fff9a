"""Facts about the registered image sets: what their publishers state, and how they are read.

The facts themselves are in catalogue.yaml, beside this file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Facts:
    """What is known of an image set before its images are there.

    Attributes:
        title: name for readers.
        classes: number of classes; None where releases differ.
        train_images, val_images: sizes of the complete splits; None where no source states them.
        metric: how accuracy is reported by convention, `global`, `per_class` (mean over classes), or
            `auroc` (area under the ROC curve of the second of two classes).
        split: the rule that divides training from evaluation images, in words.
        origin: where to get it.
        recipe: training settings of the original study that differ from the defaults; empty if it has none.
        archives: the publishers' archives, by path below the data root, with their checksum
            (`md5:<hex>`, None if none is published).
        nested: archives within these that are unpacked, too.
        torchvision: the class of torchvision.datasets that downloads it, the folder (or file) that this makes
            below the data root, and the arguments that open each split (none where the project reads that
            folder itself); None if there is no such class.
    """

    title: str
    classes: int | None
    train_images: int | None
    val_images: int | None
    metric: str
    split: str
    origin: str
    recipe: Mapping[str, Any]
    archives: Mapping[str, str | None] = field(default_factory=dict)
    nested: tuple[str, ...] = ()
    torchvision: Mapping[str, Any] | None = None


def _load() -> dict[str, Facts]:
    text = Path(__file__).with_name("catalogue.yaml").read_text(encoding="utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the fast one, where libyaml is there
    return {name: Facts(**facts) for name, facts in yaml.load(text, loader).items()}


CATALOGUE: dict[str, Facts] = _load()


def published_training() -> dict[str, Mapping[str, Any]]:
    """The original study's training settings of every set that it used as a target."""
    return {name: facts.recipe for name, facts in CATALOGUE.items() if facts.recipe}


def usual_metric(name: str) -> str:
    """How accuracy is reported on an image set by convention (`global` for one not in the catalogue)."""
    return CATALOGUE[name].metric if name in CATALOGUE else "global"


def limited(
    images: int | None, classes: int | None, per_class: int | None, share: float | None = None
) -> int | None:
    """Images of a split of which at most `per_class` a class are used, or a share; None is unknown, or all.

    For a share, classes count as equally large, up to one image.
    """
    if images is None or classes is None or (per_class is None and share is None):
        return images
    if share is not None:
        least, larger = divmod(images, classes)
        return (classes - larger) * share_of(share, least) + larger * share_of(share, least + 1)
    return min(images, classes * per_class)


def share_of(share: float, images: int) -> int:
    """A share of some images, rounded up; a share is the decimal as it is written (0.07 of 100 is 7)."""
    return ceil(Fraction(repr(share)) * images)
