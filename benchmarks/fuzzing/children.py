"""A case in a process of its own, watched: it may crash, wait for ever, or ask for all memory."""

import faulthandler
import json
import os
import resource
import runpy
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fuzzing.outcomes import CRASH, HANG, MEMORY, NOT_MADE, TRACEBACK, Outcome

_GIGABYTE = 1 << 30
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LOOK = 0.25  # seconds between two looks at a running case


@dataclass(frozen=True)
class Limits:
    """What a case may take.

    Attributes:
        cpu: seconds of processors; more is a hang, however busy the machine is.
        asleep: seconds without any work; more is a hang, too.
        memory: bytes, beyond those of the process that it is a fork of.
    """

    cpu: float = 60
    asleep: float = 15
    memory: int = 2 * _GIGABYTE


class NotMade(Exception):
    """What is done wrong cannot be done: no file can hold it."""


class Report:
    """Outcomes of a case as they come, in a file that outlives it."""

    def __init__(self, path: Path):
        self._path = path
        path.touch()

    def begin(self, action: str) -> None:
        """What is done next: the culprit, if nothing follows."""
        self._write({"begun": action})

    def add(self, outcome: Outcome) -> None:
        """What came of it."""
        self._write(vars(outcome))

    def _write(self, entry: dict) -> None:
        with self._path.open("a") as file:
            print(json.dumps(entry), file=file)

    def read(self) -> tuple[list[Outcome], str]:
        """The outcomes, and what was begun last ('' if it has ended)."""
        outcomes, begun = [], ""
        for entry in map(json.loads, self._path.read_text().splitlines()):
            if "begun" in entry:
                begun = entry["begun"]
            else:
                outcomes.append(Outcome(**entry))
                begun = ""
        return outcomes, begun


def attempt(work: Callable[[Report], None], folder: Path, limits: Limits) -> list[Outcome]:
    """Do something in a fork, in a folder of its own, and tell what came of it."""
    report = Report(folder / "report.jsonl")
    sys.stdout.flush()
    child = os.fork()
    if not child:
        _become(work, report, folder, limits)
    end = _watched(child, limits)
    outcomes, begun = report.read()
    if end is not None:
        return [*outcomes, Outcome(begun or "case", *end)]
    return outcomes


def _become(work: Callable[[Report], None], report: Report, folder: Path, limits: Limits) -> None:
    """Be the case, and end."""
    status = 70
    try:
        faulthandler.disable()  # a crash is told by its signal
        os.setsid()
        _confine(limits)
        _redirect(folder / "printed")
        os.chdir(folder)
        work(report)
        status = 0
    except NotMade as error:
        report.add(Outcome("make", NOT_MADE, repr(error.__cause__)[:200]))
        status = 0
    except BaseException as error:  # of the instrument, as the code under test is called by `cases.tried`
        import traceback

        report.add(Outcome("instrument", TRACEBACK, "".join(traceback.format_exception(error))[-1500:]))
        status = 0
    finally:
        os._exit(status)


def _confine(limits: Limits) -> None:
    """No more memory than that, and no core files."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * _PAGE + limits.memory
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _redirect(path: Path) -> None:
    """Nothing to read, and what is printed goes to a file."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    printed = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(printed, 1)
    os.dup2(printed, 2)


def _watched(child: int, limits: Limits) -> tuple[str, str] | None:
    """Wait for a case; (kind, words) if it did not end by itself."""
    handle, worked, since, inherited = os.pidfd_open(child), -1.0, time.monotonic(), _resident()
    try:
        while not select.select([handle], [], [], _LOOK)[0]:
            cpu, running, resident = _session(child, inherited)
            if running or cpu > worked + 0.05:
                worked, since = cpu, time.monotonic()
            if cpu > limits.cpu:
                return _killed(child, HANG, f"more than {limits.cpu:.0f} s of processors")
            if time.monotonic() - since > limits.asleep:
                return _killed(child, HANG, f"waits for ever ({limits.asleep:.0f} s without work)")
            if resident > 2 * limits.memory:
                return _killed(child, MEMORY, f"{resident / _GIGABYTE:.1f} GB in use")
    finally:
        os.close(handle)
        _kill_session(child)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return (CRASH, f"signal {-status}" if status < 0 else f"status {status}") if status else None


def _killed(child: int, kind: str, words: str) -> tuple[str, str]:
    _kill_session(child)
    os.waitpid(child, 0)
    return kind, words


def _kill_session(child: int) -> None:
    """End what a case has started."""
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


def _resident() -> int:
    """Bytes of this process, which each fork has to begin with."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def _session(leader: int, inherited: int) -> tuple[float, bool, int]:
    """Of the processes of a session: seconds of processors, whether one works now, own bytes."""
    cpu, running, resident = 0.0, False, 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                words = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(words[3]) == leader:
                cpu += sum(map(int, words[11:15])) / _TICKS
                running |= words[0] == "R"
                resident += max(int(words[21]) * _PAGE - inherited, 0)
    return cpu, running, resident


def run_script(words: Sequence[str], environment: dict[str, str], printed: Path) -> int:
    """Run a script with its arguments as a fork of this process, which has its modules; its exit status."""
    printed.touch()
    child = os.fork()
    if not child:
        _redirect(printed)
        os.environ.update(environment)
        sys.argv = list(words)
        try:
            runpy.run_path(words[0], run_name="__main__")
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
            os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
