"""What the agreement of influences and memories is stored as."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field, estimate

# Of different models each: influences of those of the study `influence`, the others of a half's own pairs.
MEASURES = {
    "harm": "minus the influence",
    "interference": "interference (report half)",
    "binding": "pull of the binding (select half)",
    "coupling": "pull of the weights (select half)",
}
SAME_MODELS = ("binding", "coupling")
# What an influence and an interference say together: (name, reading).
QUADRANTS = {
    ("helps", True): ("helps, distracts", "useful in training, a distraction where it is seen: augment"),
    ("hurts", True): (
        "hurts, distracts",
        "harmful and seen to distract: leave it out of the source, or augment",
    ),
    ("unclear", True): ("distracts", "a distraction where it is seen; whether training on it helps is open"),
    ("helps", False): ("helps", "useful in training, no distraction found"),
    ("hurts", False): ("hurts unseen", "harmful without visible evidence: a conflict of representations"),
    ("unclear", False): ("neutral", "neither was found"),
    ("unclear", None): ("untested", "whether it distracts was not tested: too few pairs of models"),
}
_CELL = ("source_class", "target_class")


def _tested(name: str, dims: tuple[str, ...], meaning: str, optional: bool = False) -> tuple[Field, ...]:
    """A statistic with its interval, and what it is if source classes are exchanged at random."""
    chance = (
        (f"{name}_null_mean", np.float64, "its mean if source classes (or examples) are exchanged at random"),
        (f"{name}_p", np.float64, "its two-sided p-value by such exchanges"),
        (f"{name}_n", np.int64, "cells or examples"),
    )
    return (
        *estimate(name, dims, meaning, "low high", optional=optional),
        *(Field(key, dims, dtype, text, optional=optional) for key, dtype, text in chance),
    )


AGREEMENT = Artefact(
    kind="memory agreement",
    path="memories/{target}/{recipe}/agreement.h5",
    fields=(
        Field("source_class", _CELL[:1], str, "source class"),
        Field("target_class", _CELL[1:], str, "target class"),
        Field("overlap", _CELL, bool, "pairs of the same meaning, which are not compared"),
        *estimate("influence", _CELL, "influence, report half", "low high q", optional=True),
        *estimate("interference", _CELL, "interference, report half; q where it is tested", "low high q"),
        Field("interference_n", _CELL, np.float64, "composites"),
        Field("measure", ("measure",), str, "; ".join(f"{k}: {v}" for k, v in MEASURES.items())),
        Field("measures", ("measure", *_CELL), np.float64, "each larger the worse; NaN where unknown"),
        Field("quadrant", _CELL, str, "what the two effects say together; '' where one is unknown"),
        Field("quadrant_name", ("quadrant_name",), str, "name of a quadrant"),
        Field("quadrant_reading", ("quadrant_name",), str, "what it means"),
        Field("quadrant_count", ("quadrant_name",), np.int64, "pairs of classes"),
        Field("pair", ("pair",), str, "two measures that are compared"),
        Field(
            "pair_shares_models", ("pair",), bool, "whether the two are of the same models: then without p"
        ),
        Field("pair_first", ("pair",), str, "the one"),
        Field("pair_second", ("pair",), str, "the other"),
        *_tested("correlation", ("pair",), "rank correlation over cells"),
        Field("k", ("k",), np.int64, "classes compared of each target class"),
        *_tested(
            "precision",
            ("pair", "k"),
            "share of a target class's k worst source classes by one measure that are so by the other",
        ),
        Field("statistic", ("statistic",), str, "what is compared on single examples", optional=True),
        *_tested("agreement", ("statistic",), "agreement on single examples", optional=True),
    ),
    attributes={"skipped": "why influences are not compared"},
)
