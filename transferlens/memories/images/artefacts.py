"""What ranked examples and panels are stored as."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field, estimate

# How well failures are predicted: by what, and whose.
PREDICTORS = {
    "distraction": "distraction, of failures of the fine-tuned models",
    "true name": "one minus the source head's calibrated probability of the classes that mean the same as "
    "the true class, without any binding; of the images that have such classes",
    "other groups": "distraction by source classes of groups none of which means the same as a target class",
    "permuted bindings": "distraction with the bindings of source classes exchanged, mean over exchanges",
    "uncertainty": "one minus the probability of the predicted class, of the same failures",
    "scratch": "distraction, of failures of the from-scratch models (control: hard images)",
}
# Those that know nothing of memories.
TRIVIAL = ("true name", "uncertainty")
# Of the ranking: what is known of every example, beside its classes.
RANKED = (
    *estimate(
        "distraction",
        ("example",),
        "mean over pairs of models of how far memories pull away from the true class",
        "se",
        units="probability",
    ),
    Field(
        "overlap",
        ("example",),
        np.float64,
        "shared share of the evidence for the predicted class and for the memory",
    ),
    Field(
        "iou",
        ("example",),
        np.float64,
        "intersection over union of the 20 % of cells of most evidence for each",
    ),
    Field("spearman", ("example",), np.float64, "rank correlation of the two maps over cells"),
    Field("score", ("example",), np.float64, "distraction times overlap", "probability"),
    Field("p_true", ("example",), np.float64, "probability of the true class", "probability"),
    Field("p_predicted", ("example",), np.float64, "probability of the predicted class", "probability"),
    Field("p_memory", ("example",), np.float32, "probability of the memory, calibrated", "probability"),
    Field("margin", ("example",), np.float64, "true logit minus the best other logit", "logit units"),
    Field("wrong", ("example",), bool, "whether the prediction is wrong"),
    Field(
        "low_margin",
        ("example",),
        bool,
        "right, with one of the smallest quarter of the right ones' margins",
    ),
)
# The tests of the first examples: what is done, and what it is compared with.
TESTS = {
    "removal": ("when the memory's region is blurred", "the same region shifted at random"),
    "ablation": ("when the memory's feature direction is removed", "other source classes' directions"),
}


def _tested(name: str) -> tuple[Field, ...]:
    """A test's fields; NaN for the examples that were not tested."""
    done, against = TESTS[name]
    dims = ("example",)
    return (
        Field(f"{name}_effect", dims, np.float64, f"change of the true class's margin {done}", "logit units"),
        Field(f"{name}_null_mean", dims, np.float64, f"mean change {against}", "logit units"),
        Field(f"{name}_effect_p", dims, np.float64, f"one-sided p-value against {against}"),
        Field(
            f"{name}_effect_q",
            dims,
            np.float64,
            "its Benjamini-Hochberg q-value over the tested examples",
        ),
    )


RANKING = Artefact(
    kind="ranked examples",
    path="memories/{target}/{recipe}/ranking.h5",
    fields=(
        Field("example", ("example",), str, "the data set's own example id, the highest score first"),
        Field("position", ("example",), np.int64, "position in the val split"),
        Field("true", ("example",), str, "true class"),
        Field("predicted", ("example",), str, "class predicted by the first pair's fine-tuned model"),
        Field("memory", ("example",), str, "source class that distracts most"),
        *RANKED,
        *(field for name in TESTS for field in _tested(name)),
        *estimate(
            "seen_effect",
            ("example",),
            "log-odds of the true class by models that saw the memory minus by models trained without it; "
            "NaN where none was, interval over repeats",
            "low high",
            units="nats",
            optional=True,
        ),
        Field(
            "predictor",
            ("predictor",),
            str,
            "; ".join(f"{name}: {meaning}" for name, meaning in PREDICTORS.items()),
        ),
        *estimate(
            "failures_auc",
            ("predictor",),
            "area under the ROC curve of predicting failures, over pairs of models and images",
            "se low high",
        ),
        *estimate(
            "added_auc",
            (),
            f"what distraction adds to the area of {' and '.join(TRIVIAL)} together; cross-validated",
            "se low high p",
        ),
    ),
    attributes={"map_method": "how class maps were made"},
)

