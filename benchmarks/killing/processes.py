"""Jobs as processes, and the signals that end them.

Most jobs are forks of a process that has imported their scripts, which saves the imports and leaves signals
what they are; the others are new interpreters, so that imports are interrupted, too.
"""

import os
import runpy
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NoReturn

import psutil

from killing.study import Job

_OPERATIONS = ("open", "os.rename", "os.remove")  # audit events of what is done with a file
_SECONDS_TO_END = 300  # that a job may take to end, or to notice a signal, on a busy machine
_SECONDS_TO_GO = 20  # that the processes which a job started may outlive it


@dataclass(frozen=True)
class Kill:
    """One signal.

    Attributes:
        group: whether all processes of the job get it, or the main one alone.
        fresh: whether the job is a new interpreter.
        seconds: from the job's start.
        operation: in place of that, the number of the operation on a temporary file just before which the
            job sends the signal to itself; 0 for none.
    """

    signal: signal.Signals
    group: bool
    fresh: bool
    seconds: float
    operation: int

    def __str__(self) -> str:
        when = f"before file operation {self.operation}" if self.operation else f"after {self.seconds:.3f} s"
        whom = "all processes" if self.group else "the main process"
        return f"{self.signal.name} to {whom} {when}{' of a new interpreter' if self.fresh else ''}"


def preload(scripts: Sequence[str]) -> None:
    """Import what scripts import, once for all forks."""
    for name in ("matplotlib.figure", "pandas", "scipy.stats"):
        __import__(name)
    for script in scripts:
        runpy.run_path(script, run_name="preloaded")
    threads = len(os.listdir("/proc/self/task"))
    assert threads == 1, f"{threads} threads: a fork would not be what a new process is"


class Started:
    """A job that runs in a session of its own."""

    def __init__(self, job: Job, folder: Path, kill: Kill | None):
        self.job, self.kill, self.begun = job, kill, time.monotonic()
        self._printed = tempfile.NamedTemporaryFile()  # noqa: SIM115 read when the job has ended
        self.pid = os.fork()
        if not self.pid:
            _become(job.command, folder, self._printed.name, kill)
        while os.getsid(self.pid) != self.pid:  # until then its group is this process's own
            time.sleep(0.001)

    def strike(self) -> None:
        """Send the signal when its moment comes, unless the job sends it to itself, or has ended."""
        if self.kill.operation:
            return
        self._wait(self.begun + self.kill.seconds)
        if self.status is None:
            (os.killpg if self.kill.group else os.kill)(self.pid, self.kill.signal)

    def end(self) -> int | None:
        """Wait for the end; the exit status, minus the signal's number, or None if it hangs."""
        self._wait(time.monotonic() + _SECONDS_TO_END)
        return self.status

    status: int | None = None

    def _wait(self, until: float) -> None:
        while self.status is None and time.monotonic() < until:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            else:
                time.sleep(0.002)

    def said(self) -> list[str]:
        """Lines of its standard error, without those on how far it is."""
        lines = Path(self._printed.name).read_text().splitlines()
        return [line for line in lines if not line.endswith("s left")]

    def remaining(self) -> list[psutil.Process]:
        """Processes of its session that are still there after a while; they are then ended."""
        end = time.monotonic() + _SECONDS_TO_GO
        while (there := _of_session(self.pid)) and time.monotonic() < end:
            time.sleep(0.05)
        for process in there:
            process.kill()
        return there


def _of_session(session: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def _become(command: Sequence[str], folder: Path, printed: str, kill: Kill | None) -> NoReturn:
    """Turn a fork into the process that Snakemake would start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.setsid()
    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    os.dup2(os.open(printed, os.O_WRONLY | os.O_APPEND), 2)
    if kill and kill.fresh:
        os.execv(sys.executable, [sys.executable, *command])
    if kill and kill.operation:
        _kill_at(kill)
    _, start, *sys.argv = command
    sys.argv.insert(0, start)
    try:
        runpy.run_path(start, run_name="__main__")
    except BaseException:  # a script ends its process by itself
        traceback.print_exc()
    os._exit(1)


def _kill_at(kill: Kill) -> None:
    """Send the signal from within, just before an operation on a temporary file."""
    main, seen = os.getpid(), count(1)

    def look(event: str, arguments: tuple) -> None:
        of_main = event in _OPERATIONS and os.getpid() == main
        if of_main and str(arguments[0]).endswith(".tmp") and next(seen) == kill.operation:
            (os.killpg if kill.group else os.kill)(main, kill.signal)

    sys.addaudithook(look)
