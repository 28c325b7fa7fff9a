"""The settings of class maps of the most hurt examples, and of how faithful such maps are."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from transferlens.core.configuration import OUTPUTS, CapabilitySection
from transferlens.core.settings import Section, refuse

MapMethod = Literal[
    "CAM",
    "ScoreCAM",
    "SSCAM",
    "ISCAM",
    "GradCAM",
    "GradCAMpp",
    "SmoothGradCAMpp",
    "XGradCAM",
    "LayerCAM",
    "LeGrad",
    "RefineCAM",
    "FinerCAM",
]


class FaithfulnessSettings(Section):
    """How well maps show what the network's prediction depends on, for some methods on some images."""

    methods: list[MapMethod] = Field(
        ["CAM", "GradCAM", "LayerCAM"],
        min_length=1,
        description="The methods compared, all at heatmaps.layer.",
    )
    examples: int = Field(
        200, ge=2, description="Report-half examples (a seeded choice); all if there are fewer."
    )
    steps: int = Field(20, ge=1, description="Steps in which an image is taken away, and put back.")

    @field_validator("methods")
    @classmethod
    def _each_once(cls, methods: list[str]) -> list[str]:
        if len(set(methods)) < len(methods):
            refuse(f"'heatmaps.faithfulness.methods' is impossible: {methods} names a method twice")
        return methods


class HeatmapSettings(CapabilitySection):
    """Class activation maps of the report-half examples most hurt by a source class; null for none."""

    key: ClassVar[str] = "heatmaps"
    nullable: ClassVar[bool] = True

    method: MapMethod = Field(
        "CAM",
        description="torchcam method. `CAM` is signed and exact for networks that end in global pooling and "
        "one linear layer; vgg16 needs another one. `ScoreCAM`, `SSCAM` and `ISCAM` take a forward pass for "
        "every channel of the layer (`SSCAM` 35, `ISCAM` 10); `LeGrad` needs a vision transformer.",
    )
    layer: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="The layer of the backbone whose maps are drawn, by name (`layer3`, `features.29`); null "
        "for the architecture's own, the last one with a height and a width.",
    )
    examples: int = Field(12, ge=1, description="Examples in the gallery.")
    output: OUTPUTS = Field("margin", description="The output whose influences choose the examples.")
    colormap: Literal["safe", "jet"] = Field(
        "safe",
        description="`safe` is for colour-blind readers, too, with one scale a head (blue to red where maps "
        "are signed, else dark to light); `jet` is the overlay of the published study, each panel on its own "
        "scale, so that colours cannot be compared.",
    )
    faithfulness: FaithfulnessSettings | None = Field(
        None,
        description="How well maps show what the network's prediction depends on, for some methods on some "
        "images (docs/heatmaps.md). Null for none.",
    )

    @property
    def methods(self) -> list[str]:
        """All methods in use, each once."""
        compared = self.faithfulness.methods if self.faithfulness else []
        return list(dict.fromkeys([self.method, *compared]))
