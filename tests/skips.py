"""Why tests are skipped: listed at the end of a run, and no excuse where the data lie beside the project."""

from collections import defaultdict
from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_data(name: str) -> Path:
    """A reduced copy of a public data set, in `../shared/data`."""
    return needed_data(SHARED_DATA / name, f"no local copy of {name} in ../shared/data")


def needed_data(path: Path, reason: str) -> Path:
    """Data that a test reads: without them it is skipped; it fails where `../shared/data` is set up."""
    if not path.exists():
        (pytest.fail if SHARED_DATA.is_dir() else pytest.skip)(reason)
    return path


def pytest_terminal_summary(terminalreporter) -> None:
    """List what was skipped by reason."""
    tests = defaultdict(list)
    for report in terminalreporter.stats.get("skipped", []):
        _, _, reason = report.longrepr
        tests[reason.removeprefix("Skipped: ")].append(report.nodeid)
    terminalreporter.section(f"{sum(map(len, tests.values()))} skipped", sep="-")
    for reason, names in sorted(tests.items()):
        terminalreporter.line(f"{reason}:")
        for name in sorted(names):
            terminalreporter.line(f"  {name}")
