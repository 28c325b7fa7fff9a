"""Failures: misclassified examples, the source classes that harm them most, and what removing one does.

Whatever is chosen is reported by other models. Full-source models of some repeats choose the examples; those
of the other repeats, with which the models without a class are paired, say what changes. One fold of the
draws of masks chooses the harmful classes, the other one gives the influences that are shown. Examples that
models were chosen for getting wrong are less wrong with any other models: the same change with nothing
removed (the placebo) stands beside.
"""

from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from transferlens.analyses.artefacts import HARMFUL
from transferlens.analyses.folds import CHOOSING, REPORTING, Fold, missing_folds, of_fold
from transferlens.core.statistics import Interval, mean_interval, q_values, t_interval, two_sided_p
from transferlens.core.studies import FULL

_SINGLE = "single"  # how units are chosen that are removed alone


@dataclass(frozen=True)
class Failure:
    """A report-half example that the choosing full-source models misclassify.

    Attributes:
        example: position in the val split.
        predicted: what the choosing models take it for.
        correct: share of the reporting full-source models that are right.
        classes: the source classes that hurt it most by the choosing fold, most harmful first.
        effect, se, reach, q: float[classes], influences by the reporting fold, standard errors, half widths
            of 95 % intervals, q-values over all that are shown.
        removed: of the classes with single removals, the most harmful by the choosing fold (None if there are
            none).
        expected: change without it that the reporting fold expects (None as above).
        change: realised change of the output without it, over repeats (None as above).
        predicted_without: what the models without it take the example for.
        correct_without: share of the models without it that are right.
    """

    example: int
    true: str
    predicted: str
    correct: float
    classes: list[str]
    effect: np.ndarray
    se: np.ndarray
    reach: np.ndarray
    q: np.ndarray
    removed: str | None = None
    expected: Interval | None = None
    change: Interval | None = None
    predicted_without: str = ""
    correct_without: float = np.nan


@dataclass(frozen=True)
class Found:
    """Failures, and what happened to all of them in the mean.

    Attributes:
        failures: at most as many as were asked for.
        choosing, reporting: how many full-source models chose the examples, and how many others report.
        expected: mean expected change of the output without the class of each (NaN without removals).
        change: mean realised change, over repeats (None without removals).
        placebo: mean change between reporting full-source models, nothing removed (None where they are fewer
            than three).
        missing: why there are no failures; '' where there may be.
    """

    failures: list[Failure]
    choosing: int = 0
    reporting: int = 0
    expected: float = np.nan
    change: Interval | None = None
    placebo: Interval | None = None
    missing: str = ""


