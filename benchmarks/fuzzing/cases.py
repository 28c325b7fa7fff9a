"""Cases: what is done wrong, by seed and number, and how few of it is enough."""

import random
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from fuzzing import outcomes
from fuzzing.children import Limits, Report, attempt
from fuzzing.outcomes import BAD, HARMLESS, Outcome

Random = random.Random
_MOST_STEPS = 4


@dataclass(frozen=True)
class Step:
    """One thing that is done wrong; what it draws depends on its own seed alone, so that others may go."""

    name: str
    seed: int

    @property
    def random(self) -> Random:
        """The numbers that it draws."""
        return Random(self.seed)


@dataclass(frozen=True)
class Case:
    """A case of a group.

    Attributes:
        seed, group, number: which one.
        kept: places of the steps that are taken; None for all.
    """

    seed: int
    group: str
    number: int
    kept: tuple[int, ...] | None = None

    @property
    def random(self) -> Random:
        """The numbers that decide all but the steps."""
        return Random(f"{self.seed}:{self.group}:{self.number}")

    def steps(self, names: Sequence[str]) -> list[Step]:
        """What is done wrong, of what a group can do."""
        draws = Random(f"{self.seed}:{self.group}:{self.number}:steps")
        count = 1
        while count < _MOST_STEPS and draws.random() < 0.4:
            count += 1
        steps = [Step(draws.choice(names), draws.getrandbits(48)) for _ in range(count)]
        return steps if self.kept is None else [steps[i] for i in self.kept]

    def __str__(self) -> str:
        kept = "" if self.kept is None else ":" + ",".join(map(str, self.kept))
        return f"{self.seed}:{self.group}-{self.number}{kept}"

    @classmethod
    def of(cls, text: str) -> "Case":
        """The case that a text of `str` names: SEED:GROUP-NUMBER[:STEP,STEP]."""
        seed, place, *kept = text.split(":")
        group, _, number = place.rpartition("-")
        steps = tuple(int(i) for i in kept[0].split(",") if i) if kept else None
        return cls(int(seed), group, int(number), steps)


class Group(ABC):
    """Cases of one kind.

    Attributes:
        name: of the group.
        steps: what can be done wrong, by name.
        limits: of a case.
    """

    name: str
    steps: dict[str, Callable[..., None]]
    limits = Limits()

    @abstractmethod
    def prepare(self, folder: Path) -> None:
        """Once, before all cases: import, and make what cases are copies of."""

    @abstractmethod
    def play(self, case: Case, report: Report) -> None:
        """A case, in a process and a folder of its own."""


def import_all(*names: str) -> None:
    """Import modules once, so that no case has to."""
    for name in names:
        import_module(name)


def note_provenance() -> None:
    """Look up once what every artefact says of its making; import FFCV."""
    from transferlens.core import provenance
    from transferlens.data import ffcv_files, ffcv_writing  # noqa: F401

    provenance.git_commit()
    provenance.software()
    with ffcv_files.imported():
        pass


def run(group: Group, case: Case, root: Path) -> list[Outcome]:
    """What comes of a case."""
    folder = Path(tempfile.mkdtemp(prefix="c", dir=root))
    try:
        return attempt(lambda report: group.play(case, report), folder, group.limits)
    finally:
        _unlocked(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _unlocked(folder: Path) -> None:
    """Give back the permission to remove what a case made unreadable."""
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)


def shrunk(group: Group, case: Case, bad: Outcome, root: Path) -> Case:
    """The case with as few steps as still end alike."""
    kept = list(range(len(case.steps(list(group.steps))))) if case.kept is None else list(case.kept)
    for step in list(kept):
        fewer = replace(case, kept=tuple(i for i in kept if i != step))
        if len(kept) > 1 and any(_alike(bad, other) for other in run(group, fewer, root)):
            kept.remove(step)
    return replace(case, kept=tuple(kept))


def _alike(one: Outcome, other: Outcome) -> bool:
    return (one.kind, one.action) == (other.kind, other.action)


@dataclass(frozen=True)
class Tried:
    """What an action gave.

    Attributes:
        value: what it returned; None where it was refused.
        accepted: whether it ended well.
    """

    value: Any
    accepted: bool


def tried(report: Report, action: str, work: Callable[[], Any], things: Sequence[str]) -> Tried:
    """Call the code under test, and report how it ended unless that was well: the oracle follows then."""
    report.begin(action)
    try:
        return Tried(work(), True)
    except Exception as error:
        report.add(outcomes.of_exception(action, error, things))
    except SystemExit as end:
        report.add(outcomes.of_exception(action, end, things))
    return Tried(None, False)


def judged(report: Report, action: str, wrong: Sequence[str]) -> None:
    """Report what an oracle says of an action that ended well."""
    kind = outcomes.WRONG if wrong else HARMLESS
    report.add(Outcome(action, kind, "; ".join(wrong)[:600]))


def is_bad(outcome: Outcome) -> bool:
    """Whether an outcome is one that must not be."""
    return outcome.kind in BAD
