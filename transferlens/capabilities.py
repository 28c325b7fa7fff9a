"""What the house can do, in the order of the page. A new capability adds its room's name here."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from transferlens.core.capability import Capability
from transferlens.core.run import Run
from transferlens.data import catalogue

_ROOMS = (
    "data",
    "training",
    "influence",
    "counterfactual",
    "encoders",
    "heatmaps",
    "influence_maps",
    "analyses",
    "memories",
    "variance",
    "relatedness",
    "transferability",
    "comparison",
    "dynamics",
    "report",
)
CAPABILITIES: list[Capability] = [
    import_module(f"transferlens.{room}.capability").CAPABILITY for room in _ROOMS
]


def run_of(given: Mapping[str, Any]) -> Run:
    """The run that a configuration asks for.

    Raises:
        ConfigError: what is wrong with it, in one line.
    """
    return Run(given, CAPABILITIES, catalogue.published_training())
