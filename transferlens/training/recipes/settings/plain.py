"""The two recipes of the original study: a new head on fixed features, and full fine-tuning."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from transferlens.training.recipes.settings.base import (
    BACKBONE_RATE,
    Range,
    RecipeKind,
    RecipeSettings,
    TunedSettings,
)


class FixedSettings(RecipeSettings):
    """Fixed features: the backbone's parameters stay, and a new head is trained on its features."""

    kind: Literal["fixed"] = Field("fixed", description="Which recipe.")
    batchnorm: Literal["eval", "train"] = Field(
        "eval",
        description="`eval` computes the features of the evaluation crop once, with the source's running "
        "statistics; `train` normalises with the target's batch statistics.",
    )


class FullSettings(TunedSettings):
    """Full fine-tuning: every parameter is trained."""

    kind: Literal["full"] = Field("full", description="Which recipe.")


KINDS = (
    RecipeKind(
        "fixed",
        FixedSettings,
        "transferlens.training.recipes.fixed:Fixed",
        changes_backbone=lambda settings: settings.batchnorm == "train",  # its running statistics
        caches_features=lambda settings: settings.batchnorm == "eval",
    ),
    RecipeKind("full", FullSettings, "transferlens.training.recipes.full:Full", in_blocks=True),
)
# What trials vary, by kind and by key of the settings.
SEARCHED: Mapping[str, Mapping[str, Range]] = {"fixed": {}, "full": BACKBONE_RATE}
