"""Interference, binding, retention and remedies, by the functions that the scripts call.

Values are drawn with the variances that the default study has: between pairs of models, between images, and
of each value by itself. Effects are drawn for every cell, or are zero; other pairs of models choose.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from simulations.row import Row
from transferlens.core.seeding import rng_for
from transferlens.data.artefacts import HALVES
from transferlens.memories.artefacts import CONTROLS, MODELS
from transferlens.memories.effect import interference
from transferlens.memories.effect.composites import Composites, Responses, Shortlist, Table
from transferlens.memories.kept import binding, retention
from transferlens.memories.kept.binding import Binding
from transferlens.memories.kept.probes import Probes, numbered
from transferlens.memories.kept.retention import Recall, Retained, Retention
from transferlens.memories.remedies import comparison

SOURCES, TARGETS, PER_CELL, IMAGES = 8, 5, 20, 50


@dataclass(frozen=True)
class Variances:
    """Of a cell's values: between pairs of models, between images, of each value; and of the true effects."""

    models: float
    images: float
    values: float
    effects: float


# Of the default study: net drops of composites, their changes by a remedy, and the difference of
# probabilities on source images.
NET = Variances(0.0152, 0.0071, 0.0561, 0.004)
CHANGE = Variances(0.0143, 0.0050, 0.0637, 0.004)
BINDING = Variances(0.0205, 0.0160, 0.0500, 0.005)
# Share of models that are right on a target image alone, both of a pair.
USABLE = 0.88
# Accuracy of the source head before and after, and how far models differ in it (logit units).
BEFORE, AFTER, SPREAD, OF_IMAGES = 2.0, -0.3, 1.2, 1.0


def rows(scale: float) -> Iterator[Row]:
    """Every property of this family, with its bounds."""
    for models in (4, 8, 12):
        yield from _of_cells("interference", models, round(60 * scale), _interference)
        yield from _of_cells("binding", models, round(60 * scale), _binding)
        yield from _of_retention(models, round(60 * scale))
        yield from _of_remedies(models, round(60 * scale))
    yield from _no_effect(round(100 * scale))


@dataclass(frozen=True)
class Told:
    """What is told of the cells of one simulated study, report half; each float64 or bool of one shape.

    Attributes:
        together: ends of the interval of the chosen cells together; NaN of bindings.
    """

    true: np.ndarray
    value: np.ndarray
    se: np.ndarray
    low: np.ndarray
    high: np.ndarray
    q: np.ndarray
    chosen: np.ndarray
    together: tuple[float, float] = (np.nan, np.nan)


def _values(rng: np.random.Generator, of: Variances, models: int, units: int) -> np.ndarray:
    """Values [models, units] of one cell without an effect."""
    between = rng.normal(0, of.models**0.5, (models, 1)) + rng.normal(0, of.images**0.5, units)
    return between + rng.normal(0, of.values**0.5, (models, units))


def _effects(rng: np.random.Generator, of: Variances) -> np.ndarray:
    """True effects [source classes, target classes]."""
    return rng.normal(0, of.effects**0.5, (SOURCES, TARGETS))


def _interference(seed: int, models: int, variances: Variances = NET) -> Told:
    rng = rng_for(seed, "interference", models)
    true = _effects(rng, variances)
    found = interference.estimate(_composites(rng, true, models, variances), _probes(models), 10)
    told = _told(true, found.cells, "interference", found.chosen)
    ends = (found.together[f"chosen_interference_{end}"] for end in ("low", "high"))
    return replace(told, together=tuple(ends))


def _told(true: np.ndarray, cells: dict[str, np.ndarray], name: str, chosen: np.ndarray) -> Told:
    report = HALVES.index("report")
    parts = (cells[f"{name}{part}"][report] for part in ("", "_se", "_low", "_high", "_q"))
    return Told(true, *parts, chosen)


def _table() -> Table:
    """Composites of every cell and half, each background and each pasted image once in a cell."""
    cells = [(h, c, k) for h in range(2) for c in range(SOURCES) for k in range(TARGETS)]
    half, source, target = np.repeat(cells, PER_CELL, axis=0).T
    number = np.tile(np.arange(PER_CELL), len(cells)) + PER_CELL * half
    place = np.zeros((2, len(half)), np.int64)
    return Table(
        *(source, target, 2 * PER_CELL * source + number, 2 * PER_CELL * target + number),
        *(half, *place, np.full(len(half), 9)),
    )


