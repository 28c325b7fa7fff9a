"""What a finished study recommends, as a page of text: every number with its interval, or why it has none."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import xarray as xr
import yaml

from transferlens import open_results
from transferlens.comparison import scope
from transferlens.comparison.compared.artefacts import MEASURES as COMPARED
from transferlens.comparison.tuning.artefacts import CHOICE
from transferlens.core import artefacts
from transferlens.core.run import Run
from transferlens.operations.recommend.budget import in_hours
from transferlens.operations.recommend.images import Task
from transferlens.operations.recommend.kept import Plan
from transferlens.operations.recommend.recipes import ORDER
from transferlens.relatedness.own_table import Row
from transferlens.training.recipes import kinds

FILE = "recommendation.md"
_INTERVALS = (
    "In brackets 95 % intervals, over adaptations of this one checkpoint by different seeds and over the "
    "test images of the half that reports. Settings were chosen by one further model on held-out training "
    "images; the recommended recipe by the models that report, on the other half. p after Holm, over recipes."
)


# Of the table of the network as it is.
_SHOWN = (
    "accuracy",
    "leep",
    "nleep",
    "hscore_regularised",
    "logme",
    "gbc",
    "sfda",
    "knn_20_cosine",
    "f_otce",
)


# What trials of any schedule vary, though it is of another one.
_OF_OTHER_SCHEDULES = {
    "triangular": ("step_epochs", "warmup_epochs"),
    "step": ("lr_peak_epoch",),
    "cosine": ("lr_peak_epoch", "step_epochs"),
}


class Told(NamedTuple):
    """What a page is made of.

    Attributes:
        out: the folder of the study.
        target, kept: data sets.
        rows: of the network as it is (`own_table`).
    """

    out: Path
    run: Run
    plan: Plan
    target: Task
    kept: Sequence[Task]
    rows: Sequence[Row]


def text(told: Told) -> str:
    """The page, in Markdown."""
    compared = open_results(told.out / "results").comparison(told.target.name)
    return "\n".join(
        [
            *_recommended(told, compared),
            *_recipes(told, compared),
            *_frozen(told),
            *_limits(told, compared),
        ]
    )


def _recommended(told: Told, compared: xr.Dataset) -> Iterator[str]:
    name = compared.attrs["recommended"]
    yield f"# Which recipe for {told.target.name}?\n"
    yield f"**Recommended: {f'`{base_of(compared, name)}`' if name else 'none'}.**\n"
    yield f"*Why, and how sure:* {compared.attrs['why']}\n"
    yield f"*What would make it surer:* {compared.attrs['surer']}\n"
    gain, missing = shares(compared, "chosen_gain", "+"), compared.attrs["chosen_gain_missing"]
    why_not = f"{gain and '; '}no interval: {missing}" if missing else ""
    yield f"*What choosing gains over plain fine-tuning, by models that did not choose:* {gain}{why_not}.\n"
    if name:
        yield "Its settings, as they were chosen, to four digits (docs/recipes.md says what they mean):\n"
        yield f"```yaml\n{settings_block(told, base_of(compared, name), name)}```\n"


def base_of(compared: xr.Dataset, name: str) -> str:
    """A recipe's own name."""
    return str(compared.base.sel(recipe=name).item())


def settings_block(told: Told, base: str, name: str) -> str:
    """The chosen settings of a recipe as a section of a configuration; what is as by default is left out."""
    path = told.out / CHOICE.at(target=told.target.name, recipe=name)
    with artefacts.open(path, CHOICE) as file:
        chosen = kinds.read(json.loads(file.attrs["recipe"]))
    own = {"kind": chosen.kind, **chosen.model_dump(exclude_defaults=True)}
    for key in _OF_OTHER_SCHEDULES[chosen.training.schedule]:
        own["training"].pop(key, None)
    section = {"recipes": {base: _short(own)}}
    return yaml.safe_dump(section, sort_keys=False, default_flow_style=None, width=100)


