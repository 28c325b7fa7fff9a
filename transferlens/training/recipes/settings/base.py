"""What all recipes have: their settings, what others need to know of a kind, and how trials may vary it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from transferlens.core.settings import Section, TrainingSettings


class RecipeSettings(Section):
    """How a source model is adapted: what every kind of recipe has."""

    kind: str = Field(description="Which recipe.")
    training: TrainingSettings = Field(TrainingSettings(), description="Optimisation and augmentation.")
    reseed: int = Field(
        0,
        ge=0,
        description="Which seeds of the transfer: 0 for the usual ones, any other number for others, of the "
        "same source models.",
    )


class TunedSettings(RecipeSettings):
    """Recipes that train the whole network."""

    backbone_rate: float = Field(
        1.0, ge=0, description="Learning rate of the backbone, as a factor of the head's."
    )
    batchnorm: Literal["train", "eval"] = Field(
        "train",
        description="`train` normalises with the batch's statistics, and the running ones follow; `eval` "
        "normalises with the source's running statistics, which stay.",
    )


@dataclass(frozen=True)
class Task:
    """What is known of a transfer before it runs.

    Attributes:
        source_classes: outputs of the source head.
        target_classes: outputs of the target head.
        train_images: of the target; None where they are not known yet.
        smallest_class: training images of the target class that has the fewest; None likewise.
    """

    source_classes: int
    target_classes: int
    train_images: int | None = None
    smallest_class: int | None = None


@dataclass(frozen=True)
class RecipeKind:
    """A kind of recipe, and what others need to know of it.

    Attributes:
        path: `module:Class` of its implementation, a `recipes.base.Recipe`.
        changes_backbone: whether an adapted backbone differs from the source model's.
        caches_features: whether features are computed once, and only a head is trained on them.
        images_beside: images that join every image of a batch.
        asked_for_by: the key by which an analysis derives recipes of this kind, if no one can write
            them: they need source training images of classes that it finds.
        epochs: of all phases of a run.
        head_epochs: of these, those of a head alone on features that are computed once.
        runs: training runs of different seeds that make one model.
        in_blocks: whether models may be trained side by side as one network: by the batch's cross-entropy
            alone, all at once, and with nothing done between two steps.
        needs: what of a source model or a network it takes, in words; a network is then tried before
            anything runs (`recipes.base.Recipe.refuses`).
        in_blocks: whether models may be trained side by side: in one phase, a step is one forward pass of one
            view, a loss, and the optimiser's step, with nothing before, beside or after it.
        check: why a task cannot be learned so, in words; '' if it can.
    """

    name: str
    settings: type[RecipeSettings]
    path: str
    changes_backbone: Callable[[Any], bool] = lambda settings: True
    caches_features: Callable[[Any], bool] = lambda settings: False
    images_beside: int = 0
    asked_for_by: str = ""
    epochs: Callable[[Any], int] = lambda settings: settings.training.epochs
    head_epochs: Callable[[Any], int] = lambda settings: 0
    runs: int = 1
    in_blocks: bool = False
    needs: tuple[str, ...] = ()
    in_blocks: bool = False
    check: Callable[[Any, Task], str] = lambda settings, task: ""

    @property
    def code(self) -> tuple[str, ...]:
        """What decides the results of its recipes: the implementation, and what its family declares."""
        return self.path, f"{self.settings.__module__}:KINDS"

    @property
    def searched(self) -> str:
        """Where its family declares what trials vary of it (apart from `code`: it decides no transfer)."""
        return f"{self.settings.__module__}:SEARCHED"


@dataclass(frozen=True)
class LogUniform:
    """Numbers whose logarithms are alike in chance."""

    low: float
    high: float

    def at(self, share: float) -> float:
        """The number below which a share in [0, 1] of draws lie."""
        return self.low * (self.high / self.low) ** share

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest."""
        return self.low, self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}, log-uniformly"


@dataclass(frozen=True)
class Uniform:
    """Numbers that are alike in chance."""

    low: float
    high: float

    def at(self, share: float) -> float:
        """The number below which a share in [0, 1] of draws lie."""
        return self.low + (self.high - self.low) * share

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest."""
        return self.low, self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}, uniformly"


@dataclass(frozen=True)
class OneOf:
    """A few numbers that are alike in chance."""

    values: tuple[float, ...]

    def at(self, share: float) -> float:
        """The one that a share in [0, 1) of draws falls on."""
        return self.values[int(share * len(self.values))]

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest."""
        return min(self.values), max(self.values)

    def __str__(self) -> str:
        return "one of " + ", ".join(f"{value:g}" for value in self.values)


Range = LogUniform | Uniform | OneOf
# The same for every recipe that trains the backbone: none is to win by being the only one that may slow it.
BACKBONE_RATE: dict[str, Range] = {"backbone_rate": LogUniform(0.1, 1.0)}
