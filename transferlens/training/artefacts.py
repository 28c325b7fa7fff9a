"""What trained and adapted models leave behind."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field
from transferlens.core.studies import ROW_FIELDS
from transferlens.data.artefacts import EXAMPLE_COLUMNS, EXAMPLE_FIELDS

LOG_QUANTITIES = ("loss", "accuracy", "learning_rate")

_LOG = (
    Field("log_quantity", ("log_quantity",), str, "what the training log holds of every epoch"),
    Field("log", ("model", "epoch", "log_quantity"), np.float64, "mean loss, accuracy, last learning rate"),
)
_CHECKPOINTS = (
    Field("checkpoint_step", ("checkpoint_step",), np.int64, "optimiser steps taken by then", optional=True),
    Field("checkpoint_kept", ("model", "checkpoint_step"), bool, "whether the run got so far", optional=True),
)
_IMPLEMENTATION = {"implementation": "what trained the models"}
_TRAINING = (
    *ROW_FIELDS,
    *_LOG,
    Field("source_class", ("source_class",), str, "source class"),
    Field("train_images", ("model",), np.int64, "training images an epoch"),
    Field("accuracy", ("model",), np.float64, "val accuracy over the classes the model saw; NaN if none"),
    Field("class_accuracy", ("model", "source_class"), np.float64, "val accuracy on images of the class"),
)

SOURCE_MODELS = Artefact(
    kind="source models",
    path="studies/{study}/source/{shard}.h5",
    name="stored_source_models",
    fields=(*_TRAINING, *_CHECKPOINTS),
    attributes=_IMPLEMENTATION,
    groups={"weights": "state of the network, one model a row", "checkpoints": "states along the way"},
)
TRAINING_RECORDS = Artefact(
    kind="training records",
    path="studies/{study}/training/{shard}.h5",
    fields=(*_TRAINING, *_CHECKPOINTS),
    attributes=_IMPLEMENTATION,
)

# The outputs that influences are estimated on: (stored type, meaning, units).
OUTPUTS = {
    "p_true": (np.float32, "softmax probability of the true class", "probability"),
    "margin": (np.float32, "true logit minus the log-sum-exp of the others: log(p / (1 - p))", "nats"),
    "raw_margin": (np.float32, "true logit minus the best other logit", "logit units"),
    "softmax_margin": (np.float32, "probability of the true class minus the best other one", "probability"),
    "correct": (bool, "whether the most probable class is the true one", ""),
    "prediction": (np.int32, "position of the most probable class in target_class", ""),
}
# A summary stores these; the others follow from them.
SUMMARISED = {"margin": np.float16, "raw_margin": np.float16, "prediction": np.unsignedinteger}

# What accuracy on a target is, in words, by its metric.
METRICS = {
    "global": "the share of examples that are classified correctly",
    "per_class": "the mean over target classes of the share that is classified correctly",
    "auroc": "the area under the ROC curve of the probability of the second class (.5 is chance)",
}

_OF_EVERY_MODEL = (
    *ROW_FIELDS,
    *EXAMPLE_FIELDS,
    Field("source_accuracy", ("model",), np.float64, "accuracy of the source model"),
    Field("train_images", ("model",), np.int64, "source images an epoch"),
    Field("accuracy", ("model", "half"), np.float64, "accuracy on the target"),
    Field(
        "class_accuracy", ("model", "half", "target_class"), np.float64, "accuracy on examples of the class"
    ),
)
_METRIC = {
    "metric": "what accuracy is: the share of examples (global), its mean over classes (per_class), or the "
    "area under the ROC curve of the second of two classes (auroc)"
}

TRANSFER_RUNS = Artefact(
    kind="transfer runs",
    path="studies/{study}/transfer/{target}/{recipe}/{shard}.h5",
    fields=(
        *_OF_EVERY_MODEL,
        *_LOG,
        *(Field(n, ("model", "example"), t, meaning, units) for n, (t, meaning, units) in OUTPUTS.items()),
        Field("remedy_class", ("remedy_class",), str, "source class used by the remedy", optional=True),
        Field("probe_example", ("probe_example",), str, "example whose maps are kept", optional=True),
        Field(
            "probe_map",
            ("model", "probe_example", "map_y", "map_x"),
            np.float32,
            "signed evidence for the true class; its mean over cells plus the head's bias is the logit",
            "logit units per cell",
            optional=True,
        ),
        Field(
            "probe_logit",
            ("model", "probe_example"),
            np.float32,
            "logit of the true class",
            "logit units",
            True,
        ),
    ),
    groups={
        "head": "target head, one model a row",
        "weights": "whole adapted network, one model a row",
    },
    attributes={
        **_METRIC,
        **_IMPLEMENTATION,
        "recipe": "settings of the recipe",
        "backbone_changed": "whether it changes the backbone",
    },
)
TRAJECTORIES = Artefact(
    kind="trajectories",
    path="studies/{study}/trajectories/{target}/{recipe}/{shard}.h5",
    fields=(*TRANSFER_RUNS.fields, *_CHECKPOINTS),
    groups={**TRANSFER_RUNS.groups, "checkpoints": "states along the way"},
    attributes={**TRANSFER_RUNS.attributes, "steps": "optimiser steps of a whole run"},
)
SUMMARY = Artefact(
    kind="summary",
    path="studies/{study}/summary/{target}/{recipe}.h5",
    fields=(
        *_OF_EVERY_MODEL,
        # Compressed, unlike other floats: models agree on most examples, in half precision often to the bit.
        *(
            Field(n, ("model", "example"), dtype, *OUTPUTS[n][1:], compress=True)
            for n, dtype in SUMMARISED.items()
        ),
    ),
    attributes=_METRIC,
    name="stored_summary",
)


def _features(classes: str, meaning: str) -> tuple[Field, ...]:
    """What networks make of images before their heads, and these heads, so that logits follow:
    `features @ head_weight.T + head_bias` of a model.

    Args:
        classes: the dimension of the classes that the heads tell apart.
    """
    return (
        *ROW_FIELDS,
        *EXAMPLE_COLUMNS,
        Field(classes, (classes,), str, meaning),
        Field("features", ("model", "example", "feature"), np.float32, "input of the head; evaluation crop"),
        Field("head_weight", ("model", classes, "feature"), np.float32, "weight of the head"),
        Field("head_bias", ("model", classes), np.float32, "bias of the head", "logit units"),
    )


FEATURES = Artefact(
    kind="features",
    path="studies/{study}/features/{dataset}/{split}/{shard}.h5",
    fields=_features("source_class", "source class"),
)
ADAPTED_FEATURES = Artefact(
    kind="adapted features",
    path="studies/{study}/adapted_features/{target}/{recipe}/{dataset}/{split}/{shard}.h5",
    fields=_features("target_class", "target class"),
)
