"""The sentences of a recommendation: what it is, how sure it is, and what would make it surer."""

from collections.abc import Sequence

import numpy as np

from transferlens.comparison.compared.answers import Compared, Contestant
from transferlens.comparison.compared.artefacts import MEASURES
from transferlens.comparison.compared.estimates import AN_AREA, Estimates
from transferlens.comparison.compared.quantities import Told
from transferlens.comparison.compared.recommended import Recommendation
from transferlens.comparison.compared.surer import MOST_IMAGES, MOST_MODELS, Components, needed

_PLACE = {name: i for i, name in enumerate(MEASURES)}

# What decides between recipes that are as accurate, and how the best by it is told.
_OTHERWISE_BEST = {
    "seconds": "a step is quickest by {} ({:.2f} times as long as plain fine-tuning's)",
    "forgetting_source": "{} forgets least of the source ({:+.3f})",
}


def named(base: str, from_scratch: bool) -> str:
    """A contestant in words."""
    return f"{base} from scratch" if from_scratch else base


def why(compared: Compared, estimates: Estimates, made: Recommendation) -> str:
    """How a recipe was chosen, how sure that is, and what else can be had instead."""
    best = compared.contestants[made.best]
    accuracy = estimates.told[made.best][_PLACE["accuracy"]]
    drawn = "models" if compared.metric == "auroc" else "models and select-half images"
    parts = [
        f"{best.base} is recommended: of {len(made.order)} recipes it ranks first on the select half, and in "
        f"{100 * made.best_share[made.best]:.0f} % of resamples of {drawn}; its accuracy on the report half "
        f"is {number(accuracy)}"
    ]
    equals = _not_told_apart(compared, made)
    if len(equals) > 1:
        others = ", ".join(compared.contestants[k].base for k in equals if k != made.best)
        parts.append(
            f"not told apart from it (p < .05, Holm): {others}{_instead(compared, estimates, equals)}"
        )
    elif len(made.order) > 1:
        parts.append("it is told apart from every other recipe (p < .05, Holm)")
    return "; ".join([*parts, *_scratch_wins(compared, made)]) + "."


def _not_told_apart(compared: Compared, made: Recommendation) -> list[int]:
    """The recommended recipe and those that do not differ from it, by rank."""
    return [int(k) for k in made.order if k == made.best or not made.told_apart[k]]


def _instead(compared: Compared, estimates: Estimates, equals: Sequence[int]) -> str:
    """The quickest and the least forgetful of recipes that are as good."""
    said = []
    for name, words in _OTHERWISE_BEST.items():
        values = np.array([estimates.told[k][_PLACE[name]].value for k in equals])
        if np.isfinite(values).any():
            at = int(np.nanargmax(values) if MEASURES[name][2] else np.nanargmin(values))
            said.append(words.format(compared.contestants[equals[at]].base, values[at]))
    return f"; of all these, {' and '.join(said)}" if said else ""


def _scratch_wins(compared: Compared, made: Recommendation) -> list[str]:
    """That the source does not help, where models from scratch come out ahead on the select half."""
    if compared.scratch is None:
        return []
    scratch = made.chosen_accuracy[compared.contestants.index(compared.scratch)]
    best = made.chosen_accuracy[made.best]
    if scratch <= best:
        return []
    return [
        f"models from scratch are better on the select half ({scratch:.3f} against {best:.3f}): the source "
        "does not help here"
    ]


def surer(compared: Compared, made: Recommendation) -> str:
    """How many models or report images would tell the first recipe from the second."""
    if compared.metric == "auroc":
        return f"What would make it surer is not known: {AN_AREA}."
    best, second = compared.contestants[made.best], _second(compared, made)
    if second is None:
        return "No other recipe answers differently, so that nothing can be told apart."
    told = made.ahead[compared.contestants.index(second)]
    values = best.correct["report"] - second.correct["report"]
    found = f"{best.base} minus {second.base} is {number(told, signed=True)} on the report half"
    if told.value == 0 or min(values.shape) < 2:
        return f"{found}: with no difference, or one model or image, nothing tells what would make it surer."
    parts = Components.of(values, compared.weights("report"))
    models, images = values.shape
    wanted = needed(parts, models, images, abs(told.value) / 2)
    if wanted.models is not None and wanted.models <= models:
        return f"{found}, and known to half of that to either side: more models would change little."
    of_models = _enough(wanted.models, models, MOST_MODELS, "models", f"these {images:,} report images")
    of_images = _enough(wanted.images, images, MOST_IMAGES, "report images", f"these {models} models")
    return f"{found}; to know it to half of that to either side, {of_models}, and {of_images}."


def _second(compared: Compared, made: Recommendation) -> Contestant | None:
    """The best that does not answer all alike the first."""
    best, *rest = (compared.contestants[k] for k in made.order)
    differs = (one for one in rest if not np.array_equal(one.correct["report"], best.correct["report"]))
    return next(differs, None)


def _enough(count: int | None, now: int, most: int, what: str, at_hand: str) -> str:
    """How many would do with the others at hand, or that not even the most would."""
    if count is None:
        return f"not even {most:,} {what} would do with {at_hand}"
    return f"{count:,} {what} instead of {now:,} would do with {at_hand}"


def number(told: Told, signed: bool = False) -> str:
    """A number with its interval."""
    form = "{:+.3f}" if signed else "{:.3f}"
    value = form.format(told.value)
    if np.isnan(told.low):
        return f"{value} (no interval: {told.missing})"
    return f"{value} (95 % {form.format(told.low)} to {form.format(told.high)})"
