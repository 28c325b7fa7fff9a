"""The settings of the study of memories."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from transferlens.core.configuration import CapabilitySection
from transferlens.core.settings import Fraction, Section, different
from transferlens.training.recipes.settings.remedies import Remedy


class CompositeSettings(Section):
    """Target images pasted on images of source classes."""

    side: Fraction = Field(
        0.45, description="Side of the pasted image, as a fraction of the network input's."
    )
    placement: Literal["random", "grid"] = Field(
        "random", description="Where it is pasted: `random`, or the `grid` of nine places in turn."
    )
    per_cell: int = Field(
        30, ge=2, description="Composites of each pair of a source and a target class, in each half."
    )
    smallest_side: int = Field(
        24,
        ge=1,
        description="Composites whose pasted image has fewer pixels a side than this are not made: the "
        "target is left out, with a warning.",
    )
    scramble: Literal["blocks", "phase"] = Field(
        "blocks",
        description="How the control background loses its object: `blocks` (a 4 x 4 grid, shuffled) or "
        "`phase` (Fourier phases replaced at random).",
    )


class RemovalSettings(Section):
    """Whether an example is rescued by blurring the region where the memory shows."""

    share: Fraction = Field(0.2, description="Share of the image that is blurred.")
    shifts: int = Field(99, ge=19, description="Random shifts of the same region it is compared with.")
    examples: int = Field(50, ge=1, description="Highest ranked examples that are tested.")


class RemedySettings(Section):
    """Settings of the remedies."""

    classes: int = Field(
        10, ge=1, description="Most distracting source classes (by the choosing pairs) that a remedy uses."
    )
    weight: float = Field(
        1.0, gt=0, description="Weight of the remedy's loss beside the loss on the target's images."
    )


class MemorySettings(CapabilitySection):
    """What adapted models still recognise of their source, where it distracts, what helps; null for none."""

    key: ClassVar[str] = "memories"
    nullable: ClassVar[bool] = True
    default_null: ClassVar[bool] = True

    recipes: Annotated[list[str], AfterValidator(different)] = Field(
        ["full"],
        min_length=1,
        description="The recipes (keys of `recipes`) whose adapted models are studied, on every target. They "
        "need not be among those of `targets`: only the reference models are adapted by them.",
    )
    source: Literal["trained", "pretrained"] = Field(
        "trained",
        description="Which models saw the source: those `trained` here on all of it (study `reference`), or "
        "the `pretrained` ones (`studies.pretrained`).",
    )
    models: int = Field(
        4,
        ge=1,
        description="Pairs of a full-source (or pretrained) and a from-scratch model that report: what is "
        "told is told by them, on the report half of the images.",
    )
    choosing: int = Field(
        4,
        ge=1,
        description="Other such pairs, which choose on the select half what is reported: source classes, "
        "pairs of classes, what a class is bound to. With `models` at most as many as the repeats of their "
        "study.",
    )
    overlap: str = Field(
        "names",
        description="Pairs of a source and a target class that mean the same, and are never counted as "
        "distraction. `names` pairs classes of the same name; `none` says that there are none; else a CSV "
        "file with columns source_class, target_class, confirmed (`snakemake propose_overlap` writes one by "
        "WordNet; write yes or no in it).",
    )
    strongest: int = Field(
        50,
        ge=1,
        description="Source classes studied with composites: those most strongly bound, by weights and on "
        "the select half.",
    )
    random: int = Field(50, ge=0, description="And so many others drawn at random, as a control.")
    composites: CompositeSettings = Field(
        CompositeSettings(), description="Target images pasted on images of source classes."
    )
    smallest_cell: int = Field(
        20, ge=2, description="A pair of classes with fewer usable composites gets no estimate."
    )
    bootstrap: int = Field(
        2000, ge=100, description="Replicates of each bootstrap: of areas under ROC curves, of agreement."
    )
    permutations: int = Field(
        2000, ge=100, description="Random permutations of each test that exchanges classes."
    )
    examples: int = Field(500, ge=1, description="Target examples, and composites, in the gallery.")
    colormap: Literal["diverging", "magma", "jet"] = Field(
        "diverging",
        description="Colours of class maps in pictures: `diverging` for evidence for (red) and against "
        "(blue), `magma` for the positive evidence, both on a scale that panels share; `jet` as the paper "
        "draws it, stretched panel by panel.",
    )
    removal: RemovalSettings = Field(
        RemovalSettings(),
        description="Whether an example is rescued by blurring the region where the memory shows.",
    )
    without: Annotated[int, Field(ge=0)] | Literal["all"] = Field(
        0,
        description="The causal test: so many of the most distracting source classes, and as many others at "
        "random, or `all` source classes, are each left out of the source, which is trained again; models "
        "that saw a class are compared with those that did not (0 for no test; not of pretrained models).",
    )
    repeats: int = Field(
        2,
        ge=1,
        description="Models without each of these classes (fewer than 2 tell nothing of other models); at "
        "most `memories.models`, whose training seeds they share.",
    )
    remedies: Annotated[list[Remedy], AfterValidator(different)] = Field(
        [],
        description="Recipes against distraction that are made of each of `recipes` and compared with it. "
        "`composites` adds composites with their target's label; `uniform` adds images of distracting source "
        "classes with a uniform label; `consistency` asks for the same prediction on a composite as on its "
        "target image; `inside` penalises evidence outside of the pasted image.",
    )
    remedy: RemedySettings = Field(RemedySettings(), description="Settings of the remedies.")
