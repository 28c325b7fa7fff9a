"""Transferlens: what a fine-tuned vision model still carries from its source data.

The library behind the workflow. `open_results` reads a results folder:

>>> from transferlens import open_results
>>> results = open_results("results")
>>> results.influence("optdigits", "fixed")

`estimate_influence` needs none, only the masks and outputs of any models:

>>> from transferlens import estimate_influence
>>> estimate_influence(masks, outputs).overall_effect
"""

from typing import TYPE_CHECKING

__version__ = "0.11.0"
__all__ = ["estimate_influence", "open_results"]

if TYPE_CHECKING:
    from transferlens.influence.own import estimate_influence
    from transferlens.results import open_results


def __getattr__(name: str):
    """Import the API on first use, so that jobs do not pay for pandas and xarray."""
    if name == "open_results":
        from transferlens.results import open_results

        return open_results
    if name == "estimate_influence":
        from transferlens.influence.own import estimate_influence

        return estimate_influence
    raise AttributeError(f"module 'transferlens' has no attribute '{name}'")
