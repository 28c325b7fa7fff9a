"""What the comparison of models that saw a source class with models that did not is stored as."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field, estimate

# What is compared: (meaning, units), by the units that it is measured on. What a memory of the class would
# raise: drops, binding and retention; what it would lower: the outputs on natural images.
OF_COMPOSITES = {
    "drop": ("probability lost on the object beyond the scrambled background", "probability"),
    "drop_margin": ("log-odds lost on the object beyond the scrambled background", "nats"),
    "canvas": ("probability lost on the object beyond the canvas of its mean colour", "probability"),
    "canvas_margin": ("log-odds lost on the object beyond the canvas of its mean colour", "nats"),
}
OF_SOURCE_IMAGES = {
    "binding": (
        "probability of the target class that the choosing pairs say the class is bound to, on images of the "
        "class, minus its mean over source classes",
        "probability",
    ),
    "retention": ("share of images of the class that the source's own head recognises", "share"),
}
OF_NATURAL_IMAGES = {
    "p_true": ("probability of the true class, natural images whose memory it is", "probability"),
    "margin": ("log-odds of the true class, natural images whose memory it is", "nats"),
    "correct": ("share of right predictions, natural images whose memory it is", "share"),
}
MEASURES = {**OF_COMPOSITES, **OF_SOURCE_IMAGES, **OF_NATURAL_IMAGES}
HEADLINE = "drop"
# The classes that estimates are over, together.
GROUPS = {
    "distracting": "the classes that distract most, by the pairs that choose",
    "others": "the others that were left out, as a control",
}
# What is told of either kind of models beside the difference: (of whom, what makes it NaN).
LEVELS = {
    "seen": "models trained without another of these classes",
    "unseen": "models trained without the class",
    "scratch": "from-scratch models of the pairs that report; NaN where they have no such number",
}
_DIFFERENCE = "models that saw the class minus models trained without it"


def _estimated(prefix: str, dim: str, parts: str) -> tuple[Field, ...]:
    """The difference of every measure, by `dim`, and what it is the difference of."""
    dims = ("measure", dim)
    return (
        *estimate(f"{prefix}effect", dims, f"{_DIFFERENCE}; interval and p over repeats and images", parts),
        Field(f"{prefix}effect_df", dims, np.float64, "degrees of freedom of the standard error"),
        *(Field(f"{prefix}{level}", dims, np.float64, f"mean, {whose}") for level, whose in LEVELS.items()),
        Field(f"{prefix}n", dims, np.int64, "composites or images that count in any repeat"),
    )


SEEN = Artefact(
    kind="seen and unseen",
    path="memories/{target}/{recipe}/seen.h5",
    fields=(
        Field("left_out", ("left_out",), str, "source class that some models did not see"),
        Field("kind", ("left_out",), str, f"its group: {', '.join(GROUPS)}"),
        Field("bound_class", ("left_out",), str, "target class it is bound to, by the pairs that choose"),
        Field(
            "measure", ("measure",), str, "; ".join(f"{name}: {text}" for name, (text, _) in MEASURES.items())
        ),
        Field("units", ("measure",), str, "units of a measure"),
        Field("group", ("group",), str, "; ".join(f"{name}: {text}" for name, text in GROUPS.items())),
        Field("repeats", (), np.int64, "models without each class"),
        *_estimated("", "group", "se low high p"),
        *_estimated("class_", "left_out", "se low high p q"),
    ),
    attributes={
        "skipped": "why nothing is compared",
        "q_missing": "why classes have no q-values",
        "no_composites": "why there are no composites",
    },
)
