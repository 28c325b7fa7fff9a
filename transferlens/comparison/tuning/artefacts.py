"""What trials, their choice, and the published protocol are stored as."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field

_SEARCHED = (
    Field("trial", ("trial",), np.int64, "number of the trial; 0 has the settings as written"),
    Field("parameter", ("parameter",), str, "what trials vary, as a dotted key of the recipe"),
    Field("value", ("trial", "parameter"), np.float64, "its value; NaN for null"),
    Field("settings", ("trial",), str, "the whole settings of the recipe, as JSON"),
    Field("model", ("model",), np.int64, "row number in the study of the model that was adapted"),
)

TRIALS = Artefact(
    kind="trials",
    path="comparison/{target}/{recipe}/trials/{part}.h5",
    fields=(
        *_SEARCHED,
        Field("example", ("example",), str, "held-out training image"),
        Field("example_class", ("example",), str, "its class"),
        Field("correct", ("trial", "model", "example"), bool, "whether it is classified correctly"),
        Field(
            "loss",
            ("trial", "model"),
            np.float64,
            "mean cross-entropy of the held-out images; infinite where training broke off, its own loss not "
            "being finite",
            "nats",
        ),
        Field(
            "seconds",
            ("trial", "model"),
            np.float64,
            "of training, of the first with decoding of the images; of one that was interrupted, since it went on",
            "seconds",
        ),
    ),
    attributes={"trained": "training images of the trials"},
)
CHOICE = Artefact(
    kind="choice of trials",
    path="comparison/{target}/{recipe}/choice.h5",
    name="choice",
    fields=(
        *_SEARCHED,
        Field("accuracy", ("trial", "model"), np.float64, "on the held-out training images"),
        Field("loss", ("trial", "model"), np.float64, "mean cross-entropy of these", "nats"),
        Field("seconds", ("trial", "model"), np.float64, "of training", "seconds"),
        Field("chosen", ("trial",), bool, "whether it is the one that is chosen"),
        Field("budget", ("budget",), np.int64, "trials that might have been made"),
        Field(
            "best_of", ("budget",), np.float64, "expected highest held-out accuracy of so many of the trials"
        ),
    ),
    attributes={
        "recipe": "the chosen settings of the recipe",
        "held_out": "held-out training images",
        "trained": "training images of the trials",
    },
)
PUBLISHED = Artefact(
    kind="published protocol",
    path="comparison/{target}/{recipe}/published.h5",
    fields=(
        Field("model", ("model",), np.int64, "row number in the study"),
        Field("epoch", ("epoch",), np.int64, "epochs trained by then"),
        Field("head", ("head",), str, "which head of the network answers; its own is the first"),
        Field(
            "accuracy",
            ("model", "epoch", "head"),
            np.float64,
            "share of the report half's images that are classified correctly",
        ),
    ),
)
