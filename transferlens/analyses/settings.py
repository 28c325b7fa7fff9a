"""The settings of what influences show."""

from typing import ClassVar

from pydantic import Field

from transferlens.core.configuration import CapabilitySection
from transferlens.core.settings import Share


class SubpopulationSettings(CapabilitySection):
    """Target classes sorted by the influence of one source class."""

    key: ClassVar[str] = "analyses.subpopulations"

    pairs: int = Field(
        4,
        ge=1,
        description="Pairs of a target and a source class shown: those whose influences vary most between "
        "examples.",
    )
    examples: int = Field(6, ge=1, description="Examples shown at either end of a pair.")


class FailureSettings(CapabilitySection):
    """Misclassified examples, their most harmful classes, and what removing one does."""

    key: ClassVar[str] = "analyses.failures"

    examples: int = Field(6, ge=1, description="Misclassified examples shown.")


class LeakageSettings(CapabilitySection):
    """Pairs of a block of source images and a target example (with studies.examples)."""

    key: ClassVar[str] = "analyses.leakage"

    pairs: int = Field(8, ge=1, description="Pairs shown at either end.")
    duplicate_correlation: Share = Field(
        0.95,
        description="Two images count as near-duplicates from this correlation of their 16-pixel gray "
        "thumbnails on.",
    )
