"""What a run expects of itself: differences that must lie above zero."""

from dataclasses import dataclass
from typing import Any

from transferlens.core.blocks import (
    Column,
    Place,
    Section,
    Subject,
    Table,
    Verdict,
    interval_text,
    signed,
    signed_range,
)
from transferlens.core.statistics import Interval

# Of the table of checks.
COLUMNS = ("check", "statement", "value", "low", "high", "unit", "holds")


@dataclass(frozen=True)
class Check:
    """A difference that a run must show, its estimate, and whether its interval lies above zero."""

    name: str
    statement: str
    interval: Interval
    unit: str

    @property
    def holds(self) -> bool:
        """Whether the whole interval lies above 0."""
        return bool(self.interval.low > 0)

    def row(self) -> dict[str, Any]:
        """Its line of a table."""
        bounds = {key: float(getattr(self.interval, key)) for key in ("value", "low", "high")}
        head = {"check": self.name, "statement": self.statement}
        return head | bounds | {"unit": self.unit, "holds": self.holds}


_CHECKS_HEAD = (
    Column("expectation"),
    Column("difference", number=True),
    Column("95 % interval", number=True),
    Column("in"),
    Column(""),
)


def section(subject: Subject, checks: list[Check], method: str) -> Section:
    """The checks of a capability, with a warning for each that is not established; see `Section.method`."""
    rows = tuple(
        (
            check.statement,
            signed(check.interval.value),
            signed_range(check.interval.low, check.interval.high),
            check.unit,
            Verdict("holds" if check.holds else "not established", check.holds),
        )
        for check in checks
    )
    warnings = tuple(
        f"{subject.short}: the expectation that {check.statement} is not established by this run "
        f"({interval_text(check.interval)})."
        for check in checks
        if not check.holds
    )
    title = "Does the run behave as it must?"
    return Section(title, "checks", (Table(_CHECKS_HEAD, rows),), subject, Place.CHECKS, warnings, method)
