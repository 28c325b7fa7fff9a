"""Settings of the recipes that project the weights towards the source's after every step."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from transferlens.training.recipes.settings.base import (
    BACKBONE_RATE,
    LogUniform,
    Range,
    RecipeKind,
    TunedSettings,
    Uniform,
)


class FtpSettings(TunedSettings):
    """Full fine-tuning within radii around the source's weights that are learned along the way."""

    kind: Literal["ftp"] = Field("ftp", description="Which recipe.")
    shrinking: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Factor of the slopes that shrink a radius: at 1 radii shrink as they grow, at 0 they "
        "never do.",
    )
    radius_rate: float = Field(0.01, gt=0, description="Learning rate of the radii (Adam's).")


class SpdSettings(TunedSettings):
    """Full fine-tuning that takes back what led away from the source, where the descent turns back."""

    kind: Literal["spd"] = Field("spd", description="Which recipe.")
    strength: float = Field(
        1.0,
        ge=0,
        description="How much of it is taken back: 1 projects to the distance before the step, more goes "
        "further, 0 is plain fine-tuning (no published default).",
    )


class MarsSettings(TunedSettings):
    """Full fine-tuning within a fixed radius around the source's weights."""

    kind: Literal["mars_sp"] = Field("mars_sp", description="Which recipe.")
    radius: float | None = Field(
        7.4,
        ge=0,
        description="Largest distance of a row of weights from the source's; null for any (the default is "
        "the middle of the published search, from 1.6 to 33).",
    )
    norm: Literal["rows", "frobenius"] = Field(
        "rows",
        description="Distances: l1 norms of rows (a layer's outputs), or the Frobenius norm of a tensor.",
    )
    head_radius: float | None = Field(
        None, ge=0, description="Largest norm of a row of the head's weights (or of all); null for any."
    )


def _kind(name: str, settings: type[TunedSettings], implementation: str) -> RecipeKind:
    path = f"transferlens.training.recipes.projection:{implementation}"
    return RecipeKind(name, settings, path)


KINDS = (
    _kind("ftp", FtpSettings, "Ftp"),
    _kind("spd", SpdSettings, "Spd"),
    _kind("mars_sp", MarsSettings, "MarsSp"),
)
# What trials vary, by kind and by key of the settings.
SEARCHED: Mapping[str, Mapping[str, Range]] = {
    "ftp": {**BACKBONE_RATE, "shrinking": Uniform(0.0, 1.0)},
    "spd": {**BACKBONE_RATE, "strength": LogUniform(0.3, 3)},
    "mars_sp": {**BACKBONE_RATE, "radius": LogUniform(1.6, 33)},  # the published search
}
