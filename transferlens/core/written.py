"""Configurations as they are written, checked before they are read: no slip of the pen gets in unseen.

YAML lets the last of two equal keys win, takes 010 for 8, 1:30 for 90 and 1e-3 for text, and its anchors can
refer to themselves, or to more values than any memory holds. Each is refused with its file, line and key.
"""

import json
import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from transferlens.core.errors import ConfigError, shown

_MOST_BYTES = 10_000_000
_MOST_VALUES = 100_000  # with every anchor written out
_MOST_LEVELS = 50
_MOST_LETTERS = 4096  # the longest path that Linux takes
_MOST_DIGITS = 400  # of a number, which Python itself refuses beyond 4,300
_TAG = "tag:yaml.org,2002:"
_OCTAL = re.compile(r"[-+]?0[0-9_]+")
_POWER = re.compile(r"[-+]?[0-9.]+[eE][-+]?[0-9]+")
_KINDS = {"scalar": "a single value", "sequence": "a list", "mapping": "keys"}
_TAGS = {"str", "int", "float", "bool", "null", "merge", "timestamp", "seq", "map"}


def check_file(path: str | Path) -> None:
    """Refuse a file of settings that cannot mean what it says.

    Raises:
        ConfigError: the file and the line, what is found there, and how to write it.
    """
    _check_text(_as_yaml(_read(Path(path)), str(path)), str(path))


def check_entry(entry: str) -> None:
    """Refuse an entry of `--config` likewise.

    Raises:
        ConfigError: the entry, what is found in it, and how to write it.
    """
    key, equals, value = entry.partition("=")
    where = f"--config {shown(key)}"
    if not equals or not re.fullmatch(r"[A-Za-z_][\w-]*\w", key):
        raise ConfigError(
            f"--config {shown(entry)}: is not understood; write KEY=VALUE, as seed=3, and nested keys in "
            'braces, as "input={resolution: 64}"'
        )
    _check_letters(value, where)
    _check_text(value, where, lines=False)


def _read(path: Path) -> str:
    cure = "name a file of settings after --configfile, and targets before it"
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path}: is no regular file; {cure}")
        if path.stat().st_size > _MOST_BYTES:
            raise ConfigError(f"{path}: has more than {_MOST_BYTES:,} bytes; {cure}")
        return path.read_bytes().decode()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); {cure}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line}: is not written in UTF-8; save the file as UTF-8") from None


def _as_yaml(text: str, where: str) -> str:
    """The text; of JSON, which Snakemake takes, too, such that YAML reads the same."""
    try:
        return json.dumps(json.loads(text, object_pairs_hook=lambda pairs: _different(pairs, where)))
    except ValueError:
        return text
    except RecursionError:
        raise _too_deep(where) from None


