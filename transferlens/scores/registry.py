"""The scores by name, in the order in which they are shown."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from transferlens.scores.candidate import Candidate
from transferlens.scores.hscore import hscore, regularised
from transferlens.scores.leep import leep
from transferlens.scores.logme import logme
from transferlens.scores.nce import nce


@dataclass(frozen=True)
class Score:
    """A transferability score; higher means a better source.

    Attributes:
        name: as it is written in settings and files.
        title: as the field writes it.
        measure: its parts of a candidate; raises Unavailable where there are none.
        needs: what else than features and labels it needs: `logits`, `source`.
        parts: names of what `measure` returns; a single empty name where that is the score itself.
        pooled: scores float64[candidates] from parts float64[candidates, parts], for scores that depend on
            the other candidates; None where the part is the score.
    """

    name: str
    title: str
    measure: Callable[[Candidate], float | tuple[float, ...]]
    needs: frozenset[str] = frozenset()
    parts: tuple[str, ...] = ("",)
    pooled: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def reads_features(self) -> bool:
        """Whether it looks at features; scores of the source head look at its logits alone."""
        return "logits" not in self.needs


_LOGITS = frozenset({"logits"})

_ALL = (
    Score("nce", "NCE", nce, _LOGITS),
    Score("leep", "LEEP", leep, _LOGITS),
    Score("hscore", "H-score", hscore),
    Score("hscore_regularised", "regularised H-score", regularised),
    Score("logme", "LogME", logme),
)

SCORES: dict[str, Score] = {score.name: score for score in _ALL}
