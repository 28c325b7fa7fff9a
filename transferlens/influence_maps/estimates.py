"""Spatial influence: the influence of a source class on a logit, cell by cell of the evidence for it.

Where networks end in global average pooling and one linear layer, the logit of a class is the mean over cells
of the evidence map M(u) plus the head's bias b (`models.evidence`). Estimators that are linear in the outputs
keep such sums: the influence on the logit is the mean over cells of the influence on M(u), plus that on b.

M(u) alone has an offset that b makes up for, and in which models differ: it counts every feature from zero,
while a head trained on standardised features counts from their means (b holds the difference). So the maps to
look at are those of M(u) + b, the logit as a map: their mean over cells is the influence on the logit.
"""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from transferlens.core import artefacts, job
from transferlens.core.seeding import rng_for
from transferlens.core.statistics import q_values
from transferlens.estimation import estimators
from transferlens.estimation.estimators import Effects, Estimator
from transferlens.influence_maps.artefacts import CHOICES, INFLUENCE_MAPS, PERMUTATIONS
from transferlens.influence_maps.probed import Probed, cell_effects
from transferlens.influence_maps.shown import choose, write_shown
from transferlens.training import kept_maps
from transferlens.training import summary as summaries
from transferlens.training.artefacts import SUMMARY, TRANSFER_RUNS
from transferlens.training.summary import Summary

# Effects, or values of all models, in memory at a time, in bytes; more only if a single class has more.
_BLOCK_BYTES = 64 << 20
_SIGNIFICANT = 0.05


def write_influence_maps(
    path: Path,
    shards: list[Path],
    summary_path: Path,
    influence_path: Path,
    images: np.ndarray,
    estimator: str,
    output: str,
) -> None:
    """Estimate the influence of every source class on every cell of the probe examples' evidence maps.

    Written per example, and per target class from each model's mean map over its examples (examples share
    their models: their errors must not be averaged as if independent). q-values are Benjamini-Hochberg over
    all source classes and cells of one example, or of one target class.

    Args:
        shards: transfer shards of the influence study, in order.
        influence_path: influences on `output`, by which some models choose source classes to show the maps
            of by the others; too few models for that show none.
        estimator: one that is linear in the outputs (all but `lasso`).
        images: uint8[examples, height, width, 3], the probe examples as the networks see them.
    """
    with artefacts.open(summary_path, SUMMARY) as file:
        summary = summaries.read_summary(file)
    examples, masks = kept_maps.read_examples(shards), summary.rows.masks
    labels = summary.example_labels[examples]
    logits = kept_maps.read(shards, "probe_logit")
    # One estimator for maps, biases and logits: ridge's penalty is chosen on the logits for all of them.
    fitted = estimators.make(estimator, masks, logits)
    with artefacts.create(path, INFLUENCE_MAPS) as out:
        _write_axes(out, summary, examples, images)
        bias = kept_maps.read(shards, "head/bias")[:, labels]
        out.attribute("chosen_by", output)
        chosen = choose(influence_path, output, np.unique(labels))
        if isinstance(chosen, str):
            out.attribute("shown_missing", chosen)
        else:
            _write_choice(out, chosen.units, summary.rows.unit_names)
            write_shown(out, shards, masks, logits, bias, labels, chosen, estimator)
        alone = Probed(logits[..., None, None], bias, labels)
        for prefix, part in (("", alone), ("class_", alone.by_class())):
            _write_table(out, f"{prefix}logit_effect", cell_effects(fitted, part.maps))
            _write_table(out, f"{prefix}bias_effect", fitted.effects(part.bias))
        _write_maps(out, shards, labels, bias, fitted, masks)


def _write_axes(out: artefacts.Writer, summary: Summary, examples: np.ndarray, images: np.ndarray) -> None:
    labels, names = summary.example_labels[examples], summary.class_names
    out.write("example", [summary.example_ids[e] for e in examples])
    out.write("example_position", examples)
    out.write("example_class", [names[label] for label in labels])
    out.write("source_class", summary.rows.unit_names)
    out.write("target_class", [names[c] for c in np.unique(labels)])
    out.write("image", images)
    out.attribute("models", len(summary.rows))


def _write_choice(out: artefacts.Writer, chosen: np.ndarray, units: list[str]) -> None:
    """The names of the chosen units int64[CHOICES, target classes]."""
    for name, of_classes in zip(CHOICES, chosen, strict=True):
        out.write(name, [units[unit] for unit in of_classes])


