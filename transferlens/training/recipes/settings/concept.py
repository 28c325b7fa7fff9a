"""Settings of Concept-Tuning."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from transferlens.core.settings import Share
from transferlens.training.recipes.settings.base import BACKBONE_RATE, LogUniform, Range, RecipeKind, Task
from transferlens.training.recipes.settings.contrastive import ContrastSettings, too_small


class ConceptSettings(ContrastSettings):
    """Fine-tuning that contrasts images and patches of theirs by class, with a second head behind attention
    and an information bottleneck."""

    kind: Literal["concept_tuning"] = Field("concept_tuning", description="Which recipe.")
    image_weight: float = Field(1.0, ge=0, description="Weight of the contrast of images.")
    concept_weight: float = Field(1.0, ge=0, description="Weight of the contrast of patches.")
    concept_from: int = Field(
        0, ge=0, description="Epoch (from 0) from which on patches are contrasted; keys are kept before it."
    )
    confusing: int | None = Field(
        None,
        ge=1,
        description="Classes that an image's patches are contrasted with, those it is most taken for: at "
        "most all but its own. null for as many as there are, up to the published default of 100.",
    )
    patch_source: Literal["image", "feature"] = Field(
        "image",
        description="What patches are cut from: the `image` (nine more passes through the network), or the "
        "map of its `feature`s (one more).",
    )
    patch_pixels: int | None = Field(
        None,
        ge=8,
        description="Side at which patches of images pass through the network. null for two sevenths of the "
        "input's (64 at 224), rounded to a multiple of 8.",
    )
    patch_scale: list[Share] = Field(
        [0.5, 1.0],
        min_length=2,
        max_length=2,
        description="Range of the area of a random resized crop in the views that patches are cut from; the "
        "other views take `training.scale` (published: [0.2, 1.0]).",
    )
    sinkhorn_iterations: int = Field(
        200, ge=1, description="Largest number of iterations of the transport between two images' patches."
    )
    sinkhorn_tolerance: float = Field(
        1e-3,
        ge=0,
        description="Change of the potentials below which these iterations stop; 0 for all of them.",
    )
    bottleneck_weight: float = Field(
        1.0, ge=0, description="Weight of the cross-entropy of the head behind the bottleneck."
    )
    information_weight: float = Field(
        5e-3, ge=0, description="Weight of what the bottleneck lets through, in nats (`bottleneck_kl`)."
    )
    bottleneck_kl: Literal["released", "exact"] = Field(
        "released",
        description="That information: `exact`, or as `released`, which takes the exponential of the scale "
        "for the scale (the published weight was tuned with it).",
    )
    bottleneck: int = Field(512, ge=1, description="Numbers behind the bottleneck.")
    attention: Literal["sum", "concatenation"] = Field(
        "sum",
        description="How attention over channels and over places are joined before the bottleneck: their "
        "`sum` (released) or their `concatenation` (described).",
    )
    head: Literal["classifier", "bottleneck"] = Field(
        "classifier",
        description="Which head the trained network has: that on the features, or that behind the bottleneck "
        "(without its noise). Training is the same.",
    )


def _cannot(settings: ConceptSettings, task: Task) -> str:
    others = task.target_classes - 1
    if settings.confusing is not None and settings.confusing > others >= 1:
        return (
            f"confusing is {settings.confusing}, and the target has {others} classes beside an image's own; "
            f"give at most {others}, or null"
        )
    if settings.patch_scale[0] > settings.patch_scale[1]:
        return f"patch_scale is {settings.patch_scale}; the first must be the smaller"
    if settings.head == "bottleneck" and not settings.bottleneck_weight:
        return "head is bottleneck, and bottleneck_weight 0 does not train it; give it a weight"
    return too_small(settings, task)


KINDS = (
    RecipeKind(
        "concept_tuning",
        ConceptSettings,
        "transferlens.training.recipes.concept.tuner:ConceptTuning",
        needs=("features that are pooled from a map",),
        check=_cannot,
    ),
)
# What trials vary, by kind and by key of the settings.
SEARCHED: Mapping[str, Mapping[str, Range]] = {
    "concept_tuning": {
        **BACKBONE_RATE,
        "image_weight": LogUniform(0.1, 10),
        "concept_weight": LogUniform(0.1, 10),
    },
}