def _different(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ConfigError(f"{where}: the key {shown(key)} stands there twice; remove one")
    return dict(pairs)


def _check_text(text: str, where: str, lines: bool = True) -> None:
    """Refuse what YAML would read otherwise than it was meant.

    Args:
        lines: whether a line of the text says where in it something is.
    """
    try:
        whole = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        raise _too_deep(where) from None
    except yaml.YAMLError as error:
        if not lines:
            return  # text that only looks like YAML; its key refuses it, or takes it
        raise ConfigError(_not_understood(error, where)) from None
    if lines and not isinstance(whole, MappingNode):
        found = _KINDS[whole.id] if whole else "nothing"
        raise ConfigError(f"{where}: holds {found} in place of settings; write lines `key: value`")
    if whole:
        _Checked(where, lines).values(whole)


def _not_understood(error: yaml.YAMLError, where: str) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f", line {mark.line + 1}" if mark else ""
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
    return f"{where}{line}: is no YAML: {reason}; correct it (indent by spaces, not by tabs)"


def _too_deep(where: str) -> ConfigError:
    return ConfigError(f"{where}: goes more than {_MOST_LEVELS} levels deep, where no key is; remove that")


class _Checked:
    """The nodes of a text, each looked at once; how many values each stands for."""

    def __init__(self, where: str, lines: bool):
        self._where, self._lines = where, lines
        self._sizes: dict[int, int] = {}
        self._around: list[int] = []  # the nodes that hold the one looked at

    def values(self, node: Node) -> int:
        """How many values a node holds, itself among them; refuses it if anything in it is wrong."""
        if id(node) in self._around:
            self._refuse(node, "an anchor holds itself; write out what is meant")
        if id(node) not in self._sizes:
            self._sizes[id(node)] = 1 + self._below(node)
        if self._sizes[id(node)] > _MOST_VALUES:
            self._refuse(node, f"anchors make more than {_MOST_VALUES:,} values of this; write less")
        return self._sizes[id(node)]

    def _below(self, node: Node) -> int:
        if node.tag.removeprefix(_TAG) not in _TAGS:
            self._refuse(node, f"{shown(node.tag)} is no kind of value that settings have; remove the tag")
        if isinstance(node, ScalarNode):
            self._check_scalar(node)
            return 0
        if isinstance(node, MappingNode):
            self._check_keys(node)
        if len(self._around) >= _MOST_LEVELS:
            raise _too_deep(self._place(node))
        self._around.append(id(node))
        made = sum(self.values(inner) for inner in _inside(node))
        self._around.pop()
        return made

    def _check_keys(self, node: MappingNode) -> None:
        """Keys are texts, and stand there once; what `<<` merges may be overwritten."""
        first: dict[str, Node] = {}
        for key, _ in node.value:
            kind = key.tag.removeprefix(_TAG)
            if kind == "merge":
                continue
            if not isinstance(key, ScalarNode):
                self._refuse(key, f"{_KINDS[key.id]} in place of a key; write a name there")
            if kind != "str" and self._lines:
                self._refuse(key, f"the key {shown(key.value)} is no text to YAML ({kind}); put it in quotes")
            if key.value in first:
                before = f" (first in line {first[key.value].start_mark.line + 1})" if self._lines else ""
                self._refuse(key, f"the key {shown(key.value)} stands there twice{before}; remove one")
            first[key.value] = key

    def _check_scalar(self, node: ScalarNode) -> None:
        _check_letters(node.value, self._place(node))
        kind, text = node.tag.removeprefix(_TAG), node.value
        if kind == "timestamp" and self._lines:  # on the command line it stays text
            self._refuse(node, f"{shown(text)} is a date to YAML; put it in quotes")
        if kind in ("int", "float"):
            self._check_number(node)
        if kind == "str" and node.style is None and self._lines and _POWER.fullmatch(text):
            better = f"{_as_number(text)}, or quotes for a name"
            self._refuse(node, f"{text} is text to YAML, no number; write {better}")

    def _check_number(self, node: ScalarNode) -> None:
        text = node.value
        if len(text) > _MOST_DIGITS:
            self._refuse(node, f"a number of {len(text)} digits; no key takes one so long")
        if ":" in text or _OCTAL.fullmatch(text):
            self._refuse(
                node,
                f"{text} is {yaml.safe_load(text)} to YAML; write a number without ':' and without 0 in "
                "front, or put it in quotes if it is a name",
            )

    def _place(self, node: Node) -> str:
        return f"{self._where}, line {node.start_mark.line + 1}" if self._lines else self._where

    def _refuse(self, node: Node, words: str) -> None:
        raise ConfigError(f"{self._place(node)}: {words}")


def _as_number(text: str) -> str:
    """A power of ten as YAML understands it: 1e3 as 1.0e+3."""
    digits, power = text.lower().split("e")
    return f"{digits if '.' in digits else digits + '.0'}e{power if power[0] in '+-' else '+' + power}"


def _inside(node: Node) -> Iterator[Node]:
    """The nodes of a collection, keys among them."""
    for item in node.value:
        yield from item if isinstance(node, MappingNode) else [item]


def _check_letters(text: str, where: str) -> None:
    """Refuse text that no file name, page or terminal can bear."""
    if len(text) > _MOST_LETTERS:
        raise ConfigError(
            f"{where}: {shown(text)} has {len(text):,} letters; no text of settings is longer than "
            f"{_MOST_LETTERS:,}"
        )
    for letter in text:
        kind = unicodedata.category(letter)
        if kind == "Cs":
            raise ConfigError(f"{where}: {shown(text)} is not written in UTF-8; rename what it names")
        if kind == "Cc" and letter not in "\n\t":
            raise ConfigError(f"{where}: {shown(text)} holds the control character {letter!a}; remove it")


def refuse_unreadable(files: Sequence[str | Path], entries: Sequence[str] = ()) -> None:
    """End the process, with one line, over files or entries of `--config` that cannot mean what they say."""
    try:
        for file in files:
            check_file(file)
        for entry in entries:
            check_entry(entry)
    except ConfigError as error:
        sys.exit(f"transferlens: {error}")
