"""Composites: target images pasted on images of a source class, with controls; which ones, and how made.

What is drawn depends on the seed, the shortlist and the images alone, so that all models, and the remedies
compared with a recipe, see the same composites.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

from transferlens.core import artefacts
from transferlens.core.seeding import rng_for
from transferlens.data.artefacts import HALVES, positions
from transferlens.data.composites import pasted_side, places
from transferlens.data.index import Examples
from transferlens.memories.artefacts import COMPOSITES, CONTROLS, MODELS
from transferlens.memories.kept.probes import Probes

_BLOCKS = 4  # along either side of a scrambled background
# The columns of a table that are stored as they are, by their names in the file.
_COLUMNS = {"background": "background", "overlay": "overlay", "left": "x", "top": "y", "side": "side"}
_ANSWERS = ("p_true", "prediction", "alone_p_true", "alone_prediction", "inside_share")


@dataclass(frozen=True)
class Table:
    """One composite a row; all int64[composites].

    Attributes:
        source_class, target_class: of background and pasted image.
        background, overlay: positions in the val splits of source and target.
        half: index into HALVES, of both images.
        x, y, side: the pasted square in pixels of the network input.
    """

    source_class: np.ndarray
    target_class: np.ndarray
    background: np.ndarray
    overlay: np.ndarray
    half: np.ndarray
    x: np.ndarray
    y: np.ndarray
    side: np.ndarray

    def __len__(self) -> int:
        return len(self.source_class)

    def only(self, rows: np.ndarray) -> "Table":
        """Some composites: a mask bool[composites], or numbers."""
        return Table(**{name: values[rows] for name, values in vars(self).items()})


@dataclass(frozen=True)
class Shortlist:
    """Source classes that composites are made of.

    Attributes:
        classes: int64[shortlist], ascending.
        random: bool[shortlist], drawn at random and not for being strongly bound.
    """

    classes: np.ndarray
    random: np.ndarray


@dataclass(frozen=True)
class Responses:
    """What one kind of model (fine-tuned or from scratch) makes of composites.

    Attributes:
        p_true, prediction: [models, composites, controls], probability of the pasted image's class, and the
            predicted target class.
        alone_p_true, alone_prediction: [models, composites], of the target image itself.
        inside_share: [models, composites], share of the positive evidence for that class inside the pasted
            square; NaN where evidence cannot be told from the weights.
    """

    p_true: np.ndarray
    prediction: np.ndarray
    alone_p_true: np.ndarray
    alone_prediction: np.ndarray
    inside_share: np.ndarray


@dataclass(frozen=True)
class Composites:
    """Composites and what models make of them.

    Attributes:
        memory_probability: float32[models, composites], calibrated probability of the background's class by
            the source head on the fine-tuned backbone.
        skipped: why there are none; '' if there are.
    """

    table: Table
    shortlist: Shortlist
    source_names: list[str]
    target_names: list[str]
    responses: Mapping[str, Responses]
    memory_probability: np.ndarray
    skipped: str


def choose(probes: Probes, strongest: int, random: int, seed: int) -> Shortlist:
    """Source classes to study: those most strongly bound on the select half, and others at random.

    Half of the strongest are taken by the effect on probabilities, then the rest by the coupling of weights,
    both at the target class where they are largest. A class that overlaps with all target classes is none.
    """
    possible = np.flatnonzero(~probes.overlap.all(1))
    select = probes.binding.effect[HALVES.index("select")]
    by_effect, by_coupling = (
        sorted(possible, key=lambda c, score=score: -score[c])
        for score in (
            np.where(probes.overlap, -np.inf, values).max(1) for values in (select, probes.coupling.mean(0))
        )
    )
    first = by_effect[: -(-strongest // 2)]
    chosen = first + [c for c in by_coupling if c not in first][: strongest - len(first)]
    rest = np.setdiff1d(possible, chosen)
    drawn = rng_for(seed, "shortlist").permutation(rest)[:random]
    classes = np.sort(np.concatenate([chosen, drawn]).astype(np.int64))
    return Shortlist(classes, np.isin(classes, drawn))


def too_small(resolution: int, settings: Mapping[str, Any]) -> str:
    """Why no composites are made at this resolution, by `memories.composites`; '' if they are."""
    side = pasted_side(resolution, settings["side"])
    if side >= settings["smallest_side"]:
        return ""
    return (
        f"at {resolution} px the pasted image has {side} px a side, fewer than "
        f"memories.composites.smallest_side {settings['smallest_side']}: raise input.resolution or "
        "memories.composites.side, or lower smallest_side"
    )


def draw(
    shortlist: np.ndarray,
    overlap: np.ndarray,
    source: Examples,
    target: Examples,
    resolution: int,
    settings: Mapping[str, Any],
    seed: int,
) -> Table:
    """The composites of every pair of a listed source class and a target class that do not overlap.

    In each half, `per_cell` images of both classes are paired, each pair once and each image as rarely as
    possible; fewer where there are fewer pairs.

    Args:
        settings: `memories.composites`.
    """
    side = pasted_side(resolution, settings["side"])
    parts = []
    for half in range(len(HALVES)):
        of_source, of_target = (_by_class(e, half) for e in (source, target))
        for c in shortlist:
            for j in np.flatnonzero(~overlap[c]):
                rng = rng_for(seed, "composites", half, int(c), int(j))
                pairs = _pairs(of_source[int(c)], of_target[int(j)], settings["per_cell"], rng)
                n = len(pairs)
                x, y = places(n, resolution - side, settings["placement"], rng).T
                constant = [np.full(n, value) for value in (c, j)]
                parts.append([*constant, pairs[:, 0], pairs[:, 1], np.full(n, half), x, y, np.full(n, side)])
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Table(*(column.astype(np.int64) for column in columns))


def _by_class(examples: Examples, half: int) -> dict[int, np.ndarray]:
    classes = np.unique(examples.labels)
    return {int(c): np.flatnonzero((examples.labels == c) & (examples.halves == half)) for c in classes}


def _pairs(first: np.ndarray, second: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Different pairs int64[n, 2] of members, at most `count`, every member in about as many."""
    numbers = np.arange(min(count, len(first) * len(second)))
    # After each common multiple the same pairs would come again: there the second list moves on by one.
    shift = numbers // math.lcm(len(first), len(second))
    i, j = numbers % len(first), (numbers + shift) % len(second)
    return np.stack([rng.permutation(first)[i], rng.permutation(second)[j]], axis=1)


