"""The settings of influence maps."""

from typing import ClassVar

from pydantic import Field

from transferlens.core.configuration import CapabilitySection


class InfluenceMapSettings(CapabilitySection):
    """Where in the image influences act: the influence of every source class on every cell of the evidence
    for the true class (docs/influence-maps.md). Set it before the first run, as transfer jobs keep the maps:
    a change makes the transfers of the influence study again, and all that follows from them. Null for none.
    """

    key: ClassVar[str] = "influence_maps"
    nullable: ClassVar[bool] = True
    default_null: ClassVar[bool] = True

    examples: int = Field(
        64,
        ge=1,
        description="Target examples whose maps are kept of every model of the influence study: a seeded "
        "choice from the report half, from every class alike.",
    )
    shown: int = Field(
        6,
        ge=1,
        description="Target classes in the picture: those of the largest influences in the choosing models.",
    )