def _short(value: Any) -> Any:
    """Nested settings with numbers of four digits."""
    if isinstance(value, dict):
        return {key: _short(nested) for key, nested in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _recipes(told: Told, compared: xr.Dataset) -> Iterator[str]:
    """A line for each recipe that was tried."""
    probed = [str(name) for name in compared.probed.values]
    yield f"## What was tried: {len(compared.recipe)} ways, {told.plan.trials} trials of each\n"
    yield from table(
        ["recipe", "accuracy", "minus plain", "p", *(f"forgets of {n}" for n in probed), "time of a step"],
        [_line(compared, str(name), probed) for name in compared.recipe.values],
    )
    yield f"\n{_INTERVALS}\n"
    yield from (f"* {words}" for words in _without_interval(compared))
    yield ""
    yield (
        "*Forgets*: change of the accuracy of a linear probe on the network's features, from before to "
        "after; below zero is forgotten. *Time of a step*: over that of plain fine-tuning.\n"
    )
    if any(task.root is None for task in told.kept):
        yield (
            "No task to keep was named (`--keep`): handwritten digits stand for another task. What is "
            "forgotten of them need not be what is forgotten of the source.\n"
        )


def _line(compared: xr.Dataset, name: str, probed: Sequence[str]) -> list[str]:
    one = compared.sel(recipe=name)
    label = _label(one)
    label = f"**{label}**" if name == compared.attrs["recommended"] else label
    accuracy, cost = one.sel(measure="accuracy"), one.sel(measure="seconds")
    p = accuracy.difference_holm.item()
    return [
        label,
        shares(accuracy, "value") or str(accuracy.missing.item()),
        shares(accuracy, "difference", "+") or "–",
        "–" if math.isnan(p) else f"{p:.2g}",
        *(shares(one.sel(probed=n), "forgetting", "+") or "–" for n in probed),
        _times(cost),
    ]


def _label(one: xr.Dataset) -> str:
    return f"`{one.base.item()}`" + (" from scratch" if one.from_scratch.item() else "")


def _without_interval(compared: xr.Dataset) -> Iterator[str]:
    """Why numbers of the table stand without an interval."""
    for name in compared.recipe.values:
        for measure in ("accuracy", "forgetting_source", "seconds"):
            cell = compared.sel(recipe=name, measure=measure)
            if math.isnan(cell.value_low.item()) and cell.missing.item():
                words, _, _ = COMPARED[measure]
                yield f"{_label(cell)}, {words}: {cell.missing.item()}."


def shares(of: xr.Dataset, name: str, sign: str = "") -> str:
    """A share with its interval in per cent, `81.2 % (78.0 to 84.1)`; '' where there is none."""
    value, low, high = (100 * of[f"{name}{end}"].item() for end in ("", "_low", "_high"))
    if math.isnan(value):
        return ""
    interval = "" if math.isnan(low) else f" ({low:{sign}.1f} to {high:{sign}.1f})"
    return f"{value:{sign}.1f} %{interval}"


def _times(cost: xr.Dataset) -> str:
    value, low, high = (cost[f"value{end}"].item() for end in ("", "_low", "_high"))
    if math.isnan(value):
        return "–"
    return f"{value:.2f}" + ("" if math.isnan(low) else f" ({low:.2f} to {high:.2f})")


def _frozen(told: Told) -> Iterator[str]:
    """Probe and scores of the network as it is."""
    yield f"## The network as it is, on {told.target.name}\n"
    rows = [row for row in told.rows if row.name in _SHOWN]
    yield from table(["", "value", "95 % interval", "over", "note"], [_number(row) for row in rows])
    yield (
        "\nScores compare networks on the same images (higher is better); of one network they say little. "
        f"All of them, and the bound by way of {told.kept[0].name}: `scores.csv`.\n"
    )


def _number(row: Row) -> list[str]:
    value = "–" if math.isnan(row.value) else f"{row.value:.4g}"
    interval = "–" if math.isnan(row.low) else f"{row.low:.4g} to {row.high:.4g}"
    return [row.title, value, interval, row.over, row.note]


def _limits(told: Told, compared: xr.Dataset) -> Iterator[str]:
    """What was not tried."""
    yield "## What this was not tried on\n"
    for name, seconds in told.plan.left_out.items():
        why = ORDER.get(name, "")
        yield f"* `{name}`{f' ({why})' if why else ''}: its {in_hours(seconds)} did not fit into the budget."
    for name, reason in zip(compared.left_out.values, compared.left_out_reason.values, strict=True):
        yield f"* `{name}`: {reason}."
    yield (
        f"* Other checkpoints: the {scope.asked(told.run).models} models that report are adaptations of the "
        "same weights."
    )
    yield (
        f"* Images from elsewhere: those of {told.target.name} were divided at random, or as its folders are."
    )
    yield "* Corrupted images, and influences of source classes: `config.yaml` leaves both out.\n"
    yield (
        "All else is on the page, `results/report/index.html`. `config.yaml` is an ordinary study, to go on "
        "from by hand."
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table of Markdown whose columns stand one below the other."""
    cells = [list(head), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
    yield from (lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:])
