"""What the drift of adapted models is stored as, and what source classes do to it."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field, estimate
from transferlens.core.studies import ROW_FIELDS
from transferlens.dynamics.activity.artefacts import LAYER_FIELD, STEP_FIELD

_DOMAIN = Field("domain", ("domain",), str, "data set of the probe images: the target's, then the source's")
_PLACE = ("domain", "layer", "step")

DRIFTS = Artefact(
    kind="drifts",
    path="studies/{study}/drift/{target}/{recipe}/{shard}.h5",
    fields=(
        *ROW_FIELDS,
        STEP_FIELD,
        LAYER_FIELD,
        _DOMAIN,
        Field("source_class", ("source_class",), str, "class of the source"),
        Field(
            "drift",
            ("model", *_PLACE),
            np.float64,
            "1 - unbiased minibatch CKA of the layer's maps with its own before the first step",
        ),
        Field("dead", ("model", *_PLACE), np.float64, "share of channels that answer alike to all images"),
        Field(
            "retention",
            ("model", "layer", "step"),
            np.float64,
            "unbiased CKA of the layer's pooled features of the source's probe images with those before the "
            "first step",
        ),
        Field(
            "class_retention",
            ("model", "layer", "step", "source_class"),
            np.float64,
            "the same of the probe images of one class; NaN where they are too few",
        ),
        Field("accuracy", ("model", "step"), np.float64, "accuracy on the target's report half"),
        Field("margin", ("model", "step"), np.float64, "mean margin on it", "nats"),
    ),
    attributes={
        "metric": "what accuracy is, as in summaries",
        "fewest_images": "probe images that a class needs for a retention of its own",
    },
)

# What models do beside drifting, and effects on which drift effects are compared with: its words on the page.
OUTCOMES = {
    "accuracy": "accuracy on the target",
    "margin": "mean margin on the target",
    "retention": "retention of the source",
    "own_retention": "retention of the class itself",
}
_EFFECT = (*_PLACE, "source_class")
_OUTCOME = ("outcome", "step", "source_class")
_COMPARED = ("outcome", *_PLACE)
_RETRAINED = ("order", "k", *_PLACE)

DRIFT_INFLUENCE = Artefact(
    kind="drift influence",
    path="dynamics/{target}/{recipe}/drift_influence.h5",
    fields=(
        Field("source_class", ("source_class",), str, "source class, or group of them"),
        Field("n_in", ("source_class",), np.int64, "models that saw it"),
        Field("n_out", ("source_class",), np.int64, "models that did not see it"),
        STEP_FIELD,
        LAYER_FIELD,
        _DOMAIN,
        Field("outcome", ("outcome",), str, "what models do beside drifting"),
        *estimate("mean_drift", _PLACE, "mean drift of models of random source classes", "low high"),
        *estimate("drift_effect", _EFFECT, "what the class adds to the drift", "se low high p q"),
        *estimate("outcome_effect", _OUTCOME, "what the class adds to the outcome", "se low high p q"),
        Field("fold", ("fold",), np.int64, "set of draws of masks; the two share none", optional=True),
        *estimate(
            "drift_effect_by_fold",
            ("fold", *_EFFECT),
            "what the class adds to the drift, from the draws of one fold",
            "se p",
            optional=True,
        ),
        *estimate(
            "outcome_effect_by_fold",
            ("fold", *_OUTCOME),
            "what the class adds to the outcome, from the draws of one fold",
            "se p",
            optional=True,
        ),
        *estimate(
            "correlation",
            _COMPARED,
            "rank correlation over classes of drift effects of one fold with outcome effects of the other; "
            "mean of both ways",
            "low high p q",
            optional=True,
        ),
        *estimate(
            "drift_reliability",
            _PLACE,
            "rank correlation over classes of drift effects of the two folds",
            "low high",
            optional=True,
        ),
        *estimate(
            "outcome_reliability",
            ("outcome", "step"),
            "rank correlation over classes of outcome effects of the two folds",
            "low high",
            optional=True,
        ),
        Field("order", ("order",), str, "how removed classes were chosen", optional=True),
        Field("k", ("k",), np.int64, "classes removed", optional=True),
        *estimate(
            "full_drift", _PLACE, "mean drift of models of the whole source", "low high", optional=True
        ),
        *estimate("retrained_drift", _RETRAINED, "mean drift of retrained models", "low high", optional=True),
        *estimate(
            "retrained_change",
            _RETRAINED,
            "mean drift of retrained models minus that of the whole source's, repeat by repeat",
            "low high",
            optional=True,
        ),
    ),
    attributes={
        "models": "models that effects are estimated from",
        "estimator": "how",
        "metric": "what accuracy is, as in summaries",
        "fold_estimator": "the estimator within a fold; '' without folds",
        "folds_missing": "why there are no folds, and so no correlations; '' where there are",
        "own_retention_missing": "why there is no retention of single classes; '' where there is",
        "retrained_missing": "why there are no retrained models; '' where there are",
        "ranked_by": "the recipe by whose influences removed classes were ranked",
        "repeats": "retrained models of each kind, and models of the whole source beside them",
    },
)
