"""What influences must show, tested on the report half."""

import xarray as xr

from transferlens.core.checks import Check
from transferlens.core.statistics import Interval

_STATEMENTS = {
    "same - related": "a source class helps the same target class more than related target classes",
    "related - unrelated": "related source classes help more than unrelated ones",
    "same - unrelated": "a source class helps the same target class more than unrelated ones do",
}


def run_checks(influence: xr.Dataset) -> list[Check]:
    """Same > related > unrelated classes, where these are known.

    All are expected to hold at once, so their joint claim needs no correction for their number.
    """
    report = influence.sel(half="report")
    checks = []
    for name, statement in _STATEMENTS.items():
        if name in influence.relation:
            row = report.sel(relation=name)
            ends = (row[f"relation_value{end}"].item() for end in ("", "_low", "_high"))
            interval = Interval(*ends)
            checks.append(Check(name, statement, interval, influence.attrs["output"]))
    return checks
