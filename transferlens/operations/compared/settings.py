"""What two runs were told differently, and what one of them lacks."""

import json
from collections import Counter
from typing import Any

import pandas as pd

from transferlens.operations.compared.folders import Folder

_ABSENT = "(not set)"


def differing(first: Folder, second: Folder) -> pd.DataFrame:
    """Settings that differ in artefacts of the same path: setting, kinds, first, second, files.

    One row for every setting and pair of values; `files` counts the artefacts that record it so.
    """
    counts: Counter[tuple[str, str, str]] = Counter()
    kinds: dict[tuple[str, str, str], set[str]] = {}
    for place in sorted(first.made.keys() & second.made.keys()):
        (kind, one), (_, other) = first.made[place], second.made[place]
        for key in sorted(one.keys() | other.keys()):
            pair = _text(one.get(key, _ABSENT)), _text(other.get(key, _ABSENT))
            if pair[0] != pair[1]:
                counts[key, *pair] += 1
                kinds.setdefault((key, *pair), set()).add(kind)
    rows = [
        (key, ", ".join(sorted(kinds[key, one, other])), one, other, n)
        for (key, one, other), n in counts.items()
    ]
    return pd.DataFrame(rows, columns=["setting", "kinds", "first", "second", "files"])


def lacking(first: Folder, second: Folder) -> pd.DataFrame:
    """Artefacts that only one folder holds, by kind: folder, kind, files, example."""
    rows = []
    for folder, other in ((first, second), (second, first)):
        alone: dict[str, list[str]] = {}
        for place, (kind, _) in folder.made.items():
            if not other.has(place):
                alone.setdefault(kind, []).append(place)
        rows += [(other.letter, kind, len(places), places[0]) for kind, places in sorted(alone.items())]
    return pd.DataFrame(rows, columns=["lacked by", "kind", "files", "for example"])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
