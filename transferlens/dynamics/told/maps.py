"""Similarities of whole maps of a network along its way: all layers with all, after all steps."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from transferlens.core import job
from transferlens.core.seeding import rng_for
from transferlens.core.statistics import permutation_p, q_values
from transferlens.dynamics.similarity import grams, minibatch
from transferlens.dynamics.similarity.minibatch import Estimate, Products
from transferlens.dynamics.told import bands
from transferlens.dynamics.told.bands import Arrays
from transferlens.dynamics.told.probed import Probed


@dataclass(frozen=True)
class Shuffled:
    """Random orders of the images within their batches, the same for all models, layers and steps.

    Attributes:
        pairs: int64[batches, draws, pairs], where the pairs of images of an order stand in a row of Grams.
    """

    pairs: np.ndarray

    @classmethod
    def of(cls, images: int, batches: int, draws: int, rng: np.random.Generator) -> "Shuffled":
        """Of batches of so many images."""
        orders = [
            [grams.pair_order(torch.from_numpy(rng.permutation(images))).numpy() for _ in range(draws)]
            for _ in range(batches)
        ]
        return cls(np.array(orders))

    def null(self, rows: np.ndarray) -> np.ndarray:
        """CKA float64[draws, steps] of rows [steps, batches, pairs] with the first in these orders."""
        start = np.take_along_axis(rows[0][:, None], self.pairs, axis=2)
        return minibatch.cka(minibatch.products(rows.swapaxes(0, 1), start)).T


def told(probed: Probed, permutations: int, seed: int) -> Arrays:
    """Fields of SIMILARITY about whole maps of the source models on one domain, without the domain's axis.

    Args:
        permutations: orders of the images in the null.
    """
    pixels = probed.pixels
    rng = rng_for(seed, "dynamics", "null", probed.name)
    shuffled = Shuffled.of(grams.images_of(pixels.shape[1]), len(pixels), permutations, rng)
    of_models, nulls = [], []
    for model in job.progress(probed.whole, f"maps of {probed.name}", "models"):
        rows = probed.grams(model)
        own = _along(rows, pixels)
        nulls.append(np.stack([shuffled.null(layer) for layer in rows], axis=1))
        of_models.append(own | _beside(own["to_start"], nulls[-1]))
    made = bands.with_means(bands.collected(of_models), "to_start", "to_end", "excess", "corrected_to_start")
    p = _p(made["mean_to_start"], np.mean(nulls, axis=0))
    notes = _notes(made["to_start"])
    return made | {"mean_to_start_p": p, "mean_to_start_q": q_values(p), "layer_note": notes}


def _along(rows: np.ndarray, pixels: np.ndarray) -> Arrays:
    """What Grams of a model [layers, steps, batches, pairs] say, and those of the pixels [batches, pairs]."""
    layers, steps, batches, pairs = rows.shape
    given = np.concatenate([rows.reshape(-1, batches, pairs), pixels[None]])
    products = minibatch.products(given.swapaxes(0, 1))
    whole = minibatch.cka(products)[:-1, :-1].reshape(layers, steps, layers, steps)
    start, end, corrected = _estimates(products, (layers, steps))
    return {
        "cka": whole,
        **bands.named("to_start", start),
        **bands.named("to_end", end),
        **bands.named("corrected_to_start", corrected),
    }


def _estimates(products: Products, shape: tuple[int, int]) -> Iterator[Estimate]:
    """To the start, to the end, and to the start given the last row: [layers, steps] each, over batches."""

    def statistic(given: Products) -> np.ndarray:
        plain, corrected = minibatch.cka(given), minibatch.partial(given, control=-1)
        return np.stack(
            [_of_itself(plain, shape, 0), _of_itself(plain, shape, -1), _of_itself(corrected, shape, 0)]
        )

    made = minibatch.jackknife(products, statistic)
    return (Estimate(*parts) for parts in zip(*vars(made).values(), strict=True))


def _of_itself(similarities: np.ndarray, shape: tuple[int, int], reference: int) -> np.ndarray:
    """Of each layer with itself at another step, [layers, steps], from those of all rows and the pixels'."""
    layers = np.arange(shape[0])
    return similarities[:-1, :-1].reshape(*shape, *shape)[layers, :, layers, reference]


def _beside(to_start: np.ndarray, null: np.ndarray) -> Arrays:
    """Similarities [layers, steps] beside those with images in random orders [draws, layers, steps]."""
    p, mean = _p(to_start, null), null.mean(0)
    return {
        "to_start_null_mean": mean,
        "to_start_null_p95": np.quantile(null, 0.95, axis=0),
        "to_start_p": p,
        "to_start_q": q_values(p),
        "excess": minibatch.excess(to_start, mean),
    }


def _p(value: np.ndarray, null: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(value), np.nan, permutation_p(value, null))


def _notes(to_start: np.ndarray) -> list[str]:
    """Why each layer lacks similarities [models, layers, steps]; '' where it lacks none."""
    networks = to_start.shape[0] * to_start.shape[2]
    missing = np.isnan(to_start).sum((0, 2))
    return [
        f"the same for all images in {count} of {networks} networks, or in those they start from"
        if count
        else ""
        for count in missing
    ]
