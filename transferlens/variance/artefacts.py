"""What variance components are stored as."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field, estimate

# What is measured of every repeat: its model of the full source, and that minus its model from scratch.
QUANTITIES = ("full source", "gain")
OUTPUTS = ("correct", "p_true", "margin")
COMPONENTS = ("source seed", "transfer seed", "images", "models x images")

_SCORE = ("quantity", "output")
_PART = (*_SCORE, "component")
VARIANCE = Artefact(
    kind="variance components",
    path="variance/{target}/{recipe}.h5",
    fields=(
        Field("quantity", ("quantity",), str, "the model of the full source, or that minus its scratch one"),
        Field("output", ("output",), str, "the output whose mean over the report half is the score"),
        Field("component", ("component",), str, "what the score of one model varies by"),
        *estimate("variance", _PART, "part of a model's score's variance; unbiased: may be < 0", "low high"),
        Field("share", _PART, np.float64, "its share of all four; a negative one counts as 0"),
        Field("mean", _SCORE, np.float64, "mean score of the repeats, each transferred once"),
        Field("reach_on_these", _SCORE, np.float64, "half the 95 % interval for other models, these images"),
        Field("reach", _SCORE, np.float64, "half the 95 % interval for other models and other images"),
        Field("left", _SCORE, np.float64, "what is left of reach with infinitely many repeats"),
        *estimate("repeats_to_halve", _SCORE, "repeats that halve reach; inf: no number does", "low high"),
    ),
    attributes={
        "repeats": "source models of either kind",
        "transfers": "of every source model",
        "images": "of the report half",
        "repeats_missing": "why repeats_to_halve is NaN; '' where it is not",
    },
)
