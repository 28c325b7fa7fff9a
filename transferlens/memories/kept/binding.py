"""Binding: into which target class the target head puts images of a source class.

Confidence alone tells nothing: models from scratch are confident on any image. So their probabilities are
subtracted, and what all source classes have in common.
"""

from dataclasses import dataclass

import numpy as np

from transferlens.core.seeding import rng_for
from transferlens.core.statistics import bootstrap_counts, q_values
from transferlens.data.artefacts import HALVES

_CELLS_AT_ONCE = 50_000_000


@dataclass(frozen=True)
class Binding:
    """Attributes:
    fine_tuned, scratch: float64[models, halves, source classes, target classes], mean probability.
    effect: float64[halves, source classes, target classes], fine-tuned minus scratch over all models, minus
        its mean over source classes.
    se, low, high: of a bootstrap over models and images.
    p: two-sided, from permuted source labels of the images; q: Benjamini-Hochberg within a half, over the
        pairs that do not overlap (NaN in the others).
    """

    fine_tuned: np.ndarray
    scratch: np.ndarray
    effect: np.ndarray
    se: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    q: np.ndarray


def bind(
    fine_tuned: np.ndarray,
    scratch: np.ndarray,
    labels: np.ndarray,
    halves: np.ndarray,
    overlap: np.ndarray,
    bootstrap: int,
    permutations: int,
    seed: int,
) -> Binding:
    """From target probabilities float[models, images, target classes] of the source's evaluation images.

    Args:
        overlap: bool[source classes, target classes], pairs that mean the same.
    """
    members = by_half_and_class(labels, halves, len(overlap))
    means = [
        np.stack([np.stack([values[:, m].mean(1) for m in of_half], axis=1) for of_half in members], axis=1)
        for values in (fine_tuned.astype(np.float64), scratch.astype(np.float64))
    ]
    difference = fine_tuned.astype(np.float64) - scratch
    effect = _centred((means[0] - means[1]).mean(0))
    parts: dict[str, list] = {"se": [], "low": [], "high": [], "p": []}
    for h, of_half in enumerate(members):
        of_classes = [difference[:, m] for m in of_half]
        for key, values in _bootstrap(of_classes, bootstrap, seed, h).items():
            parts[key].append(values)
        rng = rng_for(seed, "binding permutations", h)
        parts["p"].append(permuted_labels_p([d.mean(0) for d in of_classes], permutations, rng))
    stacked = {key: np.stack(values) for key, values in parts.items()}
    q = np.stack([q_values(np.where(overlap, np.nan, p)) for p in stacked["p"]])
    return Binding(*means, effect, *(stacked[key] for key in ("se", "low", "high", "p")), q)


def by_half_and_class(labels: np.ndarray, halves: np.ndarray, classes: int) -> list[list[np.ndarray]]:
    """Positions int64 of the images of each half and class, from int[images]."""
    return [
        [np.flatnonzero((labels == c) & (halves == h)) for c in range(classes)] for h in range(len(HALVES))
    ]


def _centred(means: np.ndarray) -> np.ndarray:
    """[..., source classes, target classes] minus the mean over source classes."""
    return means - means.mean(-2, keepdims=True)


def _bootstrap(of_classes: list[np.ndarray], replicates: int, seed: int, half: int) -> dict[str, np.ndarray]:
    """Standard errors and percentiles of the effects [source classes, target classes].

    Args:
        of_classes: of each class, the differences float64[models, images, target classes].
    """
    models, _, targets = of_classes[0].shape
    drawn = bootstrap_counts(models, replicates, rng_for(seed, "binding models", half))
    of_models = drawn / drawn.sum(1, keepdims=True)
    made: dict[str, list] = {"se": [], "low": [], "high": []}
    at_once = max(1, _CELLS_AT_ONCE // (replicates * len(of_classes)))
    for start in range(0, targets, at_once):
        parts = []
        for c, values in enumerate(of_classes):
            rng = rng_for(seed, "binding images", half, c)
            drawn = bootstrap_counts(values.shape[1], replicates, rng)
            of_images = drawn / drawn.sum(1, keepdims=True)
            means = np.einsum("ri,mij->rmj", of_images, values[..., start : start + at_once], optimize=True)
            parts.append(np.einsum("rm,rmj->rj", of_models, means))
        effects = _centred(np.stack(parts, axis=1))
        made["se"].append(effects.std(0, ddof=1))
        low, high = np.percentile(effects, [2.5, 97.5], axis=0)
        made["low"].append(low)
        made["high"].append(high)
    return {key: np.concatenate(values, axis=1) for key, values in made.items()}


def permuted_labels_p(
    of_classes: list[np.ndarray], permutations: int, rng: np.random.Generator
) -> np.ndarray:
    """Two-sided p-values [source classes, target classes] of effects no larger than those of random classes.

    Args:
        of_classes: of each class, the differences float64[images, target classes]; under the null, images of
            all classes are exchangeable.
    """
    counts = np.array([len(values) for values in of_classes])
    starts = np.concatenate([[0], counts[:-1].cumsum()])
    images = np.concatenate(of_classes)

    def effects(order: np.ndarray) -> np.ndarray:
        return np.abs(_centred(np.add.reduceat(images[order], starts) / counts[:, None]))

    observed = effects(np.arange(len(images)))
    at_least = np.zeros_like(observed)
    for _ in range(permutations):
        at_least += effects(rng.permutation(len(images))) >= observed * (1 - 1e-9)
    return (1 + at_least) / (1 + permutations)


def coupling(target_weights: np.ndarray, source_weights: np.ndarray) -> np.ndarray:
    """Cosines [source classes, target classes] of heads' rows [classes, features], each minus their mean."""
    source, target = (w - w.mean(0) for w in (source_weights, target_weights))
    lengths = np.linalg.norm(source, axis=1)[:, None] * np.linalg.norm(target, axis=1)[None, :]
    return np.divide(source @ target.T, lengths, out=np.zeros_like(lengths), where=lengths > 0)


def bound_class(effect: np.ndarray, overlap: np.ndarray) -> np.ndarray:
    """The target class int64[source classes] each source class is bound to most, by the select half.

    Args:
        effect: float64[halves, source classes, target classes].
        overlap: bool[source classes, target classes]; these are no candidates.
    """
    return np.where(overlap, -np.inf, effect[HALVES.index("select")]).argmax(1)


def pull(tie: np.ndarray) -> np.ndarray:
    """How much more a source class is tied to another target class than to this one, as `tie` [C, K]."""
    best, second = -np.sort(-tie, axis=1)[:, :2].T[..., None]
    others = np.where(np.arange(tie.shape[1]) == tie.argmax(1)[:, None], second, best)
    return others - tie
