"""Does what is learnt from a source class agree with what seeing it does? And with bindings and weights?

An influence is the average effect of training on a class, interference the effect of its object in an image.
They need not agree: a class that teaches useful features may distract where it is present. Four measures of a
source class c for a target class y are compared, each larger the worse c is for y: minus the influence, the
interference, and the pull away from y of the binding and of the coupling of weights.

Interference is that of the report half, binding and coupling are those of the select half, and influences
are of other models: so what two of them have in common is not the chance of the same models. Only binding
and coupling share theirs; their agreement has no p-value.
"""

from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import scipy

from transferlens.core import artefacts
from transferlens.core.agreement import NOTHING, Agreement, Resampling, exchanged, rank_correlation, tested
from transferlens.core.statistics import Interval, bootstrap_counts, mean_interval
from transferlens.data.artefacts import HALVES, positions
from transferlens.memories.agreement.artefacts import QUADRANTS, SAME_MODELS
from transferlens.memories.kept.binding import pull

KS = (1, 3, 5, 10)
_SIGNIFICANT = 0.05
_HARMFUL_T = -3.0
_SELECT, _REPORT = (HALVES.index(half) for half in HALVES)


@dataclass(frozen=True)
class Cells:
    """All that is known of every pair of a source and a target class.

    Attributes:
        influence, interference: of the report half, effect, low, high and q, float64[source classes, target
            classes] each; NaN where unknown or not tested. `interference` has `n`, too. `influence` is None
            where it is not of source classes.
        binding, coupling: float64[source classes, target classes], how strongly the class is tied to the
            target class, by predictions and by weights, select half.
        overlap: bool of the same shape, pairs of the same meaning, which are not compared.
    """

    source_classes: list[str]
    target_classes: list[str]
    influence: dict[str, np.ndarray] | None
    interference: dict[str, np.ndarray]
    binding: np.ndarray
    coupling: np.ndarray
    overlap: np.ndarray

    def measures(self) -> dict[str, np.ndarray]:
        """The measures that there are, larger the worse, NaN in overlapping cells."""
        measures = {
            "interference": self.interference["effect"],
            "binding": pull(self.binding),
            "coupling": pull(self.coupling),
        }
        if self.influence:
            measures = {"harm": -self.influence["effect"]} | measures
        return {name: np.where(self.overlap, np.nan, values) for name, values in measures.items()}


def read_cells(probes: Path, interference: Path, influence: tuple[list[str], dict[str, np.ndarray]]) -> Cells:
    """Read the ties and the interference of every pair of classes.

    Args:
        influence: the names of the units, and their influences as in `Cells`; not taken where the units are
            groups of source classes, of which there are no memories.
    """
    with artefacts.open(probes, "memory probes") as file:
        names = [artefacts.names(file[f"{kind}_class"]) for kind in ("source", "target")]
        binding, coupling = file["binding"][_SELECT], np.nanmean(file["coupling"][:, _SELECT], axis=0)
        overlap = file["overlap"][:]
    parts = {"effect": "", **{part: f"_{part}" for part in ("low", "high", "q", "n")}}
    tested = {key: np.full(overlap.shape, np.nan) for key in parts}
    with artefacts.open(interference, "interference") as file:
        tried = positions(artefacts.names(file["tried_class"]), names[0])
        for key, suffix in parts.items():
            tested[key][tried] = file[f"interference{suffix}"][_REPORT]
    units, tables = influence
    return Cells(*names, tables if units == names[0] else None, tested, binding, coupling, overlap)


