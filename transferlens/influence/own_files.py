"""Masks, outputs and names read from the files that people have: NumPy, CSV, HDF5."""

import csv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from transferlens.core import artefacts, files
from transferlens.core.errors import DataError, nearest
from transferlens.influence import own
from transferlens.influence.artefacts import OWN_INFLUENCE
from transferlens.influence.own import Own

_HDF5 = (".h5", ".hdf5")
# Headings of a first column that names the models.
_IDS = ("", "id", "model")
_PARTS = ("", "_se", "_low", "_high", "_p", "_q")


@dataclass(frozen=True)
class Matrix:
    """A matrix of a file, a row a model.

    Attributes:
        path: of the file.
        values: [rows, columns]; of `.npy` and HDF5 files, read where it is sliced.
        columns: their names; None where the file has none.
        ids: names of the rows; None where the file has none.
    """

    path: Path
    values: Any
    columns: list[str] | None = None
    ids: list[str] | None = None


def read_own(
    masks: str,
    outputs: str,
    unit_names: Path | None = None,
    output_names: Path | None = None,
    groups: Path | None = None,
) -> tuple[Own, dict[str, str]]:
    """Masks and outputs of models, and the SHA-256 of their files.

    Args:
        masks, outputs: `.npy`, `.npz`, `.csv`, `.h5` or `.hdf5` files. A CSV table has a heading that names
            its columns; a first column headed `model`, `id` or nothing names the models. An array of an HDF5
            or `.npz` file that holds several is named after a colon: `runs.h5:masks`.
        unit_names, output_names, groups: text files with a line for every unit or output, in place of the
            names that the files themselves have.

    Raises:
        DataError: a file that is missing, unreadable or of another kind, models that are named otherwise in
            the other one, or as `own.check`.
    """
    seen, given = read_matrix(masks), read_matrix(outputs)
    _require_same_models(seen, given)
    checked = own.check(
        seen.values,
        given.values,
        read_lines(unit_names) if unit_names else seen.columns,
        read_lines(output_names) if output_names else given.columns,
        read_lines(groups) if groups else None,
        named=(masks, outputs),
    )
    return checked, {str(matrix.path): files.sha256(matrix.path) for matrix in (seen, given)}


def _require_same_models(masks: Matrix, outputs: Matrix) -> None:
    """Where both name their models, these must be the same, in the same order."""
    if masks.ids is None or outputs.ids is None:
        return
    for row, (one, other) in enumerate(zip(masks.ids, outputs.ids, strict=False)):
        if one != other:
            raise DataError(
                f"{outputs.path}: row {row} (from 0) is of model '{other}', but of '{one}' in {masks.path}; "
                "sort both alike"
            )


def read_matrix(named: str) -> Matrix:
    """The matrix of a file; see `read_own`."""
    path, inside = Path(named), ""
    if ":" in named and not path.exists():
        before, _, inside = named.rpartition(":")
        path = Path(before)
    readers = {".npy": _read_npy, ".npz": _read_npz, ".csv": _read_csv} | dict.fromkeys(_HDF5, _read_hdf5)
    if path.suffix.lower() not in readers:
        raise DataError(f"{path}: of no known kind; give {', '.join(readers)}")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        return readers[path.suffix.lower()](path, inside)
    except (OSError, ValueError, EOFError, MemoryError, csv.Error, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read ({files.first_line(error)}); write it again") from error


def read_lines(path: Path) -> list[str]:
    """The lines of a text file."""
    try:
        return files.plain(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({files.first_line(error)}); give a name a line") from error


def _read_npy(path: Path, inside: str) -> Matrix:
    return Matrix(path, np.load(path, mmap_mode="r"))


def _read_npz(path: Path, inside: str) -> Matrix:
    with np.load(path) as arrays:
        return Matrix(path, arrays[_one_of(path, inside, list(arrays))])


def _read_hdf5(path: Path, inside: str) -> Matrix:
    """A data set, which keeps its file open; columns are named as its dimension scale is, if it has one."""
    known: list[str] = []
    file = h5py.File(path, "r", locking=False)
    file.visititems(
        lambda name, item: known.append(name) if isinstance(item, h5py.Dataset) and item.ndim == 2 else None
    )
    values = file[_one_of(path, inside.strip("/"), known)]
    scales = values.dims[1].values()
    named = bool(scales) and h5py.check_string_dtype(scales[0].dtype) is not None
    return Matrix(path, values, artefacts.names(scales[0]) if named else None)


def _one_of(path: Path, asked: str, known: Sequence[str]) -> str:
    """The name of an array: the one that is asked for, or the only one."""
    if asked in known:
        return asked
    if asked:
        raise DataError(f"{path}: holds no matrix '{asked}'" + nearest(asked, list(known)))
    if len(known) != 1:
        listed = nearest("", list(known)) if known else ""
        raise DataError(f"{path}: holds {len(known)} matrices{listed}; name one after a colon: {path}:NAME")
    return known[0]


def _read_csv(path: Path, inside: str) -> Matrix:
    import pandas as pd

    with path.open(newline="", encoding="utf-8-sig") as file:
        heading = next(csv.reader(file), [])
    if len(set(heading)) < len(heading):
        twice = next(name for i, name in enumerate(heading) if name in heading[:i])
        raise DataError(f"{path}: column '{twice}' stands there twice; name each once, in the first line")
    named = bool(heading) and heading[0].strip().lower() in _IDS
    table = pd.read_csv(
        path, encoding="utf-8-sig", index_col=0 if named else False, float_precision="round_trip"
    )
    for name, kind in table.dtypes.items():
        if kind.kind not in "biuf":
            raise DataError(f"{path}: column '{name}' holds other than numbers")
    ids = [str(model) for model in table.index] if named else None
    return Matrix(path, table.to_numpy(), [str(name) for name in table.columns], ids)


def write_table(path: Path, influence: Path) -> None:
    """A file of influences as one long CSV table: of all outputs, of groups of them, of each.

    Columns: `of` (overall, group, output), `name`, `unit`, `effect` and its parts.
    """
    with artefacts.open(influence, OWN_INFLUENCE) as file, files.replace_file(path) as temporary:
        units = artefacts.names(file["unit"])
        with temporary.open("w", newline="", encoding="utf-8") as text:
            table = csv.writer(text, lineterminator="\n")
            table.writerow(["of", "name", "unit", *(f"effect{part}" for part in _PARTS)])
            overall = np.stack([file[f"overall_effect{part}"][:] for part in _PARTS], axis=1)
            table.writerows(["overall", "", unit, *row] for unit, row in zip(units, overall, strict=True))
            for kind, axis, name in (
                ("group", "output_group", "group_effect"),
                ("output", "output", "effect"),
            ):
                for i, label in enumerate(artefacts.names(file[axis]) if axis in file else []):
                    rows = np.stack([file[f"{name}{part}"][i] for part in _PARTS], axis=1)
                    table.writerows([kind, label, unit, *row] for unit, row in zip(units, rows, strict=True))
