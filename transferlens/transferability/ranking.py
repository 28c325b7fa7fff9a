"""Rankers against accuracy: agreement with intervals over draws of models, and gains over static ones.

A pool is a list of strata (all its candidates; those of each network; those of each target), and a measure of
it their mean. What is independent are draws of models (`candidates.draws`), and intervals are jackknives that
leave out one group of draws at a time: the same models from all strata. (A bootstrap that counts no model
twice has fewer models than the pool, and one that does has ties that no pool has.)

The best static ranker is not chosen: a score beats it exactly if it beats each of them (an intersection-union
test, Berger 1982), so that the gain over the best one is the least of the gains, its lower end the least of
theirs, each at its full level, and its upper end the least of upper ends that hold together (Bonferroni).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy

from transferlens.core.seeding import rng_for
from transferlens.core.statistics import (
    Interval,
    fisher,
    holm,
    jackknife_se,
    percentile_interval,
    t_interval,
    two_sided_p,
)
from transferlens.transferability.candidates import STATIC, Candidates, Ranker
from transferlens.transferability.measures import (
    CORRELATIONS,
    LEAST_CANDIDATES,
    MAIN,
    MEASURES,
    WITHOUT_INTERVAL,
    measured,
    weighted_tau,
    why_not,
)
from transferlens.transferability.settings import family

# At most so many groups of draws are left out in turn.
_GROUPS = 32
# With fewer draws there are no intervals.
LEAST_DRAWS = 6
_RANDOM = 300
_NAMES = list(MEASURES)
_MAIN = _NAMES.index(MAIN)
ALL, WITHIN = "all", "within networks"
Strata = Sequence[np.ndarray]


@dataclass(frozen=True)
class Pool:
    """Candidates that are ordered.

    Attributes:
        strata: positions int64[...] of the candidates of each stratum.
    """

    name: str
    strata: tuple[np.ndarray, ...]

    @property
    def members(self) -> np.ndarray:
        """Positions of all candidates."""
        return np.concatenate(self.strata)


def pools(candidates: Candidates) -> list[Pool]:
    """The candidates of each kind of study, all of them, and all within their networks."""
    families = np.array([family(study) for study in candidates.study])
    kinds = list(dict.fromkeys(families))
    made = [Pool(name, (np.flatnonzero(families == name),)) for name in kinds]
    if len(kinds) > 1:
        made.append(Pool(ALL, (np.arange(len(families)),)))
    networks = dict.fromkeys(candidates.network)
    if len(networks) > 1:
        made.append(Pool(WITHIN, tuple(np.flatnonzero(candidates.network == name) for name in networks)))
    return [pool for pool in made if max(map(len, pool.strata)) >= LEAST_CANDIDATES]


@dataclass(frozen=True)
class Bench:
    """A pool with what its rankers are compared with.

    Attributes:
        candidates: all there are.
        group: int64[candidates], the group of draws that is left out together; -1 beside the pool.
    """

    pool: Pool
    candidates: Candidates
    group: np.ndarray
    _known: dict[tuple[str, bytes], np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, pool: Pool, candidates: Candidates) -> "Bench":
        """A pool of some candidates."""
        group, members = np.full(len(candidates.draw), -1), pool.members
        group[members] = np.unique(candidates.draw[members], return_inverse=True)[1] % _GROUPS
        return cls(pool, candidates, group)

    @property
    def accuracy(self) -> np.ndarray:
        """float64[candidates]."""
        return self.candidates.accuracy

    def measured(self, ranker: Ranker, members: np.ndarray) -> np.ndarray:
        """All measures of a ranker over some candidates, float64[measures]; each is taken once."""
        key = ranker.name, members.tobytes()
        if key not in self._known:
            self._known[key] = measured(ranker.values[members], self.accuracy[members])
        return self._known[key]

    @property
    def intervals(self) -> bool:
        """Whether there are draws enough."""
        return int(self.group.max()) + 1 >= LEAST_DRAWS

    def all_and_without(self, function: Callable[[Strata], np.ndarray], known: np.ndarray) -> np.ndarray:
        """A function of strata for all known candidates, and without each group of their draws:
        [1 + groups, ...]. Without the latter where draws are too few.
        """
        told = np.unique(self.group[known & (self.group >= 0)])
        left_out = told if len(told) >= LEAST_DRAWS else ()
        kept = [known, *(known & (self.group != g) for g in left_out)]
        return np.array([function([s[keep[s]] for s in self.pool.strata]) for keep in kept])


def _mean_over(strata: Strata, of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Mean over the strata that tell something."""
    values = np.array([of(stratum) for stratum in strata])
    there = np.isfinite(values)
    count = there.sum(0)
    total = np.where(there, values, 0).sum(0)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


