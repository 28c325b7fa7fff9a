"""Composites: target images pasted on images of a source class, with controls; which ones, and their answers.

What is drawn depends on the seed, the shortlist and the images alone, so that all models, and the remedies
compared with a recipe, see the same composites.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from transferlens.core import artefacts
from transferlens.core.seeding import rng_for
from transferlens.data.artefacts import HALVES, positions
from transferlens.data.composites import pairs_of, pasted_side, places
from transferlens.data.index import Examples
from transferlens.memories.artefacts import COMPOSITES, CONTROLS, MODELS
from transferlens.memories.kept.probes import Probes

# The columns of a table that are stored as they are, by their names in the file.
_COLUMNS = {"background": "background", "overlay": "overlay", "left": "x", "top": "y", "side": "side"}
# The fields of `Responses`, which are stored by these names: of every control, and of none.
_OF_CONTROLS = ("p_true", "margin", "prediction")
_ALONE = ("alone_p_true", "alone_margin", "alone_prediction", "inside_share")
ANSWERS = (*_OF_CONTROLS, *_ALONE)


@dataclass(frozen=True)
class Table:
    """One composite a row; all int64[composites].

    Attributes:
        source_class, target_class: of background and pasted image.
        background, overlay: positions in the val splits of source and target.
        half: index into HALVES, of both images (and of the models that see the composite).
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

    The models of a composite are those of its half; of a half with fewer than the other, answers are NaN and
    predictions -1.

    Attributes:
        p_true, margin, prediction: [models, composites, controls], probability of the pasted image's class,
            its log-odds, and the predicted target class.
        alone_p_true, alone_margin, alone_prediction: [models, composites], of the target image itself.
        inside_share: [models, composites], share of the positive evidence for that class inside the pasted
            square; NaN where evidence cannot be told from the weights.
    """

    p_true: np.ndarray
    margin: np.ndarray
    prediction: np.ndarray
    alone_p_true: np.ndarray
    alone_margin: np.ndarray
    alone_prediction: np.ndarray
    inside_share: np.ndarray


@dataclass(frozen=True)
class Answers:
    """What pairs of models make of composites.

    Attributes:
        responses: by kind of model.
        memory_probability: float32[models, composites], calibrated probability of the background's class by
            the source head on the fine-tuned backbone.
    """

    responses: Mapping[str, Responses]
    memory_probability: np.ndarray


@dataclass(frozen=True)
class Composites:
    """Composites and what models make of them.

    Attributes:
        repeats: int64[halves, models], of each half's pairs in the reference study; -1 where there are fewer.
        responses, memory_probability: as in `Answers`.
        skipped: why there are none; '' if there are.
    """

    table: Table
    shortlist: Shortlist
    source_names: list[str]
    target_names: list[str]
    repeats: np.ndarray
    responses: Mapping[str, Responses]
    memory_probability: np.ndarray
    skipped: str

    def of_half(self, half: str) -> "Composites":
        """The composites of one half, with the answers of its models alone."""
        number = HALVES.index(half)
        rows, models = self.table.half == number, int((self.repeats[number] >= 0).sum())
        responses = {
            role: Responses(**{name: values[:models, rows] for name, values in vars(of_role).items()})
            for role, of_role in self.responses.items()
        }
        return replace(
            self,
            table=self.table.only(rows),
            responses=responses,
            memory_probability=self.memory_probability[:models, rows],
        )


def choose(probes: Probes, strongest: int, random: int, seed: int) -> Shortlist:
    """Source classes to study: those most strongly bound on the select half, and others at random.

    Half of the strongest are taken by the effect on probabilities, then the rest by the coupling of weights,
    both at the target class where they are largest. A class that overlaps with all target classes is none.
    """
    possible = np.flatnonzero(~probes.overlap.all(1))
    half = HALVES.index("select")
    select, coupling = probes.binding.effect[half], np.nanmean(probes.coupling[:, half], axis=0)
    by_effect, by_coupling = (
        sorted(possible, key=lambda c, score=score: -score[c])
        for score in (np.where(probes.overlap, -np.inf, values).max(1) for values in (select, coupling))
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
    halves: Sequence[str],
    seed: int,
) -> Table:
    """The composites of every pair of a listed source class and a target class that do not overlap.

    In each of the halves, `per_cell` images of both classes are paired, each pair once and each image as
    rarely as possible; fewer where there are fewer pairs.

    Args:
        settings: `memories.composites`.
    """
    side = pasted_side(resolution, settings["side"])
    parts = []
    for half in map(HALVES.index, halves):
        of_source, of_target = (_by_class(e, half) for e in (source, target))
        for c in shortlist:
            for j in np.flatnonzero(~overlap[c]):
                rng = rng_for(seed, "composites", half, int(c), int(j))
                pairs = pairs_of(of_source[int(c)], of_target[int(j)], settings["per_cell"], rng)
                n = len(pairs)
                x, y = places(n, resolution - side, settings["placement"], rng).T
                constant = [np.full(n, value) for value in (c, j)]
                parts.append([*constant, pairs[:, 0], pairs[:, 1], np.full(n, half), x, y, np.full(n, side)])
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Table(*(column.astype(np.int64) for column in columns))


def _by_class(examples: Examples, half: int) -> dict[int, np.ndarray]:
    classes = np.unique(examples.labels)
    return {int(c): np.flatnonzero((examples.labels == c) & (examples.halves == half)) for c in classes}


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
        out.write("half", HALVES)
        out.write("repeat", made.repeats)
        out.write("tried_class", sources[made.shortlist.classes])
        out.write("tried_at_random", made.shortlist.random)
        out.write("control", CONTROLS)
        out.write("role", MODELS)
        out.write("background_class", sources[table.source_class])
        out.write("overlay_class", targets[table.target_class])
        out.write("composite_half", np.array(HALVES, object)[table.half])
        for name, attribute in _COLUMNS.items():
            out.write(name, getattr(table, attribute))
        for name in ANSWERS:
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
            file["repeat"][:],
            {role: Responses(**{name: file[name][i] for name in ANSWERS}) for i, role in enumerate(MODELS)},
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


def joined(of_halves: Sequence[Answers]) -> Answers:
    """The answers of each half's models to its composites as one, half by half (see `Responses`)."""
    models = max(len(of.memory_probability) for of in of_halves)
    return Answers(
        {
            role: Responses(
                **{
                    name: np.concatenate(
                        [_padded(getattr(of.responses[role], name), models) for of in of_halves], 1
                    )
                    for name in ANSWERS
                }
            )
            for role in MODELS
        },
        np.concatenate([_padded(of.memory_probability, models) for of in of_halves], axis=1),
    )


def _padded(values: np.ndarray, models: int) -> np.ndarray:
    """Values [models, ...] of so many models; NaN, or -1 of whole numbers, for those that there are not."""
    missing = np.nan if values.dtype.kind == "f" else -1
    lacking = np.full((models - len(values), *values.shape[1:]), missing, values.dtype)
    return np.concatenate([values, lacking])


def none_made(probes: Probes, skipped: str) -> Composites:
    """No composites, and why."""
    table = Table(*(np.zeros(0, np.int64) for _ in fields(Table)))
    empty = np.zeros((probes.repeats.shape[1], 0), np.float32)
    shape = (*empty.shape, len(CONTROLS))
    nothing = {name: np.zeros(empty.shape if name in _ALONE else shape, np.float32) for name in ANSWERS}
    whole = {name: values.astype(np.int32) for name, values in nothing.items() if "prediction" in name}
    return Composites(
        table,
        Shortlist(np.zeros(0, np.int64), np.zeros(0, bool)),
        probes.source_names,
        probes.target_names,
        probes.repeats,
        dict.fromkeys(MODELS, Responses(**nothing | whole)),
        empty,
        skipped,
    )
