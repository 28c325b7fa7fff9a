"""Fine-tuning that keeps the small singular values of its features small."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from transferlens.training.recipes.settings.base import (
    BACKBONE_RATE,
    LogUniform,
    Range,
    RecipeKind,
    Task,
    TunedSettings,
)


class BssSettings(TunedSettings):
    """Batch spectral shrinkage: the smallest singular values of a batch's features are penalised."""

    kind: Literal["bss"] = Field("bss", description="Which recipe.")
    strength: float = Field(0.001, ge=0, description="Weight of the sum of their squares.")
    values: int = Field(1, ge=1, description="How many singular values, from the smallest on.")


def _too_few_images(settings: BssSettings, task: Task) -> str:
    """Why a batch has not so many singular values."""
    batch = min(settings.training.batch_size, task.train_images or settings.training.batch_size)
    if settings.values <= batch:
        return ""
    return f"values is {settings.values}, and the features of a batch of {batch} images have at most {batch}"


KINDS = (
    RecipeKind(
        "bss",
        BssSettings,
        "transferlens.training.recipes.spectral:Bss",
        needs=("as many features as singular values",),
        check=_too_few_images,
    ),
)
# What trials vary, by kind and by key of the settings.
SEARCHED: Mapping[str, Mapping[str, Range]] = {"bss": {**BACKBONE_RATE, "strength": LogUniform(1e-4, 1e-2)}}
