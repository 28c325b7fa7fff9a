"""What probes, composites and interference are stored as.

The dimension `model` counts the pairs of models of a half: each half of the images has pairs of its own,
which `repeat` names. Where one half has fewer pairs than the other, what is missing is NaN, or -1.
"""

import numpy as np

from transferlens.core.artefacts import Artefact, Field, estimate

# The models of a pair that composites are shown to.
MODELS = ("fine_tuned", "scratch")
# The backgrounds of a composite.
CONTROLS = ("object", "scrambled", "canvas")

_SOURCE_CLASS = Field("source_class", ("source_class",), str, "source class")
_TARGET_CLASS = Field("target_class", ("target_class",), str, "target class")
_HALF = Field("half", ("half",), str, "half of the evaluation images")
_OVERLAP = ("source_class", "target_class")
_OF_CLASS = ("model", "half", "source_class")
_BOUND = ("half", "source_class", "target_class")
_REPEAT = Field(
    "repeat", ("half", "model"), np.int64, "the pair's repeat in the reference study; -1 where there is none"
)
_UNTESTED = {"untested": "why most pairs of classes have no p and q"}
_CHOSEN = (
    "whether it is one of the most {} of the select half: with few pairs of models p and q are of these alone"
)

PROBES = Artefact(
    kind="memory probes",
    path="memories/{target}/{recipe}/probes.h5",
    fields=(
        _SOURCE_CLASS,
        _TARGET_CLASS,
        _HALF,
        _REPEAT,
        Field(
            "accuracy_before", _OF_CLASS, np.float64, "accuracy of the source head on the source's backbone"
        ),
        Field("accuracy_after", _OF_CLASS, np.float64, "the same on the fine-tuned backbone"),
        Field("rank_after", _OF_CLASS, np.float64, "mean rank of the true class there, 1 the highest"),
        Field("p_true_after", _OF_CLASS, np.float64, "mean calibrated probability of the true class there"),
        Field("images", _OF_CLASS[1:], np.int64, "source evaluation images"),
        *estimate(
            "retained",
            ("source_class",),
            "accuracy after over accuracy before; report half, errors over its models and images",
            "se low high",
        ),
        Field(
            "temperature",
            ("model", "half"),
            np.float64,
            "divides the source head's logits; fitted on the select half's images",
        ),
        *(
            Field(
                f"{role}_probability",
                ("model", *_BOUND),
                np.float64,
                f"mean probability of the target class on images of the source class, {role} models",
            )
            for role in MODELS
        ),
        *estimate(
            "binding",
            _BOUND,
            "probability by fine-tuned minus by scratch models, minus its mean over source classes; errors, "
            "p and q (within a half) over its models and images",
            "se low high p q",
        ),
        Field("binding_chosen", _OVERLAP, bool, _CHOSEN.format("strongly bound")),
        Field("coupling", ("model", *_BOUND), np.float64, "cosine of the heads' centred weights"),
        Field("overlap", _OVERLAP, bool, "whether the classes mean the same"),
    ),
    attributes={"note": "what must be known to read them", **_UNTESTED},
)

_ANSWER = ("role", "model", "composite")
_TRIED = Field("tried_class", ("tried_class",), str, "source class that composites are made of")
_SKIPPED = {"skipped": "why there are none"}
COMPOSITES = Artefact(
    kind="composites",
    path="memories/{target}/{recipe}/composites.h5",
    fields=(
        _SOURCE_CLASS,
        _TARGET_CLASS,
        _HALF,
        _REPEAT,
        _TRIED,
        Field("tried_at_random", ("tried_class",), bool, "drawn at random, not for being strongly bound"),
        Field("control", ("control",), str, "the background: itself, scrambled, its mean colour"),
        Field("role", ("role",), str, "model of a pair"),
        Field("background_class", ("composite",), str, "source class of the background"),
        Field("overlay_class", ("composite",), str, "target class of the pasted image"),
        Field("background", ("composite",), np.int64, "position of the background in the source's val split"),
        Field("overlay", ("composite",), np.int64, "position of the pasted image in the target's val split"),
        Field("composite_half", ("composite",), str, "half of both images, and of the models"),
        Field("left", ("composite",), np.int64, "left edge of the pasted image", "pixels"),
        Field("top", ("composite",), np.int64, "upper edge of the pasted image", "pixels"),
        Field("side", ("composite",), np.int64, "side of the pasted image", "pixels"),
        Field("p_true", (*_ANSWER, "control"), np.float32, "probability of the pasted image's class"),
        Field(
            "prediction", (*_ANSWER, "control"), np.int32, "position of the predicted class in target_class"
        ),
        Field(
            "margin",
            (*_ANSWER, "control"),
            np.float32,
            "log-odds of the pasted image's class, log(p / (1 - p))",
            "nats",
        ),
        Field("alone_p_true", _ANSWER, np.float32, "probability of its class, target image alone"),
        Field("alone_margin", _ANSWER, np.float32, "log-odds of its class, target image alone", "nats"),
        Field("alone_prediction", _ANSWER, np.int32, "position of the predicted class, target image alone"),
        Field("inside_share", _ANSWER, np.float32, "share of positive evidence inside the square"),
        Field(
            "memory_probability",
            _ANSWER[1:],
            np.float32,
            "calibrated probability of the background's class, fine-tuned backbone",
        ),
    ),
    attributes=_SKIPPED,
)

