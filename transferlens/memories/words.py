"""What may be said of a study: whether it tests that what source classes do is a memory of them."""

from dataclasses import dataclass

from transferlens.core.run import Run
from transferlens.memories import scope


@dataclass(frozen=True)
class Words:
    """Attributes:
    title: of the study, before its target and recipe.
    short: the same in the page's navigation.
    untested: what the page says where nothing tells a memory from what any model does; '' where models
        trained without a class do.
    """

    title: str
    short: str
    untested: str


_TESTED = Words("Memories of source classes", "Memories", "")
_UNTESTED = Words(
    "What source classes do",
    "Source classes",
    "No causal test was made: no model was trained without a class (`memories.without` is 0). What source "
    "classes do is told against models from scratch, and may be what any pretrained network does.",
)
_PRETRAINED = Words(
    "Pretrained against scratch",
    "Pretrained against scratch",
    "No causal test can be made: a pretrained source cannot be trained again without a class. What is told "
    "is how a pretrained network differs from networks trained from scratch.",
)


def words(run: Run) -> Words:
    """The words for the run's situation: models without a class, none, or a pretrained source."""
    if scope.uses_pretrained(run):
        return _PRETRAINED
    return _TESTED if scope.tested(run) else _UNTESTED
