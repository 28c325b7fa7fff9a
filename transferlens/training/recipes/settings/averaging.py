"""Settings of the recipes whose model is a mean of weights."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from transferlens.training.recipes.settings.base import BACKBONE_RATE, OneOf, Range, RecipeKind, TunedSettings


class EmaSettings(TunedSettings):
    """Full fine-tuning; the model is the exponential moving average of the weights."""

    kind: Literal["ema"] = Field("ema", description="Which recipe.")
    decay: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Factor of the average at every step; null for 0.999, or 1 - 5 / T in a run of T steps "
        "that are fewer than 5,000. 0 is plain fine-tuning.",
    )


KINDS = (
    RecipeKind(
        "ema",
        EmaSettings,
        "transferlens.training.recipes.averaging:Ema",
    ),
)
# What trials vary, by kind and by key of the settings.
SEARCHED: Mapping[str, Mapping[str, Range]] = {
    "ema": {**BACKBONE_RATE, "decay": OneOf((0.9, 0.95, 0.98, 0.99, 0.995, 0.999))},
}
