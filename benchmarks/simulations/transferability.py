"""Rankings of transferability scores: coverage of intervals, false claims, and what shared chance does to
them.

Source models see random halves of the classes in complementary pairs. Accuracy and score are sums over the
classes seen, noise of the model that both share, and noise of their own; static rankers are the number of
classes and a noisy look at the accuracy.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simulations.row import Row, coverage_row
from transferlens.core.statistics import Interval
from transferlens.estimation import fold_correlations
from transferlens.transferability import class_effects, ranking
from transferlens.transferability.candidates import SCORE, STATIC, Candidates, Ranker
from transferlens.transferability.class_effects import Outputs
from transferlens.transferability.measures import MEASURES
from transferlens.transferability.ranking import Bench, Gain, Pool

_CLASSES = 20
_EFFECTS = np.random.default_rng(7).normal(0, 1, _CLASSES)
_REPORTED = ("weighted tau", "tau", "spearman", "pearson", "regret of 8")


@dataclass(frozen=True)
class Strength:
    """How a score follows accuracy.

    Attributes:
        classes: what it sees of the effects of the classes.
        model: what it sees of the chance of the model itself.
    """

    classes: float
    model: float


def rows(scale: float) -> Iterator[Row]:
    """The lines of the table."""
    for pairs in (12, 32):
        yield from _agreement(pairs, 0, round(300 * scale))
    yield from _agreement(32, 8, round(200 * scale))
    for pairs in (12, 32):
        yield from _gains(pairs, round(300 * scale))
    yield from _classes(round(200 * scale))


def drawn(rng: np.random.Generator, pairs: int, repeats: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks bool[models, classes], draws str[models], and the chance float64[models] of every model.

    Models of a repeat lack the same few classes in every repeat, and share a part of their chance.
    """
    first = rng.random((pairs, _CLASSES)) < 0.5
    masks = np.stack([first, ~first], axis=1).reshape(-1, _CLASSES)
    draw = np.repeat([f"pair {i}" for i in range(pairs)], 2)
    removed = np.random.default_rng(3).random((8, _CLASSES)) < 0.8
    masks = np.concatenate([masks, np.tile(removed, (repeats, 1))])
    draw = np.concatenate([draw, np.repeat([f"seed {r}" for r in range(repeats)], len(removed))])
    shared = rng.normal(0, 1, len(draw))[np.unique(draw, return_inverse=True)[1]]
    return masks, draw, np.sqrt(0.5) * (rng.normal(0, 1, len(draw)) + shared)


def study(seed: int, pairs: int, repeats: int, strengths: list[Strength]) -> tuple[Candidates, list[Ranker]]:
    """Candidates, a score for each strength, and two static rankers."""
    rng = np.random.default_rng([seed, pairs])
    masks, draw, chance = drawn(rng, pairs, repeats)
    accuracy = masks @ _EFFECTS + chance
    seen = [s.classes * (masks @ _EFFECTS) + s.model * chance for s in strengths]
    scores = [
        Ranker(f"score {i}", "", SCORE, what + rng.normal(0, 2, len(draw))) for i, what in enumerate(seen)
    ]
    static = [
        Ranker("classes", "", STATIC, masks.sum(1).astype(float)),
        Ranker("looks", "", STATIC, 0.5 * (masks @ _EFFECTS) + rng.normal(0, 2, len(draw))),
    ]
    name = np.array(["influence"] * len(draw))
    return Candidates(name, np.arange(len(draw)), name, draw, accuracy), [*scores, *static]


def _bench(candidates: Candidates) -> Bench:
    return Bench.of(Pool("all", (np.arange(len(candidates.draw)),)), candidates)


def _agreement(pairs: int, repeats: int, repetitions: int) -> Iterator[Row]:
    """Intervals of all measures, and p of a score that knows nothing."""
    told, null = [], []
    for seed in range(repetitions):
        candidates, rankers = study(seed, pairs, repeats, [Strength(0.7, 0.7), Strength(0, 0)])
        bench = _bench(candidates)
        told.append(ranking.agreement(bench, rankers[0]))
        null.append(float(ranking.agreement(bench, rankers[1])["p"]))
    design = f"{pairs} pairs" + f", {repeats} repeats of 8 models" * bool(repeats)
    for i, name in enumerate(MEASURES):
        ends = Interval(
            *(np.array([of[f"agreement{end}"][i] for of in told]) for end in ("", "_low", "_high"))
        )
        if name in _REPORTED:
            yield coverage_row(f"ranking, {name}", design, ends, float(np.nanmean(ends.value)))
    yield _rate("ranking, p of no agreement", f"below .05 by chance: {design}", np.array(null) < 0.05, 0.05)


