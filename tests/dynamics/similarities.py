"""Similarities with planted answers, as the step that tells them stores them."""

import numpy as np

from transferlens.core import artefacts
from transferlens.core.statistics import q_values
from transferlens.dynamics.told.artefacts import REFERENCES, SIMILARITY

LAYERS = ["backbone.layer1.0", "backbone.layer2.0", "backbone.layer3.0", "backbone"]
STEPS = [0, 1, 2, 4, 8, 16, 30]
DOMAINS = ["pets", "tools"]
METRICS = ["cka", "procrustes", "rsa"]
TARGET_CLASSES, SOURCE_CLASSES = ["cat", "dog"], ["<b>axe</b>", "hammer", "saw"]
NULL = 0.04  # of every similarity, and its 95th percentile twice as much


def path_of(folder, target="pets", recipe="full"):
    return folder / SIMILARITY.path.format(target=target, recipe=recipe)


def similarities(models, domains):
    """CKA [domain, model, layer, step, other layer, other step]: deep layers change more, the first not at
    all; of the target's images, the last layer ends at the null."""
    depth = np.arange(len(LAYERS)) / (len(LAYERS) - 1)
    angle = np.log1p(STEPS) / np.log1p(STEPS[-1]) * np.pi / 2
    strength = np.array([1.0, 0.6])[: len(domains), None] * (
        1 + 0.02 * np.arange(models) / max(models - 1, 1)
    )
    turned = strength[:, :, None, None] * depth[:, None] * angle
    apart = turned[..., None, None] - turned[:, :, None, None]
    between = 1 - 0.5 * np.abs(depth[:, None, None, None] - depth[:, None])
    return (np.cos(apart) ** 2 * between).clip(0)


def write(folder, target="pets", models=3, domains=tuple(DOMAINS), classes=True):
    """Write similarity.h5 below a results folder, and return its path."""
    path, domains = path_of(folder, target), list(domains)
    path.parent.mkdir(parents=True, exist_ok=True)
    with artefacts.create(path, SIMILARITY) as out:
        _coordinates(out, models, domains)
        cka = similarities(models, domains)
        _of_layers(out, cka)
        _levels(out, cka)
        _of_metrics(out, cka)
        _paths(out, cka)
        if len(domains) > 1:
            _gaps(out, models)
        if classes:
            _classes(out, models, "target_class", TARGET_CLASSES, [60, 40])
            _classes(out, models, "source_class", SOURCE_CLASSES, [50, 12, 64])
        out.write("accuracy", np.linspace(0.1, 0.8, models * len(STEPS)).reshape(len(STEPS), models).T)
        out.attribute("images", [256] * len(domains))
        out.attribute("batches", [8] * len(domains))
        out.attribute("band_missing", "" if models > 1 else "one model was followed")
        out.attribute("gap_missing", "" if len(domains) > 1 else "the target is the source")
    return path


def _coordinates(out, models, domains):
    for name, values in {
        "domain": domains,
        "model": 2 * np.arange(models),
        "layer": LAYERS,
        "step": STEPS,
        "other_layer": LAYERS,
        "other_step": STEPS,
        "metric": METRICS,
        "metric_title": [name.upper() for name in METRICS],
        "metric_images": np.full((len(METRICS), len(domains)), 256),
        "metric_permutations": [20] * len(METRICS),
        "other_metric": METRICS,
        "reference": REFERENCES,
        "layer_note": np.full((len(domains), len(LAYERS)), ""),
    }.items():
        out.write(name, values)


def _interval(out, name, value, reach=0.03, se=True):
    """An estimate and its ends, so far from it."""
    out.write(name, value)
    if se:
        out.write(f"{name}_se", np.full(value.shape, reach / 2))
    out.write(f"{name}_low", value - reach)
    out.write(f"{name}_high", value + reach)


def _mean(out, name, values, axis=1):
    """A mean over models; its band is NaN where there is one model."""
    reach = 0.02 if values.shape[axis] > 1 else np.nan
    _interval(out, f"mean_{name}", values.mean(axis), reach, se=False)


