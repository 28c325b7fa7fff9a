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
