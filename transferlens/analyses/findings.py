"""What the page's summary says of analyses: what is behind failures, and what leaks."""

import numpy as np
import xarray as xr

from transferlens.core.blocks import Finding, Kind, signed_estimate

LEVEL = 0.05  # q-values below it are findings
_BEHIND = "Whether source classes are behind failures"


def of_failures(failures: xr.Dataset, output: str) -> tuple[Finding, ...]:
    """What leaving out the class that is most harmful to a failure does, against nothing left out.

    Training again changes failures by itself: a change counts only where it lies above zero and above the
    whole interval of what it is with nothing removed.
    """
    if np.isnan(failures.mean_change):
        return ()
    change, low, high = (float(failures[f"mean_change{end}"]) for end in ("", "_low", "_high"))
    sure = f"{output} {signed_estimate(change, low, high)}"
    if np.isnan(failures.placebo_change):
        untold = "what they change by anyway is not known"
        return (Finding(Kind.UNKNOWN, f"{_BEHIND}: {untold}.", f"{sure}; 95 % over models"),)
    anyway = [float(failures[f"placebo_change{end}"]) for end in ("", "_low", "_high")]
    sure = f"{sure}, with nothing removed {signed_estimate(*anyway)}; 95 % over models"
    if low > 0 and low > anyway[2]:
        count = int((failures.removed != "").sum())
        text = (
            f"Source classes are behind failures: without the worst class of each, the mean of {count} gains."
        )
        return (Finding(Kind.HURTS, text, sure),)
    untold = "a gain of failures without the worst class of each is not established"
    return (Finding(Kind.UNKNOWN, f"{_BEHIND}: {untold}.", sure),)


def of_leakage(leakage: xr.Dataset) -> Finding:
    """How many of the strongest pairs of source images and target examples are established."""
    established = leakage.effect_q.values < LEVEL
    pairs, twins = established.size, int((established & leakage.near_duplicate.values).sum())
    if not established.any():
        text = "Whether single blocks of source images act on single target examples: of the"
        return Finding(Kind.UNKNOWN, f"{text} {pairs} strongest pairs none is established.", f"q >= {LEVEL}")
    text = (
        f"Blocks of source images act on single target examples: {established.sum()} of the {pairs} "
        f"strongest pairs, {twins} of them with nearly the same image."
    )
    return Finding(Kind.SHOWN, text, f"q < {LEVEL} each")
