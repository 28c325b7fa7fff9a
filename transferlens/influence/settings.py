"""The settings of class influences and of the studies they are estimated from."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from transferlens.core.configuration import OUTPUTS, CapabilitySection
from transferlens.core.settings import Fraction
from transferlens.training.capability import SHARD_SIZE, SHARD_WORDS

Design = Literal["hadamard", "complementary", "bernoulli", "fixed_size"]
Estimator = Literal["least_squares", "difference_of_means", "ridge", "lasso"]
_DESIGN_WORDS = (
    "How masks are drawn. `hadamard`: pairs of complementary masks in which all classes are balanced and, "
    "over a whole block, orthogonal: the fewest models for a given precision. `complementary`: random pairs "
    "of complementary masks. `bernoulli`: each class independently. `fixed_size` (the paper's): exactly a "
    "fraction of the classes, which makes the influences of an example sum to about zero (negative then "
    "means below the average class). All others estimate absolute effects."
)
_KEEP_WORDS = "Fraction kept; one half for hadamard and complementary."
_ESTIMATOR_WORDS = (
    "`least_squares` adjusts for the other classes a model saw, and needs more models than classes; "
    "`difference_of_means` is the paper's; `ridge` shrinks, for fewer models than classes (its intervals do "
    "not cover the bias); `lasso` takes most effects for zero (datamodels; slow)."
)
ShardSize = Annotated[int, Field(ge=1)]


class InfluenceStudy(CapabilitySection):
    """Models trained on random subsets of the source classes; null for none."""

    key: ClassVar[str] = "studies.influence"
    nullable: ClassVar[bool] = True

    design: Design = Field("hadamard", description=_DESIGN_WORDS)
    keep: Fraction = Field(0.5, description=_KEEP_WORDS)
    units: Literal["classes", "groups"] = Field(
        "classes",
        description="What a mask switches on and off: every source class by itself, or the source data set's "
        "groups of classes together.",
    )
    models: int = Field(
        128, ge=8, description="Number of models. Asking for more later trains only the new ones."
    )
    shard_size: ShardSize = Field(SHARD_SIZE, description=SHARD_WORDS)


class RepeatedStudy(CapabilitySection):
    """The first masks of the influence study once more, from other seeds; null for none.

    How well these agree with the first ones is the ceiling of what any prediction can reach.
    """

    key: ClassVar[str] = "studies.repeated"
    nullable: ClassVar[bool] = True

    models: int = Field(16, ge=8, description="How many of the influence study's masks are repeated.")
    shard_size: ShardSize = Field(SHARD_SIZE, description=SHARD_WORDS)


class ExampleStudy(CapabilitySection):
    """Models trained on random subsets of the source's images, in blocks of one class; null for none.

    They find images that leak into the target or mislead it.
    """

    key: ClassVar[str] = "studies.examples"
    nullable: ClassVar[bool] = True
    default_null: ClassVar[bool] = True

    images_a_block: int = Field(
        10, ge=1, description="Images switched on and off together (1 for single images)."
    )
    # With fewer models than blocks, independent masks are best.
    design: Design = Field("bernoulli", description=_DESIGN_WORDS)
    keep: Fraction = Field(0.5, description=_KEEP_WORDS)
    models: int = Field(256, ge=32, description="Number of models.")
    shard_size: ShardSize = Field(SHARD_SIZE, description=SHARD_WORDS)


class InfluenceSettings(CapabilitySection):
    """Estimation of class influences."""

    key: ClassVar[str] = "influence"

    outputs: list[OUTPUTS] = Field(
        ["margin", "p_true"], min_length=1, description="Stored outputs to estimate influences on."
    )
    estimator: Estimator = Field("least_squares", description=_ESTIMATOR_WORDS)
    compared: list[Estimator] = Field(
        ["least_squares", "difference_of_means", "ridge"],
        description="Estimators scored on held-out models, beside the one above.",
    )
