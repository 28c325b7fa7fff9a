"""Does every printed number mean what its sentence says? All simulations of it, with verdicts.

    python benchmarks/validity.py [--scale 1] [--only influence counterfactual]

`--scale 1` takes minutes on two cores, `--scale 20` hours: it multiplies the repetitions of every simulation.
The last line says how many rows are within their bounds; the exit status is 1 if any is not. What each
quantity is, and what its interval is an interval for: docs/statistics.md.
"""

import argparse
import importlib
import pkgutil
import sys

import simulations
from simulations.row import Row
from tables import print_table

HEAD = ("quantity", "measure", "nominal", "observed", "bounds", "repetitions", "verdict")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    families = [m.name for m in pkgutil.iter_modules(simulations.__path__) if m.name != "row"]
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--only", nargs="+", choices=families, default=families)
    given = parser.parse_args()
    rows = [
        row
        for family in given.only
        for row in importlib.import_module(f"simulations.{family}").rows(given.scale)
    ]
    print_table("Statistics that are printed", HEAD, [cells(row) for row in rows])
    failed = sum(not row.holds for row in rows)
    print(f"{len(rows) - failed} of {len(rows)} rows within their bounds")
    return int(failed > 0)


def cells(row: Row) -> tuple[str, ...]:
    bounds = f"{row.low:.3g} to {row.high:.3g}"
    verdict = "right" if row.holds else "WRONG"
    return (
        *(row.quantity, row.measure, row.nominal),
        *(f"{row.observed:.3f}", bounds, str(row.repetitions), verdict),
    )


if __name__ == "__main__":
    sys.exit(main())
