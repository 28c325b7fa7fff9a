"""Candidate sources of a target with their accuracies, and what orders them: scores, bounds, statics."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy

from transferlens.core import artefacts, studies
from transferlens.core.artefacts import Writer, names
from transferlens.core.studies import PRETRAINED, SCRATCH, SUBSET, Rows
from transferlens.estimation.estimators import is_fold_over
from transferlens.scores.measuring import find, pool
from transferlens.training.artefacts import SUMMARY
from transferlens.transferability.artefacts import SCORED

SCORE, BOUND, STATIC = "score", "bound", "static"
_KNOWN = "known for {} of {} candidates"
# Of a bound, the transform of the reference task that is learnt as a whole.
_TRANSFORM = "LearnedAll"


@dataclass(frozen=True)
class Study:
    """The first models of a study, transferred to a target.

    Attributes:
        shards: how many files hold their scores.
    """

    study: str
    network: str
    models: int
    shards: int


@dataclass(frozen=True)
class Transferred:
    """What a summary says of the candidates of a study: its first models, but for those from scratch.

    Attributes:
        rows: of all first models.
        kept: int64[candidates], positions of the candidates among them.
        accuracy: float64[candidates], mean over both halves of the evaluation images.
        source_accuracy, train_images: float64[candidates] of the source model.
    """

    rows: Rows
    kept: np.ndarray
    accuracy: np.ndarray
    source_accuracy: np.ndarray
    train_images: np.ndarray

    @property
    def roles(self) -> np.ndarray:
        """str[candidates]."""
        return np.array(self.rows.roles)[self.kept]

    @property
    def numbers(self) -> np.ndarray:
        """int64[candidates], row numbers in the study."""
        return self.rows.numbers[self.kept]


def read_summary(path: Path, models: int) -> Transferred:
    """The candidates among the first models of a study."""
    with artefacts.open(path, SUMMARY) as file:
        rows = studies.read_rows(file).first(models)
        kept = np.flatnonzero(np.array(rows.roles) != SCRATCH)
        accuracy = file["accuracy"][:][kept].mean(1)
        beside = (file[name][:][kept].astype(np.float64) for name in ("source_accuracy", "train_images"))
        return Transferred(rows, kept, accuracy, *beside)


def draws(study: str, of: Transferred) -> list[str]:
    """The draw of models that each candidate belongs to: models of one are not independent of each other.

    Models of given weights are one draw; models of a repeat, of whatever study, start from the same weights;
    complementary pairs are one.
    """
    subsets = np.array(of.rows.roles) == SUBSET
    paired = bool(subsets.any()) and is_fold_over(of.rows.masks[subsets])
    seeds, repeats = of.rows.training_seeds[of.kept], of.rows.repeats[of.kept]
    told = []
    for role, number, seed, repeat in zip(of.roles, of.numbers, seeds, repeats, strict=True):
        if role == PRETRAINED:
            told.append(study)
        elif repeat >= 0:
            told.append(f"seed {seed}")
        else:
            told.append(f"{study} {number // 2 if paired else number}")
    return told


@dataclass(frozen=True)
class Candidates:
    """Source models, one after the other, study by study; n of them.

    Attributes:
        study, network, draw: str[n] each.
        model: int64[n], row numbers.
        accuracy: float64[n], after transfer.
    """

    study: np.ndarray
    model: np.ndarray
    network: np.ndarray
    draw: np.ndarray
    accuracy: np.ndarray

    @property
    def name(self) -> np.ndarray:
        """str[n]: study and row."""
        return np.array([f"{study}/{row}" for study, row in zip(self.study, self.model, strict=True)])

    def of(self, study: str) -> np.ndarray:
        """Positions int64[...] of a study's candidates."""
        return np.flatnonzero(self.study == study)


def gather(known: Sequence[Study], transferred: Sequence[Transferred]) -> Candidates:
    """All candidates of the studies."""
    counts = [len(of.kept) for of in transferred]
    both = list(zip(known, transferred, strict=True))
    return Candidates(
        np.repeat([study.study for study in known], counts),
        np.concatenate([of.numbers for of in transferred]),
        np.repeat([study.network for study in known], counts),
        np.array([draw for study, of in both for draw in draws(study.study, of)]),
        np.concatenate([of.accuracy for of in transferred]),
    )


@dataclass(frozen=True)
class Ranker:
    """What orders candidates.

    Attributes:
        sort: SCORE, BOUND or STATIC.
        values: float64[candidates], higher better; NaN where unknown.
        seconds: a candidate; NaN where nothing is computed.
        reason: why some values are unknown; '' where none is.
    """

    name: str
    title: str
    sort: str
    values: np.ndarray
    seconds: float = np.nan
    reason: str = ""


def write_rankers(out: Writer, rankers: Sequence[Ranker]) -> None:
    """What orders candidates, by name."""
    out.write("ranker", [ranker.name for ranker in rankers])
    for name in ("title", "sort", "seconds"):
        out.write(name, [getattr(ranker, name) for ranker in rankers])


def read_scores(known: Sequence[Study], paths: Sequence[Path], transferred: Sequence[Transferred]):
    """The scores of all candidates as rankers, and the size of the network of each: int64[candidates]."""
    left, parts = list(paths), []
    for study, of in zip(known, transferred, strict=True):
        shards, left = left[: study.shards], left[study.shards :]
        parts.append(_of_study(shards, of.kept))
    joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    with artefacts.open(paths[0], SCORED) as file:
        scores, owners = names(file["score"]), file["part_score"][:]
    return list(_rankers(scores, owners, joined)), joined["parameters"]


