"""What the page's summary says of networks on their way: whether the last layer stays as it was."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from transferlens.core.blocks import Finding, Kind
from transferlens.dynamics.words import domain_words

LEVEL = 0.05  # q-values below it are findings
_TO_START = ("mean_to_start", "mean_to_start_low", "mean_to_start_high")
_AT_RANDOM = ("random_init", "random_init_low", "random_init_high")


def findings(made: xr.Dataset) -> Iterator[Finding]:
    """Whether the adapted networks' last layer is like the source models', on the images of every domain."""
    end = made.isel(layer=-1, step=-1)
    for i, images in enumerate(domain_words(made)):
        what = f"the last layer stays more like the source model's than one at random is, on {images}"
        yield _of_images(end.isel(domain=i), what)


def _of_images(of: xr.Dataset, what: str) -> Finding:
    """One domain. Networks at random are similar, too: similarity must lie above theirs with its whole
    interval, and above that of images in random order.
    """
    (kept, low, _), (at_random, _, most) = (
        [float(of[n]) for n in names] for names in (_TO_START, _AT_RANDOM)
    )
    sure = f"CKA {_told(of, _TO_START)}, at random {_told(of, _AT_RANDOM)}"
    if np.isnan([kept, at_random]).any():
        return Finding(Kind.UNKNOWN, f"Whether {what}: one of the two similarities is unknown.")
    if np.isnan([low, most]).any():
        return Finding(Kind.UNKNOWN, f"Whether {what}.", f"{sure}; too few models for an interval")
    sure = f"{sure}; 95 % over models"
    if low > most and float(of.mean_to_start_q) < LEVEL:
        return Finding(Kind.SHOWN, f"{what[:1].upper()}{what[1:]}.", sure)
    return Finding(Kind.UNKNOWN, f"Whether {what}.", sure)


def _told(of: xr.Dataset, names: tuple[str, ...]) -> str:
    """A similarity, with its interval if it has one."""
    value, low, high = (float(of[name]) for name in names)
    return f"{value:.3f}" + ("" if np.isnan(low) else f" ({low:.3f} to {high:.3f})")