ROLES = {
    "source": ("source", "evidence for the source model's own top class"),
    "predicted": ("target", "evidence for the fine-tuned model's predicted class"),
    "true": ("target", "evidence for the true class"),
    "memory": ("source", "evidence for the memory: the source head on the fine-tuned backbone"),
    "contrast": (
        "target",
        "evidence for the predicted minus that for the true class (the runner-up, where it is right)",
    ),
    "scratch": ("target", "evidence for the from-scratch model's predicted class"),
}
_ROLE_WORDS = "; ".join(f"{role}: {meaning}" for role, (_, meaning) in ROLES.items())
# The columns of the figure, and the images of each of its cells.
FIGURE_ROLES = {"source": "source model", "predicted": "fine-tuned", "scratch": "from scratch"}
PARTS = ("background", "overlay", "composite")
# What is known of each row of the gallery; NaN where a kind of row has no such number.
SCORES = {
    "distraction": ("how far memories pull away from the true class, mean over pairs", "probability"),
    "distraction_se": ("its standard error over pairs", "probability"),
    "overlap": ("shared share of the evidence for the predicted class and for the memory", ""),
    "score": ("distraction times overlap", "probability"),
    "margin": ("true logit minus the best other logit", "logit units"),
    "removal_effect": ("change of the margin when the memory's region is blurred", "logit units"),
    "removal_effect_p": ("its one-sided p-value against random shifts of the region", ""),
    "removal_effect_q": ("its Benjamini-Hochberg q-value", ""),
    "ablation_effect": ("change of the margin when the memory's direction is removed", "logit units"),
    "ablation_effect_p": ("its one-sided p-value against other source classes", ""),
    "ablation_effect_q": ("its Benjamini-Hochberg q-value", ""),
    "seen_effect": (
        "log-odds of the true class by models that saw the memory minus by models trained without it",
        "nats",
    ),
    "drop": ("probability of the true class on the overlay alone minus that on the composite", "probability"),
    "inside_share": ("share of the positive evidence for the true class inside the overlay", ""),
    "cell_effect": ("interference of the composite's pair of classes, report half", "probability"),
    "cell_effect_q": ("its Benjamini-Hochberg q-value", ""),
}


def _maps(prefix: str = "", optional: bool = False) -> tuple[Field, ...]:
    """Images and their class maps by every role; with a prefix, on dimensions of their own."""
    row, role = f"{prefix}row", f"{prefix}role"
    fields = (
        (f"{prefix}image", (row, "y", "x", "channel"), np.uint8, "network input", "bytes"),
        (
            f"{prefix}class_map",
            (role, row, "map_y", "map_x"),
            np.float16,
            "evidence, signed where networks pool",
            "logit units",
        ),
        (f"{prefix}class_name", (role, row), str, "the map's class; of the contrast, the rival", ""),
        (
            f"{prefix}probability",
            (role, row),
            np.float32,
            "probability of the class, within its head",
            "probability",
        ),
        (
            f"{prefix}logit",
            (role, row),
            np.float32,
            "logit of the class (of the contrast, the difference)",
            "logit units",
        ),
        (f"{prefix}raw_max", (role, row), np.float32, "largest value of the map", "logit units"),
        (f"{prefix}raw_min", (role, row), np.float32, "smallest value of the map", "logit units"),
    )
    return (
        Field(role, (role,), str, _ROLE_WORDS, optional=optional),
        *(Field(*given, optional=optional) for given in fields),
    )


PANELS = Artefact(
    kind="memory panels",
    path="memories/{target}/{recipe}/panels.h5",
    fields=(
        Field("kind", ("row",), str, "natural example or composite"),
        Field("example", ("row",), str, "target example (of a composite, the overlay's)"),
        Field("background", ("row",), str, "source example behind; '' of natural examples"),
        Field("true", ("row",), str, "true class"),
        Field("predicted", ("row",), str, "class predicted by the fine-tuned model"),
        Field("memory", ("row",), str, "source class that distracts"),
        Field("wrong", ("row",), bool, "whether the prediction is wrong"),
        Field("congruent", ("row",), bool, "whether the memory is bound to the composite's true class"),
        *(Field(name, ("row",), np.float64, meaning, units) for name, (meaning, units) in SCORES.items()),
        *_maps(),
        Field(
            "figure_source_class", ("figure_cell",), str, "source class of the figure's cell", optional=True
        ),
        Field(
            "figure_target_class", ("figure_cell",), str, "target class of the figure's cell", optional=True
        ),
        *estimate(
            "figure_interference",
            ("figure_cell",),
            "interference of the two, report half",
            "low high q",
            units="probability",
            optional=True,
        ),
        Field(
            "figure_part",
            ("figure_row",),
            str,
            "what an image is; those of a cell follow each other",
            optional=True,
        ),
        *_maps("figure_", optional=True),
    ),
    attributes={
        "signed": "whether maps are signed and add up to logits",
        "skipped": "why there are no composites",
    },
)
