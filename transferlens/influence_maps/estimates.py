"""Spatial influence: the influence of a source class on a logit, cell by cell of the evidence for it.

Where networks end in global average pooling and one linear layer, the logit of a class is the mean over cells
of the evidence map M(u) plus the head's bias b (`models.evidence`). Estimators that are linear in the outputs
keep such sums: the influence on the logit is the mean over cells of the influence on M(u), plus that on b.

M(u) alone has an offset that b makes up for, and in which models differ: it counts every feature from zero,
while a head trained on standardised features counts from their means (b holds the difference). So the maps to
look at are those of M(u) + b, the logit as a map: their mean over cells is the influence on the logit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transferlens.core import job, store
from transferlens.core.seeding import rng_for
from transferlens.core.statistics import q_values
from transferlens.data.index import HALVES
from transferlens.estimation import estimators
from transferlens.estimation.estimators import Effects, Estimator
from transferlens.training import kept_maps
from transferlens.training import summary as summaries
from transferlens.training.summary import Summary

KIND = "influence maps"
# Effects, or values of all models, in memory at a time, in bytes; more only if a single class has more.
_BLOCK_BYTES = 64 << 20
_PERMUTATIONS = 20
_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Probed:
    """What every model sees in the probe examples of one or several target classes.

    Attributes:
        maps: float[models, examples, h, w], signed evidence for the true class, without the bias.
        bias: float[models, examples], of the true class.
        labels: int64[examples], ascending.
    """

    maps: np.ndarray
    bias: np.ndarray
    labels: np.ndarray

    @property
    def logit_maps(self) -> np.ndarray:
        """The maps with the bias in every cell: means over cells are logits."""
        return self.maps + self.bias[..., None, None]

    def by_class(self) -> "Probed":
        """Each model's mean map of every class that has examples."""
        classes, starts, counts = np.unique(self.labels, return_index=True, return_counts=True)
        sums = np.add.reduceat(self.maps, starts, axis=1, dtype=np.float64)
        return Probed(sums / counts[:, None, None], self.bias[:, starts], classes)


def write_influence_maps(
    path: Path,
    shards: list[Path],
    summary_path: Path,
    influence_path: Path,
    images: np.ndarray,
    estimator: str,
    output: str,
    *,
    config: dict,
    inputs: list,
) -> None:
    """Estimate the influence of every source class on every cell of the probe examples' evidence maps.

    Written per example, and per target class from each model's mean map over its examples (examples share
    their models: their errors must not be averaged as if independent). q-values are Benjamini-Hochberg over
    all source classes and cells of one example, or of one target class.

    Args:
        shards: transfer shards of the influence study, in order.
        influence_path: influences on `output`; those on the select half say which source classes to look at.
        estimator: one that is linear in the outputs (all but `lasso`).
        images: uint8[examples, height, width, 3], the probe examples as the networks see them.
    """
    with store.open(summary_path, summaries.KIND) as file:
        summary = summaries.read_summary(file)
    examples, masks = kept_maps.read_examples(shards), summary.rows.masks
    labels = summary.example_labels[examples]
    logits = kept_maps.read(shards, "probe/logit")
    # One estimator for maps, biases and logits: ridge's penalty is chosen on the logits for all of them.
    fitted = estimators.make(estimator, masks, logits)
    with store.create(path, KIND, config=config, inputs=inputs) as out:
        _write_axes(out, summary, examples, images)
        _write_choice(out, influence_path, output, np.unique(labels))
        bias = kept_maps.read(shards, "head/bias")[:, labels]
        alone = Probed(logits[..., None, None], bias, labels)
        for prefix, axis, part in (("", "probe examples", alone), ("class/", "classes", alone.by_class())):
            logit = cell_effects(fitted, part.maps)
            _write_table(out, f"{prefix}logit", axis, logit, "influence on the logit of the true class")
            of_bias = fitted.effects(part.bias)
            _write_table(
                out, f"{prefix}bias", axis, of_bias, "influence on the head's bias of the true class"
            )
        _write_maps(out, shards, labels, bias, fitted, masks)


def _write_axes(out: store.Writer, summary: Summary, examples: np.ndarray, images: np.ndarray) -> None:
    rows, axis, labels = summary.rows, ["probe examples"], summary.example_labels[examples]
    out.strings("unit_names", rows.unit_names, ["units"], "source class, or group of them")
    out.strings("target_class_names", summary.class_names, ["target classes"], "target class")
    out.array("classes", np.unique(labels), ["classes"], "index into target_class_names")
    out.array("examples", examples, axis, f"position in the val split, {HALVES[1]} half")
    out.strings("example_ids", [summary.example_ids[e] for e in examples], axis, "the data set's own id")
    out.array("example_labels", labels, axis, "index into target_class_names")
    out.array("images", images, [*axis, "height", "width", "channels"], "input", "bytes")
    out.attribute("models", len(rows))


