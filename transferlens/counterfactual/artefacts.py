"""What counterfactual retraining is stored as."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field, estimate

_CURVE = ("order", "k", "half")
_FIELDS = (
    Field("order", ("order",), str, "order of removal"),
    Field("k", ("k",), np.int64, "units removed"),
    Field("half", ("half",), str, "half of the evaluation examples"),
    Field("full", ("reference_repeat", "half"), np.float64, "accuracy from the full source"),
    Field("scratch", ("reference_repeat", "half"), np.float64, "accuracy from scratch"),
    Field("accuracy", (*_CURVE, "repeat"), np.float64, "target accuracy"),
    *estimate("accuracy_mean", _CURVE, "mean target accuracy over repeats", "low high"),
    *estimate(
        "gain_mean", _CURVE, "mean of accuracy minus that from the full source, paired by repeat", "low high"
    ),
    Field("best_k", ("order",), np.int64, "k that all repeats choose on the select half"),
    Field("best_k_share", ("order",), np.float64, "share of splits of the repeats that choose it"),
    *estimate(
        "best_gain_mean",
        ("order",),
        "gain on the report half at the chosen k; half of the repeats choose, the others report",
        "low high",
    ),
    *estimate(
        "handpicked_accuracy_mean",
        ("half",),
        "mean accuracy from the units picked by hand",
        "low high",
        optional=True,
    ),
    *estimate("handpicked_gain_mean", ("half",), "mean gain with them", "low high", optional=True),
    Field("removed_class", ("removed_class",), str, "unit removed alone", optional=True),
    Field(
        "single_change",
        ("removed_class", "repeat"),
        np.float64,
        "realised change of the report half's mean output without the unit",
        optional=True,
    ),
    *estimate(
        "single_change_mean",
        ("removed_class",),
        "mean realised change over repeats",
        "low high",
        optional=True,
    ),
    *estimate(
        "single_predicted",
        ("removed_class",),
        "predicted change: minus the influence, by draws that did not choose the unit",
        "se low high",
        optional=True,
    ),
    Field("random_set", ("random_set",), np.int64, "place among a repeat's random sets", optional=True),
    Field("set_size", ("random_set",), np.int64, "units of the set", optional=True),
    Field(
        "set_change",
        ("random_set", "repeat"),
        np.float64,
        "realised change of the report half's mean output without the set",
        optional=True,
    ),
    Field("predictor", ("predictor",), str, "what predicts the changes", optional=True),
    Field(
        "set_predicted",
        ("predictor", "random_set", "repeat"),
        np.float64,
        "predicted change, in the predictor's own unit",
        optional=True,
    ),
    *estimate(
        "set_correlation",
        ("predictor",),
        "correlation of predicted and realised changes within repeats",
        "low high",
        optional=True,
    ),
    *estimate(
        "set_advantage",
        ("predictor",),
        "correlation of the influences' predictions minus that of this predictor",
        "low high",
        optional=True,
    ),
    Field("step_order", ("step_order",), str, "order of removal whose steps are checked", optional=True),
    *estimate("step_gain_mean", ("step_order",), "mean gain with as many steps", "low high", optional=True),
    *estimate(
        "step_difference_mean",
        ("step_order",),
        "mean accuracy with as many steps as the full source minus that with fewer",
        "low high",
        optional=True,
    ),
)
_ATTRIBUTES = {
    "best_gain_missing": "why there is no gain at a chosen k",
    "single_predicted_missing": "why nothing is predicted for units removed alone",
    "sets_slope": "of realised changes on those that influences predict, over random sets within repeats",
    "sets_slope_low": "lower end of its 95 % interval",
    "sets_slope_high": "upper end of its 95 % interval",
    "step_k": "units removed where steps are checked",
    "handpicked_kept": "units picked by hand",
    "handpicked_removed": "units left out beside them",
    "singles_slope": "of realised on predicted changes over units",
    "singles_slope_low": "lower end of its 95 % interval",
    "singles_slope_high": "upper end of its 95 % interval",
    "singles_r_squared": "share of the realised changes' variance along that line",
    "singles_p": "p-value of the slope",
    "singles_reliability": "share of the predictions' variance that is not estimation error",
}
COUNTERFACTUAL = Artefact(
    kind="counterfactual",
    path="counterfactual/{target}/{recipe}.h5",
    fields=_FIELDS,
    attributes=_ATTRIBUTES,
)
REUSE = Artefact(
    kind="reuse",
    path="reuse/{target}/{recipe}.h5",
    fields=_FIELDS,
    attributes=_ATTRIBUTES,
)
BLOCK_REMOVALS = Artefact(
    kind="block removals",
    path="block_removals/{target}/{recipe}.h5",
    fields=_FIELDS,
    attributes=_ATTRIBUTES,
)
LABEL_MAPPING = Artefact(
    kind="label mapping",
    path="label_mapping/{target}.h5",
    fields=(
        Field("model", ("model",), np.int64, "row number in the study `reference`"),
        Field("source_class", ("source_class",), str, "source class"),
        Field(
            "count", ("model", "source_class"), np.int64, "target training images that the model puts into it"
        ),
        Field(
            "probability",
            ("model", "source_class"),
            np.float64,
            "mean probability of the source class over the target's training images",
        ),
    ),
)
