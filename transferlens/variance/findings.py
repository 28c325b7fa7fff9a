"""What the page's summary says of variance components: whether it matters which source model it is."""

import numpy as np
import xarray as xr

from transferlens.core.blocks import Finding, Kind

_WHETHER = "Whether it matters which model of the source is transferred"


def of_source_models(made: xr.Dataset) -> Finding:
    """How far accuracy after transfer differs from one model of the full source to another."""
    part = made.sel(quantity="full source", output="correct", component="source seed")
    variance, low, high = (float(part[f"variance{end}"]) for end in ("", "_low", "_high"))
    value, least, most = (np.sqrt(max(one, 0)) for one in (variance, low, high))
    models = f"{made.attrs['repeats']} models"
    if high < 0:
        return Finding(Kind.UNKNOWN, f"{_WHETHER}.", f"what they differ by is estimated below 0; {models}")
    sure = f"accuracies differ by {value:.2g} (standard deviation, 95 % {least:.2g} to {most:.2g}); {models}"
    if low > 0:
        return Finding(Kind.SHOWN, "It matters which model of the source is transferred.", sure)
    return Finding(Kind.UNKNOWN, f"{_WHETHER}.", sure)
