"""What is told of networks on their way, as it is stored."""

import numpy as np

from transferlens.core.artefacts import Artefact, Field, estimate
from transferlens.dynamics.activity.artefacts import LAYER_FIELD, STEP_FIELD

# With what networks along the way are compared: the one before the first step, and the adapted one.
REFERENCES = ("start", "end")
# Classes with fewer probe images have no similarity of their own.
FEWEST_IMAGES = 32
_CELL = ("domain", "model", "layer", "step")
_MEAN = ("domain", "layer", "step")
_PATH = ("domain", "model", "layer")
_METRIC = ("metric", "domain", "model", "reference", "layer", "step")


def _over_models(name: str, dims: tuple[str, ...], meaning: str, **more: bool) -> tuple[Field, ...]:
    """A mean over models, whose interval is about other models; the images are given."""
    return estimate(
        name, dims, f"{meaning}, mean over models; the interval is over models", "low high", **more
    )


def _of_classes(name: str, classes: str, what: str) -> tuple[Field, ...]:
    """The similarity of pooled features within each class of a domain to those at the start."""
    meaning = f"unbiased CKA of pooled features to the start within a {what}, interval over its images"
    dims = (classes, *_CELL[1:])
    return (
        Field(f"{classes}_images", (classes,), np.int64, "probe images of the class", optional=True),
        Field(f"{classes}_note", (classes,), str, "why it is not told; '' where it is", optional=True),
        *estimate(name, dims, meaning, "se low high", optional=True),
        *_over_models(f"mean_{name}", (classes, *_MEAN[1:]), f"the same within a {what}", optional=True),
    )


_COORDINATES = (
    Field("domain", ("domain",), str, "data set of the probe images: the target, then the source"),
    Field("model", ("model",), np.int64, "row of the source model in its study"),
    LAYER_FIELD,
    STEP_FIELD,
    Field("other_layer", ("other_layer",), str, "as `layer`"),
    Field("other_step", ("other_step",), np.int64, "as `step`"),
    Field("metric", ("metric",), str, "how pooled features are compared"),
    Field("metric_title", ("metric",), str, "the metric in words"),
    Field("metric_images", ("metric", "domain"), np.int64, "probe images that it is told of: the first"),
    Field("metric_permutations", ("metric",), np.int64, "random orders in its null, of all models together"),
    Field("other_metric", ("other_metric",), str, "as `metric`"),
    Field("reference", ("reference",), str, "what is compared with: the network at the start, or at the end"),
    Field("gap_measure", ("gap_measure",), str, "how features of the domains are compared", optional=True),
    Field("gap_note", ("gap_measure",), str, "why it has no interval; '' where it has", optional=True),
    Field("target_class", ("target_class",), str, "target class", optional=True),
    Field("source_class", ("source_class",), str, "source class", optional=True),
)

_CKA = (
    Field(
        "cka",
        (*_CELL, "other_layer", "other_step"),
        np.float32,
        "unbiased minibatch CKA of whole maps; NaN where a layer is constant",
    ),
    *estimate("to_start", _CELL, "CKA with the same layer at step 0; interval over batches", "se low high"),
    *estimate("to_end", _CELL, "CKA with the same layer at the end; interval over batches", "se low high"),
    Field("to_start_null_mean", _CELL, np.float64, "its mean where images are in random order"),
    Field("to_start_null_p95", _CELL, np.float64, "its 95th percentile where images are in random order"),
    Field("to_start_p", _CELL, np.float64, "share of random orders that give as much, itself counted"),
    Field("to_start_q", _CELL, np.float64, "Benjamini-Hochberg q-value over layers and steps of a model"),
    Field("excess", _CELL, np.float64, "CKA with step 0 above its null, over one minus the null"),
    *estimate(
        "corrected_to_start",
        _CELL,
        "partial CKA with step 0, given the pixels of the images; interval over batches",
        "se low high",
    ),
    *_over_models("mean_to_start", _MEAN, "CKA with step 0"),
    *_over_models("mean_to_end", _MEAN, "CKA with the end"),
    *_over_models("mean_excess", _MEAN, "excess of the CKA with step 0 over its null"),
    *_over_models("mean_corrected_to_start", _MEAN, "partial CKA with step 0, given the pixels"),
    Field("mean_to_start_p", _MEAN, np.float64, "share of random orders whose mean over models is as large"),
    Field("mean_to_start_q", _MEAN, np.float64, "Benjamini-Hochberg q-value over layers and steps"),
    Field("layer_note", ("domain", "layer"), str, "why CKA is missing in some cells; '' where in none"),
)

