"""Settings of the recipes that move some of the backbone more than the rest, or nothing else."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from transferlens.training.recipes.settings.base import (
    BACKBONE_RATE,
    Range,
    RecipeKind,
    TunedSettings,
    Uniform,
)


class LayerwiseSettings(TunedSettings):
    """Full fine-tuning with learning rates that fall from the head down to the stem."""

    kind: Literal["layerwise"] = Field("layerwise", description="Which recipe.")
    decay: float = Field(
        0.75, ge=0, le=1, description="Factor of the learning rate from a block to the one below it."
    )
    smallest: float = Field(0.0, ge=0, le=1, description="Smallest factor of any block.")
    decayed: Literal["all", "matrices"] = Field(
        "matrices",
        description="What weight decay is for: every parameter, or those of more than one dimension (no "
        "biases and no normalisations).",
    )


class BitFitSettings(TunedSettings):
    """A new head, and of the backbone biases or normalisations alone."""

    kind: Literal["bitfit"] = Field("bitfit", description="Which recipe.")
    batchnorm: Literal["train", "eval"] = Field(
        "eval", description="`eval` keeps the source's running statistics; `train` lets them move."
    )
    trained: Literal["biases", "norms"] = Field(
        "biases",
        description="What is trained of the backbone: every `bias`, or scales and biases of normalisations "
        "(`norms`).",
    )


KINDS = (
    RecipeKind(
        "layerwise",
        LayerwiseSettings,
        "transferlens.training.recipes.selective:Layerwise",
        needs=("blocks in a known order",),
    ),
    RecipeKind(
        "bitfit",
        BitFitSettings,
        "transferlens.training.recipes.selective:BitFit",
        needs=("biases, or normalisations",),
    ),
)
# What trials vary, by kind and by key of the settings.
SEARCHED: Mapping[str, Mapping[str, Range]] = {
    "layerwise": {**BACKBONE_RATE, "decay": Uniform(0.5, 1.0)},
    "bitfit": BACKBONE_RATE,
}
