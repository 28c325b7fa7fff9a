"""How far a study is, from the files of its results folder alone: read only, from any machine that sees it.

Nothing is asked of processes or of Snakemake. Models count when their shard is whole; files that vanish or
cannot be read while they are looked at count as not there, and are named by number.
"""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np

from transferlens.core import artefacts
from transferlens.core.artefacts import RESULTS, Artefact
from transferlens.core.errors import ArtefactError, printable
from transferlens.core.studies import MASKS
from transferlens.training.artefacts import TRAINING_RECORDS, TRANSFER_RUNS

_TRAINING_LOGS = ("train_source", "load_pretrained")
_LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (?P<level>[A-Z]+) (?P<said>.*)$", re.MULTILINE)
_DONE = re.compile(r"done in (?P<seconds>\d+\.\d) s$")
_MODELS = re.compile(r"(\d+)/\d+ models, ")
_TAIL = 1 << 16  # bytes of a log that its end is looked for in
_LISTED = 5  # failures that are shown


@dataclass(frozen=True)
class Shard:
    """A whole shard.

    Attributes:
        rows: int64[models], row numbers in its study.
        finished: when its job wrote it, seconds since 1970 by the clock of the job's machine.
    """

    rows: np.ndarray
    finished: float


@dataclass(frozen=True)
class Log:
    """How the log of a job ends.

    Attributes:
        job: its place below results/logs, without the ending.
        state: 'done', 'failed' or 'open' (at work, or killed without a word).
        said: the error of a failed job.
        seconds: of a job that is done.
        models: that an open job says it has made.
        written: when the file was last written to, by the clock of the file server.
    """

    job: str
    state: str
    said: str = ""
    seconds: float = 0.0
    models: int = 0
    written: float = 0.0


@dataclass(frozen=True)
class Pace:
    """How fast models were made while any job made some.

    Attributes:
        models: in shards of which the time is known.
        shards: so many.
        per_second: models, all jobs at once together.
        slowest, fastest: a shard's own speed as a share of all shards' mean speed.
    """

    models: int
    shards: int
    per_second: float
    slowest: float
    fastest: float


@dataclass
class Seen:
    """What a look at the folder found.

    Attributes:
        trained: study: (models done, models that it has by its masks).
        adapted: (study, target, recipe): models done.
        training, adapting: None where no time is known.
        in_making: source models that open jobs say they have made, which count only with their shard.
        failed, open: logs of jobs.
        unreadable: files that could not be read.
    """

    trained: dict[str, tuple[int, int]] = field(default_factory=dict)
    adapted: dict[tuple[str, str, str], int] = field(default_factory=dict)
    training: Pace | None = None
    adapting: Pace | None = None
    in_making: int = 0
    failed: list[Log] = field(default_factory=list)
    open: list[Log] = field(default_factory=list)
    unreadable: int = 0


class Watcher:
    """Looks at a results folder again and again; what has not changed on disk is read once.

    Raises:
        ArtefactError: there is no such folder, or it is none of results.
    """

    def __init__(self, folder: Path):
        if (folder / RESULTS).is_dir():
            folder = folder / RESULTS  # the project's folder
        if not folder.is_dir():
            raise ArtefactError(f"{folder}: no such folder; give the results folder of a study")
        if not any((folder / name).is_dir() for name in ("studies", "logs", "data")):
            raise ArtefactError(
                f"{folder}: no results folder (it has no studies, logs or data); give the one of a study, "
                "once it has begun"
            )
        self.folder = folder
        self._known: dict[Path, tuple[tuple[int, int, int], Shard | Log]] = {}
        self._unreadable = 0

    def look(self) -> Seen:
        """What is there now."""
        self._unreadable = 0
        drawn, trained, adapted = (self._shards(kind) for kind in (MASKS, TRAINING_RECORDS, TRANSFER_RUNS))
        logs = {log.job: log for log in self._logs()}
        seen = Seen(open=[log for log in logs.values() if log.state == "open"])
        for study in sorted({study for study, *_ in [*drawn, *trained]}):
            done, known = (_rows(shards, study) for shards in (trained, drawn))
            seen.trained[study] = len(done), len(done | known)
        for study, target, recipe, _ in adapted:
            seen.adapted[study, target, recipe] = 0
        for (*names, _), shard in adapted.items():
            seen.adapted[tuple(names)] += len(shard.rows)
        seen.training = _pace(trained, logs, _TRAINING_LOGS)
        seen.adapting = _pace(adapted, logs, ("transfer",))
        seen.in_making = sum(log.models for log in seen.open if log.job.split("/")[0] in _TRAINING_LOGS)
        seen.failed = [log for log in logs.values() if log.state == "failed" and not self._made_since(log)]
        seen.unreadable = self._unreadable
        return seen

    def _shards(self, artefact: Artefact) -> dict[tuple[str, ...], Shard]:
        """Every whole shard of a kind, by the wildcards of its path."""
        found = {}
        for path in _files(self.folder / "studies", ".h5"):
            inside = path.relative_to(self.folder).as_posix()
            match = artefact.pattern.search(inside)
            if match and match["place"] == inside and (shard := self._read(path, artefact)):
                found[tuple(match[name] for name in artefact.wildcards)] = shard
        return found

    def _read(self, path: Path, artefact: Artefact) -> Shard | None:
        def shard() -> Shard:
            with artefacts.open(path, artefact) as file:
                made = datetime.fromisoformat(str(file.attrs["created"])).timestamp()
                return Shard(file["model"][:], made)

        return self._once(path, shard)

    def _logs(self) -> Iterator[Log]:
        for path in _files(self.folder / "logs", ".log"):
            if log := self._once(path, lambda path=path: _log(self.folder / "logs", path)):
                yield log

    def _once(self, path: Path, read: Callable[[], Shard | Log]) -> Shard | Log | None:
        """What a file holds, read again when it has changed; None if it cannot be read, or is gone."""
        try:
            found = path.stat()
            version = found.st_ino, found.st_mtime_ns, found.st_size
            if path not in self._known or self._known[path][0] != version:
                self._known[path] = version, read()
            return self._known[path][1]
        except FileNotFoundError:
            return None
        except (ArtefactError, OSError, LookupError, ValueError):
            self._unreadable += path.exists()
            return None

    def _made_since(self, log: Log) -> bool:
        """Whether a failed job's first output is there, and newer than its log."""
        from transferlens.capabilities import CAPABILITIES

        steps = {step.name: step for capability in CAPABILITIES for step in capability.steps}
        name, _, place = log.job.partition("/")
        if name not in steps or not (match := artefacts.pattern_of(steps[name].place).fullmatch(place)):
            return False
        output = next(iter(steps[name].outputs.values()))
        with suppress(OSError, LookupError):
            path = self.folder / output.path.format(**match.groupdict())
            return path.stat().st_mtime > log.written
        return False


