"""Leaking and misleading source images: the strongest pairs of a block of source images and a target example.

A source image that is (nearly) a target image helps that image alone: leakage. One that resembles a target
image but carries another class misleads it (Jain et al. 2022). Blocks of images are the units of the masks
here. One fold of the draws of masks chooses the pairs, the other one says how strong they are.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from PIL import Image

from transferlens.analyses.artefacts import LEAKAGE, RANDOM_PAIRS
from transferlens.analyses.folds import CHOOSING, REPORTING, missing_folds, of_fold
from transferlens.core import artefacts
from transferlens.core.seeding import rng_for
from transferlens.core.statistics import q_values, t_interval, two_sided_p
from transferlens.data.index import Index
from transferlens.data.pipeline import Images
from transferlens.pictures import figures

ENDS = ("helps most", "hurts most")
_THUMBNAIL = 16
# Of the table of pairs.
_COLUMNS = [
    *("end", "block", "source_image", "source_class", "example", "target_class"),
    *("effect", "se", "q", "likeness", "near_duplicate"),
]


@dataclass(frozen=True)
class StrongPair:
    """A block of source images with an extreme influence on a report-half target example, by the choosing
    fold.

    Attributes:
        end: index into ENDS.
        block, example: index of the unit, position in the target's val split.
        effect, se, q: the influence by the reporting fold, its standard error, and Benjamini-Hochberg's q
            over the pairs that are shown.
        source_image: position in the source's train split of the block's image most like the example.
        likeness: correlation of their thumbnails.
    """

    end: int
    block: int
    example: int
    effect: float
    se: float
    q: float
    source_image: int
    likeness: float


def find_pairs(
    influence: xr.Dataset, count: int, members: list[np.ndarray], source: Images, val: Images
) -> tuple[list[StrongPair], np.ndarray]:
    """The most positive and the most negative pairs, by the nearer end of the choosing fold's 95 % interval.

    There are none where influences have no folds (`folds.missing_folds` says why).

    Args:
        members: int64[images of the block] for every block, positions in the source's train split.

    Returns:
        The pairs, and the likeness float64[random pairs] of as many random blocks and examples: the baseline
        for calling two images duplicates.
    """
    if missing_folds(influence):
        return [], np.zeros(0)
    report = np.flatnonzero(influence.example_half.values == "report")
    choosing, reporting = of_fold(influence, CHOOSING), of_fold(influence, REPORTING)
    interval = t_interval(choosing.effect[report], choosing.se[report], choosing.df)
    blocks, cells = len(members), []
    for end, certain in enumerate((interval.low.ravel(), -interval.high.ravel())):
        cells += [(end, *divmod(int(i), blocks)) for i in np.argsort(-certain, kind="stable")[:count]]
    at = tuple(np.array([(report[e], b) for _, e, b in cells]).T)
    effect, se = reporting.effect[at], reporting.se[at]
    q = q_values(two_sided_p(effect, se, reporting.df))
    rng = rng_for("random pairs", len(report), blocks)
    random = [(int(rng.integers(len(report))), int(rng.integers(len(members)))) for _ in range(RANDOM_PAIRS)]
    wanted = {e for _, e, _ in cells} | {e for e, _ in random}
    examples = dict(zip(sorted(wanted), thumbnails(val, report[sorted(wanted)]), strict=True))
    seen = sorted({b for _, _, b in cells} | {b for _, b in random})
    images = dict(zip(seen, _block_thumbnails(source, [members[b] for b in seen]), strict=True))
    pairs = []
    for i, (end, e, b) in enumerate(cells):
        alike = images[b] @ examples[e]
        best = int(alike.argmax())
        pairs.append(
            StrongPair(
                end,
                b,
                int(report[e]),
                effect[i],
                se[i],
                q[i],
                int(members[b][best]),
                float(alike[best]),
            )
        )
    return pairs, np.array([float((images[b] @ examples[e]).max()) for e, b in random])


def _block_thumbnails(source: Images, members: list[np.ndarray]) -> list[np.ndarray]:
    together = thumbnails(source, np.concatenate(members))
    return np.split(together, np.cumsum([len(m) for m in members])[:-1])


def thumbnails(images: Images, positions: np.ndarray) -> np.ndarray:
    """Gray 16-pixel thumbnails, centred and of unit length: float64[images, 256]; products are
    correlations.
    """
    _, pixels = images.pick(positions)
    small = [
        np.asarray(
            Image.fromarray(p).convert("L").resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX), float
        )
        for p in pixels
    ]
    flat = np.stack(small).reshape(len(small), -1)
    flat -= flat.mean(1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.where(length > 0, length, 1)


def table(
    pairs: list[StrongPair], influence: xr.Dataset, source: Index, target: Index, duplicate_from: float
) -> pd.DataFrame:
    """One row a pair; the images are named by the data sets' own ids."""
    return pd.DataFrame(
        [
            {
                "end": ENDS[p.end],
                "block": str(influence.source_class.values[p.block]),
                "source_image": source.train.ids[p.source_image],
                "source_class": source.class_names[source.train.labels[p.source_image]],
                "example": target.val.ids[p.example],
                "target_class": target.class_names[target.val.labels[p.example]],
                "effect": p.effect,
                "se": p.se,
                "q": p.q,
                "likeness": p.likeness,
                "near_duplicate": p.likeness >= duplicate_from,
            }
            for p in pairs
        ],
        columns=_COLUMNS,
    )


def write_leakage(path: Path, baseline: np.ndarray, table: pd.DataFrame, missing: str = "") -> None:
    """Store the pairs as their table has them, and the likeness of random ones float64[random pairs];
    `missing` says why there are no pairs.
    """
    with artefacts.create(path, LEAKAGE) as out:
        for name in table.columns:
            out.write({"se": "effect_se", "q": "effect_q"}.get(name, name), table[name].to_numpy())
        out.write("random_likeness", baseline)
        if missing:
            out.attribute("missing", missing)


def draw(pairs: list[StrongPair], found: pd.DataFrame, source: Images, val: Images, picture: Path) -> None:
    """One column a pair: the target example above, the most similar source image of the block below."""
    _, above = val.pick(np.array([p.example for p in pairs]))
    _, below = source.pick(np.array([p.source_image for p in pairs]))
    columns = len(pairs) // len(ENDS)
    figure = figures.figure(1.35 * columns, 7, layout="tight")
    axes = figure.subplots(4, columns, squeeze=False)
    for i, (pair, row) in enumerate(zip(pairs, found.itertuples(), strict=True)):
        column, first = i % columns, 2 * pair.end
        title = f"{ENDS[pair.end]}\n" if column == 0 else ""
        numbers = f"{row.effect:+.2f} ± {row.se:.2f}\nq {row.q:.2g}"
        figures.show(axes[first, column], above[i], f"{title}{row.target_class}\n{numbers}")
        note = ", duplicate?" if row.near_duplicate else ""
        figures.show(
            axes[first + 1, column], below[i], f"source: {row.source_class}\nlike {row.likeness:.2f}{note}"
        )
    figures.save(figure, picture)
