"""What the run expects of itself, tested on the report half."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from transferlens.core.statistics import Interval, mean_interval

_STATEMENTS = {
    "same - related": "a source class helps the same target class more than related target classes",
    "related - unrelated": "related source classes help more than unrelated ones",
    "same - unrelated": "a source class helps the same target class more than unrelated ones do",
}


@dataclass(frozen=True)
class Check:
    """An expected difference, its estimate, and whether its interval lies above zero."""

    name: str
    statement: str
    interval: Interval
    unit: str

    @property
    def holds(self) -> bool:
        return bool(self.interval.low > 0)


def run_checks(influence: xr.Dataset, counterfactual: xr.Dataset) -> list[Check]:
    """Full source better than from scratch; same > related > unrelated classes where these are known.

    All are expected to hold at once, so their joint claim needs no correction for their number.
    """
    checks = [
        Check(
            "full - scratch",
            "the full source gives a better target accuracy than training from scratch",
            full_minus_scratch(counterfactual),
            "accuracy",
        )
    ]
    if "relation" in influence.coords:
        report = influence.sel(half="report")
        for name, statement in _STATEMENTS.items():
            if name in influence.relation:
                row = report.sel(relation=name)
                interval = Interval(
                    row.relation_value.item(), row.relation_low.item(), row.relation_high.item()
                )
                checks.append(Check(name, statement, interval, influence.attrs["output"]))
    return checks


def full_minus_scratch(counterfactual: xr.Dataset) -> Interval:
    """Paired difference of report-half accuracies over repeats (both start from the same weights)."""
    difference = counterfactual.full - counterfactual.scratch
    return mean_interval(np.asarray(difference.sel(half="report")))
