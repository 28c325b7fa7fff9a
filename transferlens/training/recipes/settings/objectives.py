"""What a network can be trained for other than its labels as they are: source models, and transfers too."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from transferlens.core.settings import Attack, SelfSupervision, SourceTrainingSettings
from transferlens.training.recipes.settings.base import (
    BACKBONE_RATE,
    LogUniform,
    Range,
    RecipeKind,
    RecipeSettings,
    Task,
    TunedSettings,
)
from transferlens.training.recipes.settings.plain import FullSettings


class SimclrSettings(SelfSupervision, RecipeSettings):
    """Training of the backbone without labels, and a linear head on its features."""

    kind: Literal["simclr"] = Field("simclr", description="Which recipe.")


class AdversarialSettings(Attack, TunedSettings):
    """Full fine-tuning on images changed to raise the loss."""

    kind: Literal["adversarial"] = Field("adversarial", description="Which recipe.")


def of_source(training: SourceTrainingSettings) -> RecipeSettings:
    """The recipe by which source models are trained."""
    plain = training.supervised()
    if training.objective == "simclr":
        return SimclrSettings(training=plain, **dict(training.contrast))
    if training.objective == "adversarial":
        return AdversarialSettings(training=plain, **dict(training.attack))
    return FullSettings(training=plain)


def _cannot(settings: SimclrSettings, task: Task) -> str:
    settings.probe.check("the probe of simclr")
    return settings.without_difference(settings.training)


KINDS = (
    RecipeKind(
        "simclr",
        SimclrSettings,
        "transferlens.training.recipes.self_supervised:Simclr",
        epochs=lambda settings: settings.training.epochs + settings.probe.epochs,
        head_epochs=lambda settings: settings.probe.epochs,
        check=_cannot,
    ),
    RecipeKind("adversarial", AdversarialSettings, "transferlens.training.recipes.adversarial:Adversarial"),
)
# What trials vary, by kind and by key of the settings.
SEARCHED: Mapping[str, Mapping[str, Range]] = {
    "simclr": {"temperature": LogUniform(0.1, 2.5)},
    "adversarial": {**BACKBONE_RATE, "radius": LogUniform(0.05, 5)},
}
