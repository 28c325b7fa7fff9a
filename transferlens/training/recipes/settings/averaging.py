"""Settings of the recipes whose model is a mean of weights."""

from typing import Literal

from pydantic import Field

from transferlens.training.recipes.settings.base import RecipeKind, TunedSettings


class EmaSettings(TunedSettings):
    """Full fine-tuning; the model is the exponential moving average of the weights."""

    kind: Literal["ema"] = Field("ema", description="Which recipe.")
    decay: float = Field(
        0.999,
        ge=0,
        le=1,
        description="Factor of the average at every step: 0 is plain fine-tuning. With T steps, at most 1 - "
        "5 / T.",
    )


KINDS = (
    RecipeKind(
        "ema",
        EmaSettings,
        "transferlens.training.recipes.averaging:Ema",
    ),
)
