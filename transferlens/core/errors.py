"""Errors a user can cause and cure: one line that names the thing, what was found, and the cure."""

import re

_LISTED = 40  # words that a message lists at most
_LONGEST = 2000  # characters that it has at most: names come from files, and may be of any length
# What a terminal obeys or nobody sees: control characters, ends of lines, marks that turn the direction of
# text, and what stands for bytes that are no UTF-8.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_LONGEST_VALUE = 60  # letters of a value in a message


class TransferlensError(Exception):
    """A foreseeable failure whose message alone tells the user what to do: printable, and not long."""

    def __init__(self, message: str):
        super().__init__(_shortened(printable(message)))


def printable(text: str) -> str:
    """Text as one line that a terminal shows and does not obey: `\\x1b` in place of an escape character."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _shortened(message: str) -> str:
    """A message without its middle, if it is long: it begins with the thing and ends with the cure."""
    half = _LONGEST // 2
    return message if len(message) <= _LONGEST else f"{message[: half - 7]} [...] {message[-half:]}"


class ConfigError(TransferlensError):
    """A setting that is unknown, of the wrong type, impossible, or at odds with another."""


class DataError(TransferlensError):
    """Images or labels that are missing, unreadable or insufficient."""


class ArtefactError(TransferlensError):
    """A results file that is missing, damaged, of another kind, or cannot be written."""


class NumericalError(TransferlensError):
    """Arithmetic that falls short of what is proved of it: no optimum found, an inequality violated."""


class SetupError(TransferlensError):
    """A library this software needs that is not installed."""


class DeviceError(TransferlensError):
    """A GPU that failed while a job used it."""


class ClusterError(TransferlensError):
    """A job that the cluster cannot run, or a cluster that does not answer."""


def nearest(word: str, known: list[str]) -> str:
    """' (did you mean X?)' for the known word closest to `word`, or a list of known ones."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f" (did you mean '{close[0]}'?)"
    listed, more = sorted(known)[:_LISTED], len(known) - _LISTED
    return f" (known: {', '.join(listed)}{f' and {more} more' if more > 0 else ''})"


def shown(value: object) -> str:
    """A value in a message, at most so long as a line can bear."""
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."
