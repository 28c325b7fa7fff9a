"""What influences and their scores are stored as."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field, estimate
from transferlens.data.artefacts import EXAMPLE_FIELDS

# Shares of the models that scores are followed over.
SHARES = (1 / 8, 1 / 4, 1 / 2, 3 / 4, 1.0)
_CELL = ("half", "target_class", "source_class")

# `source_class` holds the units of the masks: source classes, groups of them, or blocks of source images.
_FIELDS = (
    *EXAMPLE_FIELDS,
    Field("source_class", ("source_class",), str, "source class, group of them, or block of images"),
    Field("source_group", ("source_class",), str, "coarser name of it"),
    Field("n_in", ("source_class",), np.int64, "models that saw it"),
    Field("n_out", ("source_class",), np.int64, "models that did not see it"),
    Field("relation", ("relation",), str, "kind of pair of a target and a source class, or difference"),
    *estimate("*/effect", ("example", "source_class"), "what it adds to the output", "se", np.float32),
    *estimate("*/class_effect", _CELL, "influence on the target class's mean output", "se low high q"),
    *estimate(
        "*/overall_effect", ("half", "source_class"), "influence on the half's mean output", "se low high q"
    ),
    *estimate(
        "*/relation_value",
        ("half", "relation"),
        "what one seen class of the relation adds to the target class's mean output",
        "low high",
        optional=True,
    ),
    Field("*/df", (), np.float64, "degrees of freedom of the effects' intervals"),
)
# Made from disjoint draws of masks: what one fold chooses, the other reports. Absent if models are too few.
_BY_FOLD = (
    Field("fold", ("fold",), np.int64, "set of draws of masks; the two share none", optional=True),
    *estimate(
        "*/effect_by_fold",
        ("fold", "example", "source_class"),
        "effect from the draws of one fold",
        "se",
        np.float32,
        optional=True,
    ),
    *estimate(
        "*/class_effect_by_fold",
        ("fold", *_CELL),
        "influence on the target class's mean output from the draws of one fold",
        "se",
        optional=True,
    ),
    *estimate(
        "*/overall_effect_by_fold",
        ("fold", "half", "source_class"),
        "influence on the half's mean output from the draws of one fold",
        "se",
        optional=True,
    ),
    Field("*/fold_df", ("fold",), np.float64, "degrees of freedom of a fold's errors", optional=True),
)
INFLUENCE = Artefact(
    kind="influence",
    path="influence/{target}/{recipe}.h5",
    fields=(*_FIELDS, *_BY_FOLD),
    attributes={
        "fold_estimator": "the estimator within a fold; '' without folds",
        "folds_missing": "why there are no folds; '' where there are",
    },
    choose=("output", "margin"),
)
EXAMPLE_INFLUENCE = Artefact(
    kind="example influence",
    path="example_influence/{target}/{recipe}.h5",
    fields=_FIELDS,
    choose=("output", "margin"),
)
# Of masks and outputs that no study made; it lies, and is called, as its maker likes.
_OWN = ("output", "unit")
OWN_INFLUENCE = Artefact(
    kind="influence of own outputs",
    path="own_influence.h5",
    fields=(
        Field("unit", ("unit",), str, "what masks switch on and off"),
        Field("output", ("output",), str, "what every model gave"),
        Field("output_group", ("output_group",), str, "group of outputs", optional=True),
        Field("n_in", ("unit",), np.int64, "models that saw it"),
        Field("n_out", ("unit",), np.int64, "models that did not see it"),
        *estimate("effect", _OWN, "what the unit adds to the output", "se low high p", np.float32),
        Field("effect_q", _OWN, np.float32, "Benjamini-Hochberg q-value over the units of the output"),
        *estimate(
            "group_effect",
            ("output_group", "unit"),
            "what the unit adds to the mean output of the group",
            "se low high p q",
            optional=True,
        ),
        *estimate("overall_effect", ("unit",), "what the unit adds to the mean output", "se low high p q"),
    ),
    attributes={
        "estimator": "how influences were estimated",
        "models": "models that they were estimated from",
        "made_from": "SHA-256 of the files of masks and outputs",
    },
)
_OF_PREDICTOR = ("predictor", "cells")
RIVALS = Artefact(
    kind="influence rivals",
    path="rivals/{target}/{recipe}.h5",
    fields=(
        Field("target_class", ("target_class",), str, "target class"),
        Field("source_class", ("source_class",), str, "source class or group of them"),
        Field("predictor", ("predictor",), str, "what class influences are predicted by"),
        Field("cells", ("cells",), str, "pairs of classes that are compared"),
        Field(
            "label_mapping",
            ("target_class", "source_class"),
            np.float64,
            "share of the target class's training images that full-source models take for the source class",
        ),
        Field(
            "label_probability",
            ("target_class", "source_class"),
            np.float64,
            "mean probability that they give it for these images",
        ),
        Field(
            "similarity",
            ("target_class", "source_class"),
            np.float64,
            "cosine of the classes' mean features in full-source models",
        ),
        *estimate(
            "correlation",
            _OF_PREDICTOR,
            "rank correlation with the class influences of one fold on the report half",
            "low high",
        ),
        *estimate(
            "of_reachable", _OF_PREDICTOR, "correlation as a share of that of the true influences", "low high"
        ),
    ),
    attributes={"folds_missing": "why nothing is compared; '' where there are folds"},
)
SCORES = Artefact(
    kind="influence scores",
    path="scores/{target}/{recipe}.h5",
    fields=(
        Field("estimator", ("estimator",), str, "estimator"),
        Field("models", ("models",), np.int64, "models that estimates are made from"),
        *estimate(
            "score",
            ("estimator", "models"),
            "correlation of predicted and actual outputs of held-out models",
            "low high",
        ),
        *estimate("ceiling", (), "largest correlation possible", "low high", optional=True),
        *estimate(
            "reliability",
            ("estimator", "models"),
            "squared correlation of class influences with the true ones",
            "low high",
        ),
        *estimate("models_needed", ("estimator",), "models for a reliability of 0.9", "low high"),
    ),
    attributes={
        "reported_estimator": "the estimator whose influences are reported",
        "examples": "examples that scores are taken over",
    },
    name="scores",
)
