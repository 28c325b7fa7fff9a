"""Two networks on one's own images, or two arrays of features: what is fed to them, and printed."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from transferlens.data.photographs import normalised, squares
from transferlens.dynamics.similarity.metrics import METRICS
from transferlens.dynamics.similarity.networks import LayerSimilarities

if TYPE_CHECKING:
    import pandas as pd


def batches(
    folder: Path,
    size: int,
    resolution: int,
    crop_ratio: float,
    mean: Sequence[float],
    std: Sequence[float],
    seed: int,
) -> Iterator[torch.Tensor]:
    """The images of a folder in an order drawn from a seed, float32[<= size, 3, side, side] at a time.

    In the order of names, a batch may be of one class, and tells how alike networks are within it alone.

    Raises:
        DataError: no such folder, or no readable image in it.
    """
    found = squares(folder, resolution, crop_ratio, np.random.default_rng(seed))
    while some := [square for _, square in islice(found, size)]:
        yield normalised(np.stack(some), mean, std)


def text_of_networks(found: LayerSimilarities) -> str:
    """Layers of the same name in both networks, a line each, and what to know of them."""
    table = found.frame()
    alike = table[table["first"] == table["second"]]
    lines = [f"Unbiased CKA, {found.images} images in {found.batches} batches; 95 % for other images"]
    width = max(map(len, alike["first"]), default=0)
    for row in alike.itertuples():
        interval = "no interval" if np.isnan(row.low) else f"{row.low:.3f} to {row.high:.3f}"
        lines.append(f"{row.first:<{width}}  {row.value:6.3f}  {interval}")
    if alike.empty:
        lines.append("No layer is called alike in both; the table has all pairs.")
    return "\n".join([*lines, *found.notes])


def text_of_features(compared: "pd.DataFrame") -> str:
    """A metric a line, beside its level with images in random order; columns as `metrics.compare` gives."""
    titles = [METRICS[name].title for name in compared.index]
    width = max(map(len, titles))
    lines = [f"{'':<{width}}   value  by chance: mean, 95th percentile"]
    for title, row in zip(titles, compared.itertuples(), strict=True):
        numbers = f"{row.value:7.3f}  {row.null_mean:7.3f} {row.null_p95:7.3f}"
        lines.append(f"{title:<{width}} {numbers}  {row.note}".rstrip())
    return "\n".join(lines)
