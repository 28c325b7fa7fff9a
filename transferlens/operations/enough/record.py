"""The table of looks: what was planned, what each look found; also what a later call goes on from."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transferlens.core import digests, files
from transferlens.core.errors import ArtefactError, ConfigError
from transferlens.core.statistics import Interval
from transferlens.influence.stopping import RELIABILITY
from transferlens.operations.enough.asking import Question

_COLUMNS = (
    *("models", "target", "recipe", "output", "quantity", "source_class", "target_class", "estimator"),
    *("confidence", "value", "low", "high", "wanted", "reached", "seconds", "settings"),
)
# What makes two tables tables of one question.
_SAME = ("target", "recipe", "output", "quantity", "source_class", "target_class", "estimator", "confidence")
_CURE = "ask the same again, or begin a question of its own: --out FILE"
# Two estimates from the same outputs agree to this share of their interval.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Look:
    """What was found with so many models.

    Attributes:
        found: of every quantity.
        seconds: that the last run of the workflow for it took.
    """

    models: int
    found: Sequence[Interval]
    seconds: float


def write(path: Path, question: Question, looks: Sequence[Look]) -> None:
    """The table, planned looks that were not made included."""
    import pandas as pd

    digests.forget([path])
    files.write_csv(path, pd.DataFrame(list(_rows(question, looks)), columns=list(_COLUMNS)))
    digests.record([path])


def _rows(question: Question, looks: Sequence[Look]) -> list[dict[str, Any]]:
    made = {look.models: look for look in looks}
    return [
        _row(question, models, position, made.get(models))
        for models in question.planned
        for position in range(len(question.quantities))
    ]


def _row(question: Question, models: int, position: int, look: Look | None) -> dict[str, Any]:
    """A line: a look at a quantity; without numbers where it was not made."""
    quantity = question.quantities[position]
    row = {
        "models": models,
        **{name: getattr(question, name) for name in ("target", "recipe", "output", "estimator", "settings")},
        "quantity": "reliability" if quantity == RELIABILITY else "influence",
        "source_class": quantity.source,
        "target_class": quantity.target,
        "confidence": question.confidence,
        "wanted": question.wanted.words(quantity),
    }
    if look is None:
        return row
    found = look.found[position]
    reached = question.wanted.is_reached(quantity, found)
    return row | {**vars(found), "reached": "yes" if reached else "no", "seconds": round(look.seconds, 1)}


def planned(path: Path) -> list[int]:
    """The numbers of models that looks were planned at; none where there is no table.

    Raises:
        ArtefactError: the table is damaged.
    """
    return sorted({int(row["models"]) for row in _lines(path)})


def read(path: Path, question: Question) -> list[Look]:
    """The looks that were made; none where there is no table.

    Raises:
        ArtefactError: the table is damaged.
        ConfigError: it is that of another question, plan or study.
    """
    rows = _lines(path)
    if not rows:
        return []
    _refuse_another(path, question, rows)
    try:
        return _looks(rows, len(question.quantities))
    except ValueError as error:
        raise _damaged(path, error) from error


def _lines(path: Path) -> list[dict[str, str]]:
    """The lines of a table, by the names of its columns."""
    if not path.exists():
        return []
    try:
        with files.plain(path).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
        if not rows or any(set(row) != set(_COLUMNS) or not row["models"].isdecimal() for row in rows):
            raise ValueError("other columns")
    except (OSError, ValueError, csv.Error) as error:
        raise _damaged(path, error) from error
    return rows


def _damaged(path: Path, error: Exception) -> ArtefactError:
    return ArtefactError(
        f"{path}: is no table of looks ({files.first_line(error)}); name another file: --out"
    )


def _refuse_another(path: Path, question: Question, rows: list[dict[str, str]]) -> None:
    """Refuse to go on where intervals would no longer hold at once, or models are not the same."""
    now, then = [_row(question, 0, i, None) for i in range(len(question.quantities))], planned(path)
    if then != list(question.planned):
        raise ConfigError(
            f"{path}: looks were planned at {', '.join(map(str, then))} models, and share their level; ask "
            f"with --most {then[-1]}, or begin a question of its own: --out FILE"
        )
    for row, asked in zip(rows, now, strict=False):
        for name in _SAME:
            if row[name] != str(asked[name]):
                raise ConfigError(
                    f"{path}: holds looks with {name} '{row[name]}', not '{asked[name]}'; {_CURE}"
                )
    if len(rows) != len(now) * len(then):
        raise ConfigError(f"{path}: holds looks at another number of influences; {_CURE}")
    if rows[0]["settings"] != question.settings:
        raise ConfigError(
            f"{path}: holds looks at models of other settings, which would be trained anew; give back the "
            "settings, or begin a question of its own: --out FILE"
        )


def _looks(rows: list[dict[str, str]], quantities: int) -> list[Look]:
    made = []
    for start in range(0, len(rows), quantities):
        own = rows[start : start + quantities]
        if not own[0]["reached"]:
            break
        found = [Interval(*(float(row[end] or "nan") for end in ("value", "low", "high"))) for row in own]
        made.append(Look(int(own[0]["models"]), found, float(own[0]["seconds"])))
    return made


def require_same(path: Path, models: int, then: Sequence[Interval], now: Sequence[Interval]) -> None:
    """Refuse models whose outputs are no longer those that a look was made at.

    Raises:
        ConfigError: the first models give other numbers now.
    """
    for before, after in zip(then, now, strict=True):
        ends = np.array([[part.value, part.low, part.high] for part in (before, after)])
        rounding = _ROUNDING * (before.high - before.low)
        if not np.allclose(*ends, rtol=0, atol=0 if np.isnan(rounding) else rounding, equal_nan=True):
            raise ConfigError(
                f"{path}: its look at {models} models found {before.value:.4g}, and these models "
                f"now give {after.value:.4g}: they were trained anew; begin a question of its own, --out FILE"
            )