@dataclass(frozen=True)
class Models:
    """Models by what they are for.

    Attributes:
        choosing, reporting: full-source models, repeat by repeat.
        without: models without a single class, by the class, each paired with the reporting ones.
    """

    choosing: xr.Dataset
    reporting: xr.Dataset
    without: dict[str, xr.Dataset]

    @classmethod
    def of(cls, reference: xr.Dataset, removals: xr.Dataset | None) -> "Models":
        """From the summaries of full-source models and of models without some classes (None for none).

        Those full-source models report that removals are paired with (half of all where there are none).
        """
        full = reference.isel(model=reference.role.values == FULL)
        without = {} if removals is None else _single_removals(removals)
        paired = next((len(models.model) for models in without.values()), len(full.model) // 2)
        return cls(full.isel(model=slice(paired, None)), full.isel(model=slice(paired)), without)


def find_failures(
    influence: xr.Dataset, reference: xr.Dataset, removals: xr.Dataset | None, output: str, count: int
) -> Found:
    """The misclassified report-half examples that some source class hurts most for sure.

    Examples are ranked by the upper end of the 95 % interval of the influence of their most harmful class by
    the choosing fold, among the classes with single removals if there are any.

    Args:
        reference, removals: see `Models.of`.
        output: of the summaries, whose influences are given.
    """
    models = Models.of(reference, removals)
    if missing := missing_folds(influence) or _missing_models(models):
        return Found([], missing=missing)
    sources = influence.source_class.values.tolist()
    true, classes = _true_classes(influence), influence.target_class.values.tolist()
    taken = _taken_for(models.choosing, true, len(classes))
    wrong = np.flatnonzero((influence.example_half.values == "report") & (taken != true))
    choosing, reporting = of_fold(influence, CHOOSING), of_fold(influence, REPORTING)
    candidates = [sources.index(name) for name in models.without] or list(range(len(sources)))
    upper = t_interval(choosing.effect, choosing.se, choosing.df).high[np.ix_(wrong, candidates)].min(1)
    shown = wrong[np.argsort(upper, kind="stable")][:count]
    found = [
        Failure(
            int(e),
            classes[true[e]],
            classes[taken[e]],
            float(models.reporting.correct.values[:, e].mean()),
            *harmful,
        )
        for e, harmful in zip(shown, _harmful(choosing, reporting, shown, sources), strict=True)
    ]
    all_of_them = Found(
        found,
        len(models.choosing.model),
        len(models.reporting.model),
        placebo=_placebo(models.reporting[output].values[:, shown]),
    )
    if not models.without or not found:
        return all_of_them
    places = [candidates[i] for i in choosing.effect[np.ix_(shown, candidates)].argmin(1)]
    effect = t_interval(reporting.effect[shown, places], reporting.se[shown, places], reporting.df)
    removed = [sources[place] for place in places]
    changes = np.stack([_change(models, *one, output) for one in zip(removed, shown, strict=True)])
    tested = [
        replace(
            failure,
            removed=removed[i],
            expected=Interval(-effect.value[i], -effect.high[i], -effect.low[i]),
            change=mean_interval(changes[i]),
            **_without(models.without[removed[i]].isel(example=[shown[i]]), true[shown[i]], classes),
        )
        for i, failure in enumerate(found)
    ]
    expected, change = float(-effect.value.mean()), mean_interval(changes.mean(0))
    return replace(all_of_them, failures=tested, expected=expected, change=change)


def _harmful(
    choosing: Fold, reporting: Fold, shown: np.ndarray, sources: list[str]
) -> list[tuple[list[str], np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Of every shown example the classes that hurt it most by the choosing fold, with influence, standard
    error, half width and q by the reporting one.
    """
    worst = np.argsort(choosing.effect[shown], axis=1, kind="stable")[:, :HARMFUL]
    effect, se = (np.take_along_axis(part[shown], worst, 1) for part in (reporting.effect, reporting.se))
    reach = t_interval(effect, se, reporting.df).high - effect
    q = q_values(two_sided_p(effect, se, reporting.df))
    return [([sources[c] for c in worst[i]], effect[i], se[i], reach[i], q[i]) for i in range(len(shown))]


def _missing_models(models: Models) -> str:
    """Why no other models can choose the examples than those that report; '' where they can."""
    if len(models.choosing.model):
        return ""
    paired = len(models.reporting.model)
    return (
        f"all {paired} full-source models are paired with removals, so none is left to choose the "
        "misclassified examples; raise studies.reference.repeats above studies.counterfactual.repeats"
    )


def _true_classes(influence: xr.Dataset) -> np.ndarray:
    """The place of each example's true class, int64[examples]."""
    places = {name: place for place, name in enumerate(influence.target_class.values.tolist())}
    return np.array([places[name] for name in influence.example_class.values.tolist()])


def _taken_for(models: xr.Dataset, true: np.ndarray, classes: int) -> np.ndarray:
    """What models take examples for, int64[examples]: the most frequent prediction.

    If the true class is among several most frequent ones, the mean raw margin decides: above 0 for it, else
    for the first of the others. An example is misclassified if this is not its true class.
    """
    counts = np.zeros((len(true), classes))
    every = np.arange(len(true))
    for prediction in models.prediction.values:
        counts[every, prediction] += 1
    counts[every, true] += np.where(models.raw_margin.values.mean(0) > 0, 0.5, -0.5)
    return counts.argmax(1)


def _single_removals(removals: xr.Dataset) -> dict[str, xr.Dataset]:
    """The models that miss just one class, repeat by repeat, by that class."""
    places: dict[str, list[int]] = {}
    for i in np.flatnonzero(removals.removed_by.values == _SINGLE):
        places.setdefault(str(removals.unit.values[~removals.mask.values[i]][0]), []).append(i)
    return {name: removals.isel(model=rows) for name, rows in places.items()}


def _change(models: Models, removed: str, example: int, output: str) -> np.ndarray:
    """Realised change of an example's output without a class, float64[repeats]."""
    after, before = (m[output].values[:, example] for m in (models.without[removed], models.reporting))
    return after.astype(np.float64) - before


def _without(models: xr.Dataset, true: int, classes: list[str]) -> dict[str, str | float]:
    """What models without a class say of their only example, as attributes of a `Failure`."""
    taken = _taken_for(models, np.array([true]), len(classes))[0]
    correct = float(models.correct.values.mean())
    return {"predicted_without": classes[taken], "correct_without": correct}


def _placebo(values: np.ndarray) -> Interval | None:
    """Mean output of the odd full-source models minus that of the even ones, float[models, examples], with
    Student's interval over models; None for fewer than three.
    """
    means = values.astype(np.float64).mean(1) if values.size else np.zeros(0)
    if len(means) < 3:
        return None
    even, odd = means[::2], means[1::2]
    df = len(means) - 2
    pooled = (np.square(even - even.mean()).sum() + np.square(odd - odd.mean()).sum()) / df
    return t_interval(odd.mean() - even.mean(), np.sqrt(pooled * (1 / len(even) + 1 / len(odd))), df)
