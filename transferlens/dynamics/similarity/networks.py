"""Similarities of all layers of one network with all layers of another, from one pass over their images."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from transferlens.core.errors import ConfigError, DataError
from transferlens.dynamics.similarity import grams, minibatch
from transferlens.dynamics.similarity.arrays import FEWEST
from transferlens.dynamics.similarity.minibatch import ADVISED_BATCHES, Estimate, Products
from transferlens.models import layers as hooks

if TYPE_CHECKING:
    import pandas as pd

# Layers that, without parts and in evaluation, hand on what they are given.
_PASSING = (nn.Identity, nn.Flatten, nn.Unflatten, nn.Sequential, nn.modules.dropout._DropoutNd)
# Layers that compute by their parts' weights, without calling the parts.
_WHOLE = (nn.MultiheadAttention,)


@dataclass(frozen=True)
class LayerSimilarities:
    """Unbiased minibatch CKA of the layers of two networks.

    Attributes:
        first, second: names of the layers, in the order of their calls: m and m' of them.
        values: float64[m, m'], NaN where a layer gives the same for all images.
        se, low, high: standard errors and 95 % intervals for other images, float64[m, m'].
        batches, images: how many were compared.
        notes: what to know beside the numbers, a sentence each.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    values: np.ndarray
    se: np.ndarray
    low: np.ndarray
    high: np.ndarray
    batches: int
    images: int
    notes: tuple[str, ...]

    def frame(self) -> "pd.DataFrame":
        """One line for each pair of layers: first, second, value, se, low, high."""
        import pandas as pd

        pairs = pd.MultiIndex.from_product([self.first, self.second], names=["first", "second"])
        numbers = {"value": self.values, "se": self.se, "low": self.low, "high": self.high}
        columns = {name: array.ravel() for name, array in numbers.items()}
        return pd.DataFrame(columns, index=pairs).reset_index()


def compare_networks(
    first: nn.Module,
    second: nn.Module,
    loader: Iterable,
    layers: Sequence[str] | None = None,
    second_layers: Sequence[str] | None = None,
) -> LayerSimilarities:
    """How similar each layer of a network is to each layer of another, on the same images.

    Both networks see each batch once, in float32, and what they make of it is gone with it: memory does not
    grow with the images. As one pass feeds both, the loader may shuffle; each image should come once, not
    augmented. Outputs are seen before a later layer changes them in place. A layer that is called several
    times in a pass stands for each call: `name`, `name@2`, `name@3`.

    Args:
        loader: yields batches of images [b, ...] of one size (at least 4; 16 batches are advised), or tuples
            that begin with them. A last, smaller batch is left out.
        layers: names of modules of the first network; all that compute something, if None.
        second_layers: of the second network; `layers`, if None.

    Raises:
        ConfigError: a layer that does not exist, a network in training mode or of reduced precision.
        DataError: too few images, batches of several sizes, or outputs that are not numbers.
    """
    one = _Watched("first", first, layers)
    other = _Watched("second", second, layers if second_layers is None else second_layers)
    same = second is first and one.layers == other.layers
    batches = _Batches(loader)
    products = Products.joined(
        minibatch.products(one.rows(images), None if same else other.rows(images)) for images in batches
    )
    if same:
        other = one
    estimate = _estimate(products)
    return LayerSimilarities(
        one.names,
        other.names,
        estimate.value,
        estimate.se,
        estimate.low,
        estimate.high,
        batches.count,
        batches.count * batches.size,
        (*batches.notes(), *one.notes(products.first), *other.notes(products.second)),
    )


def _estimate(products: Products) -> Estimate:
    if products.batches > 1:
        return minibatch.jackknife(products)
    value = minibatch.cka(products)
    return Estimate(value, *(np.full_like(value, np.nan) for _ in range(3)))


@dataclass
class _Batches:
    """The batches of images of a loader that are of the first one's size.

    Attributes:
        size: images in each.
        count: how many have come.
        left_out: images of a last, smaller batch.
    """

    loader: Iterable
    size: int = 0
    count: int = 0
    left_out: int = 0

    def __iter__(self) -> Iterator[Tensor]:
        for given in self.loader:
            images = given[0] if isinstance(given, tuple | list) else given
            if self._whole(len(images)):
                self.count += 1
                yield images
        if not self.count:
            raise DataError("loader: it yields no batch of images")

    def _whole(self, images: int) -> bool:
        self.size = self.size or images
        if self.size < FEWEST:
            raise DataError(f"loader: batches of {self.size} images; at least {FEWEST} are needed")
        if images > self.size or self.left_out:
            raise DataError(
                f"loader: a batch of {self.left_out or images} images among those of {self.size}; "
                "all but the last must be of one size"
            )
        if images < self.size:
            self.left_out = images
        return images == self.size

    def notes(self) -> Iterator[str]:
        """What to know of these batches beside what is told of them."""
        if self.left_out:
            yield f"The last {self.left_out} images, fewer than a batch, are left out."
        if self.count == 1:
            yield "A single batch has no interval."
        elif self.count < ADVISED_BATCHES:
            yield f"{self.count} batches: intervals are rough, {ADVISED_BATCHES} batches or more are advised."


class _Watched:
    """A network whose layers' rows are taken while it sees a batch.

    Attributes:
        layers: the names of the modules that are watched.
        names: of their calls in a pass, in their order, once a batch was seen.
    """

    def __init__(self, which: str, network: nn.Module, layers: Sequence[str] | None) -> None:
        _require_evaluation(which, network)
        self._which, self._network, self._asked = which, network, layers is not None
        self.layers = _computing(network) if layers is None else list(layers)
        for layer in self.layers:
            hooks.find(network, layer, which)
        self._weights = next(network.parameters(), torch.empty(0))
        _require_precision(which, self._weights)
        self.names: tuple[str, ...] = ()

    def rows(self, images: Tensor) -> list[Tensor]:
        """The rows [m, pairs] of the layers' calls on a batch, as of one batch."""
        made: dict[str, Tensor] = {}
        calls: Counter[str] = Counter()

        def see(layer: str, output: object) -> None:
            calls[layer] += 1
            name = layer if calls[layer] == 1 else f"{layer}@{calls[layer]}"
            if (features := self._features(name, output, len(images))) is not None:
                made[name] = grams.row(features)
                self._require_numbers(name, made[name])

        # A copy, as a network may change in place what it is given.
        given = images.to(self._weights.device, self._weights.dtype, copy=True)
        with (
            torch.inference_mode(),
            grams.full_precision(given.device),
            hooks.hooked(self._network, self.layers, see),
        ):
            self._network(given)
        self._require_the_same(tuple(made), calls)
        return [torch.stack(list(made.values()))]

    def _features(self, name: str, output: object, images: int) -> Tensor | None:
        """A call's output [images, ...], or the first of several; None if it is none, and nobody named it."""
        features = output[0] if isinstance(output, tuple | list) else output
        if isinstance(features, Tensor) and features.ndim and len(features) == images:
            return features
        if self._asked:
            raise ConfigError(f"{self._which}: layer '{name}' gives no tensor with a row for each image")
        return None

    def _require_numbers(self, name: str, row: Tensor) -> None:
        if not row.isfinite().all():
            raise DataError(f"{self._which}: layer '{name}' gives NaN, or numbers too large for float32")

    def _require_the_same(self, names: tuple[str, ...], calls: Counter[str]) -> None:
        """In each batch the same layers are called, as often; all that were asked for."""
        missing = [layer for layer in self.layers if not calls[layer]] if self._asked else []
        if missing or not names:
            layer = f"layer '{missing[0]}' is" if missing else "no layer is"
            raise ConfigError(f"{self._which}: {layer} called when the network sees images")
        if self.names and names != self.names:
            raise ConfigError(f"{self._which}: other layers are called on one batch than on another")
        self.names = names

    def notes(self, products: np.ndarray) -> Iterator[str]:
        """What to know of layers with products [batches, m] with themselves."""
        constant = [name for name, own in zip(self.names, products.sum(0), strict=True) if own == 0]
        if constant:
            names = ", ".join(constant)
            yield f"Undefined, as the same for all images, in the {self._which} network: {names}."


def _computing(network: nn.Module) -> list[str]:
    """The layers that have no parts and compute something, by name."""
    whole = [name for name, module in network.named_modules() if isinstance(module, _WHOLE)]
    return [
        name
        for name, module in network.named_modules()
        if name
        and (name in whole or next(module.children(), None) is None)
        and not isinstance(module, _PASSING)
        and not name.startswith(tuple(f"{one}." for one in whole))
    ]


def _require_evaluation(which: str, network: nn.Module) -> None:
    training = [name or "all of it" for name, module in network.named_modules() if module.training]
    if training:
        raise ConfigError(f"{which}: the network is in training mode ({training[0]}); call its .eval()")


def _require_precision(which: str, weights: Tensor) -> None:
    if weights.dtype not in (torch.float32, torch.float64):
        raise ConfigError(f"{which}: the network computes in {weights.dtype}; call its .float()")
