"""What analyses are stored as."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field, estimate

# Harmful source classes that are shown of a failure.
HARMFUL = 5
# Random pairs of blocks and examples, whose likeness is the baseline of leakage.
RANDOM_PAIRS = 200
# Of the table of finer classes.
FOLD_COLUMNS = ["auroc_fold_0", "auroc_fold_1"]
FINER_COLUMNS = [
    *("target_class", "source_class", "examples", "of_the_class", "auroc", "low", "high"),
    *FOLD_COLUMNS,
]
_IMAGE = "the network's input as bytes"
_SHOWN = ("pair", "end", "rank")
SUBPOPULATIONS = Artefact(
    kind="subpopulations",
    path="analyses/subpopulations/{target}/{recipe}.h5",
    fields=(
        Field("pair_target_class", ("pair",), str, "target class of the pair"),
        Field("pair_source_class", ("pair",), str, "source class of the pair"),
        Field(
            "spread",
            ("pair",),
            np.float64,
            "sd of the influence between examples of the report half, beyond noise, by the reporting fold",
        ),
        Field("end", ("end",), str, "end of the order of the class's examples"),
        Field("example", _SHOWN, str, "the data set's own example id; '' where the class has no more"),
        Field("position", _SHOWN, np.int64, "its place in the val split; -1 for none"),
        *estimate("effect", _SHOWN, "influence of the source class on it, by the reporting fold", "se"),
        Field("image", (*_SHOWN, "y", "x", "channel"), np.uint8, _IMAGE, "bytes"),
        Field("finer_class", ("finer_class",), str, "finer class that the source has, too"),
        Field("finer_target_class", ("finer_class",), str, "target class that it is a part of"),
        Field("finer_examples", ("finer_class",), np.int64, "examples of that target class"),
        Field("finer_members", ("finer_class",), np.int64, "those of the finer class"),
        *estimate("finer_auroc", ("finer_class",), "ROC area of finding these by the influence", "low high"),
        Field(
            "finer_auroc_by_fold",
            ("finer_class", "fold"),
            np.float64,
            "the same by either fold of draws of masks; NaN where there are no folds",
        ),
    ),
    attributes={"missing": "why there are no pairs"},
)

FAILURES = Artefact(
    kind="failures",
    path="analyses/failures/{target}/{recipe}.h5",
    fields=(
        Field("example", ("example",), str, "the data set's own example id"),
        Field("position", ("example",), np.int64, "its place in the val split"),
        Field("true", ("example",), str, "true target class"),
        Field("predicted", ("example",), str, "class that the choosing full-source models take it for"),
        Field("share_correct", ("example",), np.float64, "share of the other full-source models right"),
        Field("removed", ("example",), str, "source class removed alone; '' for none"),
        *estimate("expected_change", ("example",), "expected change: minus the influence", "low high"),
        *estimate("change", ("example",), "realised change of the output without the class", "low high"),
        Field("predicted_without", ("example",), str, "class that models without it take it for"),
        Field("share_correct_without", ("example",), np.float64, "share right without it"),
        Field("mean_expected_change", (), np.float64, "mean expected change of these examples"),
        *estimate("mean_change", (), "mean realised change of these examples", "low high"),
        *estimate("placebo_change", (), "their mean change with nothing removed", "low high"),
        Field(
            "harmful", ("example", "rank"), str, "most harmful classes by the choosing fold", optional=True
        ),
        *estimate(
            "effect",
            ("example", "rank"),
            "influence of the class, by the reporting fold",
            "se q",
            optional=True,
        ),
        Field("image", ("example", "y", "x", "channel"), np.uint8, _IMAGE, "bytes", optional=True),
    ),
    attributes={
        "choosing_models": "full-source models that chose the examples",
        "reporting_models": "other full-source models, which report",
        "missing": "why there are none",
    },
)

LEAKAGE = Artefact(
    kind="leakage",
    path="analyses/leakage/{target}/{recipe}.h5",
    fields=(
        Field("end", ("pair",), str, "whether the pair is among the most helpful or the most harmful"),
        Field("block", ("pair",), str, "block of source images"),
        Field("example", ("pair",), str, "target example"),
        Field("target_class", ("pair",), str, "its class"),
        Field("source_image", ("pair",), str, "the block's image most like the example"),
        Field("source_class", ("pair",), str, "its class"),
        *estimate("effect", ("pair",), "influence of the block on the example, reporting fold", "se q"),
        Field("likeness", ("pair",), np.float64, "correlation of the two images' thumbnails"),
        Field("near_duplicate", ("pair",), bool, "whether the likeness is above the threshold"),
        Field("random_likeness", ("random_pair",), np.float64, "likeness of random blocks and examples"),
    ),
    attributes={"missing": "why there are no pairs"},
)

SMALL_TARGETS = Artefact(
    kind="small targets",
    path="analyses/small_targets/{target}/{recipe}.h5",
    fields=(
        Field("target", ("target",), str, "the target, or a part of it"),
        Field("training_images", ("target",), np.int64, "its training images"),
        *estimate("full", ("target",), "accuracy from the full source", "low high"),
        *estimate("scratch", ("target",), "accuracy from scratch", "low high"),
        *estimate("gain", ("target",), "accuracy from the full source minus that from scratch", "low high"),
        *estimate(
            "agreement", ("target",), "correlation of class influences with the whole target's", "low high"
        ),
    ),
)