_LEVELS = (
    *_over_models("random_init", ("domain", "layer"), "CKA of a source model with a network at random"),
    *estimate(
        "other_seed",
        _MEAN,
        "CKA of two models at the same step, mean over pairs; jackknife over models",
        "low high",
    ),
    *_over_models("scratch_end", ("domain", "layer"), "CKA of an adapted model with one from scratch"),
)

_METRICS = (
    Field("metric_value", _METRIC, np.float64, "similarity of pooled features to those of the reference"),
    Field(
        "metric_null_mean",
        ("metric", *_MEAN),
        np.float64,
        "mean similarity to the start where its images are in random order, over models and orders",
    ),
    Field(
        "metric_null_p95",
        ("metric", "domain", "layer"),
        np.float64,
        "95th percentile of the same, over models, orders and steps",
    ),
    Field(
        "metric_excess",
        ("metric", *_CELL),
        np.float64,
        "similarity to the start above the null, over one minus the null",
    ),
    Field("metric_note", ("metric", "domain", "layer"), str, "what speaks against its values; '' if nothing"),
    *estimate(
        "agreement",
        ("domain", "metric", "other_metric"),
        "rank correlation of two metrics' excess to the start over layers and steps, mean over models; the "
        "interval is over models",
        "low high",
    ),
)

_PATHS = (
    *estimate(
        "pooled_to_start",
        _CELL,
        "unbiased CKA of pooled features with step 0; interval over images",
        "se low high",
    ),
    Field(
        "half_change_step",
        _PATH,
        np.float64,
        "first kept step by which half of the whole change of the excess was done; NaN where the interval of "
        "the end's CKA with step 0 holds 1",
    ),
    Field(
        "path_length",
        _PATH,
        np.float64,
        "sum of angles between kept steps: arc cosines of the biased CKA of pooled features, a metric",
        "rad",
    ),
    Field("straightness", _PATH, np.float64, "angle of start and end over the path; 1 is straight"),
    *_over_models("mean_half_change_step", ("domain", "layer"), "half-change step, geometric"),
    *_over_models("mean_path_length", ("domain", "layer"), "path length"),
    *_over_models("mean_straightness", ("domain", "layer"), "straightness"),
)

_GAPS = (
    *estimate(
        "gap",
        ("gap_measure", "model", "layer", "step"),
        "distance of the domains' pooled features; interval over images",
        "low high",
        optional=True,
    ),
    *_over_models("mean_gap", ("gap_measure", "layer", "step"), "distance of the domains", optional=True),
)

SIMILARITY = Artefact(
    kind="similarity",
    path="dynamics/{target}/{recipe}/similarity.h5",
    fields=(
        *_COORDINATES,
        *_CKA,
        *_LEVELS,
        *_METRICS,
        *_PATHS,
        *_GAPS,
        *_of_classes("target_class_to_start", "target_class", "target class"),
        *_of_classes("source_class_to_start", "source_class", "source class"),
        Field("accuracy", ("model", "step"), np.float64, "share of the target's probe images"),
    ),
    attributes={
        "images": "of each domain, in the order of `domain`",
        "batches": "of each domain, likewise",
        "gap_images": "of each domain whose gap is told, likewise",
        "band_missing": "why means have no interval over models; '' where they have",
        "gap_missing": "why there is no distance of the domains; '' where there is",
    },
)
