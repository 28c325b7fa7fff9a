"""What people wrote: names of images and classes, lines of text, rows of CSV tables."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from transferlens.core import files
from transferlens.core.errors import DataError, TransferlensError, shown

# Control characters, ends of lines, and what Python makes of bytes that are not UTF-8: no file of results can
# hold them, or no line can show them.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST_LINE = 1 << 20  # characters; a file that is no text may have no end of a line at all


def require_printable(
    names: Iterable[str], where: object, error: type[TransferlensError] = DataError
) -> None:
    """Refuse a name that cannot be stored, or would break a line.

    Raises:
        error: showing the name as Python writes it.
    """
    for name in names:
        if _UNPRINTABLE.search(name):
            raise error(
                f"{where}: the name {shown(name)} holds a control character, or bytes that are not UTF-8; "
                "rename it"
            )


def lines(file: TextIO) -> Iterator[str]:
    """The lines of an open text file; raises ValueError at one that no person wrote."""
    while line := file.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise ValueError(f"a line of more than {_LONGEST_LINE:,} characters")
        yield line


def rows(
    path: str | Path, columns: Sequence[str], what: str, error: type[TransferlensError]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Number of the line and cells of some columns, for every row of a CSV table with a heading.

    Cells that a row lacks are ''.

    Args:
        what: the table is, for messages.
        error: what is raised.

    Raises:
        error: a table that cannot be read, a column that is not there once, more cells in a row than in the
            heading, or a cell that cannot be stored.
    """
    try:
        with files.plain(path).open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(lines(file), restval="")
            _require_columns(path, columns, table.fieldnames or [], error)
            for row in table:
                if any(row.pop(None, [])):  # where csv puts what is beyond the heading
                    raise error(
                        f"{path}, line {table.line_num}: has more cells than the heading; put a name with a "
                        "comma between double quotes"
                    )
                cells = tuple(row[column] for column in columns)
                require_printable(cells, f"{path}, line {table.line_num}", error)
                yield table.line_num, cells
    except (OSError, ValueError, csv.Error) as failure:
        raise error(
            f"{path}: cannot be read as {what} ({files.first_line(failure)}); write it anew"
        ) from failure


def _require_columns(
    path: str | Path, columns: Sequence[str], heading: Sequence[str], error: type[TransferlensError]
) -> None:
    for column in columns:
        if heading.count(column) != 1:
            found = "stands there twice" if column in heading else "is missing"
            raise error(
                f"{path}: column '{column}' {found}; needs {', '.join(columns)}; has "
                f"{', '.join(heading) or 'none'}"
            )
