"""Configurations as text: written in several styles, spoiled, and read by a strict reading of its own."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import yaml

from fuzzing.spoiling import flipped

_DEEP = (20, 400)


def rendered(document: Any, random: Random) -> str:
    """A document as YAML in one of its styles, or as JSON."""
    style = random.choice(("block", "block", "flow", "sorted", "json"))
    if style == "json":
        return json.dumps(document)
    return yaml.safe_dump(
        document,
        default_flow_style=style == "flow",
        sort_keys=style == "sorted",
        allow_unicode=random.random() < 0.5,
        width=random.choice((40, 110, 10**6)),
    )


# Spoiling


def _line(text: str, random: Random) -> tuple[list[str], int]:
    """The lines of a text, and one of those that give a plain value."""
    lines = text.split("\n")
    giving = [i for i, line in enumerate(lines) if ": " in line]
    return lines, random.choice(giving or [0])


def _with_value(text: str, random: Random, change: Callable[[str], str]) -> str:
    lines, i = _line(text, random)
    key, mark, value = lines[i].partition(": ")
    lines[i] = f"{key}{mark}{change(value)}"
    return "\n".join(lines)


def line_twice(text: str, random: Random) -> str:
    """A line of it stands there twice, with another value perhaps."""
    lines, i = _line(text, random)
    again = lines[i]
    if random.random() < 0.5:
        again = again.partition(": ")[0] + ": " + random.choice(("1", "2", "0.5", "true", "null", "fixed"))
    lines.insert(i + 1, again)
    return "\n".join(lines)


def block_twice(text: str, random: Random) -> str:
    """A section of it is given again at the end."""
    lines = text.split("\n")
    tops = [i for i, line in enumerate(lines) if line and line[0] not in " -#{"]
    if not tops:
        return text
    start = random.choice(tops)
    end = next((i for i in tops if i > start), len(lines))
    return "\n".join([*lines, *lines[start:end], ""])


def quoted(text: str, random: Random) -> str:
    """A value in quotes."""
    mark = random.choice("\"'")
    return _with_value(text, random, lambda value: f"{mark}{value.strip(mark)}{mark}")


def spelled_otherwise(text: str, random: Random) -> str:
    """A value in one of YAML's odder spellings."""
    spellings = (
        *(
            "1_000",
            "0x10",
            "0o10",
            "010",
            "1:30",
            "1e3",
            "1E-3",
            ".5",
            "5.",
            "+3",
            "-0",
            "yes",
            "No",
            "ON",
            "off",
        ),
        *(
            "y",
            "~",
            "NULL",
            ".inf",
            "-.Inf",
            ".NaN",
            "2024-01-01",
            "2024-01-01T00:00:00Z",
            "!!str 3",
            "!!int '3'",
        ),
        *(
            "!!float 3",
            "!!binary aGk=",
            "!!set {a, b}",
            "!!python/object/apply:os.getcwd []",
            "!x y",
            "=",
            "<<",
        ),
        *(
            "|\n  3",
            ">-\n  0.5",
            "? a",
            "- 1",
            "[1, 2",
            "{a: 1",
            "'",
            '"\\x00"',
            '"\\x1b[2J"',
            "3 # three",
            "@x",
            "%x",
        ),
    )
    return _with_value(text, random, lambda _: random.choice(spellings))


def anchored(text: str, random: Random) -> str:
    """Anchors: shared, referring to themselves, unknown, or growing exponentially."""
    kind = random.choice(("itself", "unknown", "laughs", "merge", "shared"))
    if kind == "itself":
        return _with_value(text, random, lambda _: "&a {b: *a}")
    if kind == "unknown":
        return _with_value(text, random, lambda _: "*nowhere")
    if kind == "merge":
        return f"{text}\nbase: &base {{epochs: 1}}\nsource_training: {{<<: *base, lr: 0.1}}\n"
    if kind == "shared":
        return _with_value(text, random, lambda value: f"&same {value}") + "\nreport: {title: *same}\n"
    rows = "".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]\n" for i in range(1, 12))
    return f"{text}\nl0: &l0 [x, x]\n{rows}"


def indented(text: str, random: Random) -> str:
    """A line moved to another level, or by a tab."""
    lines, i = _line(text, random)
    lines[i] = random.choice((" ", "  ", "\t", "    ")) + lines[i]
    return "\n".join(lines)


def line_lost(text: str, random: Random) -> str:
    """A line is missing."""
    lines, i = _line(text, random)
    return "\n".join(lines[:i] + lines[i + 1 :])


def _nest(depth: int) -> str:
    return "[" * depth + "]" * depth


def nested_deep(text: str, random: Random) -> str:
    """A value hundreds of levels deep."""
    return _with_value(text, random, lambda _: _nest(random.choice(_DEEP)))


def other_key(text: str, random: Random) -> str:
    """A key of another type than text."""
    lines, i = _line(text, random)
    start = len(lines[i]) - len(lines[i].lstrip())
    keys = (
        "1",
        "null",
        "true",
        "2024-01-01",
        "[a, b]",
        "{a: b}",
        "1.5",
        '""',
        "? x",
        "\u200bseed",
        "seed ",
        '"\\u0007"',
    )
    lines.insert(i, " " * start + random.choice(keys) + ": 1")
    return "\n".join(lines)