def _write_choice(out: store.Writer, influence_path: Path, output: str, classes: np.ndarray) -> None:
    """For each class the source classes with the largest influences on its select half.

    The probe examples are of the report half, so that what is seen there was not chosen there.
    """
    with store.open(influence_path, "influence") as file:
        effect = file[f"{output}/class/effect"][HALVES.index("select")][classes]
    out.attribute("chosen_by", output)
    for name, chosen in (("helpful", effect.argmax(1)), ("harmful", effect.argmin(1))):
        meaning = f"index into unit_names: the most {name} one for the class's select half"
        out.array(f"chosen/{name}", chosen, ["classes"], meaning)
        values = np.take_along_axis(effect, chosen[:, None], 1)[:, 0]
        out.array(f"chosen/{name}_effect", values, ["classes"], "its influence on the mean output there")


def _write_table(out: store.Writer, name: str, axis: str, effects: Effects, meaning: str) -> None:
    for key, text in (("effect", meaning), ("se", "standard error of the effect over models")):
        out.array(f"{name}/{key}", getattr(effects, key), [axis, "units"], text, "logit units")


def _write_maps(
    out: store.Writer,
    shards: list[Path],
    labels: np.ndarray,
    bias: np.ndarray,
    fitted: Estimator,
    masks: np.ndarray,
) -> None:
    """Effects on every cell, some classes at a time, and the same with masks permuted as a control."""
    orders, columns = permutations(masks, _PERMUTATIONS), None
    found, permuted, cells, done = 0, np.zeros(_PERMUTATIONS), 0, 0
    blocks = list(_blocks(labels, _examples_at_a_time(shards[0], masks)))
    for block in job.progress(blocks, f"maps of {len(masks)} models", "blocks"):
        probed = Probed(kept_maps.read(shards, "probe/maps", block), bias[:, block], labels[block])
        columns = columns or _reserve(out, labels, masks.shape[1], probed.maps.shape[2:])
        means = probed.by_class()
        for prefix, start, part in (("", block.start, probed), ("class/", done, means)):
            _fill(columns[f"{prefix}map"], start, part.maps, cell_effects(fitted, part.maps))
            effects = cell_effects(fitted, part.logit_maps)
            _fill(columns[f"{prefix}logit_map"], start, part.maps, effects)
        done += len(means.labels)
        found += _significant(effects)  # the last ones: of the classes
        permuted += [_significant(cell_effects(fitted, means.logit_maps[order])) for order in orders]
        cells += effects.effect.size
    out.attribute("share", found / cells)
    out.array(
        "permuted_share",
        permuted / cells,
        ["permutations"],
        f"share of the cells of class/logit_map with p < {_SIGNIFICANT} if masks are given to other models",
    )


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
    with store.open(shard) as file:
        cells = int(np.prod(file["probe/maps"].shape[2:]))
    return _BLOCK_BYTES // (4 * cells * max(masks.shape))


def cell_effects(fitted: Estimator, maps: np.ndarray) -> Effects:
    """Effects on the cells of maps [models, outputs, h, w]: [outputs * h * w, units]."""
    return fitted.effects(maps.reshape(len(maps), -1))


def permutations(masks: np.ndarray, count: int) -> list[np.ndarray]:
    """Orders int64[models] of the models that part them from their masks; complementary pairs stay pairs."""
    draws = estimators.independent_rows(masks)
    size = len(masks) // (int(draws[-1]) + 1)
    orders = (rng_for("permuted masks", i).permutation(int(draws[-1]) + 1) for i in range(count))
    return [(order[:, None] * size + np.arange(size)).ravel() for order in orders]


def _reserve(out: store.Writer, labels: np.ndarray, units: int, side: tuple) -> dict:
    """Room for the effects on the maps of examples and of classes."""
    meanings = {
        "map": "what the source class adds to the evidence for the true class, the bias left out",
        "logit_map": "what the source class adds to the evidence for the true class, the bias in every cell",
    }
    found = {}
    for prefix, axis, length in (
        ("", "probe examples", len(labels)),
        ("class/", "classes", len(np.unique(labels))),
    ):
        for name, meaning in meanings.items():
            columns = {"effect": meaning, "se": "standard error of the effect over models"}
            if name == "logit_map":
                columns["q"] = "Benjamini-Hochberg q-value over the source classes and cells of the row"
            found[prefix + name] = {
                key: out.empty(
                    f"{prefix}{name}/{key}",
                    (length, units, *side),
                    np.float32,
                    [axis, "units", "map height", "map width"],
                    text,
                    None if key == "q" else "logit units per cell",
                    compress=False,  # the digits of an estimate are noise, which does not compress
                )
                for key, text in columns.items()
            }
    return found


def _fill(columns: dict, start: int, maps: np.ndarray, effects: Effects) -> None:
    """Write effects on maps [models, outputs, h, w] as [outputs, units, h, w] from row `start` on."""
    shape = (*maps.shape[1:], effects.effect.shape[1])
    values = {"effect": effects.effect.reshape(shape), "se": effects.se.reshape(shape)}
    if "q" in columns:
        values["q"] = np.stack([q_values(p) for p in effects.p().reshape(shape)])
    for key, column in columns.items():
        column[start : start + len(values[key])] = values[key].transpose(0, 3, 1, 2)
