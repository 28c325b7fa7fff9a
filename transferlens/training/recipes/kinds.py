"""Recipes by name. What decides a recipe's results is its family's to say; nothing here does."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from transferlens.core.errors import ConfigError, nearest
from transferlens.core.imports import resolve
from transferlens.training.recipes.settings.base import Range, RecipeKind, RecipeSettings

# Modules of `recipes.settings`, in the order of the documentation.
FAMILIES = (
    "plain",
    "probing",
    "selective",
    "low_rank",
    "averaging",
    "projection",
    "anchored",
    "spectral",
    "stochastic_norm",
    "distillation",
    "contrastive",
    "concept",
    "objectives",
    "remedies",
)
KINDS: dict[str, RecipeKind] = {
    kind.name: kind
    for family in FAMILIES
    for kind in import_module(f"transferlens.training.recipes.settings.{family}").KINDS
}


def read(given: Mapping[str, Any], where: str = "settings") -> RecipeSettings:
    """Read a recipe's settings by its kind.

    Raises:
        ConfigError: an unknown kind, or settings that are not of it.
    """
    kind = given.get("kind")
    if kind not in KINDS:
        start, key = ("settings", "kind") if where == "settings" else ("config", f"{where}.kind")
        raise ConfigError(f"{start}: '{key}' is {kind!r}" + nearest(str(kind), list(KINDS)))
    return KINDS[kind].settings.read(given, where)


def changes_backbone(settings: RecipeSettings) -> bool:
    """Whether the adapted backbone differs from the source model's."""
    return KINDS[settings.kind].changes_backbone(settings)


def caches_features(settings: RecipeSettings) -> bool:
    """Whether features are computed once, and only a head is trained on them."""
    return KINDS[settings.kind].caches_features(settings)


def log_rows(settings: RecipeSettings) -> int:
    """Rows of a model's training log: the epochs of all its runs."""
    kind = KINDS[settings.kind]
    return kind.epochs(settings) * kind.runs


def searched(kind: str) -> Mapping[str, Range]:
    """What trials vary of recipes of a kind: ranges by dotted key of the settings."""
    return resolve(KINDS[kind].searched)[kind]