def _composites(
    rng: np.random.Generator, true: np.ndarray, models: int, variances: Variances, base: np.ndarray = 0
) -> Composites:
    """Composites whose net drop is the true effect [source, target classes] with noise, beyond `base`."""
    table = _table()
    net = np.concatenate(
        [
            _values(rng, variances, models, PER_CELL) + true[c, k]
            for _ in HALVES
            for c, k in np.ndindex(true.shape)
        ],
        axis=1,
    )
    shape = net.shape
    controls = np.zeros((*shape, len(CONTROLS)))
    objects = controls.copy()
    objects[..., CONTROLS.index("object")] = -(net + base)
    labels = np.broadcast_to(table.target_class, shape)
    responses = {}
    for role, p in zip(MODELS, (objects, controls), strict=True):
        right = np.where(rng.random(shape) < USABLE, labels, -1)
        prediction = np.repeat(labels[..., None], len(CONTROLS), axis=2)
        responses[role] = Responses(p, 9 * p, prediction, *np.zeros((2, *shape)), right, np.zeros(shape))
    names = [[f"{kind} {i}" for i in range(n)] for kind, n in (("source", SOURCES), ("target", TARGETS))]
    shortlist, repeats = Shortlist(np.arange(SOURCES), np.zeros(SOURCES, bool)), _repeats(models)
    return Composites(table, shortlist, *names, repeats, responses, np.zeros(shape), "")


def _repeats(models: int) -> np.ndarray:
    return numbered({"select": range(models, 2 * models), "report": range(models)})


def _probes(models: int) -> Probes:
    """Probes in which nothing is bound, and nothing is forgotten."""
    cell, of_class = np.zeros((2, SOURCES, TARGETS)), np.ones((models, 2, SOURCES))
    kept = Retention(*[of_class] * 4, np.full((2, SOURCES), IMAGES), Retained(*np.ones((4, SOURCES))))
    ties = np.zeros((models, *cell.shape))
    bound = Binding(ties, ties, *[cell] * 6, cell[0] > 0, "")
    names = [[f"{kind} {i}" for i in range(n)] for kind, n in (("source", SOURCES), ("target", TARGETS))]
    return Probes(*names, _repeats(models), kept, bound, np.ones((models, 2)), ties, cell[0] > 0)


def _binding(seed: int, models: int, variances: Variances = BINDING) -> Told:
    rng, labels = rng_for(seed, "binding", models), np.repeat(np.arange(SOURCES), IMAGES)
    true = _effects(rng, variances)
    true -= true.mean(0)
    tuned = {half: np.zeros((models, len(labels), TARGETS)) for half in HALVES}
    for values in tuned.values():
        for c, k in np.ndindex(true.shape):
            values[:, labels == c, k] = true[c, k] + _values(rng, variances, models, IMAGES)
    scratch = {half: np.zeros_like(values) for half, values in tuned.items()}
    found = binding.bind(tuned, scratch, dict.fromkeys(HALVES, labels), np.zeros(true.shape, bool))
    names = {"effect": "", **{part: f"_{part}" for part in ("se", "low", "high", "q")}}
    return _told(true, {end: getattr(found, part) for part, end in names.items()}, "", found.chosen)


def _of_cells(quantity: str, models: int, studies: int, simulate) -> Iterator[Row]:
    told = [simulate(seed, models) for seed in range(studies)]
    covered = np.stack([(t.low <= t.true) & (t.true <= t.high) for t in told])
    design = f"{models} pairs of models"
    yield _coverage(quantity, f"95 % intervals cover, {design}", covered)
    if not np.isnan(told[0].together).any():
        inside = [t.together[0] <= t.true[t.chosen].mean() <= t.together[1] for t in told]
        measure = f"95 % intervals of the chosen pairs together cover, {design}"
        yield _coverage(quantity, measure, np.array(inside)[:, None])
    error = np.concatenate([((t.value - t.true) / _rms(t.se))[t.chosen] for t in told])
    noise = 2 * error.std() / len(error) ** 0.5
    yield Row(
        quantity,
        f"bias of what other models chose, {design}",
        "0 within a tenth of a standard error, and two Monte Carlo errors",
        *(float(error.mean()), -0.1 - noise, 0.1 + noise, len(error)),
    )
    against = [((t.q < 0.05) & (t.low <= 0) & (t.high >= 0)).sum() for t in told]
    yield Row(
        quantity, f"q < .05 with an interval around 0, {design}", "none", sum(against), 0, 0, covered.size
    )


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _coverage(quantity: str, measure: str, covered: np.ndarray) -> Row:
    """Of intervals bool[studies, ...]; those of a study may go together."""
    shares = covered.reshape(len(covered), -1).mean(1)
    alone = (0.05 * 0.95 / covered.size) ** 0.5
    noise = 2 * max(float(shares.std(ddof=1)) / len(shares) ** 0.5, alone)
    nominal = ".93 to .97, and two Monte Carlo errors"
    return Row(quantity, measure, nominal, shares.mean(), 0.93 - noise, 0.97 + noise, covered.size)


