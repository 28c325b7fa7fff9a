"""The settings of task-relatedness."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from transferlens.core.configuration import CapabilitySection
from transferlens.core.settings import ClassSelection, Name, Section, different

Transform = Literal["FixedAll", "LearnedA", "LearnedAll"]
_Tau = Annotated[float, Field(gt=0)]


def learned(transforms: list[str]) -> list[str]:
    """The transforms that are found by optimisation."""
    return [name for name in transforms if name != "FixedAll"]


class ReferenceSettings(Section):
    """A reference task: some classes of a data set. By default there is one, `source`: the source's own."""

    dataset: str | None = Field(
        None,
        description="Name of its data set (a key of `datasets`, or a registered name); null for the source.",
    )
    classes: ClassSelection | None = Field(
        None,
        description="The classes in use, as `datasets.<name>.classes`; null for all. They are chosen among "
        "images that are prepared whole.",
    )
    targets: Annotated[list[str], AfterValidator(different)] | None = Field(
        None, min_length=1, description="The targets that it is a reference of; null for all."
    )


class RelatednessSettings(CapabilitySection):
    """A bound of the loss of linear probes, from turning a reference task into the target; null for none."""

    key: ClassVar[str] = "relatedness"
    nullable: ClassVar[bool] = True
    default_null: ClassVar[bool] = True

    mode: Literal["rigorous", "faithful"] = Field(
        "rigorous",
        description="`rigorous`: exact transport class by class, the true inverse and Lipschitz constant, so "
        "that the bound is one. `faithful`: the eleven numbers of the published algorithm stand beside it, "
        "made as its programs make them, which takes as many reference classes as target classes.",
    )
    transforms: Annotated[list[Transform], AfterValidator(different)] = Field(
        ["FixedAll", "LearnedA", "LearnedAll"],
        min_length=1,
        description="How much of the reference is turned into the target: classes are paired, and nothing "
        "is learned (`FixedAll`); features are mapped, too (`LearnedA`); or features, labels and class prior "
        "are learned (`LearnedAll`). The last of the list is the one that is reported.",
    )
    feature_map: Literal["identity", "orthogonal", "affine"] = Field(
        "orthogonal",
        description="Which maps of features are learned. `orthogonal` (with a shift) keeps the Lipschitz "
        "constant of the head; `affine` can lower the bound by stretching features, towards the loss of who "
        "knows nothing.",
    )
    label_start: Literal["random", "hungarian", "uniform"] = Field(
        "hungarian",
        description="How classes are paired, where labels are not learned, and where learning them starts: "
        "at `random`, by the assignment of classes of the least distance (`hungarian`), or all alike "
        "(`uniform`).",
    )
    taus: Annotated[list[_Tau], AfterValidator(different)] = Field(
        [0.2],
        min_length=1,
        description="Lipschitz constants that heads are held to; the first one is reported, the others are "
        "its sweep.",
    )
    draws: int = Field(
        3,
        ge=1,
        description="How often each transform is found anew: choices of `batch_size` images, and pairs of "
        "classes where these are drawn at random; all are averaged.",
    )
    references: dict[Name, ReferenceSettings] = Field(
        {"source": ReferenceSettings()},
        min_length=1,
        description="The reference tasks by name; by default the source's own classes.",
    )
    models: dict[str, Annotated[int, Field(ge=1)] | None] = Field(
        {"reference": 8},
        min_length=1,
        description="The models whose features are used: at most so many of a study's first models, by "
        "study; null for all. Those of study `reference`, and of encoders (`encoders/<name>`), are by turns "
        "of the whole source, or of given weights, and randomly initialised ones: the control.",
    )
    images_per_class: int = Field(
        100,
        ge=4,
        description="At most so many images of a class enter, of either task, for training as for testing (a "
        "seeded choice): transport takes the square of them in memory, and more in time.",
    )
    rounds: int = Field(
        20,
        ge=1,
        description="Rounds of learning a transform; each solves the transport of every class exactly.",
    )
    batch_size: int = Field(
        400, ge=2, description="Training images of either task that transforms are learned from, at most."
    )
    scale: Literal["small", "large"] = Field(
        "small",
        description="Which of the two published programs is followed (mode faithful), with its rates, "
        "weights and batches.",
    )
    steps: int | None = Field(
        None, ge=1, description="Its optimiser steps; null for its own number (1,001 or 2,001)."
    )
