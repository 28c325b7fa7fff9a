"""Settings of the recipes that add products of thin factors to the weights."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from transferlens.training.recipes.settings.base import (
    BACKBONE_RATE,
    LogUniform,
    OneOf,
    Range,
    RecipeKind,
    TunedSettings,
)


class LoraSettings(TunedSettings):
    """Low-rank adaptation: factors beside the frozen weights, and a new head."""

    kind: Literal["lora"] = Field("lora", description="Which recipe.")
    batchnorm: Literal["train", "eval"] = Field(
        "eval", description="`eval` keeps the source's running statistics; `train` lets them move."
    )
    rank: int = Field(8, ge=1, description="Rank of what is added to a layer's weights.")
    alpha: float = Field(8.0, gt=0, description="What is added is multiplied by `alpha` / `rank`.")
    layers: list[str] | None = Field(
        None,
        min_length=1,
        description="Adapted layers: linear and convolutional ones of the backbone whose names hold one of "
        "these texts; null for all.",
    )


KINDS = (
    RecipeKind(
        "lora",
        LoraSettings,
        "transferlens.training.recipes.low_rank:Lora",
        needs=("linear or convolutional layers",),
    ),
)
# What trials vary, by kind and by key of the settings.
SEARCHED: Mapping[str, Mapping[str, Range]] = {
    "lora": {**BACKBONE_RATE, "rank": OneOf((2, 4, 8, 16, 32)), "alpha": LogUniform(2, 32)},
}