def agreement(bench: Bench, ranker: Ranker) -> dict[str, np.ndarray]:
    """All measures of a ranker with their intervals, and p-values of a weighted tau of zero."""
    values = ranker.values
    told = bench.all_and_without(
        lambda strata: _mean_over(strata, lambda s: bench.measured(ranker, s)), np.isfinite(values)
    )
    intervals = [interval(told[:, i], name) for i, name in enumerate(_NAMES)]
    made = {f"agreement{end}": np.array([getattr(i, part) for i in intervals]) for part, end in _ENDS.items()}
    return {**made, "p": _p(fisher(told[:, _MAIN])), **_without_one(bench, values)}


_ENDS = {"value": "", "low": "_low", "high": "_high"}


def interval(told: np.ndarray, name: str) -> Interval:
    """Of a measure for all and without each group of draws [1 + groups]: a jackknife, of correlations on
    Fisher's scale, of regrets on that of their roots (they are skewed, and never below zero).
    """
    if name in WITHOUT_INTERVAL:
        return Interval(told[0], np.nan, np.nan)
    if name not in CORRELATIONS:
        made = _jackknife(np.sqrt(np.maximum(told, 0)))
        return Interval(told[0], np.maximum(made.low, 0.0) ** 2, made.high**2)
    made = _jackknife(fisher(told))
    return Interval(told[0], np.tanh(made.low), np.tanh(made.high))


def _jackknife(told: np.ndarray) -> Interval:
    """From values for all and without each group [1 + groups]; without ends where there are no groups."""
    value, without = told[0], told[1:]
    if not len(without):
        return Interval(value, np.nan, np.nan)
    return t_interval(value, jackknife_se(without), len(without) - 1)


def _p(told: np.ndarray) -> float:
    """Two-sided p-value of zero; NaN where there is no error."""
    without = told[1:]
    if not len(without) or not np.isfinite(told).all():
        return np.nan
    return float(two_sided_p(told[0], jackknife_se(without), len(without) - 1))


def _without_one(bench: Bench, values: np.ndarray) -> dict[str, float]:
    """The least and the largest weighted tau with one candidate left out, of all strata that it is in."""
    known, name = np.isfinite(values), bench.candidates.name
    strata = [s[known[s]] for s in bench.pool.strata]

    def tau(left_out: str) -> float:
        return float(_mean_over([s[name[s] != left_out] for s in strata], lambda s: _tau(values, bench, s)))

    found = [tau(one) for one in dict.fromkeys(name[np.concatenate(strata)])]
    found = [value for value in found if np.isfinite(value)] or [np.nan]
    return {"least_without_one": min(found), "most_without_one": max(found)}


def _tau(values: np.ndarray, bench: Bench, members: np.ndarray) -> float:
    """The weighted tau of some candidates; NaN where they have no order."""
    own, accuracy = values[members], bench.accuracy[members]
    return np.nan if why_not(own, accuracy) else weighted_tau(own, accuracy)


@dataclass(frozen=True)
class Gain:
    """The weighted tau of a score minus that of the best of the static rankers.

    Attributes:
        p: of no gain over some static ranker.
        best: the static ranker of the least gain; '' where there is none to compare with.
    """

    value: float
    low: float
    high: float
    p: float
    best: str


NO_GAIN = Gain(*[np.nan] * 4, "")


def gain(bench: Bench, score: Ranker, static: Sequence[Ranker]) -> Gain:
    """What a score gains over the best static ranker, over draws of models."""
    told = [_differences(bench, score, other) for other in static]
    if not told or not np.isfinite([of[0] for of in told]).all():
        return NO_GAIN
    value = np.array([of[0] for of in told])
    se = np.array([jackknife_se(of[1:]) if len(of) > 1 else np.nan for of in told])
    df = np.array([len(of) - 2 for of in told])
    return least_gain(value, se, df, [other.name for other in static])


