"""What the page says of tuning: what was chosen, whether more trials pay, and what papers would print."""

from collections.abc import Iterator, Mapping

import numpy as np
import xarray as xr

from transferlens.comparison import scope
from transferlens.comparison.compared.words import named
from transferlens.comparison.scope import Contestant
from transferlens.core.blocks import Block, Column, Prose, Results, Table, signed, signed_range
from transferlens.core.run import Run

Choices = Mapping[Contestant, xr.Dataset]
_HOUR = 3600
_CHOSEN = (
    "Written -> chosen, of what trials vary; the others are as written. Accuracies are on held-out training "
    "images, of the settings as written and of the chosen ones. The latter are the highest of all trials on "
    "the images that chose them, and so too high: they have no interval, and nothing is reported by them. "
    "Hours are of training."
)
_PUBLISHED = (
    "The chosen settings as papers report them: the epoch (and the head, where a recipe trains several) of "
    "each model is the one that is best on the report half's own images. That cannot be less than the last "
    "epoch, which is what is reported elsewhere on this page; how much more it is, is the optimism of the "
    "protocol. Intervals (95 %, Student's t, paired) are over models, for these images; they do not know "
    "that it is never below 0."
)


def blocks(run: Run, results: Results, target: str) -> Iterator[Block]:
    """How the recipes that are compared on a target were tuned."""
    given = scope.asked(run)
    choices = {one: results.choice(target=target, recipe=one.name) for one in scope.contestants(run, target)}
    yield Prose(_protocol(next(iter(choices.values())), given.choosing))
    yield chosen_table(choices)
    if given.trials > 1:
        yield budget_table(choices)
        yield Prose(whether_more(choices))
    if given.published:
        yield published_table(results.comparison(target=target))


def _protocol(made: xr.Dataset, models: int) -> str:
    """What all recipes have alike."""
    trials = made.sizes["trial"]
    if trials == 1:
        drawn = "Every recipe has its settings as they are written, which one trial tells; it is made with "
    else:
        drawn = (
            f"Every recipe has {trials} trials: settings as written, and {trials - 1} drawn at random, with "
            "the same factors of learning rate, weight decay and epochs for all recipes. They are made with "
        )
    return drawn + (
        f"{_many(models, 'model')} that {'reports' if models == 1 else 'report'} nothing, trained on "
        f"{made.trained:,} training images and told on the {made.held_out:,} that are held out; the chosen "
        "settings are then trained on all. Other draws may choose other settings: differences between "
        "recipes are of the settings that this budget found, and no interval covers that."
    )


def chosen_table(choices: Choices) -> Table:
    """What was chosen, recipe by recipe."""
    head = (
        Column("recipe"),
        Column("settings"),
        Column("as written", number=True),
        Column("chosen", number=True),
        Column("broken off", number=True),
        Column("hours", number=True),
    )
    return Table(head, tuple(_chosen_row(one, made) for one, made in choices.items()), _CHOSEN)


def _chosen_row(one: Contestant, made: xr.Dataset) -> tuple[str, ...]:
    mean, best = made.accuracy.mean("model").values, int(np.flatnonzero(made.chosen.values)[0])
    broken = int(np.isinf(made.loss).any("model").sum())
    hours = float(made.seconds.sum()) / _HOUR
    return title(one), changes(made, best), f"{mean[0]:.3f}", f"{mean[best]:.3f}", str(broken), f"{hours:.2g}"


def title(one: Contestant) -> str:
    """A contestant in words."""
    return named(one.base, one.from_scratch)


def changes(made: xr.Dataset, best: int) -> str:
    """What the chosen trial changed of the settings as written."""
    if best == 0:
        return "as written"
    values = made.value.values
    return "; ".join(
        f"{key} {_number(written)} -> {_number(now)}"
        for key, written, now in zip(made.parameter.values, values[0], values[best], strict=True)
    )


def _number(value: float) -> str:
    return "null" if np.isnan(value) else f"{value:.3g}"


def budgets(trials: int) -> list[int]:
    """Budgets that are shown: 1, 2, 4, ... and all."""
    return [2**i for i in range(trials.bit_length()) if 2**i < trials] + [trials]


def budget_table(choices: Choices) -> Table:
    """The expected highest held-out accuracy by the number of trials."""
    first = next(iter(choices.values()))
    shown = budgets(first.sizes["budget"])
    head = (Column("recipe"), *(Column(_many(k, "trial"), number=True) for k in shown))
    rows = tuple(
        (title(one), *(f"{float(made.best_of[k - 1]):.3f}" for k in shown)) for one, made in choices.items()
    )
    note = (
        "The highest held-out accuracy of so many of the trials, on average over all sets of so many. It "
        "says nothing of trials beyond those that were made."
    )
    return Table(head, rows, note)


def whether_more(choices: Choices) -> str:
    """What the second half of the trials gained, against what held-out images can tell apart."""
    gains = {one: _second_half(made) for one, made in choices.items()}
    most = max(gains, key=gains.get)
    made = choices[most]
    trials, best = made.sizes["budget"], float(made.best_of[-1])
    lead = (
        f"From {trials // 2} to {trials} trials that rises by {gains[most]:.3f} at most ({title(most)}). "
        f"One of the {made.held_out:,} held-out images is worth {1 / made.held_out:.3f}, and the draw of "
        f"these images gives an accuracy of {best:.2f} a standard error of "
        f"{np.sqrt(best * (1 - best) / made.held_out):.3f}. "
    )
    above = [title(one) for one, gain in gains.items() if gain > 1 / made.held_out]
    if not above:
        return lead + "No recipe gained a whole image by its second half: more trials would tell luck."
    return lead + (
        f"By its second half more than an image was gained by {', '.join(above)}: more trials "
        "(`comparison.trials`) may find better settings there."
    )


def _second_half(made: xr.Dataset) -> float:
    best_of = made.best_of.values
    return float(best_of[-1] - best_of[len(best_of) // 2 - 1])


def published_table(made: xr.Dataset) -> Table:
    """What the published protocol prints, against the last epoch."""
    head = (
        Column("recipe"),
        Column("as papers print it", number=True),
        Column("last epoch", number=True),
        Column("optimism", number=True),
        Column("95 %", number=True),
    )
    rows = tuple(_published_row(made.isel(recipe=k)) for k in range(made.sizes["recipe"]))
    return Table(head, rows, _PUBLISHED)


def _published_row(made: xr.Dataset) -> tuple[str, ...]:
    printed, optimism = float(made.published), float(made.optimism)
    one = Contestant(str(made.recipe.item()), str(made.base.item()), bool(made.from_scratch))
    ends = float(made.optimism_low), float(made.optimism_high)
    reach = signed_range(*ends) if np.isfinite(ends).all() else "no interval"
    return title(one), f"{printed:.3f}", f"{printed - optimism:.3f}", signed(optimism), reach


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
