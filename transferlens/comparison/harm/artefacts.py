"""What harmful source classes do under each recipe is stored as."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field, estimate

INTERFERENCE_ANSWERS = Artefact(
    kind="composite answers",
    path="comparison/{target}/{recipe}/composites.h5",
    name="composite_answers",
    fields=(
        Field("model", ("model",), np.int64, "row number in the study"),
        Field("source_class", ("composite",), str, "class of the background"),
        Field("target_class", ("composite",), str, "class of the pasted target image"),
        Field("background", ("composite",), str, "source image behind"),
        Field("overlay", ("composite",), str, "target image pasted on it"),
        Field("mask", ("model", "composite"), bool, "whether the model saw the class of the background"),
        Field(
            "drop",
            ("model", "composite"),
            np.float32,
            "probability of the pasted image's class on the scrambled background minus that on the whole one",
            "probability",
        ),
    ),
    attributes={"skipped": "why there are no composites; '' where there are"},
)
_CLASS = ("recipe", "fold", "rank")
# What is told of every recipe: (words, what it is the mean of, the reason that there is none).
QUANTITIES = {
    "effect": ("what a harmful source class adds to accuracy, mean of the chosen ones", "effect_missing"),
    "interference": ("drop on composites, of models that saw the class minus others", "interference_missing"),
}


def _told(name: str, meaning: str) -> tuple[Field, ...]:
    """An estimate by recipe, and its difference to that of the plain recipe."""
    difference = f"{name}_difference"
    return (
        *estimate(name, ("recipe",), meaning, "low high p"),
        *estimate(
            difference, ("recipe",), f"{name} minus that under the plain recipe, in pairs", "low high p"
        ),
        Field(f"{difference}_holm", ("recipe",), np.float64, "p-value after Holm, over the recipes"),
    )


HARM = Artefact(
    kind="harm by recipe",
    path="comparison/{target}/harm.h5",
    name="harm",
    fields=(
        Field("recipe", ("recipe",), str, "recipe as it is written, the plain one first"),
        Field(
            "fold", ("fold",), str, "which half of the draws of models chose the classes; the other reports"
        ),
        Field("harmful_class", ("fold", "rank"), str, "most harmful source classes under the plain recipe"),
        *estimate("class_effect", _CLASS, "what such a class adds to accuracy", "low high"),
        *(field for name, (meaning, _) in QUANTITIES.items() for field in _told(name, meaning)),
    ),
    attributes={
        "metric": "what accuracy is, as in summaries",
        "models": "models that were adapted by each recipe",
        "images": "of the target's report half",
        "composites": "made of the report halves of source and target",
        "effect_missing": "why there are no effects, or no intervals of them; '' where there are",
        "interference_missing": "why there is no interference; '' where there is",
    },
)