_CELL = ("half", "tried_class", "target_class")
# What an object behind costs fine-tuned models more than those from scratch, against which background. On
# simple pictures the scrambled one distracts, too: then `interference` may be negative for its sake.
CONTRASTS = {
    "interference": "drop on the object beyond that on the scrambled background",
    "beyond_canvas": "drop on the object beyond that on a canvas of the background's mean colour",
    "scrambled_beyond_canvas": "drop on the scrambled background beyond that on such a canvas",
}
# Of which output: the end of an estimate's name, and its units. Probabilities cannot fall below zero, and
# models from scratch may start from lower ones: then equal falls of the logits differ.
OUTPUTS = {"": ("p_true", "probability"), "_margin": ("margin", "nats")}
_TESTED = "fine-tuned minus scratch; errors, p and q (within a half) over the half's models and images"


def _contrasts() -> tuple[Field, ...]:
    return tuple(
        field
        for name, meaning in CONTRASTS.items()
        for ending, (output, units) in OUTPUTS.items()
        for field in (
            *estimate(
                f"{name}{ending}", _CELL, f"{meaning}, {output}, {_TESTED}", "se low high p q", units=units
            ),
            *estimate(
                f"chosen_{name}{ending}",
                (),
                f"{meaning}, {output}, mean over all composites of the chosen pairs of classes, report half",
                "se low high p",
                units=units,
            ),
        )
    )


INTERFERENCE = Artefact(
    kind="interference",
    path="memories/{target}/{recipe}/interference.h5",
    fields=(
        _HALF,
        _TRIED,
        _TARGET_CLASS,
        *_contrasts(),
        Field("interference_n", _CELL, np.int64, "usable composites"),
        Field("interference_models", _CELL, np.int64, "pairs of models with usable composites"),
        Field("chosen", _CELL[1:], bool, _CHOSEN.format("distracting")),
        Field("gross", _CELL, np.float64, "drop on the object, fine-tuned minus scratch", "probability"),
        Field("drop_fine_tuned", _CELL, np.float64, "drop on the object, fine-tuned models", "probability"),
        Field("drop_scratch", _CELL, np.float64, "drop on the object, models from scratch", "probability"),
        Field(
            "drop_canvas_fine_tuned",
            _CELL,
            np.float64,
            "drop on a canvas of the background's mean colour, fine-tuned models",
            "probability",
        ),
        *estimate(
            "flips",
            _CELL,
            f"share of composites on the object that are misclassified, {_TESTED}",
            "se low high p q",
        ),
        Field(
            "flips_fine_tuned",
            _CELL,
            np.float64,
            "share of composites on the object that are misclassified, fine-tuned models",
        ),
        Field("flips_scratch", _CELL, np.float64, "the same, models from scratch"),
        Field(
            "bound",
            _CELL[1:],
            bool,
            "whether this is the target class that the source class is bound to most, by the select half",
        ),
        Field(
            "congruent",
            _CELL[1:],
            bool,
            "whether it is, and the report half confirms it (binding q < .05); else that is unknown",
        ),
    ),
    attributes={**_SKIPPED, **_UNTESTED},
)
