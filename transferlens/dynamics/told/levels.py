"""What similarities are told beside: those of networks of another seed, or from scratch."""

import numpy as np

from transferlens.core.statistics import Interval, jackknife_interval
from transferlens.dynamics.similarity import minibatch
from transferlens.dynamics.told import bands
from transferlens.dynamics.told.bands import Arrays
from transferlens.dynamics.told.probed import Probed

# Of fewer models, leaving one out leaves no pair.
_FEWEST = 3


def told(probed: Probed) -> Arrays:
    """Fields of SIMILARITY about references on one domain, without the domain's axis.

    Grams of one layer are in memory at a time, of all models.
    """
    starts, ends, seeds = zip(*(_of_layer(probed, layer) for layer in range(len(probed.layers))), strict=True)
    return {
        **bands.named("random_init", bands.over_models(np.stack(starts, axis=1))),
        **bands.named("scratch_end", bands.over_models(np.stack(ends, axis=1))),
        **bands.named("other_seed", over_pairs(np.stack(seeds))),
    }


def _of_layer(probed: Probed, layer: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of source models and their pairs from scratch at the start and at the end, [models]; and of every two
    source models after each step, [steps, models, models]."""
    whole, scratch = (
        np.stack([probed.layer_grams(model, layer) for model in models])
        for models in (probed.whole, probed.scratch)
    )
    steps = range(whole.shape[1])
    seeds = [minibatch.cka(minibatch.products(whole[:, step].swapaxes(0, 1))) for step in steps]
    return _paired(whole[:, 0], scratch[:, 0]), _paired(whole[:, -1], scratch[:, -1]), np.stack(seeds)


def _paired(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """CKA [models] of networks with others in the same place, from their Grams [models, batches, pairs]."""
    products = minibatch.products(first.swapaxes(0, 1), second.swapaxes(0, 1))
    return np.diagonal(minibatch.cka(products))


def over_pairs(similarities: np.ndarray) -> Interval:
    """Means [...] over pairs of models [..., models, models]; the interval leaves out a model at a time."""
    models = similarities.shape[-1]
    value = _mean_of_pairs(similarities)
    if models < _FEWEST:
        return Interval(value, np.full_like(value, np.nan), np.full_like(value, np.nan))
    others = [np.delete(np.arange(models), model) for model in range(models)]
    return jackknife_interval(
        value, np.stack([_mean_of_pairs(similarities[..., o[:, None], o]) for o in others])
    )


def _mean_of_pairs(similarities: np.ndarray) -> np.ndarray:
    """Means [...] of what is above the diagonal [..., models, models]; NaN of one model."""
    first, second = np.triu_indices(similarities.shape[-1], 1)
    if not len(first):
        return np.full(similarities.shape[:-2], np.nan)
    return similarities[..., first, second].mean(-1)