def _own(cka, step):
    """Of every layer with itself at a step: [domain, model, layer, step]."""
    return np.einsum("dmltl->dmlt", cka[..., step])


def _of_layers(out, cka):
    out.write("cka", cka)
    start, end = _own(cka, 0), _own(cka, -1)
    p = np.where(start > 2 * NULL, 0.01, 0.6)
    excess = (start - NULL) / (1 - NULL)
    for name, values in (("to_start", start), ("to_end", end), ("corrected_to_start", 0.9 * start)):
        _interval(out, name, values)
        _mean(out, name, values)
    _mean(out, "excess", excess)
    for name, values in {
        "to_start_null_mean": np.full(start.shape, NULL),
        "to_start_null_p95": np.full(start.shape, 2 * NULL),
        "to_start_p": p,
        "to_start_q": p,
        "excess": excess,
        "mean_to_start_p": p.max(1),
        "mean_to_start_q": q_values(p.max(1)),
    }.items():
        out.write(name, values)


def _levels(out, cka):
    domains, layers = len(cka), len(LAYERS)
    _interval(out, "random_init", np.full((domains, layers), 0.3), se=False)
    _interval(out, "scratch_end", np.full((domains, layers), 0.2), se=False)
    _interval(out, "other_seed", np.full((domains, layers, len(STEPS)), 0.5), se=False)


def _of_metrics(out, cka):
    start, end = _own(cka, 0), _own(cka, -1)
    value = np.stack(
        [np.stack([start, end], 2)] * len(METRICS)
    )  # [metric, domain, model, reference, layer, step]
    null = np.full((len(METRICS), len(cka), len(LAYERS), len(STEPS)), NULL)
    notes = np.full((len(METRICS), len(cka), len(LAYERS)), "", dtype=object)
    notes[1, :, -1] = "too few images (n < 5 d)"
    for name, values in {
        "metric_value": value,
        "metric_null_mean": null,
        "metric_null_p95": 2 * null[..., 0],
        "metric_excess": np.stack([(start - NULL) / (1 - NULL)] * len(METRICS)),
        "metric_note": notes,
    }.items():
        out.write(name, values)
    agreement = np.full((len(cka), len(METRICS), len(METRICS)), 0.7)
    agreement[:, np.arange(len(METRICS)), np.arange(len(METRICS))] = 1
    _interval(out, "agreement", agreement, se=False)


def _paths(out, cka):
    start = _own(cka, 0)
    _interval(out, "pooled_to_start", start)
    shape = start.shape[:3]
    half = np.broadcast_to([np.nan, 16, 8, 4], shape)
    length = np.broadcast_to([0.0, 0.5, 1.0, 1.5], shape)
    for name, values in (
        ("half_change_step", half),
        ("path_length", length),
        ("straightness", 1 - length / 3),
    ):
        out.write(name, values)
        _mean(out, name, values)


def _gaps(out, models):
    out.write("gap_measure", ["means", "mmd"])
    out.write("gap_note", ["", "no interval"])
    gap = np.broadcast_to(np.linspace(0.2, 1, len(STEPS)), (2, models, len(LAYERS), len(STEPS)))
    _interval(out, "gap", gap, se=False)
    _mean(out, "gap", gap)


def _classes(out, models, kind, names, images):
    """Classes with fewer than 32 images are not told."""
    out.write(kind, names)
    out.write(f"{kind}_images", images)
    few = np.array(images) < 32
    out.write(f"{kind}_note", np.where(few, "only 12 images", ""))
    kept = np.linspace(1, 0.5, len(STEPS)) ** np.arange(1, len(names) + 1)[:, None]
    values = np.broadcast_to(kept[:, None, None], (len(names), models, len(LAYERS), len(STEPS)))
    values = np.where(few[:, None, None, None], np.nan, values)
    _interval(out, f"{kind}_to_start", values)
    _mean(out, f"{kind}_to_start", values)
