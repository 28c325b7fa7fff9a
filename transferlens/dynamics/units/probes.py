"""The images that units are looked at with: one half of them chooses which are shown, the other one tells."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from transferlens.data.pipeline import Images
from transferlens.training import kept_maps

_OF_A_CLASS = 2  # images whose maps are compared filter by filter: of each the other is a floor


@dataclass(frozen=True)
class Probe:
    """Images of a data set's val split, the report half first, class by class in each half.

    Attributes:
        images: float32[n, 3, side, side], on the device.
        pixels: uint8[n, side, side, 3].
        labels: int64[n].
        ids: of the images.
        report: bool[n], whether it is of the report half.
    """

    images: torch.Tensor
    pixels: np.ndarray
    labels: np.ndarray
    ids: list[str]
    report: np.ndarray


def draw(val: Images, count: int, seed: int) -> Probe:
    """Half as many images of each half of the split (all of one that has fewer), of all classes alike."""
    examples = val.examples
    # The select half is the report half of the split with its halves exchanged.
    halves = (examples, replace(examples, halves=1 - examples.halves))
    report, select = (kept_maps.choose(half, count // 2, seed) for half in halves)
    positions = np.concatenate([report, select])
    images, pixels = val.pick(positions)
    ids = [examples.ids[position] for position in positions]
    return Probe(images, pixels, examples.labels[positions], ids, np.arange(len(ids)) < len(report))


def compared(labels: np.ndarray, count: int) -> np.ndarray:
    """Positions int64[count] of at most so many images, the first two of each class of labels [n] first."""
    earlier = np.array([(labels[:i] == label).sum() for i, label in enumerate(labels)], np.int64)
    return np.sort(np.argsort(earlier // _OF_A_CLASS, kind="stable")[:count])
