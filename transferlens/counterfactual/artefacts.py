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
    Field("best_k", ("order",), np.int64, "k chosen on the select half"),
    *estimate("best_gain_mean", ("order",), "mean gain on the report half at the chosen k", "low high"),
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
        "predicted change: minus the influence",
        "se low high",
        optional=True,
    ),
)
_ATTRIBUTES = {
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
LABEL_MAPPING = Artefact(
    kind="label mapping",
    path="label_mapping/{target}.h5",
    fields=(
        Field("model", ("model",), np.int64, "row number in the study `reference`"),
        Field("source_class", ("source_class",), str, "source class"),
        Field(
            "count", ("model", "source_class"), np.int64, "target training images that the model puts into it"
        ),
    ),
)
