"""What the page's summary says of memories: interference, whether it is a memory, and what is in doubt."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from transferlens.core import artefacts
from transferlens.core.blocks import Card, Finding, Kind, p_value, signed, signed_range
from transferlens.memories.gallery import numbers
from transferlens.memories.gallery.numbers import INTERFERENCE, Study
from transferlens.memories.seen import told


def findings(study: Study, seen: Path | None) -> tuple[Finding, ...]:
    """What is found of a study.

    Args:
        seen: the artefact of the causal test; None where no model was trained without a class.
    """
    doubts = (Finding(Kind.CARE, text) for text in numbers.warnings(study))
    causal = () if seen is None else (told.finding(seen),)
    return (*causal, *_interference(study), *doubts)


def headline(study: Study) -> tuple[Card, ...]:
    """The net interference of the strongest pairs together, for the table of all targets and recipes."""
    chosen = _chosen(study)
    if not np.isfinite(chosen["interference"]):
        return ()
    detail = f"95 % {_reach(chosen)}" if np.isfinite(chosen["interference_low"]) else "no interval"
    return (Card("net interference of the strongest pairs", signed(chosen["interference"]), detail),)


def _interference(study: Study) -> Iterator[Finding]:
    """What the pairs of classes that other models chose cost: no statement about training on them."""
    chosen = _chosen(study)
    value, canvas = chosen["interference"], chosen["beyond_canvas"]
    if not np.isfinite(value):
        return
    text = (
        f"pasted on an image of the source class, a target image loses {signed(value)} of the probability of "
        f"its class beyond scrambled backgrounds and models from scratch ({signed(canvas)} beyond a canvas), "
        f"over the {chosen['pairs']:.0f} strongest pairs of classes together."
    )
    if not np.isfinite(chosen["interference_low"]):
        yield Finding(Kind.UNKNOWN, f"Whether source classes distract: {text}", "no interval")
        return
    sure = f"95 % {_reach(chosen)}, p {p_value(chosen['interference_p'])}, over models and images"
    if chosen["interference_low"] > 0 and canvas > 0:
        yield Finding(Kind.HURTS, f"Source classes distract: {text}", sure)
    else:
        yield Finding(Kind.UNKNOWN, f"Whether source classes distract: {text}", sure)


def _reach(chosen: dict[str, float]) -> str:
    return signed_range(chosen["interference_low"], chosen["interference_high"])


def _chosen(study: Study) -> dict[str, float]:
    """The estimates of the chosen pairs together, and how many pairs they are."""
    names = ("interference", "interference_low", "interference_high", "interference_p", "beyond_canvas")
    with artefacts.open(study.interference, INTERFERENCE) as file:
        made = {name: float(file[f"chosen_{name}"][()]) for name in names}
        return made | {"pairs": float(file["chosen"][:].sum())}
