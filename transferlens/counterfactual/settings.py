"""The settings of counterfactual studies, and of influences that are reused for another network."""

from typing import Annotated, ClassVar, Literal, TypeVar, get_args

from pydantic import AfterValidator, Field

from transferlens.core.configuration import OUTPUTS, CapabilitySection
from transferlens.core.settings import ArchitectureSettings, Name
from transferlens.training.capability import SHARD_SIZE, SHARD_WORDS

Order = Literal["top", "bottom", "random", "matched", "label_mapping"]
# The names that an order of a user's own cannot have: they say what a row lacks.
BUILT_IN = (*get_args(Order), "handpicked", "single")
OrderName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
T = TypeVar("T")


def _distinct(values: list[T]) -> list[T]:
    if len(set(values)) < len(values):
        raise ValueError("each must stand there once")
    return values


Orders = Annotated[list[Order], Field(min_length=1), AfterValidator(_distinct)]
Counts = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1), AfterValidator(_distinct)]
Names = Annotated[list[str], Field(min_length=1), AfterValidator(_distinct)]


class CounterfactualStudy(CapabilitySection):
    """The full source without its most helpful, most harmful or random classes, retrained; null for none.

    It needs the studies `influence`, which ranks the classes, and `reference`, which it is paired with.
    """

    key: ClassVar[str] = "studies.counterfactual"
    nullable: ClassVar[bool] = True

    orders: Orders = Field(
        ["top", "bottom", "random"],
        description="`top` removes the most helpful classes first, `bottom` the most harmful first. "
        "Controls: `random` in a fresh random order each repeat; `matched` a random set with about as many "
        "images as `bottom` removes; `label_mapping` first the classes into which the full source model puts "
        "the fewest target images.",
    )
    ks: Counts = Field([1, 2, 4, 8], description="Numbers of classes removed.")
    order_files: dict[OrderName, str] = Field(
        {},
        description="More orders, by name: CSV files with a column `source_class` that names every source "
        "class once, the first removed first; `{target}` in a path stands for the target's name.",
    )
    handpicked: Names | dict[Name, Names] | None = Field(
        None,
        description="Classes to keep in one more control, chosen by knowledge of the target, by name or as "
        "`wordnet:<id>` for all source classes in a subtree of WordNet (ids as n02084071): one list for all "
        "targets, or lists by target; null for none.",
    )
    singles: int = Field(
        0,
        ge=0,
        description="Classes that are also removed one at a time, evenly spaced from the most harmful to the "
        "most helpful, to compare the realised effect with the predicted one.",
    )
    subsets: int = Field(
        0,
        ge=0,
        description="Random sets of classes that each repeat draws and removes, of sizes spread evenly from "
        "2 to half of the classes: the realised effects are compared with the sums of the influences and of "
        "cheaper rivals. 0 for none, else at least 4.",
    )
    step_check: int | None = Field(
        None,
        ge=1,
        description="At this one of the `ks`, also train the sources of `bottom` and `top` with as many "
        "optimiser steps as the full source: does an effect survive equal numbers of steps? null for no "
        "check.",
    )
    step_matched: bool = Field(
        False,
        description="Whether models that see fewer classes take as many optimiser steps as the full source, "
        "by further passes; else as many as their images make in the same epochs.",
    )
    repeats: int = Field(
        3,
        ge=2,
        description="Models for each order and k (the intervals are over them); at most the reference "
        "repeats.",
    )
    output: OUTPUTS = Field("margin", description="The stored output whose influences rank the classes.")
    shard_size: int = Field(SHARD_SIZE, ge=1, description=SHARD_WORDS)


class ReuseStudy(CapabilitySection):
    """Test influences on another architecture or recipe than they were estimated with; null for none.

    The counterfactual study again, with the same masks.
    """

    key: ClassVar[str] = "studies.reuse"
    nullable: ClassVar[bool] = True
    default_null: ClassVar[bool] = True

    architecture: ArchitectureSettings = Field(
        description="Architecture of the source models; repeat the one above to change the recipe only."
    )
    recipe: str | None = Field(
        None,
        description="Recipe of the transfers; null for the one that the influences were estimated with.",
    )


class BlockRemovalStudy(CapabilitySection):
    """The full source without the blocks of images that help or hurt most, retrained; null for none.

    It needs the studies `examples`, which ranks the blocks, and `reference`, which it is paired with.
    """

    key: ClassVar[str] = "studies.block_removals"
    nullable: ClassVar[bool] = True
    default_null: ClassVar[bool] = True

    orders: Annotated[
        list[Literal["top", "bottom", "random"]], Field(min_length=1), AfterValidator(_distinct)
    ] = Field(
        ["top", "bottom", "random"],
        description="`top` removes the most helpful blocks first, `bottom` the most harmful first, `random` "
        "in a fresh random order each repeat.",
    )
    ks: Counts = Field(description="Numbers of blocks removed (of studies.examples.images_a_block images).")
    repeats: int = Field(
        3,
        ge=2,
        description="Models for each order and k (the intervals are over them); at most the reference "
        "repeats.",
    )
    output: OUTPUTS = Field("margin", description="The output whose influences rank the blocks.")
    shard_size: int = Field(SHARD_SIZE, ge=1, description=SHARD_WORDS)


def removal_study(target: str, recipe: str) -> str:
    """The name of the counterfactual study of a target and recipe."""
    return f"counterfactual/{target}/{recipe}"


def step_study(target: str, recipe: str) -> str:
    """The name of the study that trains removals with as many steps as the full source."""
    return f"steps/{target}/{recipe}"
