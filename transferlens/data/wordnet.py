"""WordNet's noun hierarchy, for classes named by WordNet ids (n02084071), as ImageNet's are.

Reads the database of WordNet 3.0 itself (Debian's package wordnet-base); its format is that of wndb(5WN).
"""

import re
from functools import lru_cache
from pathlib import Path

from transferlens.core.errors import ConfigError, DataError

_DATABASE = Path("/usr/share/wordnet/data.noun")
_WNID = re.compile(r"n(\d{8})")


def groups_at_level(class_names: list[str], level: int, database: Path = _DATABASE) -> list[str]:
    """The ancestor of every class so many steps below the root (`entity` is level 0), as 'word (wnid)'.

    A class above that level is a group of its own.

    Raises:
        ConfigError: a class name without a WordNet id.
        DataError: no database on this machine.
    """
    chains = [lineage(_wnid(name), database) for name in class_names]
    return [label(chain[min(level, len(chain) - 1)], database) for chain in chains]


def classes_below(root: str, class_names: list[str], database: Path = _DATABASE) -> list[str]:
    """The classes whose synset is `root` (a WordNet id) or lies below it, by any of its parents.

    Raises:
        ConfigError: an id that WordNet does not have, or under which there is no class.
    """
    synsets = _synsets(database)
    if root not in synsets:
        raise ConfigError(f"wordnet: '{root}' is no noun of WordNet 3.0; ids look like n02084071 (dog)")
    below = [name for name in class_names if root in ancestors(_wnid(name), database)]
    if not below:
        raise ConfigError(f"wordnet: no source class lies below {label(root, database)}")
    return below


def lineage(wnid: str, database: Path = _DATABASE) -> list[str]:
    """WordNet ids from the root down to `wnid`, by the first parent of each."""
    synsets, chain = _synsets(database), [wnid]
    while parents := synsets[chain[0]][1]:
        chain.insert(0, parents[0])
    return chain


def label(wnid: str, database: Path = _DATABASE) -> str:
    """The first word of a synset, and its id."""
    return f"{_synsets(database)[wnid][0]} ({wnid})"


def has_id(class_name: str) -> bool:
    """Whether a class name holds a WordNet id."""
    return _WNID.search(class_name) is not None


def senses(class_name: str, database: Path = _DATABASE) -> set[str]:
    """The WordNet id in a class name; without one, the ids of all synsets whose first word it is."""
    if has_id(class_name):
        return {_wnid(class_name)}
    word = " ".join(class_name.casefold().replace("_", " ").split())
    return {wnid for wnid, (first, _) in _synsets(database).items() if first.casefold() == word}


def ancestors(wnid: str, database: Path = _DATABASE) -> set[str]:
    """A synset and all that lie above it, by any of their parents.

    Raises:
        ConfigError: an id that WordNet does not have.
    """
    if wnid not in _synsets(database):
        raise ConfigError(f"wordnet: '{wnid}' is no noun of WordNet 3.0; ids look like n02084071 (dog)")
    above, waiting = set(), [wnid]
    while waiting:
        synset = waiting.pop()
        if synset not in above:
            above.add(synset)
            waiting += _synsets(database)[synset][1]
    return above


def _wnid(class_name: str) -> str:
    match = _WNID.search(class_name)
    if not match:
        raise ConfigError(f"wordnet: class '{class_name}' has no WordNet id (as n02084071) in its name")
    return match.group()


@lru_cache(maxsize=2)
def _synsets(database: Path) -> dict[str, tuple[str, list[str]]]:
    """First word and parents (hypernyms, also of instances) of every noun synset, by WordNet id."""
    try:
        lines = database.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(
            f"{database}: WordNet's database is not there; install the Debian package wordnet-base"
        ) from error
    return dict(_synset(line) for line in lines if not line.startswith(" "))


def _synset(line: str) -> tuple[str, tuple[str, list[str]]]:
    """One line: offset, file number, type, words (counted in hex), pointers (counted), gloss."""
    fields = line.partition(" | ")[0].split()
    words = int(fields[3], 16)
    pointers = fields[4 + 2 * words + 1 :]
    parents = [
        f"n{offset}"
        for symbol, offset, kind in zip(pointers[0::4], pointers[1::4], pointers[2::4], strict=False)
        if symbol in ("@", "@i") and kind == "n"
    ]
    return f"n{fields[0]}", (fields[4].replace("_", " "), parents)
