"""Source and target classes that mean the same: seeing one of them is no distraction.

Given by equal names, by a table that the user has confirmed, or as none. `propose` drafts the table.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from transferlens.core.errors import ConfigError, nearest
from transferlens.data import plain_text, wordnet
from transferlens.data.classnames import readable, same_names

COLUMNS = ("source_class", "target_class", "confirmed")
_ANSWERS = {"yes": True, "no": False}
_CURE = "`snakemake propose_overlap` drafts a table; where nothing overlaps, set memories.overlap: none"


def read_overlap(
    given: str, table: Path | None, source_names: list[str], target_names: list[str]
) -> np.ndarray:
    """Pairs that mean the same, bool[source classes, target classes], by `names`, `none` or a `table`."""
    if given == "table":
        return read_table(table, source_names, target_names)
    if given == "names":
        return same_names(source_names, target_names)
    return np.zeros((len(source_names), len(target_names)), bool)


def read_table(path: Path, source_names: list[str], target_names: list[str]) -> np.ndarray:
    """The confirmed pairs of a table, bool[source classes, target classes].

    Raises:
        ConfigError: a table that cannot be read or is empty, a missing column, an unknown class, or a pair
            that nobody has confirmed or denied.
    """
    overlap, empty = np.zeros((len(source_names), len(target_names)), bool), True
    if not path.exists():
        raise ConfigError(
            f"{path}: no such table of overlapping classes; draft one: snakemake propose_overlap --cores 1 "
            "--config 'memories={overlap: names}'"
        )
    for line, row in plain_text.rows(path, COLUMNS, "a table of overlapping classes", ConfigError):
        empty = False
        where, (source, target, confirmed) = f"{path}, line {line}", row
        cell = (
            _place(where, "source", source, source_names),
            _place(where, "target", target, target_names),
        )
        overlap[cell] = _answer(where, source, target, confirmed)
    if empty:
        raise ConfigError(f"{path}: no pair of classes in it; {_CURE}")
    return overlap


def _place(where: str, kind: str, name: str, names: list[str]) -> int:
    plain = readable(name)
    if plain not in names:
        raise ConfigError(f"{where}: unknown {kind} class '{name}'" + nearest(plain, names))
    return names.index(plain)


def _answer(where: str, source: str, target: str, confirmed: str) -> bool:
    given = confirmed.strip().casefold()
    if given not in _ANSWERS:
        raise ConfigError(
            f"{where}: '{source}' and '{target}' are not confirmed (found '{given}'); write yes if they mean "
            "the same, else no"
        )
    return _ANSWERS[given]


def propose(source_names: list[str], target_names: list[str]) -> pd.DataFrame:
    """Pairs to confirm: equal names, and, if any class has a WordNet id, one synset that is below the other.

    Names without an id stand for all synsets of that word.

    Returns:
        The columns of a table of overlaps, `confirmed` empty, and `why`.

    Raises:
        DataError: there are WordNet ids, but WordNet is not on this machine.
    """
    equal = same_names(source_names, target_names)
    known = any(map(wordnet.has_id, [*source_names, *target_names]))
    senses = {name: wordnet.senses(name) if known else set() for name in {*source_names, *target_names}}
    above = {name: set().union(*map(wordnet.ancestors, ids)) for name, ids in senses.items()}
    rows = []
    for c, source in enumerate(source_names):
        for j, target in enumerate(target_names):
            reasons = {
                "same name": equal[c, j],
                "same synset": senses[source] & senses[target],
                "the source class is a kind of the target class": above[source] & senses[target],
                "the target class is a kind of the source class": above[target] & senses[source],
            }
            why = next((reason for reason, holds in reasons.items() if holds), None)
            if why:
                rows.append((source, target, "", why))
    return pd.DataFrame(rows, columns=[*COLUMNS, "why"])
