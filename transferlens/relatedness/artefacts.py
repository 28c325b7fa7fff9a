"""What task-relatedness is stored as."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field, estimate
from transferlens.core.studies import ROW_FIELDS

# What the published algorithm prints in its last line, in this order.
COLUMNS = (
    "accuracy of the transformed head on the target (%)",
    "loss of the transformed head on the target",
    "accuracy on the transformed reference (%)",
    "soft-label loss on the transformed reference",
    "weighted reference loss",
    "Wasserstein distance",
    "label mismatch",
    "weighted reference loss and label mismatch",
    "bound",
    "bound from the transformed reference's loss",
    "measured Lipschitz constant",
)
# What is averaged over models and draws.
QUANTITIES = (
    "reference_loss",
    "label_mismatch",
    "transport",
    "prior_gap",
    "bound",
    "bound_tight",
    "transformed_loss",
    "transformed_accuracy",
    "probe_loss",
    "probe_accuracy",
    "wasserstein",
    "lipschitz",
)
# What the bound of a model is set against, over models.
ACTUAL = ("probe_loss", "probe_accuracy")
# Classes that are compared with class influences, and how.
CELLS = ("all", "without same names")
SCOPES = ("overall", "within target classes")

_OF = ("model", "tau", "transform", "draw")
_MAP = (*_OF, "target_class", "reference_class")
_MEAN = ("model_role", "tau", "transform", "quantity")
_CORRELATION = ("model_role", "tau", "transform", "actual")
_TRACE = ("model", "trace_transform", "round")
_IMAGES = "low high"  # over draws of the test images within classes

RELATEDNESS = Artefact(
    kind="task relatedness",
    path="relatedness/{target}/{reference}/{study}.h5",
    fields=(
        *ROW_FIELDS,
        Field("tau", ("tau",), np.float64, "Lipschitz constant that heads are held to"),
        Field("transform", ("transform",), str, "what of the reference is turned into the target"),
        Field("draw", ("draw",), np.int64, "choice of images to learn from, and of random pairs of classes"),
        Field("target_class", ("target_class",), str, "class of the target"),
        Field("reference_class", ("reference_class",), str, "class of the reference"),
        # The bound and its parts; losses in nats, on the test images.
        *estimate("reference_loss", _OF, "re-weighted loss of the reference head", _IMAGES, units="nats"),
        Field("label_mismatch", _OF, np.float64, "entropy of target labels given reference labels", "nats"),
        *estimate("wasserstein", _OF, "Wasserstein distance within classes, feature units", _IMAGES),
        Field("lipschitz", _OF, np.float64, "Lipschitz constant of the transformed head's loss"),
        *estimate("transport", _OF, "the product of the last two", _IMAGES, units="nats"),
        *estimate("prior_gap", _OF, "what unequal class priors add", _IMAGES, units="nats"),
        *estimate("bound", _OF, "sum of the parts: bounds transformed_loss", _IMAGES, units="nats"),
        *estimate("bound_tight", _OF, "transformed reference's loss, plus transport", _IMAGES, units="nats"),
        *estimate(
            "transformed_loss", _OF, "loss of the transformed head on the target", _IMAGES, units="nats"
        ),
        *estimate("transformed_accuracy", _OF, "accuracy of the transformed head on the target (%)", _IMAGES),
        *estimate("probe_loss", ("model", "tau"), "loss of the probe held to tau", _IMAGES, units="nats"),
        *estimate("probe_accuracy", ("model", "tau"), "accuracy of the probe held to tau", _IMAGES),
        Field("head_lipschitz", ("model", "tau"), np.float64, "Lipschitz constant of the reference head"),
        Field("floor", ("model",), np.float64, "Wasserstein distance of two halves of the target's classes"),
        # What is learned, and what it costs class by class.
        Field("label_map", _MAP, np.float64, "probability of the target class given the reference class"),
        Field("prior", (*_OF, "reference_class"), np.float64, "learned share of the reference class"),
        Field("class_prior", ("target_class",), np.float64, "share of the class among the test images"),
        *(
            Field(f"class_{name}", (*_OF, "target_class"), np.float64, meaning, units)
            for name, meaning, units in (
                ("wasserstein", "Wasserstein distance of the transformed reference to the class", ""),
                ("reference_loss", "transformed head's loss on the transformed reference", "nats"),
                ("transformed_loss", "transformed head's loss on the class", "nats"),
                ("bound", "what class_transformed_loss is at most", "nats"),
            )
        ),
        Field(
            "class_probe_loss",
            ("model", "tau", "target_class"),
            np.float64,
            "loss of the probe on the class",
            "nats",
        ),
        Field(
            "class_distance",
            ("model", "target_class", "reference_class"),
            np.float64,
            "Wasserstein distance of the target class's training images to the reference class's test images",
        ),
        # Whether it holds.
        Field("stage", ("stage",), str, "proved inequality"),
        Field("slack", (*_OF, "stage"), np.float64, "right-hand side minus left-hand side", "nats"),
        Field("probe_is_better", _OF, bool, "whether the probe's loss is at most the transformed head's"),
        # How it was learned, for the first tau and draw of every model.
        Field("trace_transform", ("trace_transform",), str, "transform that is learned", optional=True),
        Field("round", ("round",), np.int64, "rounds of learning so far", optional=True),
        Field(
            "trace_bound",
            _TRACE,
            np.float64,
            "bound on the training images learned from",
            "nats",
            optional=True,
        ),
        # Over models of a role and draws.
        Field("model_role", ("model_role",), str, "what the models are"),
        Field("role_models", ("model_role",), np.int64, "models of the role"),
        Field("quantity", ("quantity",), str, "what is averaged"),
        *estimate("mean", _MEAN, "mean over models and draws: over models and test images", "low high"),
        Field("least", _MEAN, np.float64, "mean over models of the least over draws"),
        Field("actual", ("actual",), str, "what the bound is set against"),
        *estimate("correlation", _CORRELATION, "Pearson's, of bound and actual over models", "low high"),
        # The published algorithm's own numbers.
        Field("column", ("column",), str, "number of the published algorithm's last line", optional=True),
        Field("published", (*_OF, "column"), np.float64, "as it defines them", optional=True),
    ),
    attributes={
        "log_classes": "log of the number of target classes: the loss of who knows nothing",
        "mode": "rigorous or faithful",
        "feature_map": "how features are mapped",
        "label_start": "where the label map starts",
        "reference_dataset": "the data set of the reference",
        "target_images": "test images of the target that entered",
        "reference_images": "test images of the reference that entered",
        "assumption_failed": "of how many bounds the probe was worse than the transformed head",
        "bounds": "how many bounds there are",
    },
)

_CELL = ("target_class", "source_class")
_EXCESS = ("scope", "cells")
_AGREEMENT = ("measure", *_EXCESS)
READING = Artefact(
    kind="relatedness and influence",
    path="relatedness_influence/{target}/{recipe}/{reference}/{study}.h5",
    fields=(
        Field("target_class", ("target_class",), str, "target class"),
        Field("source_class", ("source_class",), str, "class of the reference, which models saw or did not"),
        *estimate("influence", _CELL, "influence on the target class, report half", "low high q"),
        Field("measure", ("measure",), str, "what says how near a source class is"),
        Field("nearness", ("measure", *_CELL), np.float64, "the larger, the nearer"),
        Field("same_name", _CELL, bool, "whether names are equal"),
        Field("scope", ("scope",), str, "pairs that are ranked together"),
        Field("cells", ("cells",), str, "pairs of classes that are compared"),
        *estimate("agreement", _AGREEMENT, "rank correlation of nearness and influence", "low high p"),
        Field("agreement_n", _AGREEMENT, np.int64, "pairs of classes compared"),
        *estimate("excess", _EXCESS, "agreement of the distance minus that of its control", "low high"),
        Field("nearest", ("target_class",), str, "source class at the least distance"),
        Field("class_loss", ("target_class",), np.float64, "mean loss of the probe on the class", "nats"),
        Field("class_bound", ("target_class",), np.float64, "mean bound of the loss on the class", "nats"),
    ),
    attributes={
        "models": "what the measures are of",
        "p_missing": "why there are no p-values; '' where there are",
        "transform": "whose label map and bound these are",
    },
)
