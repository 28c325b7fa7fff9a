"""Recipes by name, and their settings; what a plan needs to know of each, without torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from transferlens.core.errors import ConfigError, nearest
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


class FixedSettings(RecipeSettings):
    """Fixed features: the backbone's parameters stay, and a new head is trained on its features."""

    kind: Literal["fixed"] = Field("fixed", description="Which recipe.")
    batchnorm: Literal["eval", "train"] = Field(
        "eval",
        description="`eval` computes the features of the evaluation crop once, with the source's running "
        "statistics; `train` normalises with the target's batch statistics.",
    )


class FullSettings(RecipeSettings):
    """Full fine-tuning: every parameter is trained."""

    kind: Literal["full"] = Field("full", description="Which recipe.")


Remedy = Literal["composites", "uniform", "consistency", "inside"]


class RemediedSettings(RecipeSettings):
    """Full fine-tuning beside images made of source images of distracting classes."""

    kind: Remedy = Field(
        description="`composites` adds target images pasted on source images, with the target's label; "
        "`uniform` adds source images that must look like no target class; `consistency` asks that "
        "composites are taken for what their pasted image is; `inside` that their evidence lies where it was "
        "pasted."
    )
    classes: int = Field(3, ge=1, description="Source classes in use: those that distract most.")
    weight: float = Field(1.0, gt=0, description="Weight of the loss on these images.")


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
        runs: training runs of different seeds that make one model.
    """

    name: str
    settings: type[RecipeSettings]
    path: str
    changes_backbone: Callable[[Any], bool]
    caches_features: Callable[[Any], bool] = lambda settings: False
    images_beside: int = 0
    asked_for_by: str = ""
    epochs: Callable[[Any], int] = lambda settings: settings.training.epochs
    runs: int = 1


_REMEDIES = {
    "composites": "Composites",
    "uniform": "Uniform",
    "consistency": "Consistency",
    "inside": "Inside",
}
KINDS = {
    kind.name: kind
    for kind in (
        RecipeKind(
            "fixed",
            FixedSettings,
            "transferlens.training.recipes.fixed:Fixed",
            changes_backbone=lambda settings: settings.batchnorm == "train",  # its running statistics
            caches_features=lambda settings: settings.batchnorm == "eval",
        ),
        RecipeKind(
            "full",
            FullSettings,
            "transferlens.training.recipes.full:Full",
            changes_backbone=lambda settings: True,
        ),
        *(
            RecipeKind(
                name,
                RemediedSettings,
                f"transferlens.training.recipes.remedies:{implementation}",
                changes_backbone=lambda settings: True,
                images_beside=1,
                asked_for_by="memories.remedies",
            )
            for name, implementation in _REMEDIES.items()
        ),
    )
}


def read(given: Mapping[str, Any], where: str = "settings") -> RecipeSettings:
    """Read a recipe's settings by its kind.

    Raises:
        ConfigError: an unknown kind, or settings that are not of it.
    """
    kind = given.get("kind")
    if kind not in KINDS:
        start, key = ("settings", "kind") if where == "settings" else ("config", f"{where}.kind")
        raise ConfigError(f"{start}: '{key}' is {kind!r}" + nearest(str(kind), list(KINDS)))
    return KINDS[kind].settings.read(given, where)


def changes_backbone(settings: RecipeSettings) -> bool:
    """Whether the adapted backbone differs from the source model's."""
    return KINDS[settings.kind].changes_backbone(settings)


def caches_features(settings: RecipeSettings) -> bool:
    """Whether features are computed once, and only a head is trained on them."""
    return KINDS[settings.kind].caches_features(settings)


def log_rows(settings: RecipeSettings) -> int:
    """Rows of a model's training log: the epochs of all its runs."""
    kind = KINDS[settings.kind]
    return kind.epochs(settings) * kind.runs
