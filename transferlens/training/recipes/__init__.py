"""Recipes: how a source model is adapted to a target, one family a file."""

from typing import TYPE_CHECKING, Any

from transferlens.core.imports import resolve
from transferlens.training.recipes.kinds import KINDS

if TYPE_CHECKING:
    from transferlens.training.recipes.base import Recipe


def make(settings: Any) -> "Recipe":
    """A fresh recipe of these settings, for one training run (its implementation is imported here)."""
    return resolve(KINDS[settings.kind].path)(settings)
