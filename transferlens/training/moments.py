"""When networks are kept while a model is adapted: after 0, 1, 2, 4, ... optimiser steps, and epochs."""

from collections.abc import Sequence

from pydantic import Field

from transferlens.core.errors import ConfigError
from transferlens.core.settings import Section
from transferlens.training import schedule
from transferlens.training.recipes.kinds import KINDS
from transferlens.training.recipes.settings.base import RecipeSettings


class MomentSettings(Section):
    """When networks are kept; the first, before any step, and the last always are."""

    doubling: bool = Field(True, description="After 1, 2, 4, 8, ... optimiser steps.")
    epochs: list[int] = Field(
        [], description="After so many epochs, each of as many steps as there are complete batches."
    )


def steps(given: MomentSettings, recipe: RecipeSettings, images: int) -> list[int]:
    """Optimiser steps after which a network is kept, ascending, from 0 on; the end is not among them.

    Args:
        images: that the model is adapted to.
    """
    epoch = schedule.steps_per_epoch(images, recipe.training)
    end = total(recipe, images)
    doubled = [2**i for i in range(end.bit_length())] if given.doubling else []
    return sorted({0, *(s for s in [*doubled, *(epoch * e for e in given.epochs)] if s < end)})


def total(recipe: RecipeSettings, images: int) -> int:
    """Optimiser steps of all phases of a run (of complete batches, where the last one is drawn)."""
    return KINDS[recipe.kind].epochs(recipe) * schedule.steps_per_epoch(images, recipe.training)


def check(given: MomentSettings, recipe: RecipeSettings, where: str, name: str) -> None:
    """Refuse epochs that a recipe never reaches, and less than one.

    Args:
        where: the key of the settings.
        name: of the recipe.
    """
    epochs = KINDS[recipe.kind].epochs(recipe)
    if out := _outside(given.epochs, epochs):
        raise ConfigError(
            f"config: {where}.epochs names {out[0]}, but recipe '{name}' trains {epochs} epochs; name epochs "
            f"from 1 to {epochs}"
        )


def _outside(named: Sequence[int], epochs: int) -> list[int]:
    return [epoch for epoch in named if not 1 <= epoch <= epochs]
