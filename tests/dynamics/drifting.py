"""Drifts of models that no one trained: one class moves one layer, all else is noise that models share."""

import numpy as np

from tests.conftest import rows_of
from transferlens.core import artefacts, studies
from transferlens.core.studies import FULL, REMOVAL, SCRATCH, Rows
from transferlens.dynamics.drift.artefacts import DRIFTS
from transferlens.dynamics.drift.measured import FEWEST_IMAGES
from transferlens.dynamics.drift.read import Axes, Drifts
from transferlens.estimation import designs

UNITS, LAYERS, STEPS = 12, ["backbone.0", "backbone.1", "backbone"], [10, 40]
CLASSES = [f"class {i}" for i in range(UNITS)]
DOMAINS = ["digits", "clothes"]
MOVED, MOVING, ADDED = 1, 3, 0.1  # this layer, at the end, is moved by this class, by so much
AXES = Axes(DOMAINS, LAYERS, STEPS, CLASSES, "global", FEWEST_IMAGES)


def masks_of(design="complementary", models=64, seed=0, units=UNITS):
    return designs.draw_masks(design, units, 0.5, seed, range(models))


def planted(rng, masks, added=ADDED, shared=0.0, noise=0.02):
    """Models of which one class moves one layer on both domains.

    Args:
        shared: how much of what a model happens to do beyond its classes moves all its layers and makes it
            more accurate, too.
    """
    luck = rng.normal(size=(len(masks), 1, 1, 1))
    drift = 0.3 + noise * rng.normal(size=(len(masks), len(DOMAINS), len(LAYERS), len(STEPS)))
    drift += shared * noise * luck
    drift[:, :, MOVED, -1] += added * masks[:, [MOVING]]
    accuracy = 0.7 + 0.02 * (rng.normal(size=(len(masks), len(STEPS))) + shared * luck[:, 0, 0])
    retention = 0.9 + 0.02 * rng.normal(size=(len(masks), len(LAYERS), len(STEPS)))
    own = 0.8 + 0.02 * rng.normal(size=(*retention.shape, UNITS)) + 0.1 * masks[:, None, None]
    return Drifts(rows_of(masks, unit_names=CLASSES), AXES, drift, retention, own, accuracy, 2 * accuracy)


def write_shard(path, drifts, chosen=slice(None)):
    """Some models of a study as their shard; returns its path."""
    rows, axes = drifts.rows, drifts.axes
    part = Rows(
        *(np.array(value, object)[chosen].tolist() if isinstance(value, list) else value[chosen]
          for name, value in vars(rows).items() if not name.startswith("unit_")),
        rows.unit_names, rows.unit_groups,
    )  # fmt: skip
    with artefacts.create(path, DRIFTS) as out:
        studies.write_rows(out, part)
        out.attribute("metric", axes.metric)
        out.attribute("fewest_images", axes.fewest_images)
        out.write("step", [0, *axes.steps])
        for name, values in (("layer", axes.layers), ("domain", axes.domains)):
            out.write(name, values)
        out.write("source_class", axes.source_classes)
        for name in ("drift", "retention", "accuracy", "margin"):
            out.write(name, _from_start(getattr(drifts, name)[chosen], float(name == "retention")))
        by_class = np.moveaxis(drifts.class_retention[chosen], -1, 2)
        out.write("class_retention", np.moveaxis(_from_start(by_class, 1.0), 2, -1))
        out.write("dead", np.zeros(_from_start(drifts.drift[chosen], 0.0).shape))
    return path


def _from_start(values, start):
    """[..., steps] with a step before the first."""
    return np.concatenate([np.full((*values.shape[:-1], 1), start), values], axis=-1)


def paired(rng, repeats=4, orders=("top", "bottom"), ks=(2, 4), added=0.05):
    """(Reference, removals) of repeats that share seeds and luck; removing top classes adds to all drift."""
    seeds = 100 + np.arange(repeats)
    luck = rng.normal(0, 0.1, repeats)
    shape = (len(DOMAINS), len(LAYERS), len(STEPS))
    cells = [(order, k) for order in orders for k in ks] + [("single", 0)]
    table = [(r, "", 0, role) for r in range(repeats) for role in (FULL, SCRATCH)]
    reference = _study(table, seeds, lambda r, by, k: 0.3 + luck[r] + rng.normal(0, 0.001, shape))
    table = [(r, order, k, REMOVAL) for r in range(repeats) for order, k in cells]
    moved = {"top": added}
    removals = _study(
        table, seeds, lambda r, by, k: 0.3 + luck[r] + k * moved.get(by, 0) + rng.normal(0, 0.001, shape)
    )
    return reference, removals


def _study(table, seeds, drift_of):
    """Rows (repeat, removed by, removed, role) and their drifts."""
    repeats, by, removed, roles = map(list, zip(*table, strict=True))
    drift = np.stack([drift_of(r, order, k) for r, order, k, _ in table])
    rows = Rows(
        np.ones((len(table), UNITS), bool), np.arange(len(table)), seeds[repeats], roles, np.array(repeats),
        by, np.array(removed), CLASSES, [""] * UNITS,
    )  # fmt: skip
    rest = np.zeros((len(table), len(LAYERS), len(STEPS)))
    return Drifts(rows, AXES, drift, rest, np.zeros((*rest.shape, UNITS)), rest[:, 0], rest[:, 0])
