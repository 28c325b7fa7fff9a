"""The settings of the variance components."""

from typing import ClassVar

from pydantic import Field

from transferlens.core.configuration import CapabilitySection


class VarianceSettings(CapabilitySection):
    """What the intervals are made of (with studies.reference); null for not estimated."""

    key: ClassVar[str] = "variance"
    nullable: ClassVar[bool] = True

    retransfers: int = Field(
        1,
        ge=1,
        description="How many more times every model of `studies.reference` is adapted to each target, from "
        "other seeds of the transfer.",
    )
