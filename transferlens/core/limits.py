"""What the numbers and texts of a configuration can mean: beyond their types, and wide enough for any study.

Types, choices and the bounds of arithmetic stand with the keys. What stands there is part of what decides
results; what no honest study asks for, because it fills any memory, overflows or never ends, is refused here,
in planning, and can be moved without making anything again.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from transferlens.core.errors import ConfigError, shown
from transferlens.core.settings import Section, TrainingSettings


class Limit(NamedTuple):
    """The least and the most that a number can be, and why it is no more."""

    low: float
    high: float
    reason: str


NEAREST_TO_ZERO = 1e-12
LARGEST = 1_000_000  # where nothing else is said
MOST_SHARDS = 10_000
_COUNT = Limit(0, LARGEST, "more than any study makes or looks at")
_NUMBER = Limit(-LARGEST, LARGEST, "beyond it arithmetic loses its digits")
_SIDE = Limit(0, 4096, "a batch of larger images fills any memory")
_LAYER = Limit(0, 65_536, "a larger layer fills any memory")
_EPOCHS = Limit(0, 100_000, "more would train for years")
_SEED = Limit(0, 2**63 - 1, "seeds have 63 bits")
_RATE = Limit(0, 1000, "weights would overflow at the first step")
_CHANNEL = "pixels are in [0, 1] here; divide what is of pixels in [0, 255] by 255"
_NAMED: dict[str, Limit] = {
    **dict.fromkeys(("resolution", "low", "high", "patch_pixels", "padding", "smallest_side"), _SIDE),
    **dict.fromkeys(("projection", "bottleneck", "rank", "prefix_tokens"), _LAYER),
    **dict.fromkeys(("epochs", "step_epochs", "lr_peak_epoch", "warmup_epochs", "concept_from"), _EPOCHS),
    **dict.fromkeys(("start", "end"), _EPOCHS),
    **dict.fromkeys(("seed", "reseed"), _SEED),
    **dict.fromkeys(("lr", "weight_decay", "radius_rate", "backbone_rate"), _RATE),
    **dict.fromkeys(("keep", "select_fraction"), Limit(0.01, 0.99, "one of the two parts would be empty")),
    **dict.fromkeys(("resident_limit_gb", "archive_limit_gb"), Limit(0, 10**9, "no disk is larger")),
    **dict.fromkeys(("scale", "patch_scale"), Limit(1e-4, 1, "a smaller part of an image is no pixel")),
    "max_resolution": Limit(0, 65_535, "the largest side of a JPEG"),
    "width": Limit(0, 1024, "wider, it has more than 300 million parameters"),
    "iterations": Limit(0, 10**9, "more would train for years"),
    "mean": Limit(-10, 10, _CHANNEL),
    "std": Limit(1e-3, 10, _CHANNEL),
    "crop_ratio": Limit(0.125, 1, "the crop of an image of 8 px would have no pixel"),
    "taus": Limit(1e-6, 1_000_000, "distances of features are of the order of 1"),
    "temperature": Limit(1e-4, 10_000, "exponentials would overflow"),
    "sizes": Limit(1, 1_000_000, "a class needs an image, and has no more"),
    "trials": Limit(1, 10_000, "the best of more is the best by chance"),
    "SearchSettings.epochs": Limit(1, 100, "more would train for years"),
}
# Sections as written, which are read (and then checked) by what uses them.
_READ_LATER = {"Configuration.recipes", "TargetSettings.overrides"}
_PATHS = {"data_root", "path", "weights", "file", "groups", "overlap", "order_files"}
_LONGEST_PART = 255  # bytes of the name of a file or a folder
_LONGEST_NAME = 100  # letters: names are joined to those of files


class _Value(NamedTuple):
    """A value of a configuration: the name of its section, its key there, and its path."""

    section: str
    key: str
    path: str
    value: Any


def limit_of(section: str, key: str, whole: bool) -> Limit:
    """What the numbers of a key can be.

    Args:
        section: the class of its section.
        whole: whether they are whole numbers.
    """
    named = _NAMED.get(f"{section}.{key}") or _NAMED.get(key)
    return named or (_COUNT if whole else _NUMBER)


def check(settings: Section, where: str = "") -> None:
    """Refuse numbers and texts that cannot be meant, in a section and all below it.

    Args:
        where: said at the end of a message.

    Raises:
        ConfigError: the first such key, what it is, and what it can be.
    """
    for found in _values(settings, ""):
        if isinstance(found.value, str):
            _check_text(found, where)
        elif isinstance(found.value, int | float) and not isinstance(found.value, bool):
            _check_number(found, where)
        elif isinstance(found.value, TrainingSettings):
            _check_resize(found, where)


def _values(settings: Section, path: str) -> Iterator[_Value]:
    """Every section and every value below one; of lists and mappings what they hold, and their names."""
    kind = _kind(settings)
    for key, value in (*settings, *(settings.model_extra or {}).items()):
        if f"{kind}.{key}" in _READ_LATER:
            yield from (_Value(kind, "names", key, name) for name in value)
        else:
            yield from _inside(_Value(kind, key, f"{path}.{key}" if path else key, value))


def _kind(settings: Section) -> str:
    return type(settings).__name__


def _inside(found: _Value) -> Iterator[_Value]:
    if isinstance(found.value, Section):
        yield found
        yield from _values(found.value, found.path)
    elif isinstance(found.value, Mapping):
        for name, value in found.value.items():
            yield found._replace(key="names", value=name)
            yield from _inside(found._replace(path=f"{found.path}.{name}", value=value))
    elif isinstance(found.value, list):
        for i, value in enumerate(found.value):
            yield from _inside(found._replace(path=f"{found.path}.{i}", value=value))
    else:
        yield found


def _check_number(found: _Value, where: str) -> None:
    value, limit = found.value, limit_of(found.section, found.key, isinstance(found.value, int))
    if not limit.low <= value <= limit.high:
        bound = f"at least {limit.low:,}" if value < limit.low else f"at most {limit.high:,}"
        raise ConfigError(
            f"config: '{found.path}' is {shown(value)}; it can be {bound}: {limit.reason}{where}"
        )
    if 0 < abs(value) < NEAREST_TO_ZERO:
        raise ConfigError(
            f"config: '{found.path}' is {value}, which is lost in arithmetic; it must be at least "
            f"{NEAREST_TO_ZERO}, or 0 where that is allowed{where}"
        )


def _check_text(found: _Value, where: str) -> None:
    path, text = found.path, found.value
    if not text.strip():
        raise ConfigError(
            f"config: '{path}' is {shown(text)}, an empty text; write one, or leave the key out{where}"
        )
    if "\0" in text:
        raise ConfigError(f"config: '{path}' is {shown(text)}, with a null character; remove it{where}")
    if found.key == "names" and len(text) > _LONGEST_NAME:
        raise ConfigError(
            f"config: '{path}' has the name {shown(text)} of {len(text):,} letters; write at most "
            f"{_LONGEST_NAME}{where}"
        )
    longest = max(len(part.encode(errors="replace")) for part in text.split("/"))
    if found.key in _PATHS and longest > _LONGEST_PART:
        raise ConfigError(
            f"config: '{path}' is {shown(text)}, with a name of {longest:,} bytes; no file has one of more "
            f"than {_LONGEST_PART}{where}"
        )


def _check_resize(found: _Value, where: str) -> None:
    resize = found.value.resize
    if resize and resize.low > resize.high:
        raise ConfigError(
            f"config: '{found.path}.resize' grows from low {resize.low} to high {resize.high}; low must be "
            f"the smaller{where}"
        )


def check_shards(name: str, rows: int, shard_size: int) -> None:
    """Refuse studies of more shards than their names can count.

    Raises:
        ConfigError: the study, its shards, and the least `shard_size` that will do.
    """
    shards = -(-rows // shard_size)
    if shards > MOST_SHARDS:
        raise ConfigError(
            f"config: the {rows:,} models of study '{name}' make {shards:,} shards of {shard_size}; at most "
            f"{MOST_SHARDS:,} can be named: raise its shard_size to {-(-rows // MOST_SHARDS)}, or train fewer"
        )


def check_padding(training: TrainingSettings, resolution: int, where: str) -> None:
    """Refuse random shifts by which nothing of an image is left.

    Args:
        training: how something is trained.
        resolution: the side of the images, in pixels.
        where: the key of the settings.
    """
    if training.crop == "translate" and training.padding >= resolution:
        raise ConfigError(
            f"config: '{where}.padding' is {training.padding}, and images have a side of {resolution} px "
            "(input.resolution); shift them by less"
        )
