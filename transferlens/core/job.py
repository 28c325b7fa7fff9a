"""What every job does around its work: arguments, provenance, logging, progress, and errors as one line."""

import argparse
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

from tqdm import tqdm

from transferlens.core import digests, files, provenance
from transferlens.core.errors import TransferlensError, printable

log = logging.getLogger("transferlens")
# What belongs into the log file alone: no line for whoever runs a command.
_record = logging.getLogger("transferlens.record")
_SECONDS_BETWEEN_LINES = 10
_ENDING = (signal.SIGTERM, signal.SIGINT)  # what schedulers end jobs with, and Ctrl-C
T = TypeVar("T")


class Script:
    """The command line of a script: what it reads, what it writes, and the settings that decide the result.

    The names are those of the rule's inputs and outputs, from which `core.run` composes the command.
    """

    def __init__(self, description: str | None):
        self.parser = argparse.ArgumentParser(description=description)
        self.parser.add_argument(
            "--settings",
            type=json.loads,
            required=True,
            metavar="JSON",
            help="exactly the settings that decide the result",
        )
        self.parser.add_argument("--seed", type=int, help="of the run, for the record")
        self.parser.add_argument("--log", type=Path, help="also write messages to this file")
        self._inputs: list[str] = []
        self._outputs: list[str] = []
        self._others = ""

    def reads(self, name: str, help: str = "", *, many: bool = False, required: bool = True) -> None:
        """A file (or several) that the result is made from."""
        self._inputs.append(name)
        self.parser.add_argument(
            _option(name), type=Path, nargs="+" if many else None, required=required, help=help
        )

    def reads_others(self, name: str) -> None:
        """Further files, each by a name of its own; they arrive as a mapping."""
        self._others = name

    def writes(self, name: str, help: str = "", *, required: bool = True) -> None:
        """A file that the script makes."""
        self._outputs.append(name)
        self.parser.add_argument(_option(name), type=Path, required=required, help=help)

    def takes(self, name: str, **options: Any) -> None:
        """Any other argument; it must not decide the result."""
        self.parser.add_argument(_option(name), **options)

    def run(self, main: Callable[[argparse.Namespace], None]) -> NoReturn:
        """Parse the command line, note the provenance, `run` the work, and record the digests of outputs."""
        arguments, rest = self.parser.parse_known_args()
        if rest and not self._others:
            self.parser.error(f"unrecognized arguments: {' '.join(rest)}")
        inputs = [path for name in self._inputs for path in _paths(getattr(arguments, name))]
        if self._others:
            others = {k[2:].replace("-", "_"): Path(v) for k, v in zip(rest[::2], rest[1::2], strict=True)}
            setattr(arguments, self._others, others)
            inputs += others.values()
        provenance.begin(arguments.settings, [_recorded(path) for path in inputs], arguments.seed)
        outputs = [path for name in self._outputs for path in _paths(getattr(arguments, name))]

        def recorded(arguments: argparse.Namespace) -> None:
            digests.forget(outputs)
            main(arguments)
            digests.record(outputs)

        run(recorded, arguments)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _paths(value: Any) -> list[Path]:
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, Path)]


def _recorded(path: Path) -> Path:
    """The file whose checksum stands for an input: of an FFCV file its manifest, which holds its own."""
    return path.with_suffix(".h5") if path.suffix == ".beton" else path


def run(main: Callable[[argparse.Namespace], None], arguments: argparse.Namespace) -> NoReturn:
    """Run a script's `main` and end the process; a foreseeable error ends it with one line and status 1."""
    _set_up_logging(arguments.log)
    _answer_signals(files.interrupt)
    # A process that the job forks has nothing to clean up: what ends the job ends it without a word, at once.
    os.register_at_fork(before=_hold_signals, after_in_parent=_let_signals, after_in_child=_answer_as_a_child)
    _end(_status_of(main, arguments))


def _answer_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in _ENDING:
        signal.signal(number, handler)


