"""What the comparison of recipes is stored as."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field, estimate

# What recipes are compared by: (words, unit, whether more is better).
MEASURES = {
    "accuracy": ("accuracy", "share", True),
    "class_mean_accuracy": ("mean accuracy of classes", "share", True),
    "worst_class_accuracy": ("accuracy of the class that is worst from scratch", "share", True),
    "negative_transfer": ("right from scratch, wrong after fine-tuning", "share", False),
    "positive_transfer": ("wrong from scratch, right after fine-tuning", "share", True),
    "forgetting_source": ("change of a linear probe's accuracy on the source", "share", True),
    "forgetting_others": ("change of linear probes' accuracy on other data sets, their mean", "share", True),
    "retention": ("accuracy of the source's own head, over that before", "ratio", True),
    "calibration_error": ("expected calibration error", "share", False),
    "brier": ("Brier score of the answer given", "share", False),
    "corrupted_accuracy": ("accuracy on corrupted images", "share", True),
    "corruption_drop": ("share of accuracy that corruption takes", "ratio", False),
    "seconds": ("seconds of a training step, over plain fine-tuning's", "ratio", False),
    "memory": ("peak memory of a training step, over plain fine-tuning's", "ratio", False),
}
_CELL = ("recipe", "measure")

COMPARISON = Artefact(
    kind="comparison",
    path="comparison/{target}/comparison.h5",
    fields=(
        Field("recipe", ("recipe",), str, "what is compared; the plain recipe first"),
        Field("base", ("recipe",), str, "the recipe as it is written"),
        Field("from_scratch", ("recipe",), bool, "whether models from scratch were adapted by it"),
        Field("measure", ("measure",), str, "what is measured"),
        *estimate("value", _CELL, "mean over models and images", "low high"),
        *estimate("difference", _CELL, "minus that of the plain recipe, in pairs", "low high p"),
        Field("difference_holm", _CELL, np.float64, "p-value after Holm, over the recipes of a measure"),
        Field("missing", _CELL, str, "why there is no value or no interval; '' where there are"),
        Field("difference_missing", _CELL, str, "why there is no difference, or no p of it"),
        Field("left_out", ("left_out",), str, "recipe that could not be had"),
        Field("left_out_reason", ("left_out",), str, "why"),
        Field("target_class", ("target_class",), str, "target class"),
        *estimate("class_accuracy", ("recipe", "target_class"), "accuracy of a class", "low high"),
        Field("probed", ("probed",), str, "data set that probes are fitted on; the source first"),
        *estimate("forgetting", ("recipe", "probed"), "change of a probe's accuracy", "low high"),
        *estimate("mean_forgetting", ("recipe",), "the same, mean of all data sets probed", "low high"),
        Field("corruption", ("corruption",), str, "what images are corrupted by"),
        Field("severity", ("severity",), np.int64, "how severely, of 1 to 5"),
        Field("corrupted", ("recipe", "corruption", "severity"), np.float64, "accuracy on corrupted images"),
        Field("chosen_accuracy", ("recipe",), np.float64, "accuracy on the select half, which ranks"),
        Field("best_share", ("recipe",), np.float64, "share of resamples in which it ranks first"),
        *estimate(
            "ahead", ("recipe",), "accuracy of the recommended recipe minus its, in pairs", "low high p"
        ),
        Field("ahead_holm", ("recipe",), np.float64, "p-value after Holm, over all pairs of recipes"),
        Field("told_apart", ("recipe",), bool, "whether the recommended recipe differs from it, after Holm"),
        Field("chosen_by_others", ("recipe",), np.int64, "models whose others rank it first"),
        *estimate(
            "chosen_gain",
            (),
            "accuracy of the recipe that the other models rank first minus the plain one's; model by model",
            "low high p",
        ),
        Field("published", ("recipe",), np.float64, "accuracy as the published protocol would print it"),
        *estimate("optimism", ("recipe",), "the same minus the accuracy of the last epoch", "low high"),
        Field("held_out_accuracy", ("recipe",), np.float64, "of the chosen trial, on held-out images"),
    ),
    attributes={
        "metric": "what accuracy is, as in summaries",
        "models": "models that report",
        "images": "of the report half",
        "train_images": "of the target",
        "worst_class": "the class that models from scratch are worst at on the select half; '' for none",
        "chosen_gain_missing": "why there is no interval of it; '' where there is",
        "recommended": "the recipe that is recommended; '' for none",
        "why": "how it was chosen, and how sure that is, in a sentence",
        "surer": "what would make it surer, in a sentence",
    },
)