def _rate(quantity: str, measure: str, found: np.ndarray, allowed: float) -> Row:
    """How often something false is claimed: no more often than allowed, and the chance of the simulation."""
    bound = allowed + 0.02 + 2 * np.sqrt(allowed * (1 - allowed) / len(found))
    return Row(quantity, measure, f"at most {allowed:g}", float(found.mean()), 0, bound, len(found))


def _gains(pairs: int, repetitions: int) -> Iterator[Row]:
    """The gain over the best static ranker: of a better score, and false claims of one that is as good."""
    better, equal = [], []
    for seed in range(repetitions):
        candidates, rankers = study(seed, pairs, 0, [Strength(1, 0.7), Strength(0.5, 0)])
        bench, static = _bench(candidates), rankers[2:]
        better.append(ranking.gain(bench, rankers[0], static))
        equal.append(ranking.gain(bench, rankers[1], static))
    truth = _best_gain(pairs, repetitions)
    yield coverage_row("gain over the best static ranker", f"{pairs} pairs", _stacked(better), truth)
    claims = np.array([of.low > 0 for of in equal])
    yield _rate("gain over the best static ranker", f"claimed of an equal: {pairs} pairs", claims, 0.025)


def _best_gain(pairs: int, repetitions: int) -> float:
    """The least of the mean gains of the better score over each static ranker, in other studies."""
    gains = []
    for seed in range(repetitions, 3 * repetitions):
        candidates, rankers = study(seed, pairs, 0, [Strength(1, 0.7), Strength(0.5, 0)])
        everyone = np.arange(len(candidates.draw))
        tau = [_bench(candidates).measured(ranker, everyone)[0] for ranker in rankers]
        gains.append([tau[0] - tau[2], tau[0] - tau[3]])
    return float(np.min(np.mean(gains, axis=0)))


def _stacked(gains: list[Gain]) -> Interval:
    return Interval(*(np.array([getattr(of, end) for of in gains]) for end in ("value", "low", "high")))


def _classes(repetitions: int) -> Iterator[Row]:
    """Agreement of influences on a score with those on accuracy where the score sees the model's chance
    only.
    """
    both: dict[str, list[float]] = {"crossed": [], "same": [], "p": []}
    for seed in range(repetitions):
        masks, values = _outputs(seed)
        folds, _, _ = class_effects.effects_by_fold(Outputs(masks, values, "difference_of_means"))
        found = class_effects.agree(folds, 1, 200, np.random.default_rng(seed))
        both["crossed"].append(float(found.correlation.value))
        both["p"].append(found.p)
        both["same"].append(_same_models(folds))
    error = 2 / np.sqrt(repetitions * (_CLASSES - 1))
    measure = "mean where only chance is shared: 32 pairs, {}"
    crossed, same = (float(np.mean(both[name])) for name in ("crossed", "same"))
    yield Row(
        "influences on a score", measure.format("other models"), "0", crossed, -error, error, repetitions
    )
    yield Row("influences on a score", measure.format("the same models (not used)"), "above 0", same, 0.3, 1,
              repetitions)  # fmt: skip
    yield _rate("influences on a score", "p below .05 there", np.array(both["p"]) < 0.05, 0.05)


def _outputs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks, and accuracies and scores [models, 2] that share the chance of the models and know no
    classes.
    """
    rng = np.random.default_rng([seed, 5])
    masks, _, chance = drawn(rng, 32, 0)
    own = 0.3 * rng.normal(size=(len(masks), 2))
    return masks, chance[:, None] + own


def _same_models(folds: np.ndarray) -> float:
    """The agreement within folds, which share models."""
    return fold_correlations.correlation(folds[:, 1], folds[::-1, 0])
