"""The settings of colours."""

from typing import ClassVar

from pydantic import Field

from transferlens.core.configuration import CapabilitySection


class ColourSettings(CapabilitySection):
    """How bright target images are, against what models make of them; null for none."""

    key: ClassVar[str] = "colours"
    nullable: ClassVar[bool] = True
    default_null: ClassVar[bool] = True

    models: int = Field(2, ge=1, description="Models whose outputs are averaged.")
    weight: float = Field(1.0, gt=0, description="What brightness is multiplied by.")
