"""Groups of classes: coarser names, from a table or a level of WordNet."""

import re
from pathlib import Path

from transferlens.core.errors import ConfigError, nearest
from transferlens.data import plain_text, wordnet
from transferlens.data.classnames import readable


def read_groups(origin: str | Path, class_names: list[str]) -> list[str]:
    """The group of every class, in the order of the classes.

    Args:
        origin: `wordnet-<level>`, or the path of a CSV table with the columns `class` and `group`.

    Raises:
        ConfigError: groups that do not fit the classes.
    """
    level = wordnet_level(origin)
    if level is None:
        groups = _read_table(origin, class_names)
    else:
        groups = wordnet.groups_at_level(class_names, level)
    require_groups(str(origin), class_names, groups)
    return groups


def wordnet_level(origin: str | Path) -> int | None:
    """The level of `wordnet-<level>`; None for the path of a table."""
    match = re.fullmatch(r"wordnet-(\d+)", str(origin))
    return int(match.group(1)) if match else None


def _read_table(path: str | Path, class_names: list[str]) -> list[str]:
    group_of: dict[str, str] = {}
    for _, (given, group) in plain_text.rows(path, ("class", "group"), "a table of groups", ConfigError):
        name = readable(given)
        if name not in class_names:
            raise ConfigError(f"{path}: unknown class '{name}'" + nearest(name, class_names))
        if name in group_of or not group:
            raise ConfigError(f"{path}: class '{name}' must have one group, once")
        group_of[name] = group
    return [group_of.get(name, "") for name in class_names]


def require_groups(origin: str, class_names: list[str], groups: list[str]) -> None:
    """Refuse groups that do not cover the classes, or put all into one.

    Raises:
        ConfigError: naming the first class without a group.
    """
    missing = [name for name, group in zip(class_names, groups, strict=True) if not group]
    if missing:
        raise ConfigError(
            f"{origin}: class '{missing[0]}' has no group ({len(missing)} of {len(class_names)} classes have "
            "none); every class needs one, from a table named by datasets.<name>.groups"
        )
    if len(set(groups)) < 2:
        raise ConfigError(f"{origin}: all classes are in one group; at least two are needed")
