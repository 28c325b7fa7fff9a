"""The ranking of a target and recipe, and over targets: made, stored, and as tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy
import xarray as xr

from transferlens.core import artefacts
from transferlens.core.artefacts import Writer, names
from transferlens.core.statistics import holm, mean_interval
from transferlens.training.artefacts import SUMMARY
from transferlens.transferability.artefacts import OVER_TARGETS, RANKING
from transferlens.transferability.candidates import STATIC, Candidates, Ranker, write_rankers
from transferlens.transferability.ceiling import Ceiling
from transferlens.transferability.measures import MAIN, MEASURES
from transferlens.transferability.ranking import NO_GAIN, Pool, least_gain, pools, ranked

_MAIN = list(MEASURES).index(MAIN)


def write_ranking(
    path: Path,
    ordered: tuple[Candidates, Sequence[Ranker]],
    ceilings: Sequence[Ceiling],
    other_targets: Sequence[str],
    summary: Path,
    seed: int,
) -> None:
    """Rank and store.

    Args:
        ordered: candidates, and what orders them.
        other_targets: that candidates are transferred to.
        summary: of one of the studies, which says what accuracy is.
    """
    candidates, rankers = ordered
    made = pools(candidates)
    with artefacts.create(path, RANKING) as out:
        out.write("candidate", candidates.name)
        for name in ("study", "model", "network", "draw"):
            out.write(f"candidate_{name}", getattr(candidates, name))
        out.write("accuracy", candidates.accuracy)
        out.write("value", [ranker.values for ranker in rankers])
        out.write("reason", [ranker.reason for ranker in rankers])
        write_rankers(out, rankers)
        _write_table(out, made, ranked(candidates, rankers, made, seed))
        out.write("ceiling_from", [one.source for one in ceilings])
        for part, end in (("value", ""), ("low", "_low"), ("high", "_high")):
            out.write(f"ceiling{end}", [float(getattr(one.of, part)) for one in ceilings])
        with artefacts.open(summary, SUMMARY) as file:
            out.attribute("metric", file.attrs["metric"])
            out.attribute("images", len(file["example"]))
        out.attribute("other_targets", list(other_targets))


def _write_table(out: Writer, made: Sequence[Pool], table: dict[str, np.ndarray]) -> None:
    out.write("pool", [pool.name for pool in made])
    out.write("measure", list(MEASURES))
    for name, values in table.items():
        out.write(name, values)


@dataclass(frozen=True)
class Ranked:
    """What a ranking holds of one target, for the mean over targets.

    Attributes:
        tau: float64[pools, rankers], the weighted tau.
    """

    target: str
    candidates: Candidates
    rankers: list[Ranker]
    pools: list[str]
    tau: np.ndarray


def read_ranking(path: Path, target: str = "") -> Ranked:
    """Candidates, rankers and agreement of a ranking."""
    with artefacts.open(path, RANKING) as file:
        study, network, draw = (
            np.array(names(file[f"candidate_{name}"])) for name in ("study", "network", "draw")
        )
        candidates = Candidates(study, file["candidate_model"][:], network, draw, file["accuracy"][:])
        tau = file["agreement"][:, :, _MAIN]
        return Ranked(target, candidates, list(_rankers(file)), names(file["pool"]), tau)


def _rankers(file: h5py.File) -> Any:
    texts = (names(file[name]) for name in ("ranker", "title", "sort", "reason"))
    for name, title, sort, reason, values, seconds in zip(
        *texts, file["value"][:], file["seconds"][:], strict=True
    ):
        yield Ranker(name, title, sort, values, float(seconds), reason)


def write_over_targets(path: Path, of_targets: Sequence[Ranked], seed: int) -> None:
    """Mean agreement over targets, with intervals over draws of models, and over targets."""
    shared = [name for name in of_targets[0].pools if all(name in of.pools for of in of_targets)]
    known = [r.name for r in of_targets[0].rankers if all(r.name in _named(of.rankers) for of in of_targets)]
    joined, rankers = _joined(of_targets, known)
    made = [Pool(name, _strata(of_targets, name)) for name in shared]
    tau = np.array(
        [[[of.tau[of.pools.index(p), _place(of, r)] for r in known] for p in shared] for of in of_targets]
    )
    with artefacts.create(path, OVER_TARGETS) as out:
        out.write("target", [of.target for of in of_targets])
        write_rankers(out, rankers)
        _write_table(out, made, ranked(joined, rankers, made, seed))
        out.write("by_target", tau)
        for name, values in over_targets(tau, rankers).items():
            out.write(name, values)


def _named(rankers: Sequence[Ranker]) -> dict[str, Ranker]:
    return {ranker.name: ranker for ranker in rankers}


def _place(of: Ranked, ranker: str) -> int:
    return list(_named(of.rankers)).index(ranker)


def _joined(of_targets: Sequence[Ranked], known: Sequence[str]) -> tuple[Candidates, list[Ranker]]:
    """The candidates of all targets one after the other, and what orders them."""
    every = [of.candidates for of in of_targets]
    joined = Candidates(*(np.concatenate([getattr(c, key) for c in every]) for key in vars(every[0])))
    return joined, [_across([_named(of.rankers)[name] for of in of_targets]) for name in known]


def _across(same: Sequence[Ranker]) -> Ranker:
    """A ranker on all targets."""
    values = np.concatenate([ranker.values for ranker in same])
    seconds = float(np.mean([ranker.seconds for ranker in same]))
    reason = next((ranker.reason for ranker in same if ranker.reason), "")
    return Ranker(same[0].name, same[0].title, same[0].sort, values, seconds, reason)


def _strata(of_targets: Sequence[Ranked], name: str) -> tuple[np.ndarray, ...]:
    """The strata of a pool on each target, as positions among the candidates of all."""
    strata, start = [], 0
    for of in of_targets:
        (pool,) = (pool for pool in pools(of.candidates) if pool.name == name)
        strata += [start + stratum for stratum in pool.strata]
        start += len(of.candidates.model)
    return tuple(strata)


def over_targets(tau: np.ndarray, rankers: Sequence[Ranker]) -> dict[str, np.ndarray]:
    """Means of weighted taus [targets, pools, rankers] and gains over static rankers, with Student's
    intervals over targets.
    """
    of_mean = mean_interval(np.moveaxis(tau, 0, -1))
    static = [i for i, r in enumerate(rankers) if r.sort == STATIC]
    gains = [
        [
            NO_GAIN if ranker.sort == STATIC else _gain_over_targets(tau[:, p], i, static, rankers)
            for i, ranker in enumerate(rankers)
        ]
        for p in range(tau.shape[1])
    ]
    made = {f"over_targets{end}": getattr(of_mean, part) for part, end in _ENDS}
    made |= {f"targets_gain{end}": _table(gains, part) for part, end in (*_ENDS, ("p", "_p"))}
    made["targets_gain_p_holm"] = np.array([holm(of_pool) for of_pool in made["targets_gain_p"]])
    return made


_ENDS = (("value", ""), ("low", "_low"), ("high", "_high"))


def _table(gains: list[list[Any]], part: str) -> np.ndarray:
    return np.array([[getattr(gain, part) for gain in of_pool] for of_pool in gains])


def _gain_over_targets(tau: np.ndarray, score: int, static: Sequence[int], rankers: Sequence[Ranker]) -> Any:
    """The gain of a score over the best static ranker from weighted taus [targets, rankers]; over the static
    rankers that are known on all targets.
    """
    known = [i for i in static if np.isfinite(tau[:, i]).all()]
    if not known or not np.isfinite(tau[:, score]).all():
        return NO_GAIN
    differences = tau[:, [score]] - tau[:, known]
    targets = len(tau)
    se = scipy.stats.sem(differences, axis=0)
    return least_gain(differences.mean(0), se, targets - 1, [rankers[i].name for i in known])


def table(made: xr.Dataset) -> pd.DataFrame:
    """A row for every pool and ranker; of each measure a column, and of its ends."""
    columns: dict[str, Any] = {}
    for name in ("sort", "seconds"):
        columns[name] = np.tile(made[name].values, made.sizes["pool"])
    for name, values in made.data_vars.items():
        if values.dims == ("pool", "ranker"):
            columns[str(name)] = values.values.ravel()
    for measure in made.measure.values:
        for end in ("", "_low", "_high"):
            of = made[f"agreement{end}"].sel(measure=measure).values
            columns[f"{measure}{end}".replace(" ", "_")] = of.ravel()
    pool, ranker = np.meshgrid(made.pool.values, made.ranker.values, indexing="ij")
    return pd.DataFrame({"pool": pool.ravel(), "ranker": ranker.ravel(), **columns})


def candidate_table(made: xr.Dataset) -> pd.DataFrame:
    """A row for every candidate: its accuracy and what every ranker says of it."""
    told = {name: made[name].values for name in ("candidate_study", "candidate_model", "candidate_network")}
    values = {str(name): made.value.sel(ranker=name).values for name in made.ranker.values}
    return pd.DataFrame(
        {"candidate": made.candidate.values, **told, "accuracy": made.accuracy.values, **values}
    )