def other_document(text: str, random: Random) -> str:
    """Something else than one mapping."""
    return random.choice(
        ("", "null", "3", "[]", "text", "- a\n- b", "# nothing", "---\n...", "{}", f"{text}\n---\n{text}")
    )


TEXTS: dict[str, Callable[[str, Random], str]] = {
    spoiled.__name__: spoiled
    for spoiled in (
        *(line_twice, block_twice, quoted, spelled_otherwise, anchored, indented, line_lost, nested_deep),
        *(other_key, other_document),
    )
}


def bytes_flipped(data: bytes, random: Random) -> bytes:
    """Bits turned over."""
    return flipped(data, random)


def other_encoding(data: bytes, random: Random) -> bytes:
    """Bytes that are not UTF-8, a NUL, a byte-order mark, or other ends of lines."""
    kind = random.choice(("latin", "nul", "mark", "utf-16", "returns"))
    text = data.decode(errors="replace")
    if kind == "utf-16":
        return text.encode("utf-16")
    if kind == "returns":
        return data.replace(b"\n", random.choice((b"\r\n", b"\r")))
    if kind == "mark":
        return b"\xef\xbb\xbf" + data
    place = random.randrange(len(data) + 1)
    return data[:place] + (b"\xe9\xff" if kind == "latin" else b"\0") + data[place:]


RAW: dict[str, Callable[[bytes, Random], bytes]] = {
    spoiled.__name__: spoiled for spoiled in (bytes_flipped, other_encoding)
}


# Reading


class Unreadable(Exception):
    """A text that is no configuration, or in a spelling that this reading leaves to others."""


@dataclass(frozen=True)
class Scalar:
    """A value as it stands there.

    Attributes:
        value: as YAML 1.1 has it; in quotes, the text.
        plain: whether it stands without quotes.
    """

    value: Any
    plain: bool


@dataclass(frozen=True)
class Pairs:
    """A mapping with all its keys, also those that are given twice."""

    items: tuple[tuple[Any, Any], ...]

    @property
    def twice(self) -> list[Any]:
        """Keys that are given more than once."""
        keys = [key for key, _ in self.items]
        return [key for key in dict.fromkeys(keys) if keys.count(key) > 1]


def read_strictly(data: bytes) -> Any:
    """A configuration as `Pairs`, lists and `Scalar`, by YAML's nodes alone, without making objects of them.

    Raises:
        Unreadable: no text, no YAML, or anchors, merges and tags, which say more than what stands there.
    """
    try:
        text = data.decode("utf-8")
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        if len(nodes) != 1 or nodes[0] is None or any(mark in text for mark in ("&", "*", "<<", "!")):
            raise Unreadable
        return _of_node(nodes[0])
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise Unreadable from error


def _of_node(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return Pairs(tuple((_of_key(key), _of_node(value)) for key, value in node.value))
    if isinstance(node, yaml.SequenceNode):
        return [_of_node(value) for value in node.value]
    made = yaml.SafeLoader("")
    return Scalar(made.construct_object(node), node.style is None)


def _of_key(node: yaml.Node) -> Any:
    key = _of_node(node)
    return key.value if isinstance(key, Scalar) else repr(key)


def differences(written: Any, found: Any, place: str = "") -> list[str]:
    """Where what was read is not what is written: keys lost or given twice, other values or types."""
    if isinstance(written, Pairs):
        wrong = [f"'{place}{key}' is given twice, and was taken" for key in written.twice]
        if not isinstance(found, dict):
            return [*wrong, f"'{place[:-1]}': a mapping was taken as {found!r}"]
        for key, value in written.items:
            if key not in found:
                wrong.append(f"'{place}{key}' is not in the run")
            elif key not in written.twice:
                wrong += differences(value, found[key], f"{place}{key}.")
        return wrong
    if isinstance(written, list):
        if not isinstance(found, list) or len(found) != len(written):
            return [f"'{place[:-1]}': a list of {len(written)} was taken as {found!r}"]
        return [
            words
            for i, (one, other) in enumerate(zip(written, found, strict=True))
            for words in differences(one, other, f"{place}{i}.")
        ]
    if _same(written, found):
        return []
    return [f"'{place[:-1]}': {written.value!r} ({type(written.value).__name__}) was taken as {found!r}"]


def _same(written: Scalar, found: Any) -> bool:
    """Whether a value was taken as written: 3 may be 3.0, and 1e-3, text in YAML 1.1, a number."""
    value = written.value
    if isinstance(value, bool) or isinstance(found, bool) or value is None or found is None:
        return value is found
    if isinstance(value, str) and written.plain and isinstance(found, float):
        try:
            return float(value) == found
        except ValueError:
            return False
    if isinstance(value, int | float) and isinstance(found, int | float):
        return value == found and not (isinstance(value, float) and isinstance(found, int))
    return type(value) is type(found) and value == found
