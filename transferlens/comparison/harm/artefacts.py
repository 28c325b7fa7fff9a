"""What harmful source classes do under each recipe is stored as."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field, estimate

_ANSWERED = (
    Field("model", ("model",), np.int64, "row number in the study"),
    Field("composite", ("composite",), np.int64, "number of the composite"),
    Field("source_class", ("composite",), str, "class of the background"),
    Field("target_class", ("composite",), str, "class of the pasted target image"),
    Field("background", ("composite",), str, "source image behind"),
    Field("overlay", ("composite",), str, "target image pasted on it"),
)

INTERFERENCE_ANSWERS = Artefact(
    kind="composite answers",
    path="comparison/{target}/{recipe}/composites.h5",
    name="composite_answers",
    fields=(
        *_ANSWERED,
        Field("mask", ("model", "composite"), bool, "whether the model saw the class of the background"),
        Field(
            "drop",
            ("model", "composite"),
            np.float32,
            "probability of the pasted image's class on the scrambled background minus that on the whole one",
            "probability",
        ),
    ),
)
HARM = Artefact(
    kind="harm by recipe",
    path="comparison/{target}/harm.h5",
    name="harm",
    fields=(
        Field("recipe", ("recipe",), str, "recipe, the plain one first"),
        Field("fold", ("fold",), str, "which draws of models chose the classes; the others report"),
        Field("harmful_class", ("fold", "rank"), str, "most harmful source classes under the plain recipe"),
        *estimate("effect", ("recipe",), "effect of seeing a harmful class on accuracy", "low high p"),
        *estimate(
            "effect_difference", ("recipe",), "the same minus that under the plain recipe", "low high p"
        ),
        *estimate("interference", ("recipe",), "seen minus unseen drop on composites", "low high p"),
        *estimate(
            "interference_difference", ("recipe",), "the same minus that under the plain recipe", "low high p"
        ),
    ),
    attributes={"note": "what could not be told, and why"},
)
