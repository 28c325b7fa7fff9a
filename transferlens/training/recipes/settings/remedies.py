"""Remedies against memories of the source: fine-tuning beside images made of source images."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from transferlens.training.recipes.settings.base import Range, RecipeKind, TunedSettings

Remedy = Literal["composites", "uniform", "consistency", "inside"]


class RemediedSettings(TunedSettings):
    """Full fine-tuning beside images made of source images of distracting classes."""

    kind: Remedy = Field(
        description="`composites` adds target images pasted on source images, with the target's label; "
        "`uniform` adds source images that must look like no target class; `consistency` asks that "
        "composites are taken for what their pasted image is; `inside` that their evidence lies where it was "
        "pasted."
    )
    classes: int = Field(3, ge=1, description="Source classes in use: those that distract most.")
    weight: float = Field(1.0, gt=0, description="Weight of the loss on these images.")


_IMPLEMENTATIONS = {
    "composites": "Composites",
    "uniform": "Uniform",
    "consistency": "Consistency",
    "inside": "Inside",
}
KINDS = tuple(
    RecipeKind(
        name,
        RemediedSettings,
        f"transferlens.training.recipes.remedies:{implementation}",
        images_beside=1,
        asked_for_by="memories.remedies",
    )
    for name, implementation in _IMPLEMENTATIONS.items()
)
# No one can write them, and none is tuned.
SEARCHED: Mapping[str, Mapping[str, Range]] = {name: {} for name in _IMPLEMENTATIONS}
