"""What the page says of drift influence: which source class moves which layer, and what goes with that."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from transferlens.core.blocks import (
    Block,
    Column,
    Figure,
    Prose,
    Results,
    Section,
    Table,
    Warnings,
    adaptation,
    p_value,
    signed,
    signed_range,
)
from transferlens.core.run import Run
from transferlens.dynamics import scope
from transferlens.dynamics.drift.artefacts import OUTCOMES
from transferlens.dynamics.drift.pictures import SHOWN
from transferlens.dynamics.drift.steps import ESTIMATE
from transferlens.training.artefacts import METRICS

# Effects on these stand beside drift effects on the page; all are in the file and the table.
_SHOWN = ("accuracy", "retention")


def sections(run: Run, results: Results) -> Iterator[Section]:
    """One section for every target and recipe that is followed, where drift influence is asked for."""
    for target, recipe in scope.followed(run):
        if scope.drifting(run, target, recipe):
            told = results.drift_influence(target=target, recipe=recipe)
            yield Section(
                title="Drift by source class",
                anchor="drift-influence",
                blocks=tuple(_blocks(told, results, target, recipe)),
                subject=adaptation(target, recipe),
                method="drift-influence",
                tests=_tests(told),
            )


def _tests(told: xr.Dataset) -> int:
    """How many hypotheses are shown: cells of the picture, and correlations of the table."""
    if told.folds_missing:
        return 0
    classes = min(SHOWN, told.sizes["source_class"])
    of_picture = told.sizes["fold"] * classes * told.sizes["layer"]
    return of_picture + int(_at_the_end(told).correlation_p.sel(outcome=list(_SHOWN)).notnull().sum())


def _at_the_end(told: xr.Dataset) -> xr.Dataset:
    """Of the adapted models, on the target's images."""
    return told.isel(domain=0, step=-1)


def _blocks(told: xr.Dataset, results: Results, target: str, recipe: str) -> Iterator[Block]:
    yield Prose(_what(told, target))
    if told.folds_missing:
        yield Warnings((f"Nothing is chosen, and no correlations are told: {told.folds_missing}.",))
    else:
        path = ESTIMATE.outputs["effects"].path.format(target=target, recipe=recipe)
        yield Figure(results.folder / path, _CAPTION, f"Source classes and the drift of layers on {target}")
        yield _correlations(told)
    if told.retrained_missing:
        return
    path = ESTIMATE.outputs["curves"].path.format(target=target, recipe=recipe)
    yield Figure(results.folder / path, _retrained(told), f"Drift of retrained models on {target}")


def _what(told: xr.Dataset, target: str) -> str:
    return (
        "Drift of a layer is 1 minus its similarity (unbiased CKA on fixed images) to itself before the "
        f"first step. {told.models} models of random source classes were adapted to {target} once more; what "
        "a source class adds to drift is told by the same estimator as what it adds to accuracy. Which "
        "classes a model saw was drawn at random, so that the effect is that of having seen the class, in "
        "the mean over the other classes. That a layer moves less does not say that its features are better."
    )


_CAPTION = (
    "What source classes add to the drift of each layer at the end, on the target's images, as a share of "
    "the layer's mean drift. One half of the draws of models chose the classes, the other half is shown. "
    "Dots: q < .05 over both panels; a cell without one is not told from zero."
)


def _correlations(told: xr.Dataset) -> Table:
    """Layer by layer at the end: effects on drift with effects on outcomes, over source classes."""
    of_each = [
        column
        for name in _SHOWN
        for column in (
            Column(f"with effects on {OUTCOMES[name]}", number=True),
            Column("95 % interval", number=True),
            Column("q", number=True),
        )
    ]
    head = (Column("layer"), Column("reliability of drift effects", number=True), *of_each)
    end = _at_the_end(told)
    rows = tuple(_row(end.isel(layer=layer)) for layer in range(told.sizes["layer"]))
    return Table(head, rows, _note(told, end))


def _row(one: xr.Dataset) -> tuple[str, ...]:
    cells = [str(one.layer.item()), _number(one.drift_reliability)]
    for name in _SHOWN:
        of = one.sel(outcome=name)
        low, high, q = (float(of[f"correlation_{part}"]) for part in ("low", "high", "q"))
        cells += [
            _number(of.correlation),
            "" if np.isnan(low) else signed_range(low, high),
            p_value(q),
        ]
    return tuple(cells)


def _number(value: xr.DataArray) -> str:
    return "" if np.isnan(value) else signed(float(value))


def _note(told: xr.Dataset, end: xr.Dataset) -> str:
    reliable = (
        f"{OUTCOMES[name]} {_number(end.outcome_reliability.sel(outcome=name)) or 'unknown'}"
        for name in _SHOWN
    )
    return (
        f"Rank correlations over {told.sizes['source_class']} source classes, at the end, on the target's "
        "images. Drift effects come from one half of the draws of models and the other effects from the "
        "other half, both ways round: models that move further by chance are not those whose accuracy is "
        "compared. A reliability is the correlation between the two halves' estimates of one effect; where "
        "either is low, a low correlation says little. Reliability of effects on "
        f"{'; '.join(reliable)}. Accuracy is {METRICS[told.metric]}. Intervals are for other classes, q is "
        "over all layers and steps of a column. That two effects go together does not say that one makes the "
        "other."
    )


def _retrained(told: xr.Dataset) -> str:
    return (
        f"Drift of models that were trained again without {int(told.k[-1])} source classes (those at the top "
        f"or bottom by influence under recipe '{told.ranked_by}'; or at random), minus that of models of the "
        f"whole source that began with the same seeds, in {told.repeats} repeats: here the "
        "difference is made by the removal. Bars are 95 % intervals over repeats, not corrected for their "
        "number."
    )
