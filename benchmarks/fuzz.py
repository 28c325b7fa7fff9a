"""Spoil configurations, data sets, checkpoints and results by a seed, and see what becomes of them.

    python benchmarks/fuzz.py --seed 1 --minutes 20 [--only config data checkpoints artefacts]
    python benchmarks/fuzz.py --repeat 1:config-57

Every case is a fork of a process that has imported the project, watched for time and memory. It ends as one
line with thing, finding and cure; harmless; or as what must not be: SILENT WRONG, HANG, TRACEBACK, LINE
WITHOUT CURE, CRASH, MEMORY BOMB. What of these was not met before in this run is printed at once, with as few
mistakes as still lead there and the command that repeats it; counts and rates by group follow in the end. The
exit status is 1 if there was any. The groups take turns. docs/operations.md says how to read it.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", NUMBA_NUM_THREADS="1")
REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from fuzzing import cases  # noqa: E402
from fuzzing.cases import Case, Group  # noqa: E402
from fuzzing.checkpoints import Checkpoints  # noqa: E402
from fuzzing.configurations import Configurations  # noqa: E402
from fuzzing.datasets import DataSets  # noqa: E402
from fuzzing.outcomes import BAD, HARMLESS, LINE, Outcome  # noqa: E402
from fuzzing.results import Results  # noqa: E402
from tables import print_table  # noqa: E402

GROUPS = {group.name: group for group in (Configurations, DataSets, Checkpoints, Results)}


def main() -> int:
    given = arguments()
    root = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        if given.repeat:
            return repeat(Case.of(given.repeat), given, root)
        return search(given, root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1.0, help="without those that it takes to prepare")
    parser.add_argument("--cases", type=int, help="of each group, in place of minutes")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument(
        "--results", type=Path, help="the folder of a finished study (its project, not results/)"
    )
    parser.add_argument(
        "--configfile", default="configs/smoke.yaml", help="of that study, beside its config.yaml"
    )
    parser.add_argument(
        "--repeat", metavar="SEED:GROUP-NUMBER[:STEPS]", help="one case, with all it ended in"
    )
    return parser.parse_args()


def prepared(name: str, given: argparse.Namespace, root: Path) -> Group:
    """A group that is ready for cases."""
    folder = root / name
    folder.mkdir()
    group = GROUPS[name](given.results, given.configfile) if name == Results.name else GROUPS[name]()
    group.prepare(folder)
    return group


def repeat(case: Case, given: argparse.Namespace, root: Path) -> int:
    """A single case, with every word."""
    group = prepared(case.group, given, root)
    print("steps:", ", ".join(step.name for step in case.steps(list(group.steps))))
    found = cases.run(group, case, root)
    for outcome in found:
        print(f"{outcome.action}: {outcome.kind}\n  {outcome.text}")
    return int(any(map(cases.is_bad, found)))


class Tally:
    """Outcomes by group, and what was met for the first time."""

    def __init__(self):
        self.counts: dict[str, Counter] = {}
        self.cases: Counter = Counter()
        self.seconds: Counter = Counter()
        self.met: Counter = Counter()

    def add(self, case: Case, found: list[Outcome], seconds: float) -> list[Outcome]:
        """Count a case; the outcomes that must not be and are new."""
        self.cases[case.group] += 1
        self.seconds[case.group] += seconds
        counts, new = self.counts.setdefault(case.group, Counter()), []
        for outcome in found:
            counts[outcome.kind] += 1
            if cases.is_bad(outcome):
                self.met[outcome.signature] += 1
                new += [outcome] * (self.met[outcome.signature] == 1)
        return new

    def print(self) -> None:
        """Counts by group."""
        others = sorted({kind for counts in self.counts.values() for kind in counts} - {LINE, HARMLESS, *BAD})
        kinds = [LINE, HARMLESS, *others, *BAD]
        rows = [
            [name, str(self.cases[name]), f"{self.cases[name] / max(self.seconds[name], 1e-9):.1f}"]
            + [str(counts[kind]) for kind in kinds]
            for name, counts in self.counts.items()
        ]
        print_table("What became of it: actions by outcome", ["group", "cases", "a second", *kinds], rows)

    @property
    def bad(self) -> int:
        """How many outcomes must not be."""
        return sum(self.met.values())


def search(given: argparse.Namespace, root: Path) -> int:
    """Cases of all groups by turns, for so many minutes."""
    groups = [prepared(name, given, root) for name in given.only]
    tally, number, end = Tally(), 0, time.monotonic() + 60 * given.minutes
    while number < given.cases if given.cases else time.monotonic() < end:
        for group in groups:
            case, started = Case(given.seed, group.name, number), time.monotonic()
            found = cases.run(group, case, root)
            for outcome in tally.add(case, found, time.monotonic() - started):
                least = cases.shrunk(group, case, outcome, root)
                told = f" --results {given.results}" if given.results else ""
                print(f"{outcome.kind} ({outcome.action}): {outcome.text}")
                print(f"  python benchmarks/fuzz.py{told} --repeat {least}", flush=True)
        number += 1
    tally.print()
    return int(tally.bad > 0)


if __name__ == "__main__":
    sys.exit(main())
