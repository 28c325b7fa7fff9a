"""Fine-tuning that stays near the source: near its weights, or near what its layers give."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from transferlens.training.recipes.settings.base import (
    BACKBONE_RATE,
    LogUniform,
    Range,
    RecipeKind,
    TunedSettings,
)

_HEAD_DECAY = "Weight decay of the head, in the loss."


class L2SpSettings(TunedSettings):
    """The backbone's weights are pulled to the source's and the head's to 0, in place of weight decay."""

    kind: Literal["l2_sp"] = Field("l2_sp", description="Which recipe.")
    strength: float = Field(
        0.01, ge=0, description="Weight of half the squared distance between backbone and source backbone."
    )
    head_decay: float = Field(0.01, ge=0, description=_HEAD_DECAY)


class BehaviouralSettings(TunedSettings):
    """What the ends of the stages give is pulled to what they give in the source."""

    kind: Literal["behavioural"] = Field("behavioural", description="Which recipe.")
    strength: float = Field(
        0.01,
        ge=0,
        description="Weight of half the squared distance between the outputs, an image's mean. The published "
        "0.01 weighs the sum over a batch of 48 images, which is 0.48 here.",
    )
    head_decay: float = Field(0.01, ge=0, description=_HEAD_DECAY)


class DeltaSettings(BehaviouralSettings):
    """The same, by the mean over cells, and channels weigh by what the source loses without them."""

    kind: Literal["delta"] = Field("delta", description="Which recipe.")
    attention: Literal["learned", "uniform"] = Field(
        "learned",
        description="What channels weigh: `learned` by how much the loss of a classifier on the source's "
        "features grows when one is set to 0; `uniform` all alike.",
    )
    attention_images: int = Field(
        320, ge=1, description="Training images at most that learned attention is measured on."
    )


class LdifsSettings(TunedSettings):
    """Directions of what the ends of the stages give are pulled to those in the source."""

    kind: Literal["ldifs"] = Field("ldifs", description="Which recipe.")
    strength: float = Field(
        10.0, ge=0, description="Weight of the mean squared distance between normalised outputs."
    )
    normalise: Literal["channel", "token"] = Field(
        "channel",
        description="What is brought to length one: `channel` a cell's vector over the channels, `token` a "
        "channel's map over the cells.",
    )


_BLOCKS = ("blocks in depth order",)
KINDS = (
    RecipeKind("l2_sp", L2SpSettings, "transferlens.training.recipes.anchored:L2Sp"),
    RecipeKind(
        "behavioural",
        BehaviouralSettings,
        "transferlens.training.recipes.anchored:Behavioural",
        needs=_BLOCKS,
    ),
    RecipeKind("delta", DeltaSettings, "transferlens.training.recipes.anchored:Delta", needs=_BLOCKS),
    RecipeKind("ldifs", LdifsSettings, "transferlens.training.recipes.anchored:Ldifs", needs=_BLOCKS),
)
_NEAR: Mapping[str, Range] = {
    **BACKBONE_RATE,
    "strength": LogUniform(0.001, 0.1),
    "head_decay": LogUniform(0.001, 0.1),
}
# What trials vary, by kind and by key of the settings.
SEARCHED: Mapping[str, Mapping[str, Range]] = {
    "l2_sp": _NEAR,
    "behavioural": _NEAR,
    "delta": _NEAR,
    "ldifs": {**BACKBONE_RATE, "strength": LogUniform(1, 100)},
}