def _files(folder: Path, ending: str) -> Iterator[Path]:
    """Files of a folder and those below, of which some may vanish meanwhile; temporary ones are hidden."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place) / name for name in sorted(names) if name.endswith(ending) and name[0] != ".")


def _rows(shards: Mapping[tuple[str, ...], Shard], study: str) -> set[int]:
    return {int(row) for (name, *_), shard in shards.items() if name == study for row in shard.rows}


def _log(logs: Path, path: Path) -> Log:
    """How a log ends: its job ended well, by an error, or has not said."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL))
        text = file.read().decode(errors="replace")
    job, written = path.relative_to(logs).with_suffix("").as_posix(), path.stat().st_mtime
    lines = list(_LINE.finditer(text))
    last = lines[-1] if lines else None
    if last and (done := _DONE.match(last["said"])):
        return Log(job, "done", seconds=float(done["seconds"]), written=written)
    if last and last["level"] == "ERROR":
        traceback = text[last.end() :].strip().splitlines()
        said = ": ".join([last["said"].removeprefix("error: "), *traceback[-1:]])
        return Log(job, "failed", said=printable(said), written=written)
    made = [int(found[1]) for line in lines if (found := _MODELS.search(line["said"]))]
    return Log(job, "open", models=made[-1] if made else 0, written=written)


def _pace(
    shards: Mapping[tuple[str, ...], Shard], logs: Mapping[str, Log], steps: Sequence[str]
) -> Pace | None:
    """The pace of shards whose log tells how long their job took: idle times between jobs do not count."""
    timed = []
    for names, shard in shards.items():
        log = next((logs[job] for step in steps if (job := "/".join((step, *names))) in logs), None)
        if log and log.state == "done" and log.seconds > 0 and len(shard.rows):
            timed.append((len(shard.rows), shard.finished - log.seconds, shard.finished, log.seconds))
    if not timed:
        return None
    models, spent = sum(n for n, *_ in timed), sum(seconds for *_, seconds in timed)
    speeds = [n / seconds / (models / spent) for n, *_, seconds in timed]
    at_work = _covered([(start, end) for _, start, end, _ in timed])
    return Pace(models, len(timed), models / at_work, min(speeds), max(speeds))


def _covered(intervals: Sequence[tuple[float, float]]) -> float:
    """Length of the union of intervals."""
    length, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        length += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return length


def lines(seen: Seen) -> list[str]:
    """What was seen, for people."""
    done, has = (
        (sum(counts) for counts in zip(*seen.trained.values(), strict=True)) if seen.trained else (0, 0)
    )
    more = f", {seen.in_making} more in shards at work" if seen.in_making else ""
    told = [f"source models: {done} of {has} whose masks are drawn{more}{_left(has - done, seen.training)}"]
    told += [f"  {study}: {n} of {of}" for study, (n, of) in seen.trained.items()]
    pace = f", {60 * seen.adapting.per_second:.3g} a minute" if seen.adapting else ""
    told.append(f"adapted models: {sum(seen.adapted.values())}{pace}")
    told += [f"  {' '.join(names)}: {n}" for names, n in seen.adapted.items()]
    if seen.open:
        silent = max(0.0, time.time() - max(log.written for log in seen.open))
        told.append(
            f"jobs that began and have not ended: {len(seen.open)} (at work, or killed; a log was last "
            f"written {_duration(silent)} ago)"
        )
    told.append(f"failed jobs: {len(seen.failed)}")
    told += [f"  {log.job}: {log.said}" for log in seen.failed[:_LISTED]]
    if len(seen.failed) > _LISTED:
        told.append(f"  and {len(seen.failed) - _LISTED} more")
    if seen.unreadable:
        told.append(f"files that could not be read just now: {seen.unreadable} (if they stay: the doctor)")
    return [printable(line) for line in told]


def _left(models: int, pace: Pace | None) -> str:
    """How fast it goes, and how long the rest takes at that pace; the ends are those of single shards."""
    if pace is None:
        return ""
    rate = f"; {60 * pace.per_second:.3g} a minute"
    if not models:
        return rate
    left = models / pace.per_second
    if pace.shards == 1:
        return f"{rate}, {_duration(left)} left (by one shard)"
    ends = f"{_duration(left / pace.fastest)} to {_duration(left / pace.slowest)}"
    return f"{rate}, {_duration(left)} left ({ends} by the fastest and slowest of {pace.shards} shards)"


def _duration(seconds: float) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"
