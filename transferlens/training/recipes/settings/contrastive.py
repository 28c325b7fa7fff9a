"""Settings of Bi-Tuning, and what the contrastive recipes share: queues of keys, and the encoder that makes
them."""

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


class ContrastSettings(TunedSettings):
    """Training beside queues of keys of every class, which a slowly moving copy of the network makes."""

    backbone_rate: float = Field(
        0.1, ge=0, description="Learning rate of the backbone as a factor of the head's."
    )
    queue: int = Field(40, ge=1, description="Keys that are kept of every class.")
    queue_start: Literal["random", "masked"] = Field(
        "random",
        description="What queues hold before keys have filled them: `random` vectors, or nothing (`masked`: "
        "empty places are left out of the contrast).",
    )
    temperature: float = Field(0.07, gt=0, description="Similarities are divided by it.")
    key_momentum: float = Field(
        0.999, ge=0, le=1, description="Share of its own weights that the key encoder keeps in a step."
    )


class BiTuningSettings(ContrastSettings):
    """Fine-tuning that also contrasts each image with others of its class, by features and by the head."""

    kind: Literal["bi_tuning"] = Field("bi_tuning", description="Which recipe.")
    weight: float = Field(1.0, ge=0, description="Weight of both contrastive losses.")
    projection: int = Field(128, ge=1, description="Numbers that the projector makes of the features.")
    class_keys: Literal["after", "before"] = Field(
        "after",
        description="Which keys the contrast with the head's rows sees: those in the queue `after` the "
        "batch's own have entered it (as released), or `before`, as the contrast of features does.",
    )


def too_small(settings: ContrastSettings, task: Task) -> str:
    """Why a contrast is not to be had on a task, in words; '' if it is."""
    if task.target_classes < 2:
        return f"it contrasts classes, and the target has {task.target_classes}; take one with two or more"
    if task.train_images is not None and task.train_images < 2:
        return (
            f"it normalises by batches of images, and the target has {task.train_images} to train on; "
            "take one with two or more"
        )
    return ""


KINDS = (
    RecipeKind(
        "bi_tuning",
        BiTuningSettings,
        "transferlens.training.recipes.bi_tuning:BiTuning",
        check=too_small,
    ),
)
# What trials vary, by kind and by key of the settings.
SEARCHED: Mapping[str, Mapping[str, Range]] = {
    "bi_tuning": {
        **BACKBONE_RATE,
        "weight": LogUniform(0.1, 10),
        "temperature": LogUniform(0.02, 0.2),
    },
}