def _write_table(out: artefacts.Writer, name: str, effects: Effects) -> None:
    out.write(name, effects.effect)
    out.write(f"{name}_se", effects.se)


def _write_maps(
    out: artefacts.Writer,
    shards: list[Path],
    labels: np.ndarray,
    bias: np.ndarray,
    fitted: Estimator,
    masks: np.ndarray,
) -> None:
    """Effects on every cell, some classes at a time, and the same with masks permuted as a control."""
    orders, columns = permutations(masks, PERMUTATIONS), None
    significant, permuted, cells, done = 0, np.zeros(PERMUTATIONS), 0, 0
    blocks = list(_blocks(labels, _examples_at_a_time(shards[0], masks)))
    for block in job.progress(blocks, f"maps of {len(masks)} models", "blocks"):
        probed = Probed(kept_maps.read(shards, "probe_map", block), bias[:, block], labels[block])
        columns = columns or _reserve(out, labels, masks.shape[1], probed.maps.shape[2:])
        means = probed.by_class()
        for prefix, start, part in (("", block.start, probed), ("class_", done, means)):
            _fill(columns[f"{prefix}map"], start, part.maps, cell_effects(fitted, part.maps))
            effects = cell_effects(fitted, part.logit_maps)
            _fill(columns[f"{prefix}logit_map"], start, part.maps, effects)
        done += len(means.labels)
        significant += _significant(effects)  # the last ones: of the classes
        permuted += [_significant(cell_effects(fitted, means.logit_maps[order])) for order in orders]
        cells += effects.effect.size
    out.attribute("share", significant / cells)
    out.write("permuted_share", permuted / cells)


def _significant(effects: Effects) -> int:
    return int((effects.p() < _SIGNIFICANT).sum())


def _blocks(labels: np.ndarray, most: int) -> Iterator[slice]:
    """Slices of probe examples: whole classes (ascending labels), together no more than so many examples."""
    ends, start = np.flatnonzero(np.diff(labels, append=-1)) + 1, 0
    for stop, following in zip(ends, [*ends[1:], np.inf], strict=True):
        if following - start > most:
            yield slice(start, int(stop))
            start = int(stop)


def _examples_at_a_time(shard: Path, masks: np.ndarray) -> int:
    """Probe examples of which neither the maps of all models nor the effects are too large."""
    with artefacts.open(shard, TRANSFER_RUNS) as file:
        cells = int(np.prod(file["probe_map"].shape[2:]))
    return _BLOCK_BYTES // (4 * cells * max(masks.shape))


def permutations(masks: np.ndarray, count: int) -> list[np.ndarray]:
    """Orders int64[models] of the models that part them from their masks; complementary pairs stay pairs."""
    draws = estimators.independent_rows(masks)
    size = len(masks) // (int(draws[-1]) + 1)
    orders = (rng_for("permuted masks", i).permutation(int(draws[-1]) + 1) for i in range(count))
    return [(order[:, None] * size + np.arange(size)).ravel() for order in orders]


def _reserve(
    out: artefacts.Writer, labels: np.ndarray, units: int, side: tuple[int, ...]
) -> dict[str, dict[str, h5py.Dataset]]:
    """Room for the effects on the maps of examples and of classes: by map, its columns."""
    columns: dict[str, dict[str, h5py.Dataset]] = {}
    for prefix, length in (("", len(labels)), ("class_", len(np.unique(labels)))):
        for name, parts in (("map", ("effect", "se")), ("logit_map", ("effect", "se", "q"))):
            columns[prefix + name] = {
                part: out.reserve(
                    f"{prefix}{name}_effect" + ("" if part == "effect" else f"_{part}"),
                    (length, units, *side),
                )
                for part in parts
            }
    return columns


def _fill(columns: dict[str, h5py.Dataset], start: int, maps: np.ndarray, effects: Effects) -> None:
    """Write effects on maps [models, outputs, h, w] as [outputs, units, h, w] from row `start` on."""
    shape = (*maps.shape[1:], effects.effect.shape[1])
    values = {"effect": effects.effect.reshape(shape), "se": effects.se.reshape(shape)}
    if "q" in columns:
        values["q"] = np.stack([q_values(p) for p in effects.p().reshape(shape)])
    for key, column in columns.items():
        column[start : start + len(values[key])] = values[key].transpose(0, 3, 1, 2)
