"""How the benchmarks print: an aligned table under a line on the machine."""

import os
import platform
from collections.abc import Sequence


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text, the first column to the left and the others to the right."""
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    print(f"{title}\n{_machine()}\n")
    for row in table:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join(cells).rstrip())
    print()


def _machine() -> str:
    """The cores, and how many processes wanted one over the last minute (this one included)."""
    return (
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
        f"load over the last minute {os.getloadavg()[0]:.1f}"
    )
