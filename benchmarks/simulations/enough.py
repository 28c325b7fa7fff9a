"""Stopping when it is enough: do the intervals at the stop hold, whatever made one stop?

Spreads are those of the default study, and noise is three times as large with a class as without (see
`simulations.influence`). Looks are at 64, 128, 256 and 512 models. *Plain* intervals are of 95 % at every
look; the driver's share 5 % among the looks.
"""

from collections.abc import Iterator

import numpy as np

from simulations.influence import CLASSES, EFFECT, UNITS, unequal_noise
from simulations.row import Row
from transferlens.core.statistics import Interval
from transferlens.estimation import designs, estimators
from transferlens.influence import stopping
from transferlens.influence.stopping import RELIABILITY, Quantity, Seen, Wanted

LOOKS = stopping.planned(64, 512, 16)
PLAIN, SHARED = 0.95, stopping.confidence_of_each(len(LOOKS), 1)
STUDIES = (("hadamard", "least_squares"), ("bernoulli", "difference_of_means"))
RELIABLE = (*STUDIES, ("bernoulli", "least_squares"), ("complementary", "difference_of_means"))
# As many models as the second look has make an influence about so certain (plain, and shared).
WITHIN = {PLAIN: 0.034, SHARED: 0.044}
# Each source class on the target class of its number: a question of its own.
NAMED = [Quantity(f"source {i}", f"target {i}") for i in range(CLASSES)]
# Of a study: look by look, the interval of every question.
Looks = list[list[Interval]]


def rows(scale: float) -> Iterator[Row]:
    """Influences stopped by their sign and by their width, and reliabilities."""
    for design, name in STUDIES:
        yield from _influences(design, name, max(round(100 * scale), 2))
    for design, name in RELIABLE:
        yield from _reliabilities(design, name, max(round(50 * scale), 2))


def _study(design: str, seed: int, effects: np.ndarray, rng: np.random.Generator) -> Seen:
    masks = designs.draw_masks(design, UNITS, 0.5, seed, range(LOOKS[-1]))
    outputs = masks @ effects.T + unequal_noise(masks, rng)
    units, classes = ([f"{of} {i}" for i in range(n)] for of, n in (("source", UNITS), ("target", CLASSES)))
    return Seen(masks, outputs, outputs.mean(1), units, classes)


def _looks(seen: Seen, asked: list[Quantity], name: str, confidence: float) -> Looks:
    return [stopping.intervals(seen, models, asked, name, confidence) for models in LOOKS]


def _at_stop(looks: Looks, question: int, wanted: Wanted, quantity: Quantity) -> int:
    """The look that one stops at."""
    reached = (wanted.is_reached(quantity, look[question]) for look in looks)
    return next((i for i, enough in enumerate(reached) if enough), len(looks) - 1)


def _influences(design: str, name: str, repetitions: int) -> Iterator[Row]:
    """The worst case: there is no effect, and one stops when the interval excludes it. And width."""
    for confidence, whose in ((PLAIN, "plain"), (SHARED, "the driver's")):
        for effect, wanted, words in (
            (0.0, Wanted(sign=True), "until it excludes zero, no effect"),
            (EFFECT, Wanted(within=WITHIN[confidence]), "until it is narrow"),
            (EFFECT, Wanted(sign=True), "until it excludes zero, some effects"),
        ):
            rng = np.random.default_rng(0)
            effects = effect * rng.normal(size=(CLASSES, UNITS))
            holds = []
            for seed in range(repetitions):
                looks = _looks(_study(design, seed, effects, rng), NAMED, name, confidence)
                stops = [looks[_at_stop(looks, i, wanted, NAMED[i])][i] for i in range(CLASSES)]
                holds.append([found.low < effects[i, i] < found.high for i, found in enumerate(stops)])
            measure = f"{words}: {whose} intervals hold at the stop, {design}, {name}"
            yield _held("influence at a stop", measure, np.array(holds), whose)


def _held(quantity: str, measure: str, holds: np.ndarray, whose: str, least: float = 0.95) -> Row:
    """Of plain intervals it is only told how often they hold."""
    share = float(holds.mean())
    error = 2 * np.sqrt(least * (1 - least) / holds.size)
    nominal, low = ("not promised", 0.0) if whose == "plain" else (f"at least {least:g}", least - error)
    return Row(quantity, measure, nominal, share, low, 1.0, len(holds))


def _reliabilities(design: str, name: str, repetitions: int) -> Iterator[Row]:
    """Wanted is what the second look truly has: whoever stops there or before claims too much."""
    rng = np.random.default_rng(0)
    effects = EFFECT * rng.normal(size=(CLASSES, UNITS))
    studies = [_study(design, seed, effects, rng) for seed in range(repetitions)]
    truth = [_reliability(studies, name, models) for models in LOOKS]
    wanted = Wanted(reliability=truth[1])
    for confidence, whose in ((PLAIN, "plain"), (SHARED, "the driver's")):
        right, holds, together = [], [], []
        for seen in studies:
            looks = _looks(seen, [RELIABILITY], name, confidence)
            stop = _at_stop(looks, 0, wanted, RELIABILITY)
            claimed = wanted.is_reached(RELIABILITY, looks[stop][0])
            right.append(not (claimed and truth[stop] <= truth[1]))
            held = [look[0].low <= true <= look[0].high for look, true in zip(looks, truth, strict=True)]
            holds.append(held[stop])
            together.append(all(held))
        of = f"{design}, {name} ({', '.join(f'{true:.2f}' for true in truth)})"
        for least, words, values in (
            (0.975, "no claim of what is not there", right),
            (0.95, "intervals hold at the stop", holds),
            (0.95, "intervals hold at all looks", together),
        ):
            yield _held("reliability at a stop", f"{whose}: {words}, {of}", np.array(values), whose, least)


def _reliability(studies: list[Seen], name: str, models: int) -> float:
    """What estimates of many studies have in common, as a share of their spread."""
    estimates = []
    for seen in studies:
        masks, outputs = seen.masks[:models], seen.by_class[:models]
        effect = estimators.make(name, masks, outputs).coefficients(outputs).astype(np.float64)
        estimates.append(effect - effect.mean(1, keepdims=True))
    return 1 - np.var(estimates, axis=0, ddof=1).sum() / np.square(estimates).sum((1, 2)).mean()
