"""Words of pictures and pages of feature dynamics."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr

# The layer that the head sees.
LAST = "backbone"


def short_layers(layers: Iterable[str]) -> list[str]:
    """Paths of layers without what all have in common; the last in words."""
    return ["backbone (end)" if path == LAST else path.removeprefix(f"{LAST}.") for path in layers]


def domain_words(made: "xr.Dataset") -> list[str]:
    """Which images a domain is: those of the target, then those of the source."""
    kinds = ("target", "source, held out")
    return [f"{name} ({kind})" for name, kind in zip(made.domain.values, kinds, strict=False)]


def step_words(step: int, end: int) -> str:
    """A step on an axis."""
    return f"{step:,} (end)" if step == end else f"{step:,}"