def read_memories(
    ranking: Path, source_names: list[str], target_names: list[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions in the val split, top memories and true classes int64[examples] of the ranked examples."""
    with artefacts.open(ranking, "ranked examples") as file:
        return (
            file["position"][:],
            positions(artefacts.names(file["memory"]), source_names),
            positions(artefacts.names(file["true"]), target_names),
        )


def _replicates(own: np.ndarray, resampling: Resampling) -> np.ndarray:
    """Sums [bootstrap, ...] over rows drawn with replacement from those of [rows, ...]."""
    return bootstrap_counts(len(own), resampling.bootstrap, resampling.rng) @ own


def _percentiles(draws: np.ndarray) -> tuple[float, float]:
    draws = draws[np.isfinite(draws)]
    return tuple(np.quantile(draws, [0.025, 0.975])) if len(draws) else (np.nan, np.nan)


def precision_at(k: int, a: np.ndarray, b: np.ndarray, resampling: Resampling) -> Agreement:
    """The share of a target class's k worst source classes by one measure that are so by the other, too.

    Its mean over the target classes with more than k known source classes, with an interval over them.
    """
    known = np.isfinite(a) & np.isfinite(b)
    enough = known.sum(0) > k
    if not enough.any():
        return NOTHING
    known = known[:, enough]
    first, second = (_worst(k, m[:, enough], known)[known.any(1)] for m in (a, b))
    shares = (first * second).sum(0) / k
    pairings = first @ second.T / k / len(shares)
    interval = mean_interval(shares) if len(shares) > 1 else Interval(shares[0], np.nan, np.nan)
    low, high = (float(np.clip(end, 0, 1)) for end in (interval.low, interval.high))
    return tested(float(interval.value), low, high, exchanged(pairings, resampling), int(known.sum()))


def _worst(k: int, values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """1.0 at the k largest known values of each column; 0.0 elsewhere."""
    order = np.argsort(-np.where(known, values, -np.inf), axis=0, kind="stable")[:k]
    worst = np.zeros(values.shape)
    np.put_along_axis(worst, order, 1.0, axis=0)
    return worst


def chosen_scores(chosen: np.ndarray, scores: np.ndarray, resampling: Resampling) -> Agreement:
    """The mean score of the source class chosen for each example, against other classes in its place.

    Args:
        chosen: int64[examples].
        scores: float64[examples, source classes].

    The interval is a bootstrap over the chosen classes, whose examples are alike; for p, classes are
    exchanged for others, all examples of a class for the same one.
    """
    classes = scores.shape[1]
    table = np.zeros((classes, classes))  # [chosen, in its place]
    np.add.at(table, chosen, scores)
    counts = np.bincount(chosen, minlength=classes)
    seen = counts > 0
    if not seen.any():
        return NOTHING
    own = np.stack([np.diagonal(table), counts], axis=1)[seen]
    draws = _replicates(own, resampling)
    low, high = _percentiles(draws[:, 0] / draws[:, 1])
    null = exchanged(table, resampling) / len(chosen)
    return tested(float(own[:, 0].sum() / len(chosen)), low, high, null, len(chosen))


def harmful_classes(effect: np.ndarray, se: np.ndarray, overlapping: np.ndarray) -> np.ndarray:
    """int64[examples]: the class of the lowest influence among those with t < -3; -1 where there is none.

    Args:
        effect, se: float[examples, source classes].
        overlapping: bool of the same shape, classes that mean the same as the example's.
    """
    t = np.divide(effect, se, out=np.zeros(effect.shape), where=se > 0)
    eligible = (t < _HARMFUL_T) & ~overlapping
    lowest = np.where(eligible, effect, np.inf).argmin(1)
    return np.where(eligible.any(1), lowest, -1)


def standings(values: np.ndarray) -> np.ndarray:
    """Of each cell the share of its row's other known cells that are smaller (ties: half); .5 if unknown."""
    known = np.isfinite(values)
    ranks = scipy.stats.rankdata(np.where(known, values, np.inf), axis=1)
    others = known.sum(1, keepdims=True) - 1
    return np.where(known & (others > 0), (ranks - 1) / np.maximum(others, 1), 0.5)


def compare_examples(
    cells: Cells,
    memory: np.ndarray,
    labels: np.ndarray,
    effect: np.ndarray,
    se: np.ndarray,
    resampling: Resampling,
) -> dict[str, Agreement]:
    """Is the class that distracts an example the one that harms it? In both directions.

    Args:
        memory: int64[examples], top memory of each, -1 for none.
        effect, se: float[examples, source classes], influences.

    Returns:
        match: the share of examples with a harmful class (t < -3) for which it is the top memory.
        harm_of_memory: how high the top memory stands among all classes by harm (0 to 1; chance .5).
        pull_of_harmful: how high the harmful class stands among all classes by the pull of its binding.
    """
    overlapping = cells.overlap.T[labels]
    harmful = harmful_classes(effect, se, overlapping)
    both = (harmful >= 0) & (memory >= 0)
    seen, harmed = memory >= 0, harmful >= 0
    same = np.zeros(effect.shape)
    same[np.arange(len(same))[harmed], harmful[harmed]] = 1
    harm = standings(np.where(overlapping, np.nan, -effect))
    pulls = standings(cells.measures()["binding"].T)[labels]
    return {
        "match": chosen_scores(memory[both], same[both], resampling),
        "harm_of_memory": chosen_scores(memory[seen], harm[seen], resampling),
        "pull_of_harmful": chosen_scores(harmful[harmed], pulls[harmed], resampling),
    }


def quadrants(cells: Cells) -> np.ndarray:
    """Index into QUADRANTS int64[source classes, target classes]; -1 where either effect is unknown."""
    numbers = np.full(cells.overlap.shape, -1)
    if cells.influence is None:
        return numbers
    effect, certain = cells.influence["effect"], cells.influence["q"] < _SIGNIFICANT
    trained = np.where(certain, np.where(effect > 0, "helps", "hurts"), "unclear")
    seen = cells.interference
    tested = np.isfinite(seen["q"])
    distracts = (seen["q"] < _SIGNIFICANT) & (seen["effect"] > 0)
    for i, (training, distracting) in enumerate(QUADRANTS):
        if distracting is None:
            numbers[~tested] = i
        else:
            numbers[tested & (trained == training) & (distracts == distracting)] = i
    known = np.isfinite(effect) & np.isfinite(seen["effect"]) & ~cells.overlap
    return np.where(known, numbers, -1)


def table(cells: Cells) -> pd.DataFrame:
    """One row for each pair of classes with an estimate of interference, the most distracting first."""
    rows, columns = np.nonzero(np.isfinite(cells.measures()["interference"]))
    measures, quadrant = cells.measures(), quadrants(cells)[rows, columns]
    names = list(QUADRANTS.values())
    given = {
        "source_class": np.array(cells.source_classes)[rows],
        "target_class": np.array(cells.target_classes)[columns],
    }
    for name, values in (("influence", cells.influence or {}), ("interference", cells.interference)):
        for key, tabled in values.items():
            given[name if key == "effect" else f"{name}_{key}"] = tabled[rows, columns]
    given |= {f"{name}_pull": measures[name][rows, columns] for name in ("binding", "coupling")}
    given |= {
        "quadrant": [names[i][0] if i >= 0 else "" for i in quadrant],
        "reading": [names[i][1] if i >= 0 else "" for i in quadrant],
    }
    return pd.DataFrame(given).sort_values("interference", ascending=False, kind="stable")


def write_cells(out: artefacts.Writer, cells: Cells) -> None:
    """Store the measures of every pair of classes, and their quadrants."""
    if cells.influence is None:
        out.attribute("skipped", "influences are of groups of source classes, memories of single ones")
    out.write("source_class", cells.source_classes)
    out.write("target_class", cells.target_classes)
    out.write("overlap", cells.overlap)
    for name, values in (("influence", cells.influence or {}), ("interference", cells.interference)):
        for key, tabled in values.items():
            out.write(name if key == "effect" else f"{name}_{key}", tabled)
    out.write("measure", list(cells.measures()))
    out.write("measures", np.stack(list(cells.measures().values())))
    of_cells, names = quadrants(cells), [name for name, _ in QUADRANTS.values()]
    out.write("quadrant", np.array([*names, ""], dtype=object)[of_cells])
    out.write("quadrant_name", names)
    out.write("quadrant_reading", [reading for _, reading in QUADRANTS.values()])
    out.write("quadrant_count", np.bincount(of_cells[of_cells >= 0], minlength=len(names)))


def write_comparisons(out: artefacts.Writer, cells: Cells, resampling: Resampling) -> None:
    """Store rank correlations of every two measures, and their precisions at k."""
    measures = cells.measures()
    pairs = list(combinations(measures, 2))
    out.write("pair", [f"{a}, {b}" for a, b in pairs])
    shared = [set(of) <= set(SAME_MODELS) for of in pairs]
    out.write("pair_shares_models", shared)
    out.write("pair_first", [a for a, _ in pairs])
    out.write("pair_second", [b for _, b in pairs])
    of_pairs = [
        [rank_correlation(measures[a], measures[b], resampling)]
        + [precision_at(k, measures[a], measures[b], resampling) for k in KS]
        for a, b in pairs
    ]
    of_pairs = [
        [replace(of, p=np.nan) for of in statistics] if same else statistics
        for statistics, same in zip(of_pairs, shared, strict=True)
    ]
    _write_table(out, "correlation", [of[0] for of in of_pairs], (len(pairs),))
    out.write("k", KS)
    _write_table(out, "precision", [one for of in of_pairs for one in of[1:]], (len(pairs), len(KS)))


def write_examples(out: artefacts.Writer, compared: dict[str, Agreement]) -> None:
    """Store the comparisons of single examples."""
    out.write("statistic", list(compared))
    _write_table(out, "agreement", list(compared.values()), (len(compared),))


def _write_table(
    out: artefacts.Writer, name: str, statistics: list[Agreement], shape: tuple[int, ...]
) -> None:
    for key in ("value", "low", "high", "null_mean", "p", "n"):
        values = np.array([getattr(one, key) for one in statistics]).reshape(shape)
        out.write(name if key == "value" else f"{name}_{key}", values)
