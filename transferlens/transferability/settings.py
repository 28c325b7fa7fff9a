"""The settings of the test bed of transferability scores."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from transferlens.core.configuration import CapabilitySection

# The scores that cost little more than a decomposition of one model's features.
FAST = ("nce", "leep", "hscore", "hscore_regularised", "logme", "transrate", "gbc", "sfda", "energy", "knn_5")
# The studies whose models are candidate sources; `encoders` and `counterfactual` stand for all of theirs.
FAMILIES = ("reference", "influence", "counterfactual", "pretrained", "encoders")


def family(study: str) -> str:
    """The kind of a study: the first part of its name."""
    return study.split("/")[0]


class TransferabilitySettings(CapabilitySection):
    """Which published score tells which source model will transfer; null for not asked."""

    key: ClassVar[str] = "transferability"
    nullable: ClassVar[bool] = True
    default_null: ClassVar[bool] = True

    scores: Literal["all"] | Annotated[list[str], Field(min_length=1)] = Field(
        list(FAST),
        description="Scores of every source model on the target's training images (docs/scores.md has them); "
        "`all` for all of them.",
    )
    studies: list[str] | None = Field(
        None,
        min_length=1,
        description=f"Whose models are candidates, of {', '.join(f'`{name}`' for name in FAMILIES)} "
        "(`encoders` and `counterfactual` stand for all of theirs); null for those of them that the run has.",
    )
    models: int | None = Field(
        None,
        ge=8,
        multiple_of=2,
        description="How many of a study's first models are candidates, complementary pairs whole; null for "
        "all.",
    )
    permutations: int = Field(
        2000,
        ge=100,
        description="How often source classes are exchanged at random, for the p-value of what a score sees "
        "of them.",
    )
