"""Fine-tuning whose batch norms use the source's statistics at random."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from transferlens.training.recipes.settings.base import (
    BACKBONE_RATE,
    Range,
    RecipeKind,
    Task,
    TunedSettings,
    Uniform,
)


class StochNormSettings(TunedSettings):
    """Every channel of a batch norm is normalised by the batch's statistics or by the running ones."""

    kind: Literal["stoch_norm"] = Field("stoch_norm", description="Which recipe.")
    probability: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Of the batch's statistics, for a channel in a step; 1 is plain batch norm.",
    )


def _fixed_statistics(settings: StochNormSettings, task: Task) -> str:
    """Why there are no batch statistics to choose."""
    if settings.batchnorm == "train":
        return ""
    return "batchnorm: eval leaves no batch statistics to choose; for running ones alone, set probability: 0"


KINDS = (
    RecipeKind(
        "stoch_norm",
        StochNormSettings,
        "transferlens.training.recipes.stochastic_norm:StochNorm",
        needs=("batch norms",),
        check=_fixed_statistics,
    ),
)
# What trials vary, by kind and by key of the settings.
SEARCHED: Mapping[str, Mapping[str, Range]] = {
    "stoch_norm": {**BACKBONE_RATE, "probability": Uniform(0.0, 1.0)},
}
