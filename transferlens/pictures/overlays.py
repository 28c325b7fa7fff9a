"""Class maps over their images: on a shared scale for all eyes, or as the published study drew them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from transferlens.pictures import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The published overlay weighs the image so, and the colours by the rest.
_IMAGE_WEIGHT = 0.6
JET_WORDS = (
    "jet, each panel scaled to its own minimum and maximum, then squared: colours cannot be compared between "
    "panels"
)


@dataclass(frozen=True)
class Scale:
    """How maps of one head are coloured.

    Attributes:
        colormap: `safe` or `jet`.
        signed: whether maps show evidence against the class, too.
        limit: the largest absolute value that is told apart (`safe`).
    """

    colormap: str
    signed: bool
    limit: float

    @property
    def words(self) -> str:
        """What the colours mean."""
        low, high = (f"blue −{self.limit:.3g}", "red +") if self.signed else ("dark 0", "light ")
        return f"{low} to {high}{self.limit:.3g}"

    def draw(self, axis: "Axes", image: np.ndarray, values: np.ndarray) -> None:
        """A map float[h, w] over its image uint8[H, W, 3]; of a zero map only the image, in grey."""
        height, width = image.shape[:2]
        if self.colormap == "jet" and values.any():
            axis.imshow(published(image, values))
            return
        axis.imshow(image.mean(2), cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0))
        if values.any():
            axis.imshow(
                values,
                cmap=figures.DIVERGING if self.signed else "magma",
                vmin=-self.limit if self.signed else 0,
                vmax=self.limit,
                alpha=0.6,
                interpolation="bilinear",
                extent=(0, width, height, 0),
            )


def published(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The overlay of the published study, uint8[H, W, 3]: as hot for a weak map as for a strong one.

    The map is scaled to 0..1, enlarged by bicubic interpolation, squared, and coloured by jet.
    """
    values = values.astype(np.float32) - values.min()
    values /= values.max() + 1e-8
    large = Image.fromarray(values, mode="F").resize(image.shape[1::-1], Image.Resampling.BICUBIC)
    heat = figures.colours("jet")(np.asarray(large).clip(0, 1) ** 2)[..., :3]  # bicubic overshoots
    return (_IMAGE_WEIGHT * image + (1 - _IMAGE_WEIGHT) * 255 * heat).astype(np.uint8)
