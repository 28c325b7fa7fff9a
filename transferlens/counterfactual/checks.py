"""What transfer must show: that there is something to lose without the source."""

import numpy as np
import xarray as xr

from transferlens.core.checks import Check
from transferlens.core.statistics import Interval, mean_interval


def run_checks(counterfactual: xr.Dataset) -> list[Check]:
    """The full source is better than none."""
    statement = "the full source gives a better target accuracy than training from scratch"
    return [Check("full - scratch", statement, full_minus_scratch(counterfactual), "accuracy")]


def full_minus_scratch(counterfactual: xr.Dataset) -> Interval:
    """Paired difference of report-half accuracies over repeats (both start from the same weights)."""
    difference = counterfactual.full - counterfactual.scratch
    return mean_interval(np.asarray(difference.sel(half="report")))
