"""Transferlens: what a fine-tuned vision model still carries from its source data.

The library behind the workflow. `open_results` reads a results folder:

>>> from transferlens import open_results
>>> results = open_results("results")
>>> results.influence("optdigits", "fixed")
"""

from typing import TYPE_CHECKING

__version__ = "0.2.0"
__all__ = ["open_results"]

if TYPE_CHECKING:
    from transferlens.results import open_results


def __getattr__(name: str):
    """Import the read API on first use, so that jobs do not pay for pandas and xarray."""
    if name == "open_results":
        from transferlens.results import open_results

        return open_results
    raise AttributeError(f"module 'transferlens' has no attribute '{name}'")
