"""What probes, composites and interference are stored as."""

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

PROBES = Artefact(
    kind="memory probes",
    path="memories/{target}/{recipe}/probes.h5",
    fields=(
        _SOURCE_CLASS,
        _TARGET_CLASS,
        _HALF,
        Field(
            "accuracy_before", _OF_CLASS, np.float64, "accuracy of the source head on the source's backbone"
        ),
        Field("accuracy_after", _OF_CLASS, np.float64, "the same on the fine-tuned backbone"),
        Field("rank_after", _OF_CLASS, np.float64, "mean rank of the true class there, 1 the highest"),
        Field("p_true_after", _OF_CLASS, np.float64, "mean calibrated probability of the true class there"),
        Field("images", _OF_CLASS[1:], np.int64, "source evaluation images"),
        *estimate(
            "retained", ("source_class",), "accuracy after over accuracy before; report half", "low high"
        ),
        Field("temperature", ("model",), np.float64, "divides the source head's logits"),
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
            "probability by fine-tuned minus by scratch models, minus its mean over source classes; standard "
            "error and interval over models and images, p from permuted source labels, q within a half",
            "se low high p q",
        ),
        Field("coupling", ("model", *_OVERLAP), np.float64, "cosine of the heads' centred weights"),
        Field("overlap", _OVERLAP, bool, "whether the classes mean the same"),
    ),
    attributes={"note": "what must be known to read them"},
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
        _TRIED,
        Field("tried_at_random", ("tried_class",), bool, "drawn at random, not for being strongly bound"),
        Field("control", ("control",), str, "the background: itself, scrambled, its mean colour"),
        Field("role", ("role",), str, "model of a pair"),
        Field("background_class", ("composite",), str, "source class of the background"),
        Field("overlay_class", ("composite",), str, "target class of the pasted image"),
        Field("background", ("composite",), np.int64, "position of the background in the source's val split"),
        Field("overlay", ("composite",), np.int64, "position of the pasted image in the target's val split"),
        Field("composite_half", ("composite",), str, "half of both images"),
        Field("left", ("composite",), np.int64, "left edge of the pasted image", "pixels"),
        Field("top", ("composite",), np.int64, "upper edge of the pasted image", "pixels"),
        Field("side", ("composite",), np.int64, "side of the pasted image", "pixels"),
        Field("p_true", (*_ANSWER, "control"), np.float32, "probability of the pasted image's class"),
        Field(
            "prediction", (*_ANSWER, "control"), np.int32, "position of the predicted class in target_class"
        ),
        Field("alone_p_true", _ANSWER, np.float32, "probability of its class, target image alone"),
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
INTERFERENCE = Artefact(
    kind="interference",
    path="memories/{target}/{recipe}/interference.h5",
    fields=(
        _HALF,
        _TRIED,
        _TARGET_CLASS,
        *estimate(
            "interference",
            _CELL,
            "net drop on the object beyond the scrambled background, fine-tuned minus scratch; p from sign "
            "flips of backgrounds, q within a half",
            "low high p q",
        ),
        Field("interference_n", _CELL, np.int64, "usable composites"),
        Field("gross", _CELL, np.float64, "drop on the object, fine-tuned minus scratch"),
        Field("drop_fine_tuned", _CELL, np.float64, "drop on the object, fine-tuned models"),
        Field("drop_scratch", _CELL, np.float64, "drop on the object, models from scratch"),
        Field(
            "drop_canvas_fine_tuned",
            _CELL,
            np.float64,
            "drop on a canvas of the background's mean colour, fine-tuned models",
        ),
        Field(
            "flips_fine_tuned",
            _CELL,
            np.float64,
            "share of composites on the object that are misclassified, fine-tuned models",
        ),
        Field("flips_scratch", _CELL, np.float64, "the same, models from scratch"),
        Field("flips_p", _CELL, np.float64, "exact McNemar p-value of these two shares"),
        Field("flips_q", _CELL, np.float64, "its Benjamini-Hochberg q-value within the half"),
        Field(
            "congruent",
            _CELL[1:],
            bool,
            "whether the memory is bound to the target class, by the select half",
        ),
    ),
    attributes=_SKIPPED,
)
