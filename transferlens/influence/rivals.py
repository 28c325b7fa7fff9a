"""What do influences tell that cheaper numbers do not? Rivals as predictors of class influences.

A rival says for every target class and source class how much the one ought to help the other, from models of
the whole source alone, or from names. It is correlated (by ranks) with the influences that one fold of the
models reports; beside it stand the influences of the other fold, which share no model with them. No predictor
can reach 1, as the influences of a fold have errors; if two folds correlate with r, the truth would correlate
with one of them with the square root of r. The share of that is told, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transferlens.core import artefacts
from transferlens.core.statistics import Interval, centred_ranks, jackknife_interval
from transferlens.core.studies import FULL
from transferlens.data.artefacts import HALVES
from transferlens.data.index import Index
from transferlens.data.units import unit_of_class
from transferlens.influence.artefacts import INFLUENCE, RIVALS
from transferlens.training import reading

PREDICTORS = ("influences of the other half of the models", "label mapping", "similarity", "same name")
CELLS = ("all", "without same names")


@dataclass(frozen=True)
class Folds:
    """Influences on target classes from two folds of the models: float[folds, target classes, units].

    Attributes:
        select, report: on the halves of the images.
        unit_names: of the units of the source.
        missing: why there are no folds; '' where there are.
    """

    select: np.ndarray
    report: np.ndarray
    unit_names: list[str]
    missing: str


def write_rivals(
    path: Path,
    influence_path: Path,
    target_features: Sequence[Path],
    source_features: Sequence[Path],
    target: Index,
    source: Index,
    output: str,
) -> None:
    """Compare what predicts influences on target classes.

    Args:
        target_features, source_features: shards of the reference study's features of the target's training
            images and of the source's evaluation images.
    """
    folds = _read_folds(influence_path, output)
    made = rivals(target_features, source_features, target, source, folds.unit_names)
    same = np.array([[name == unit for unit in folds.unit_names] for name in target.class_names])
    mapping = without_ties(made["label_mapping"], made["label_probability"])
    found = compare(folds, [mapping, made["similarity"], same.astype(float)], same)
    with artefacts.create(path, RIVALS) as out:
        out.attribute("folds_missing", folds.missing)
        for name, values in (
            ("target_class", target.class_names),
            ("source_class", folds.unit_names),
            ("predictor", list(PREDICTORS)),
            ("cells", list(CELLS)),
            *made.items(),
        ):
            out.write(name, values)
        for name, intervals in zip(("correlation", "of_reachable"), found, strict=True):
            for part, suffix in (("value", ""), ("low", "_low"), ("high", "_high")):
                out.write(f"{name}{suffix}", [[getattr(i, part) for i in row] for row in intervals])


def _read_folds(path: Path, output: str) -> Folds:
    """The influences on target classes by fold, those on either half of the images apart."""
    with artefacts.open(path, INFLUENCE) as file:
        names, missing = artefacts.names(file["source_class"]), file.attrs["folds_missing"]
        shape = (2, 2, len(file["target_class"]), len(names))
        values = np.full(shape, np.nan) if missing else file[f"{output}/class_effect_by_fold"][:]
    select, report = (values[:, HALVES.index(half)] for half in ("select", "report"))
    return Folds(select, report, names, missing)


def rivals(
    target_features: Sequence[Path],
    source_features: Sequence[Path],
    target: Index,
    source: Index,
    unit_names: list[str],
) -> dict[str, np.ndarray]:
    """Label mapping and similarity float64[target classes, units], means over models of the whole source.

    Label mapping is how often a model takes a training image of the target class for the source class (Zhang
    et al., NeurIPS 2023), beside the mean probability that it gives this. Similarity is the cosine between
    the classes' mean features.
    """
    study = reading.feature_rows(target_features)
    full = study.numbers[study.of_role(FULL)]
    of_class = unit_of_class(unit_names, source)
    both = zip(
        reading.model_features(target_features, full),
        reading.model_features(source_features, full),
        strict=True,
    )
    told = [_of_model(on_target, on_source, target, source) for on_target, on_source in both]
    taken, probability, similarity = np.mean(told, axis=0)
    in_unit = of_class[:, None] == np.arange(len(unit_names))  # [source classes, units]
    return {
        "label_mapping": taken @ in_unit,
        "label_probability": probability @ in_unit,
        "similarity": similarity @ (in_unit / in_unit.sum(0)),
    }


def without_ties(shares: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Ranks of shares, int64 of the same shape: a tie goes to the higher mean probability."""
    ranks = np.empty(shares.size, np.int64)
    ranks[np.lexsort((probability.ravel(), shares.ravel()))] = np.arange(shares.size)
    return ranks.reshape(shares.shape)


def _of_model(
    on_target: reading.ModelFeatures, on_source: reading.ModelFeatures, target: Index, source: Index
) -> np.ndarray:
    """Share taken for, mean probability of, and similarity to each source class: [3, target classes, source
    classes].
    """
    logits = on_target.logits.astype(np.float64)
    probability = np.exp(logits - logits.max(1, keepdims=True))
    probability /= probability.sum(1, keepdims=True)
    taken = np.eye(logits.shape[1])[logits.argmax(1)]
    of_targets, of_sources = (
        _class_means(features, split.labels, classes)
        for features, split, classes in (
            (on_target.features, target.train, len(target.class_names)),
            (on_source.features, source.val, len(source.class_names)),
        )
    )
    unit_length = [m / np.linalg.norm(m, axis=1, keepdims=True) for m in (of_targets, of_sources)]
    by_class = [_class_means(v, target.train.labels, len(target.class_names)) for v in (taken, probability)]
    return np.stack([*by_class, unit_length[0] @ unit_length[1].T])


def _class_means(values: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Means of values [examples, n] over the examples of each class: float64[classes, n]."""
    members = labels == np.arange(classes)[:, None]
    return (members / members.sum(1, keepdims=True)) @ values.astype(np.float64)


def compare(
    folds: Folds, predictors: list[np.ndarray], same: np.ndarray
) -> tuple[list[list[Interval]], list[list[Interval]]]:
    """Rank correlations with a fold's influences on the report half, and their share of what is reachable.

    Args:
        predictors: float64[target classes, units] each.
        same: bool[target classes, units], whether names are equal.

    Returns:
        One row a predictor (the other fold's influences first), one column for each of CELLS. Intervals are
        from a jackknife over units of the source.
    """
    units = same.shape[1]
    sets = [np.ones_like(same), ~same]
    kept = [np.ones(units, bool), *~np.eye(units, dtype=bool)]
    # [all and without each unit, predictors, cells]
    values = np.array([[_correlations(folds, predictors, s & k) for s in sets] for k in kept])
    correlation = values.transpose(0, 2, 1)
    reachable = np.sqrt(np.maximum(correlation[:, :1], 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(reachable > 0, correlation / reachable, np.nan)
    return tuple(
        [[jackknife_interval(v[0, p, c], v[1:, p, c]) for c in range(len(sets))] for p in range(v.shape[1])]
        for v in (correlation, share)
    )


def _correlations(folds: Folds, predictors: list[np.ndarray], cells: np.ndarray) -> list[float]:
    """Of the other fold (its own images, too) and of each predictor, averaged over the folds that report."""
    found = []
    for report, other in zip(folds.report, folds.select[::-1], strict=True):
        found.append([_rank_correlation(p[cells], report[cells]) for p in (other, *predictors)])
    return np.mean(found, axis=0).tolist()


def _rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's of two vectors; NaN where one is constant or unknown."""
    if np.isnan(y).any() or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    a, b = centred_ranks(x), centred_ranks(y)
    return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))
