"""Orders of removal that a user wrote down."""

from pathlib import Path

from transferlens.core.errors import ConfigError, nearest
from transferlens.data import plain_text
from transferlens.data.classnames import readable

_COLUMN = "source_class"


def read_order(path: str | Path, unit_names: list[str]) -> list[int]:
    """The units in the order of a CSV file with a column `source_class`, the first removed first.

    Raises:
        ConfigError: a file that cannot be read, no such column, or a class that is unknown, named twice or
            missing.
    """
    if not Path(path).exists():
        raise ConfigError(
            f"{path}: no such order of removal (studies.counterfactual.order_files); write one, or mend the "
            "path"
        )
    order: list[int] = []
    for line, (given,) in plain_text.rows(path, (_COLUMN,), "an order of removal", ConfigError):
        name = readable(given)
        if name not in unit_names:
            raise ConfigError(
                f"{path}, line {line}: unknown source class '{name}'" + nearest(name, unit_names)
            )
        if unit_names.index(name) in order:
            raise ConfigError(f"{path}, line {line}: '{name}' stands there twice; name each class once")
        order.append(unit_names.index(name))
    missing = [name for place, name in enumerate(unit_names) if place not in order]
    if missing:
        raise ConfigError(
            f"{path}: '{missing[0]}' is missing ({len(missing)} of {len(unit_names)} source classes are); "
            "name every class once"
        )
    return order
