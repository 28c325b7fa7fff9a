"""The folders that are compared: opened, told apart, and what each holds."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transferlens.core import artefacts
from transferlens.core.errors import ConfigError
from transferlens.core.studies import MASKS
from transferlens.results import Results, open_results

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_HEADER = ("seed", "device", "transferlens_version", "git_commit")


@dataclass(frozen=True)
class Folder:
    """A results folder under comparison.

    Attributes:
        letter: what it is called in tables.
        made: of every artefact, by its path in the folder: its kind and what it was made with.
    """

    letter: str
    results: Results
    made: dict[str, tuple[str, dict[str, Any]]]

    def has(self, place: str) -> bool:
        """Whether it holds the artefact of this path."""
        return place in self.made

    def rows(self, study: str) -> tuple[np.ndarray, np.ndarray]:
        """(training seeds int64[models], masks bool[models, units]) of a study; empty if it has none."""
        start = f"studies/{study}/masks/"
        seeds, masks = [], []
        for place in sorted(place for place in self.made if place.startswith(start)):
            with artefacts.open(self.results.folder / place, MASKS) as file:
                seeds.append(file["training_seed"][:])
                masks.append(file["mask"][:])
        if not seeds:
            return np.zeros(0, np.int64), np.zeros((0, 0), bool)
        return np.concatenate(seeds), np.concatenate(masks)


def open_folders(paths: Sequence[Path]) -> list[Folder]:
    """Folders to compare, in the order given.

    Raises:
        ConfigError: fewer than two, too many, one twice, or one without results.
        ArtefactError: no such folder, or one of another version.
    """
    if not 2 <= len(paths) <= len(_LETTERS):
        raise ConfigError(f"compare: {len(paths)} results folders; give 2 to {len(_LETTERS)}")
    counts = Counter(path.resolve() for path in paths)
    for path in paths:
        if counts[path.resolve()] > 1:
            raise ConfigError(f"{path}: given twice; name another run's results folder")
    results = [open_results(path) for path in paths]  # that all are there is known before any is read
    return [_opened(letter, of_run) for letter, of_run in zip(_LETTERS, results, strict=False)]


def _opened(letter: str, results: Results) -> Folder:
    path, made = results.folder, {}
    for file in sorted(path.rglob("*.h5")):
        place = file.relative_to(path).as_posix()
        with artefacts.open(file) as opened:
            made[place] = str(opened.attrs["kind"]), _made_with(opened)
    if not made:
        raise ConfigError(f"{path}: holds no results; name a folder that snakemake made")
    return Folder(letter, results, made)


def _made_with(file: Any) -> dict[str, Any]:
    """What an artefact records of its making, key by key; not its inputs, which differ with any of these."""
    told: dict[str, Any] = {f"made: {name}": _plain(file.attrs.get(name, "")) for name in _HEADER}
    told["software"] = _plain(file.attrs.get("software", ""))
    return told | dict(_flat("", artefacts.settings_of(file)))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _flat(start: str, value: Any) -> list[tuple[str, Any]]:
    """Nested settings as (dotted key, value); lists are values."""
    if not isinstance(value, dict):
        return [(start, value)]
    return [pair for key, part in value.items() for pair in _flat(f"{start}.{key}".lstrip("."), part)]


def refuse_place(out: Path, folders: Sequence[Folder]) -> None:
    """Refuse to write where results lie.

    Raises:
        ConfigError: `out` is a file, or in a results folder (of these, or another one).
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: is a file; name a folder for the comparison")
    here = out.resolve()
    for folder in folders:
        theirs = folder.results.folder.resolve()
        if here == theirs or theirs in here.parents:
            raise ConfigError(f"{out}: lies in the results folder {folder.results.folder}; name another one")
    for parent in (here, *here.parents):
        if next(parent.glob("data/*/index.h5"), None) and (parent / "studies").is_dir():
            raise ConfigError(f"{out}: lies in the results folder {parent}; name another one")