def _of_study(paths: Sequence[Path], kept: np.ndarray) -> dict[str, np.ndarray]:
    """Arrays [candidates, ...] of a study's shards."""
    found: dict[str, list[np.ndarray]] = {"part_value": [], "seconds": [], "reason": [], "parameters": []}
    for path in paths:
        with artefacts.open(path, SCORED) as file:
            for name, values in found.items():
                values.append(file[name].asstr()[:] if name == "reason" else file[name][:])
    return {name: np.concatenate(values)[kept] for name, values in found.items()}


def _rankers(scores: list[str], owners: np.ndarray, of: Mapping[str, np.ndarray]) -> Iterator[Ranker]:
    """A ranker for each score; one made of the parts of all candidates is made of those that have them."""
    for i, name in enumerate(scores):
        parts = of["part_value"][:, owners == i]
        there = np.isfinite(parts).all(1)
        values = np.full(len(parts), np.nan)
        if there.any():
            values[there] = pool(name, parts[there])
        seconds = of["seconds"][there, i].mean() if there.any() else np.nan
        yield Ranker(name, find(name).title, SCORE, values, float(seconds), _reason(of["reason"][:, i]))


def _reason(reasons: np.ndarray) -> str:
    """The most frequent reason, and for how many candidates something is known."""
    there = reasons == ""
    if there.all():
        return ""
    told, counts = np.unique(reasons[~there], return_counts=True)
    return f"{_KNOWN.format(there.sum(), len(reasons))}: {told[counts.argmax()]}"


def _partly(values: np.ndarray, why: str) -> str:
    there = np.isfinite(values)
    return "" if there.all() else f"{_KNOWN.format(there.sum(), len(values))}: {why}"


def static_rankers(
    transferred: Sequence[Transferred], parameters: np.ndarray, elsewhere: np.ndarray
) -> list[Ranker]:
    """What orders candidates without a look at the target.

    Args:
        elsewhere: float64[other targets, candidates], accuracies there; NaN where a candidate was not
            transferred.
    """
    given = np.concatenate([of.roles == PRETRAINED for of in transferred])
    classes = np.concatenate([of.rows.masks[of.kept].sum(1) for of in transferred])
    images = np.concatenate([of.train_images for of in transferred])
    unknown = "what given weights were trained on is not known"
    told = (
        ("source accuracy", np.concatenate([of.source_accuracy for of in transferred]), ""),
        ("source classes", np.where(given, np.nan, classes), unknown),
        ("source images", np.where(given, np.nan, images), unknown),
        ("parameters", parameters.astype(np.float64), ""),
        ("other targets", -mean_ranks(elsewhere), "others are transferred to no other target"),
    )
    return [
        Ranker(name, name, STATIC, values, reason=_partly(values, why or "it is not known"))
        for name, values, why in told
    ]


def mean_ranks(accuracy: np.ndarray) -> np.ndarray:
    """The mean over targets of a candidate's place by accuracy (0 is best, 1 worst): float64[candidates].

    Args:
        accuracy: float64[targets, candidates]; NaN where unknown, and where on all of them the mean is, too.
    """
    places = np.full(accuracy.shape, np.nan)
    for place, of_target in zip(places, accuracy, strict=True):
        there = np.isfinite(of_target)
        if there.sum() > 1:
            place[there] = (scipy.stats.rankdata(-of_target[there]) - 1) / (there.sum() - 1)
    known = np.isfinite(places)
    total = np.where(known, places, 0).sum(0)
    return np.divide(total, known.sum(0), out=np.full(accuracy.shape[1], np.nan), where=known.any(0))


def accuracies_elsewhere(
    candidates: Candidates, known: Sequence[Study], summaries: Sequence[tuple[str, str, Path]]
) -> tuple[list[str], np.ndarray]:
    """Other targets, and the accuracies there float64[targets, candidates].

    Args:
        summaries: (study, target, file).
    """
    targets = list(dict.fromkeys(target for _, target, _ in summaries))
    models = {study.study: study.models for study in known}
    values = np.full((len(targets), len(candidates.model)), np.nan)
    for study, target, path in summaries:
        values[targets.index(target), candidates.of(study)] = read_summary(path, models[study]).accuracy
    return targets, values


def bounds(candidates: Candidates, files: Sequence[tuple[str, str, Path]]) -> list[Ranker]:
    """Minus the bound of each reference task, of the candidates that have one. Unlike scores, bounds are of
    the target's evaluation images.

    Args:
        files: (reference, study, file of its bounds).
    """
    values: dict[str, np.ndarray] = {}
    for reference, study, path in files:
        of = values.setdefault(reference, np.full(len(candidates.model), np.nan))
        numbers, bound = _bounds(path)
        place = {int(number): i for i, number in enumerate(numbers)}
        for i in candidates.of(study):
            if (model := int(candidates.model[i])) in place:
                of[i] = -bound[place[model]]
    return [
        Ranker(
            f"relatedness:{name}",
            f"minus the bound from {name}, on evaluation images",
            BOUND,
            of,
            reason=_partly(of, "others have no bound"),
        )
        for name, of in values.items()
    ]


def _bounds(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers int64[models], and bounds float64[models]: of the first tau, means over draws."""
    with artefacts.open(path, "task relatedness") as file:
        known = names(file["transform"])
        transform = known.index(_TRANSFORM) if _TRANSFORM in known else len(known) - 1
        return file["model"][:], np.nanmean(file["bound"][:, 0, transform], axis=-1)