def _hold_signals() -> None:
    """Until a fork answers them as it should: one that comes before would be lost."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)


def _let_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


def _answer_as_a_child() -> None:
    _answer_signals(signal.SIG_DFL)
    _let_signals()


def _status_of(main: Callable[[argparse.Namespace], None], arguments: argparse.Namespace) -> int:
    """Run `main`, log how it went, and return the process's exit status."""
    _record.info("command: %s", " ".join(sys.argv))
    started, imported = time.monotonic(), _cpu_seconds()
    try:
        main(arguments)
        files.date_back(p for value in vars(arguments).values() for p in _paths(value) if p.is_file())
    except TransferlensError as error:
        log.error("error: %s", error)
        return 1
    except KeyboardInterrupt:
        return 130
    except SystemExit as end:
        return int(end.code or 0)
    except Exception:
        log.exception("unexpected error (please report it)")
        return 1
    _record.info("CPU seconds: %.2f to start, %.2f of work", imported, _cpu_seconds() - imported)
    _record.info("done in %.1f s", time.monotonic() - started)
    return 0


def _cpu_seconds() -> float:
    """What this process and its ended children have taken since they were started."""
    return sum(os.times()[:4])


def _end(status: int) -> NoReturn:
    """End the process without unloading libraries: what it wrote is whole, and its workers are joined.

    Unloading torch takes one to two seconds, and on one core Numba's threads never end once FFCV has forked.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # a full disk, or a reader that went away: what was printed is lost
            status = status or 1
    os._exit(status)


class _Printable(logging.Formatter):
    """Messages hold names of files and classes, which may be anything: a printable line each."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line of a message."""
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, info: Any) -> str:
        """The lines of a traceback."""
        return "\n".join(map(printable, super().formatException(info).split("\n")))


def _set_up_logging(log_file: Path | None) -> None:
    """Everything to the log file; to the terminal only warnings, or all messages when there is no file."""
    logging.raiseExceptions = False  # a full disk must not print a traceback for every message
    log.setLevel(logging.INFO)
    terminal = logging.StreamHandler()
    terminal.setFormatter(_Printable("%(message)s"))
    terminal.setLevel(logging.WARNING if log_file else logging.INFO)
    terminal.addFilter(lambda record: record.name != _record.name)
    log.addHandler(terminal)
    if log_file:
        try:
            log_file.parent.mkdir(parents=True, exist_ok=True)
            to_file = logging.FileHandler(log_file, mode="w", encoding="utf-8")
        except OSError as error:
            sys.exit(f"error: {files.unwritable(log_file, error)}")
        to_file.setFormatter(_Printable("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(to_file)
        # What other packages warn of is for whoever looks into a job: some do so a thousand times.
        logging.captureWarnings(True)
        logging.getLogger("py.warnings").addHandler(to_file)
        logging.getLogger("py.warnings").propagate = False


def say(*lines: object) -> None:
    """Print lines for the user, and keep them in the log."""
    for line in (part for given in lines for part in str(given).split("\n")):
        print(printable(line), flush=True)
        _record.info("%s", line)


def progress(
    items: Iterable[T], what: str, unit: str, total: int | None = None, together: int = 1
) -> Iterator[T]:
    """Iterate with a bar (terminal) or with a plain line every ten seconds (anything else).

    Args:
        together: so many items end at the same time: after the first of them, a rate would be far too low.
    """
    if sys.stderr.isatty():
        yield from tqdm(items, desc=what, unit=f" {unit}", total=total, leave=False, mininterval=1)
        return
    total = total if total is not None else len(items)  # type: ignore[arg-type]
    started = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES and done < total and done % together == 0:
            last, rate = now, done / (now - started)
            line = f"{what}: {done}/{total} {unit}, {rate:.3g} a second, {(total - done) / rate:.0f} s left"
            print(line, file=sys.stderr, flush=True)
            _record.info("%s", line)
