"""The settings of feature dynamics."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from transferlens.core.configuration import CapabilitySection
from transferlens.core.settings import Section, different, refuse
from transferlens.training.moments import MomentSettings

# The unbiased estimator of CKA needs as many images in a batch.
SMALLEST_BATCH = 4


class ProbeSettings(Section):
    """The images on which networks are compared: fixed ones, drawn at random from a data set's val split."""

    images: int = Field(2048, ge=2 * SMALLEST_BATCH, description="How many of each domain, at most.")
    batch: int = Field(
        64,
        ge=SMALLEST_BATCH,
        description="Images of a batch, within which Gram matrices are made; what does not fill one is left "
        "out. Intervals are over batches: 16 or more are advised.",
    )

    @model_validator(mode="after")
    def _two_batches(self) -> Self:
        if self.images < 2 * self.batch:
            refuse(
                f"dynamics.probe.images is {self.images}, less than two batches of {self.batch} "
                "(dynamics.probe.batch), so that nothing has an interval; raise it, or lower the batch"
            )
        return self


class UnitSettings(Section):
    """The visual half: what single units (channels) answer to, of the first model."""

    images: int = Field(128, ge=8, description="Probe images of the target.")
    shown: int = Field(
        4,
        ge=1,
        description="Units of a layer that strips show: those that drift most, and as many at random beside "
        "them; chosen on one half of the images, shown on the other.",
    )
    top: int = Field(9, ge=1, description="Images that move a unit most, which are followed over time.")
    smallest_side: int = Field(
        6, ge=1, description="Units whose receptive fields have fewer pixels a side get no strip of them."
    )


class DriftSettings(Section):
    """Drift of every model of study `influence`: which source class moves which layer, and when."""

    images: int = Field(512, ge=2 * SMALLEST_BATCH, description="Probe images of each domain, at most.")
    steps: MomentSettings = Field(
        MomentSettings(doubling=False, epochs=[1]),
        description="When drift is told, beside the end.",
    )
    counterfactual: bool = Field(
        True, description="Also of the models of study `counterfactual`, from which classes were removed."
    )


class DynamicsSettings(CapabilitySection):
    """What changes in networks while they are adapted, on every target; null for none."""

    key: ClassVar[str] = "dynamics"
    nullable: ClassVar[bool] = True
    default_null: ClassVar[bool] = True

    recipes: Annotated[list[str], AfterValidator(different)] = Field(
        ["full"],
        min_length=1,
        description="The recipes (keys of `recipes`) that are followed, on every target. They need not be "
        "among those of `targets`.",
    )
    source: Literal["trained", "pretrained"] = Field(
        "trained",
        description="Which models are adapted: those `trained` here on all of the source (study "
        "`reference`), or the `pretrained` ones (`studies.pretrained`); models from scratch beside them.",
    )
    models: int = Field(
        4, ge=1, description="Pairs of a source model and a model from scratch: the first repeats."
    )
    layers: Annotated[list[str] | None, AfterValidator(different)] = Field(
        None,
        min_length=1,
        description="Paths of the layers in the network (`backbone.layer1.0`); null for all blocks, and "
        "`backbone`, what the head sees.",
    )
    steps: MomentSettings = Field(MomentSettings(), description="When networks are kept.")
    probe: ProbeSettings = Field(ProbeSettings(), description="The images on which they are compared.")
    permutations: int = Field(
        50, ge=39, description="Random orders of the images in the null of every similarity."
    )
    keep_networks: bool = Field(
        False,
        description="Whether the networks along the way stay; else they are deleted once they were looked "
        "at, and trained again where more is asked of them.",
    )
    units: UnitSettings | None = Field(
        UnitSettings(), description="What single units answer to; null to do without."
    )
    influence: DriftSettings | None = Field(
        None,
        description="Which source class moves which layer: every model of study `influence` is adapted once "
        "more; null to do without.",
    )

    @model_validator(mode="after")
    def _two_batches_of_drift(self) -> Self:
        if self.influence and self.influence.images < 2 * self.probe.batch:
            refuse(
                f"dynamics.influence.images is {self.influence.images}, less than two batches of "
                f"{self.probe.batch} (dynamics.probe.batch); raise it, or lower the batch"
            )
        return self
