"""What a folder remembers of the question it was made for, so that the same command goes on there."""

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from transferlens.core.errors import ArtefactError, ConfigError
from transferlens.core.files import replace_file
from transferlens.operations.recommend.composing import CONFIG, Question
from transferlens.operations.recommend.images import Task
from transferlens.operations.recommend.pricing import Prices

_FILE, _LOCK = "asked.json", ".in-use"


@dataclass(frozen=True)
class Plan:
    """What was decided before anything ran.

    Attributes:
        asked: the question, as `asked` gives it.
        names: the recipes that are tried.
        trials: of each.
        prices: of jobs.
        seconds: of one core, that all of it was to take.
        left_out: recipes that did not fit into the budget, with the seconds of each.
    """

    asked: Mapping[str, Any]
    names: list[str]
    trials: int
    prices: Prices
    seconds: float
    left_out: Mapping[str, float]


def asked(question: Question, hours: float) -> dict[str, Any]:
    """What decides a plan, by the name of its option. (How many cores there are today may change.)"""
    return {
        "target": _images(question.target),
        "keep": [_images(task) for task in question.kept],
        "weights": question.weights,
        "architecture": question.network.model_dump(),
        "mean": list(question.mean),
        "std": list(question.std),
        "crop-ratio": question.crop_ratio,
        "recipes": list(question.names),
        "trials": question.trials,
        "models": question.models,
        "epochs": question.epochs,
        "no-flip": not question.flip,
        "seed": question.seed,
        "hours": hours,
    }


def _images(task: Task) -> list[Any]:
    """A data set, and what tells whether its images are still those."""
    folder = task.folder
    rows = [(split.ids, split.labels.tolist()) for split in (folder.train, folder.test)]
    return [str(task.root), folder.name, sha256(json.dumps(rows).encode()).hexdigest()]


def read(out: Path, now: Mapping[str, Any]) -> Plan | None:
    """The plan of a folder; None where there is none yet.

    Raises:
        ConfigError: the folder was made for another question.
    """
    path = out / _FILE
    if not path.exists():
        if (out / CONFIG).exists() or (out / "results").exists():
            raise ConfigError(f"--out: {out} holds a study that this command did not make; name another one")
        return None
    given = json.loads(path.read_text(encoding="utf-8"))
    for name, then in given["asked"].items():
        if then != now[name]:
            raise ConfigError(f"--out: {out} holds an answer with {_difference(name, then, now[name])}")
    return Plan(**{**given, "prices": Prices(**given["prices"])})


def _difference(name: str, then: Any, now: Any) -> str:
    """Which option differs, in words."""
    cure = "repeat that, or name another folder"
    if name in ("target", "keep"):
        return f"other images of --{name}; {cure}"
    return f"--{name} {_shown(then)}, not {_shown(now)}; {cure}"


def _shown(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def write(out: Path, plan: Plan) -> None:
    """Remember a plan."""
    with replace_file(out / _FILE) as temporary:
        temporary.write_text(json.dumps(asdict(plan), indent=1) + "\n", encoding="utf-8")


def refuse_inside(out: Path, folders: Sequence[Path]) -> None:
    """Refuse a folder of answers among the images, where it would be taken for a class.

    Raises:
        ConfigError: it is in one of these folders.
    """
    for folder in folders:
        if out.resolve().is_relative_to(folder.resolve()):
            raise ConfigError(f"--out: {out} is in the images of {folder}; name a folder elsewhere")


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """The folder, made where it is not there, for this process alone.

    Raises:
        ArtefactError: it cannot be written, or another process has it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / _LOCK).open("w")
    except OSError as error:
        raise ArtefactError(f"--out: {out} cannot be written ({error.strerror}); name another one") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ArtefactError(f"--out: {out} is being worked on by another such command") from error
        yield