def _no_effect(studies: int) -> Iterator[Row]:
    """Models differ, but on average nothing distracts: how often is anything found, and p at most .05?"""
    for models in (4, 12):
        told = [_interference(seed, models, replace(NET, effects=0.0)) for seed in range(studies)]
        found = np.array([(t.q < 0.05).any() for t in told])
        noise = 2 * 0.05**0.5 / studies**0.5
        yield Row(
            "interference",
            f"anything found where nothing distracts, {models} pairs of models",
            "in at most .05 of the studies, and two Monte Carlo errors",
            *(found.mean(), 0, 0.05 + noise, studies),
        )
        small = np.array([[(t.low > 0) | (t.high < 0)] for t in told]).reshape(studies, -1).mean(1)
        noise = 2 * small.std(ddof=1) / studies**0.5
        yield Row(
            "interference",
            f"p <= .05 where nothing distracts, {models} pairs of models",
            ".03 to .06 of the cells, and two Monte Carlo errors",
            *(small.mean(), 0.03 - noise, 0.06 + noise, studies * SOURCES * TARGETS),
        )


def _of_retention(models: int, studies: int) -> Iterator[Row]:
    """The ratio of accuracies of models and images that differ, against that of ever so many."""
    labels, covered = np.repeat(np.arange(SOURCES), IMAGES), []
    true = [_accuracy(rng_for(0, "many", level), level, 4000, 400).mean() for level in (BEFORE, AFTER)]
    for seed in range(studies):
        rng, recalls = rng_for(seed, "retention"), []
        before, after = (_by_class(rng, level, models) for level in (BEFORE, AFTER))
        recalls = [
            Recall(b, a, np.ones(len(labels)), np.ones(len(labels)))
            for b, a in zip(before, after, strict=True)
        ]
        found = retention.summarise(
            {"select": recalls[:1], "report": recalls}, dict.fromkeys(HALVES, labels), SOURCES
        ).retained
        ratio = true[1] / true[0]
        covered.append((found.low <= ratio) & (ratio <= found.high))
    yield _coverage("retention", f"95 % intervals cover, {models} pairs of models", np.array(covered))


def _accuracy(rng: np.random.Generator, level: float, models: int, images: int) -> np.ndarray:
    """Whether models are right on images of one class, bool[models, images]."""
    spread = SPREAD if level == AFTER else SPREAD / 3
    logits = level + rng.normal(0, spread, (models, 1)) + rng.normal(0, OF_IMAGES, images)
    return rng.random((models, images)) < 1 / (1 + np.exp(-logits))


def _by_class(rng: np.random.Generator, level: float, models: int) -> np.ndarray:
    return np.concatenate([_accuracy(rng, level, models, IMAGES) for _ in range(SOURCES)], axis=1)


def _of_remedies(models: int, studies: int) -> Iterator[Row]:
    """A remedy that changes some cells, on composites, and clean accuracy by nothing."""
    covered: dict[str, list[bool]] = {}
    for seed in range(studies):
        rng = rng_for(seed, "remedies")
        change = _effects(rng, CHANGE)
        chosen = np.zeros(change.shape, bool)
        chosen.ravel()[:10] = True
        base = _composites(rng, np.zeros(change.shape), models, NET)
        before = -base.responses["fine_tuned"].p_true[..., CONTROLS.index("object")]
        made = _composites(rng, change, models, CHANGE, before)
        runs = [
            comparison.Run(
                of, _probes(models), comparison.Clean(_clean(rng, models), np.ones(400), ["source 0"])
            )
            for of in (base, made)
        ]
        table = comparison.compare(runs[0], {"remedy": runs[1]}, chosen)
        true = {
            ("interference", "chosen"): change[chosen].mean(),
            ("accuracy, fine-tuned", "all"): 0.0,
        }
        for row in table.itertuples():
            if (row.measure, row.pairs) in true:
                inside = row.change_low <= true[row.measure, row.pairs] <= row.change_high
                covered.setdefault(row.measure, []).append(inside)
    for measure, inside in covered.items():
        told = f"95 % intervals of a change cover, {measure}, {models} pairs of models"
        yield _coverage("remedies", told, np.array(inside)[:, None])


def _clean(rng: np.random.Generator, models: int) -> dict[str, np.ndarray]:
    return {role: _accuracy(rng, BEFORE, models, 400) for role in MODELS}
