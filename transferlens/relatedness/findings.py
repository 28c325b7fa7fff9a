"""What the page's summary says of task-relatedness: what a bound promises, and what near classes do."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from transferlens.core.blocks import Finding, Kind, signed_estimate
from transferlens.core.studies import SCRATCH
from transferlens.relatedness.words import ROLES

_NEAR = "Whether near source classes help more than far ones"


def of_bound(made: xr.Dataset, reference: str) -> Iterator[Finding]:
    """Whether the bound lies below the loss of guessing, for each kind of models that has seen a source.

    It is that of the first tau and the last transform, as in the section's warnings.
    """
    first, guessing = made.isel(tau=0, transform=-1), made.attrs["log_classes"]
    for role in made.model_role.values:
        if role == SCRATCH:
            continue
        of_role = first.sel(model_role=role, quantity="bound")
        value, low, high = (float(of_role[f"mean{end}"]) for end in ("", "_low", "_high"))
        heads = f"a head of {reference} turned into one of the target ({ROLES[str(role)]})"
        text = f"{heads} loses at most {value:.3f} nats, guessing {guessing:.3f}"
        reach = f"95 % {low:.3f} to {high:.3f}, over models and test images"
        sure = "no interval" if np.isnan(low) else reach
        if high < guessing:
            yield Finding(Kind.SHOWN, f"Better than guessing is promised before a transfer: {text}.", sure)
        else:
            told = f"Whether better than guessing is promised before a transfer: {text}."
            yield Finding(Kind.UNKNOWN, told, sure)


def of_near_classes(found: xr.Dataset) -> Finding:
    """Whether nearness goes with influences beyond what it does in networks at random, over all pairs."""
    pairs = found.sel(scope="overall", cells="all")
    if np.isnan(pairs.excess_low):
        return Finding(Kind.UNKNOWN, f"{_NEAR}.", "no interval")
    agreement, excess = (
        signed_estimate(*(of[f"{name}{end}"] for end in ("", "_low", "_high")))
        for of, name in ((pairs.isel(measure=0), "agreement"), (pairs, "excess"))
    )
    sure = (
        f"rank correlation of nearness and influence {agreement}, beyond networks at random {excess}; 95 % "
        "over source classes"
    )
    if shared := found.attrs["p_missing"]:
        return Finding(Kind.UNKNOWN, f"{_NEAR}: nearness and influences {shared}.", sure)
    if pairs.excess_low > 0 and pairs.agreement_low[0] > 0:
        return Finding(Kind.SHOWN, "Near source classes help more than far ones.", sure)
    if pairs.excess_high < 0:
        return Finding(Kind.SHOWN, "Nearness goes less with help than it does in networks at random.", sure)
    return Finding(Kind.UNKNOWN, f"{_NEAR}.", sure)
