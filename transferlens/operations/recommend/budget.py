"""What of the recipes and trials fits into a budget, by a stated order of priority."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from transferlens.core.errors import ConfigError
from transferlens.operations.recommend.recipes import PLAIN, PROBE

# Trials of plain fine-tuning and of the probe, before one of the two is dropped.
FEWEST_TRIALS = 4


class Cost(NamedTuple):
    """Seconds of one core: of one trial of a recipe, and of all else of it."""

    trial: float
    rest: float

    def of(self, trials: int) -> float:
        """With so many trials."""
        return trials * self.trial + self.rest


class Chosen(NamedTuple):
    """What is tried.

    Attributes:
        names: recipes in the order of their priority.
        trials: of each.
        seconds: of one core, that all of it takes.
        left_out: recipes that did not fit, with the seconds that each would have taken.
    """

    names: list[str]
    trials: int
    seconds: float
    left_out: dict[str, float]


def choose(
    order: Sequence[str], costs: Mapping[str, Cost], shared: float, seconds: float, trials: int
) -> Chosen:
    """Recipes by their order, each that fits beside those before it.

    Where plain fine-tuning and the probe alone do not fit with so many trials, these are lowered, to four at
    least; then the probe is dropped, and trials are lowered down to one.

    Args:
        order: of recipes; plain fine-tuning first.
        costs: of those that can be had.
        shared: seconds of what all recipes share.
        seconds: of one core that there are.

    Raises:
        ConfigError: one trial of plain fine-tuning does not fit.
    """

    def total(names: Iterable[str], number: int) -> float:
        return shared + sum(costs[name].of(number) for name in names)

    possible = [name for name in order if name in costs]
    pair = [name for name in possible if name in (PLAIN, PROBE)]
    fewer = [(pair, number) for number in range(trials, min(FEWEST_TRIALS, trials) - 1, -1)]
    fewer += [([PLAIN], number) for number in range(trials, 0, -1)]
    fitting = next((one for one in fewer if total(*one) <= seconds), None)
    if fitting is None:
        raise ConfigError(_too_small(total([PLAIN], 1), seconds))
    names, number = fitting
    for name in possible if number == trials and names == pair else ():
        if name not in names and total([*names, name], number) <= seconds:
            names = [*names, name]
    left_out = {name: costs[name].of(number) for name in possible if name not in names}
    return Chosen(names, number, total(names, number), left_out)


def _too_small(needed: float, seconds: float) -> str:
    return (
        f"the budget holds {in_hours(seconds)}, but one trial of plain fine-tuning and what reports on it "
        f"take {in_hours(needed)}; raise --hours or --cores, or lower --epochs, --models or --resolution"
    )


def in_hours(seconds: float) -> str:
    """Core-hours in words, or core-minutes."""
    if seconds < 3600:
        return f"{max(seconds / 60, 0.1):.2g} core-minutes"
    return f"{seconds / 3600:.3g} core-hours"