def least_gain(value: np.ndarray, se: np.ndarray, df: np.ndarray | float, names: Sequence[str]) -> Gain:
    """The gain over the best of some rankers from those over each: estimates and errors float64[rankers]."""
    best = names[int(value.argmin())]
    if not np.isfinite(se).all():
        return Gain(float(value.min()), np.nan, np.nan, np.nan, best)
    low = value - scipy.stats.t.ppf(0.975, df) * se
    high = value + scipy.stats.t.ppf(1 - 0.025 / len(value), df) * se
    p = np.where(value > 0, two_sided_p(value, se, df), 1.0)
    ends = np.clip([low.min(), high.min()], -2, 2)
    return Gain(float(value.min()), float(ends[0]), float(ends[1]), float(p.max()), best)


def _differences(bench: Bench, one: Ranker, other: Ranker) -> np.ndarray:
    """Weighted tau of one minus the other, where both are known: [1 + groups]."""

    def of(stratum: np.ndarray) -> float:
        return (bench.measured(one, stratum) - bench.measured(other, stratum))[_MAIN]

    both = np.isfinite(one.values) & np.isfinite(other.values)
    return bench.all_and_without(lambda strata: _mean_over(strata, of), both)


def comparable(pool: Pool, rankers: Sequence[Ranker], accuracy: np.ndarray) -> list[Ranker]:
    """The static rankers that order at least half of a pool's candidates."""
    kept = []
    for ranker in rankers:
        known = np.isfinite(ranker.values)
        orders = any(not why_not(ranker.values[s[known[s]]], accuracy[s[known[s]]]) for s in pool.strata)
        if ranker.sort == STATIC and orders and 2 * known[pool.members].sum() >= len(pool.members):
            kept.append(ranker)
    return kept


def missing(pool: Pool, ranker: Ranker, accuracy: np.ndarray) -> str:
    """Why a ranker has no agreement in a pool; '' where it has."""
    known = np.isfinite(ranker.values)
    reasons = [why_not(ranker.values[s[known[s]]], accuracy[s[known[s]]]) for s in pool.strata]
    if "" in reasons:
        return ""
    unknown = not known[pool.members].any()
    return (ranker.reason.partition(": ")[2] or ranker.reason or reasons[0]) if unknown else reasons[0]


def ranked(candidates: Candidates, rankers: Sequence[Ranker], made: Sequence[Pool], seed: int):
    """The table of all pools and rankers: arrays [pools, rankers, ...] by the name of their field."""
    tables = [_of_pool(candidates, rankers, pool, seed) for pool in made]
    return {name: np.array([table[name] for table in tables]) for name in tables[0]}


def _of_pool(candidates: Candidates, rankers: Sequence[Ranker], pool: Pool, seed: int) -> dict[str, object]:
    accuracy, members = candidates.accuracy, pool.members
    bench = Bench.of(pool, candidates)
    scores = np.array([ranker.sort != STATIC for ranker in rankers])
    static = comparable(pool, rankers, accuracy)
    told = [agreement(bench, ranker) for ranker in rankers]
    gains = [NO_GAIN if r.sort == STATIC else gain(bench, r, static) for r in rankers]
    table: dict[str, object] = {name: [of[name] for of in told] for name in told[0]}
    table |= {"known": [int(np.isfinite(r.values[members]).sum()) for r in rankers]}
    table |= {"missing": [missing(pool, r, accuracy) for r in rankers]}
    for part, end in (*_ENDS.items(), ("p", "_p")):
        table[f"gain{end}"] = [getattr(of, part) for of in gains]
    table["best_static"] = [of.best for of in gains]
    for name in ("p", "gain_p"):
        table[f"{name}_holm"] = holm(np.where(scores, table[name], np.nan))
    drawn = len(set(candidates.draw[members]))
    few = f"{drawn} independent draws of models, fewer than {LEAST_DRAWS}"
    chance = of_chance(bench, seed)
    table |= {"candidates": len(members), "draws": drawn}
    table |= {"interval_missing": "" if bench.intervals else few}
    return {**table, **{f"chance{end}": getattr(chance, part) for part, end in _ENDS.items()}}


def of_chance(bench: Bench, seed: int) -> Interval:
    """The weighted tau of random scores: zero, and within what it lies in 95 of 100 cases."""
    rng = rng_for(seed, "random scores", bench.pool.name)

    def drawn(values: np.ndarray) -> float:
        return float(_mean_over(bench.pool.strata, lambda s: _tau(values, bench, s)))

    taus = [drawn(values) for values in rng.normal(size=(_RANDOM, len(bench.accuracy)))]
    return percentile_interval(np.float64(0), np.array(taus))
