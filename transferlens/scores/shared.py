"""What several scores read of one candidate, made once; and the seconds that each would take alone."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any


@dataclass
class _Work:
    """A piece of work under way: the parts that it read, and the seconds that making them took in it."""

    read: set[str] = field(default_factory=set)
    making: float = 0.0


@dataclass(frozen=True)
class _Done:
    """A finished piece of work: its value, its own seconds without those of parts, and all parts it read."""

    value: Any
    seconds: float
    read: set[str]


class Shared:
    """Parts by name. A score that reads a part answers for its seconds, whoever had it made."""

    def __init__(self) -> None:
        self._parts: dict[str, _Done] = {}
        self._work = [_Work()]

    def part(self, name: str, make: Callable[[], Any]) -> Any:
        """The part of that name, made if nobody has asked for it before."""
        start = perf_counter()
        if name not in self._parts:
            self._parts[name] = self._do(make)
        self._work[-1].making += perf_counter() - start
        self._work[-1].read |= {name} | self._parts[name].read
        return self._parts[name].value

    def timed(self, work: Callable[[], Any]) -> tuple[Any, float]:
        """(what `work` returns, the seconds that it would take if no part had been made before)."""
        done = self._do(work)
        return done.value, done.seconds + sum(self._parts[name].seconds for name in done.read)

    def _do(self, work: Callable[[], Any]) -> _Done:
        self._work.append(_Work())
        start = perf_counter()
        try:
            value = work()
        finally:
            own = self._work.pop()
        return _Done(value, perf_counter() - start - own.making, own.read)
