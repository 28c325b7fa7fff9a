"""Settings of the recipes that begin with a converged linear probe."""

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


class LpFtSettings(TunedSettings):
    """A linear probe, fitted until it converges, and full fine-tuning from there."""

    kind: Literal["lp_ft"] = Field("lp_ft", description="Which recipe.")
    batchnorm: Literal["train", "eval"] = Field(
        "eval",
        description="`eval` keeps the source's running statistics, which the probe was fitted with; `train` "
        "normalises with the target's batch statistics.",
    )
    held_out: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="Share of every class's training images that chooses the probe's regularisation; the "
        "probe is then fitted to all.",
    )
    grid: int = Field(
        10,
        ge=2,
        description="Strengths of regularisation that are tried, C from 1e-7 to 1e2 (published: 100, at ten "
        "times the cost).",
    )


class WiseFtSettings(LpFtSettings):
    """The weights between those of the probe and those of the fine-tuning that starts from it."""

    kind: Literal["wise_ft"] = Field("wise_ft", description="Which recipe.")
    alpha: float = Field(
        0.5, ge=0, le=1, description="Share of the fine-tuned weights: 0 is the probe, 1 is `lp_ft`."
    )
    bn: Literal["interpolate", "reestimate"] = Field(
        "reestimate",
        description="Running statistics that moved (`batchnorm: train`): interpolated as weights are, or "
        "estimated again, on the training images without augmentation.",
    )


def _check(settings: LpFtSettings, task: Task) -> str:
    """A class of two images at least is needed, to hold one out."""
    if task.train_images is None or task.train_images > task.target_classes:
        return ""
    return (
        f"its probe holds out training images to choose a regularisation, and {task.train_images} images of "
        f"{task.target_classes} classes leave none"
    )


def _kind(name: str, settings: type[LpFtSettings], implementation: str) -> RecipeKind:
    path = f"transferlens.training.recipes.probing:{implementation}"
    return RecipeKind(name, settings, path, check=_check)


KINDS = (_kind("lp_ft", LpFtSettings, "LpFt"), _kind("wise_ft", WiseFtSettings, "WiseFt"))
# What trials vary, by kind and by key of the settings.
SEARCHED: Mapping[str, Mapping[str, Range]] = {
    "lp_ft": BACKBONE_RATE,
    "wise_ft": {**BACKBONE_RATE, "alpha": Uniform(0.0, 1.0)},
}
