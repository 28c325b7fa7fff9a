"""What came of a case, and what a refusal must say to count as a good one."""

import re
import traceback
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transferlens.core.errors import TransferlensError

HARMLESS, LINE, NOT_MADE = "harmless", "one line with a cure", "not made"
WRONG, HANG, TRACEBACK, CURELESS = "SILENT WRONG", "HANG", "TRACEBACK", "LINE WITHOUT CURE"
CRASH, MEMORY = "CRASH", "MEMORY BOMB"
BAD = (WRONG, HANG, TRACEBACK, CURELESS, CRASH, MEMORY)

_LONGEST = 400
_CURES = re.compile(
    r"did you mean|known:|are they |an image folder has|"
    r"\b(must|needs?|expected|set|give|use|write|delete|run|remove|repair|fetch|add|choose|leave|raise|lower|"
    r"correct|install|move|make|names?|save|free|upgrade|keep|store|ask|put|shorten|unpack|take|turn|touch|rm|"
    r"at most|at least|there are|it has|has no)\b"
)
_NO_MEMORY = ("Unable to allocate", "not enough memory", "can't allocate memory", "Cannot allocate memory")


@dataclass(frozen=True)
class Outcome:
    """What one action of a case ended in.

    Attributes:
        action: what was done (`plan`, `job dataset`, ...).
        kind: one of the words above.
        text: the line, the last frames of a traceback, or what is wrong; '' where nothing is.
    """

    action: str
    kind: str
    text: str = ""

    @property
    def signature(self) -> str:
        """The same for outcomes that have one cause: without numbers, quoted words and paths."""
        plain = re.sub(r"'[^']*'|\"[^\"]*\"|\S*/\S*|0x[0-9a-f]+|[-+]?\d[\d.e+-]*", "_", self.text)
        return f"{self.kind} | {self.action} | {plain[:160]}"


def of_line(action: str, text: str, things: Sequence[str]) -> Outcome:
    """A refusal in words: a good one, or what it lacks.

    Args:
        things: names, one of which the line must hold.
    """
    lacks = faults(text, things)
    return (
        Outcome(action, CURELESS, f"{', '.join(lacks)}: {text!r}") if lacks else Outcome(action, LINE, text)
    )


def faults(text: str, things: Sequence[str]) -> list[str]:
    """What keeps a line from being one with thing, finding and cure."""
    found = []
    if not text.strip():
        return ["nothing is said"]
    if len(text.strip().splitlines()) > 1:
        found.append("several lines")
    if any(_moves_the_terminal(character) for character in text.strip("\n")):
        found.append("control characters")
    if (length := len(re.sub(r"\(known: [^)]*\)|/tmp/\S*/", "", text))) > _LONGEST:
        found.append(f"{length} characters")
    if things and not any(thing in text for thing in things):
        found.append("names nothing that was touched")
    if not _CURES.search(text):
        found.append("no cure")
    return found + [f"tells to remove {path}" for path in removed(text) if not _is_result(path)]


def _moves_the_terminal(character: str) -> bool:
    """Whether a character is no printed one: a control, half a code, or one that turns the direction."""
    kind = unicodedata.category(character)
    turns = unicodedata.bidirectional(character) in (
        "RLE",
        "LRE",
        "RLO",
        "LRO",
        "PDF",
        "RLI",
        "LRI",
        "FSI",
        "PDI",
    )
    return character not in "\t\n" and (kind in ("Cc", "Cs", "Zl", "Zp") or turns)


def removed(text: str) -> list[str]:
    """The paths that a message tells to remove."""
    return re.findall(r"\brm (?:-r )?'?([^\s';]+)", text)


def _is_result(path: str) -> bool:
    """Whether a path lies in a results folder, however it is spelled."""
    return "results" in Path(path).parts and ".." not in Path(path).parts


def of_exception(action: str, error: BaseException, things: Sequence[str]) -> Outcome:
    """What an exception that left the code under test comes to."""
    if isinstance(error, TransferlensError):
        return of_line(action, str(error), things)
    if isinstance(error, SystemExit):
        return of_line(action, str(error.code), things)
    if isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY):
        return Outcome(action, MEMORY, _last_frame(error))
    return Outcome(action, TRACEBACK, _last_frame(error))


def _last_frame(error: BaseException) -> str:
    """The error, and the last place in the project that it went through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "transferlens" in frame.filename or "scripts" in frame.filename]
    place = f"{Path(own[-1].filename).name} in {own[-1].name}" if own else "elsewhere"
    words = str(error).strip().splitlines()
    return f"{type(error).__name__} at {place}: {words[0][:200] if words else ''}"


def of_job(action: str, status: int, said: str, things: Sequence[str]) -> Outcome:
    """What a job's exit status and standard error come to."""
    if status < 0:
        return Outcome(action, CRASH, f"signal {-status}: {said[-200:]}")
    if "Traceback (most recent call last)" in said:
        kind = MEMORY if "MemoryError" in said or any(words in said for words in _NO_MEMORY) else TRACEBACK
        return Outcome(action, kind, _of_printed(said))
    if status == 0:
        return Outcome(action, HARMLESS, said)
    line = re.split(r"^error: ", said, flags=re.MULTILINE)[-1].strip("\n")
    return of_line(action, line, things)


def _of_printed(said: str) -> str:
    """A printed traceback in one line, as of `_last_frame`."""
    frames = re.findall(r'File "([^"]+)", line \d+, in (\S+)', said)
    own = [(file, name) for file, name in frames if "transferlens" in file or "scripts" in file]
    place = f"{Path(own[-1][0]).name} in {own[-1][1]}" if own else "elsewhere"
    return f"{place}: {said.strip().splitlines()[-1][:200]}"