def shrink(images: np.ndarray, side: int) -> np.ndarray:
    """Images uint8[n, height, width, 3] as squares of `side` pixels, bilinear with antialiasing."""
    small = [Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR) for image in images]
    return np.stack([np.asarray(image) for image in small])


def paste(backgrounds: np.ndarray, small: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squares uint8[n, side, side, 3] at (x, y) of uint8[n, height, width, 3]: opaque, with hard edges."""
    made, side = np.array(backgrounds), small.shape[1]
    for i, (left, top) in enumerate(zip(x, y, strict=True)):
        made[i, top : top + side, left : left + side] = small[i]
    return made


def control_backgrounds(
    images: np.ndarray, positions: np.ndarray, control: str, scramble: str, seed: int
) -> np.ndarray:
    """Backgrounds uint8[n, height, width, 3] as a control wants them; a broadcast view where it can.

    * `object`: as they are;
    * `scrambled`: without their object, with their low-level statistics (`scramble`: `blocks` or `phase`);
    * `canvas`: each one's mean colour.

    Args:
        positions: int64[n], in the source's val split; they decide how a background is scrambled.
    """
    if control == "object":
        return images
    if control == "canvas":
        colours = np.rint(images.mean((1, 2), keepdims=True)).astype(np.uint8)
        return np.broadcast_to(colours, images.shape)
    function = {"blocks": shuffle_blocks, "phase": randomise_phases}[scramble]
    rngs = (rng_for(seed, "scramble", int(position)) for position in positions)
    return np.stack([function(image, rng) for image, rng in zip(images, rngs, strict=True)])


def shuffle_blocks(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A grid of 4 x 4 blocks in an order in which none stays; pixels beyond whole blocks stay."""
    count = _BLOCKS**2
    order = rng.permutation(count)
    while (order == np.arange(count)).any():
        order = rng.permutation(count)
    height, width = (side // _BLOCKS for side in image.shape[:2])
    made = image.copy()
    for place, origin in enumerate(order):
        (row, column), (from_row, from_column) = divmod(place, _BLOCKS), divmod(int(origin), _BLOCKS)
        made[row * height : (row + 1) * height, column * width : (column + 1) * width] = image[
            from_row * height : (from_row + 1) * height, from_column * width : (from_column + 1) * width
        ]
    return made


def randomise_phases(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The amplitudes of the image's Fourier components with random phases, the same in all channels."""
    phases = np.angle(np.fft.rfft2(rng.normal(size=image.shape[:2])))
    phases[0, 0] = 0  # the mean stays
    spectrum = np.fft.rfft2(image.astype(np.float64), axes=(0, 1)) * np.exp(1j * phases)[..., None]
    return np.rint(np.fft.irfft2(spectrum, image.shape[:2], axes=(0, 1))).clip(0, 255).astype(np.uint8)


def write_composites(path: Path, made: Composites) -> None:
    """Store composites, where they were made of, and what models make of them."""
    table, sources, targets = (
        made.table,
        np.array(made.source_names, object),
        np.array(made.target_names, object),
    )
    with artefacts.create(path, COMPOSITES) as out:
        if made.skipped:
            out.attribute("skipped", made.skipped)
        out.write("source_class", made.source_names)
        out.write("target_class", made.target_names)
        out.write("tried_class", sources[made.shortlist.classes])
        out.write("tried_at_random", made.shortlist.random)
        out.write("control", CONTROLS)
        out.write("role", MODELS)
        out.write("background_class", sources[table.source_class])
        out.write("overlay_class", targets[table.target_class])
        out.write("composite_half", np.array(HALVES, object)[table.half])
        for name, attribute in _COLUMNS.items():
            out.write(name, getattr(table, attribute))
        for name in _ANSWERS:
            out.write(name, np.stack([getattr(made.responses[role], name) for role in MODELS]))
        out.write("memory_probability", made.memory_probability)


def read_composites(path: Path) -> Composites:
    """Read what `write_composites` wrote."""
    with artefacts.open(path, COMPOSITES) as file:
        sources, targets = (artefacts.names(file[f"{side}_class"]) for side in ("source", "target"))
        listed = positions(artefacts.names(file["tried_class"]), sources)
        return Composites(
            _table(file, sources, targets),
            Shortlist(listed, file["tried_at_random"][:]),
            sources,
            targets,
            {role: Responses(*(file[name][i] for name in _ANSWERS)) for i, role in enumerate(MODELS)},
            file["memory_probability"][:],
            file.attrs.get("skipped", ""),
        )


def _table(file: h5py.File, sources: list[str], targets: list[str]) -> Table:
    return Table(
        source_class=positions(artefacts.names(file["background_class"]), sources),
        target_class=positions(artefacts.names(file["overlay_class"]), targets),
        half=positions(artefacts.names(file["composite_half"]), HALVES),
        **{attribute: file[name][:] for name, attribute in _COLUMNS.items()},
    )


def none_made(probes: Probes, models: int, skipped: str) -> Composites:
    """No composites, and why."""
    table = Table(*(np.zeros(0, np.int64) for _ in fields(Table)))
    empty = np.zeros((models, 0), np.float32)
    with_controls = np.zeros((models, 0, len(CONTROLS)), np.float32)
    nothing = Responses(with_controls, with_controls.astype(np.int32), empty, empty.astype(np.int32), empty)
    return Composites(
        table,
        Shortlist(np.zeros(0, np.int64), np.zeros(0, bool)),
        probes.source_names,
        probes.target_names,
        dict.fromkeys(MODELS, nothing),
        empty,
        skipped,
    )
