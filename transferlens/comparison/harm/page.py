"""What the page says of harmful source classes under each recipe."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from transferlens.comparison.harm.artefacts import QUANTITIES
from transferlens.comparison.harm.steps import COMPARE_HARM, of_target
from transferlens.core.blocks import (
    Block,
    Column,
    Figure,
    Prose,
    Results,
    Table,
    Warnings,
    p_value,
    signed,
    signed_range,
)
from transferlens.core.run import Run
from transferlens.training.artefacts import METRICS

_QUANTITY = {"effect": "effect of a harmful class", "interference": "interference, seen minus unseen"}
_CAPTION = (
    "What harmful source classes do under each recipe, beside its difference to the plain recipe; 95 % "
    "intervals over models and images."
)


def blocks(run: Run, results: Results, target: str) -> Iterator[Block]:
    """Influences and interference by recipe; nothing where `comparison.influences` asks for none."""
    if not of_target(run, target):
        return
    harm = results.harm(target=target)
    for name, (_, missing) in QUANTITIES.items():
        if reason := harm.attrs[missing]:
            yield Warnings((f"{target}, {_QUANTITY[name]}: {reason}.",))
        if harm[name].notnull().any():
            yield _table(harm, name)
    if harm.sizes["rank"]:
        yield Prose(_chosen(harm))
    picture = COMPARE_HARM.outputs["picture"].path.format(target=target)
    yield Figure(results.folder / picture, _CAPTION, f"Harm by recipe on {target}")


def tests(run: Run, results: Results, target: str) -> int:
    """How many hypotheses `blocks` tests: the p-values that are shown."""
    if not of_target(run, target):
        return 0
    harm = results.harm(target=target)
    shown = [f"{name}{part}_p" for name in QUANTITIES for part in ("", "_difference")]
    return int(sum(harm[name].notnull().sum() for name in shown))


def _table(harm: xr.Dataset, name: str) -> Table:
    """One quantity, recipe by recipe."""
    number = [Column(head, number=True) for head in ("95 % interval", "p", "minus plain", "95 % interval")]
    head = (Column("recipe"), Column(_QUANTITY[name], number=True), *number, Column("p (Holm)", number=True))
    rows = tuple(_row(harm.isel(recipe=i), name) for i in range(harm.sizes["recipe"]))
    return Table(head, rows, _EXPLAINED[name](harm))


def _row(one: xr.Dataset, name: str) -> tuple[str, ...]:
    return (
        str(one.recipe.item()),
        *_estimate(one, name, f"{name}_p"),
        *_estimate(one, f"{name}_difference", f"{name}_difference_holm"),
    )


def _estimate(one: xr.Dataset, name: str, test: str) -> tuple[str, str, str]:
    """A value, its interval, its p-value; '' for what there is not."""
    value, low, high, p = (float(one[key]) for key in (name, f"{name}_low", f"{name}_high", test))
    return (
        "" if np.isnan(value) else signed(value),
        "" if np.isnan(low) else signed_range(low, high),
        p_value(p),
    )


def _of_effects(harm: xr.Dataset) -> str:
    return (
        f"Accuracy ({METRICS[harm.metric]}) of models that saw such a class minus that of models that did "
        f"not; {harm.models} models of random source classes, each adapted by each recipe as it was tuned; "
        f"{harm.images} images of the report half. Below zero the class harms. Told is the mean of the "
        f"{harm.sizes['rank']} classes that harm most under the plain recipe. Each half of the draws of "
        "models chooses them on the select half of the images, and the other half of the draws reports them "
        "here: what looked harmful by chance is not expected to look so here. The classes are the same for "
        "all recipes; which classes harm most under another recipe is not shown. Differences are of the same "
        "source models and images."
    )


def _of_interference(harm: xr.Dataset) -> str:
    return (
        f"Target images are pasted on images of every source class: {harm.composites} composites of the "
        "report halves. A composite's drop is the probability of the pasted image's class on the scrambled "
        "background minus that on the whole one. Told is the mean drop of models that saw the class of the "
        "background in training, minus that of models that did not. Which classes a model saw was drawn at "
        "random, and no class is chosen. Above zero, having seen a class takes probability from images "
        "pasted on it. Not shown: where in the network that comes from, and whether natural images suffer."
    )


_EXPLAINED = {"effect": _of_effects, "interference": _of_interference}


def _chosen(harm: xr.Dataset) -> str:
    """Which classes each half of the draws chose, and whether the other half finds that they harm."""
    first, second = (", ".join(map(str, of_fold)) for of_fold in harm.harmful_class.values)
    chosen = (
        f"Most harmful under the plain recipe, by the first half of the draws: {first}; by the second: "
        f"{second}."
    )
    if float(harm.effect_high[0]) < 0 or np.isnan(harm.effect_high[0]):
        return chosen
    return f"{chosen} That they harm under it is not established: the interval is not below zero."
