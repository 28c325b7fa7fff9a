"""What is chosen by the trials of a recipe."""

import json
from collections.abc import Mapping
from pathlib import Path

from transferlens.comparison.tuning.artefacts import CHOICE
from transferlens.core import artefacts
from transferlens.training.recipes import kinds
from transferlens.training.recipes.settings.base import RecipeSettings


def chosen(files: Mapping[str, Path], recipe: RecipeSettings) -> RecipeSettings:
    """The chosen settings of a recipe, for a transfer by them.

    Args:
        files: with the `choice`.
        recipe: as it is written, of the same kind.
    """
    with artefacts.open(files["choice"], CHOICE) as file:
        return kinds.read(json.loads(file.attrs["settings"]), recipe.kind)
