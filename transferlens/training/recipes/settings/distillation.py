"""Fine-tuning that keeps what the source head says: of the images, or of the target's classes."""

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


class LwfSettings(TunedSettings):
    """Learning without forgetting: the source head must answer as it did before fine-tuning."""

    kind: Literal["lwf"] = Field("lwf", description="Which recipe.")
    strength: float = Field(4.0, ge=0, description="Weight of the divergence of the source head's answers.")
    temperature: float = Field(3.0, gt=0, description="By which logits are divided for it.")


class CoTuningSettings(TunedSettings):
    """The source head must answer with the source classes that stand for the image's target class."""

    kind: Literal["co_tuning"] = Field("co_tuning", description="Which recipe.")
    strength: float = Field(2.3, ge=0, description="Weight of the source head's cross-entropy.")
    relationship: Literal["direct", "learned"] = Field(
        "direct",
        description="How source classes stand for a target class: `direct` as the source answers its images "
        "on average; `learned` by inverting a calibrated regression of the target's labels on these answers.",
    )
    source_rate: float = Field(
        0.1, ge=0, description="Learning rate of the source head, as a factor of the head's."
    )


_SOURCE_HEAD = ("source head",)


def _one_class(settings: LwfSettings, task: Task) -> str:
    """Why the source head has nothing to say."""
    return (
        "" if task.source_classes > 1 else "the source head has a single class, and always answers the same"
    )


def _images_missing(settings: CoTuningSettings, task: Task) -> str:
    """Why the classes cannot be related."""
    least = 1 if settings.relationship == "direct" else 2
    if reason := _one_class(settings, task):
        return reason
    if task.smallest_class is None or task.smallest_class >= least:
        return ""
    if task.smallest_class == 0:
        return "a target class has no training image, so that nothing relates it to source classes"
    return (
        "a target class has a single training image, and relationship: learned holds out one of each; "
        "set relationship: direct"
    )


KINDS = (
    RecipeKind(
        "lwf",
        LwfSettings,
        "transferlens.training.recipes.distillation:Lwf",
        needs=_SOURCE_HEAD,
        check=_one_class,
    ),
    RecipeKind(
        "co_tuning",
        CoTuningSettings,
        "transferlens.training.recipes.distillation:CoTuning",
        needs=_SOURCE_HEAD,
        check=_images_missing,
    ),
)
# What trials vary, by kind and by key of the settings.
SEARCHED: Mapping[str, Mapping[str, Range]] = {
    "lwf": {**BACKBONE_RATE, "strength": LogUniform(0.4, 40), "temperature": LogUniform(1, 9)},
    "co_tuning": {**BACKBONE_RATE, "strength": LogUniform(0.23, 23)},
}
