"""The metrics by name, and two arrays compared by all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from transferlens.core.errors import ConfigError, nearest
from transferlens.core.seeding import rng_for
from transferlens.dynamics.similarity import canonical, cka, distances, neighbours, shapes
from transferlens.dynamics.similarity.arrays import Array, of_real_numbers, same_images
from transferlens.dynamics.similarity.axes import Undefined
from transferlens.dynamics.similarity.minibatch import excess

if TYPE_CHECKING:
    import pandas as pd

# Changes of the features on either side that a metric may be blind to.
REORDERED = "reordered"  # the features in another order
SCALED = "scaled"  # all multiplied by one positive number
SHIFTED = "shifted"  # a number added to each feature, the same for all images
ROTATED = "rotated"  # multiplied by an orthogonal matrix
MAPPED = "mapped"  # multiplied by an invertible matrix

_RIGID = frozenset({REORDERED, SCALED, SHIFTED, ROTATED})
_FROM_ZERO = frozenset({REORDERED, SCALED, ROTATED})
_LINEAR = _RIGID | {MAPPED}


@dataclass(frozen=True)
class Metric:
    """A similarity of two networks' features of the same images: 1 for the same features.

    `metric(x, y)` compares arrays. For many comparisons of the same features, or with their images in other
    orders, `prepare` them once and use `between`.

    Attributes:
        name: as it is written in settings and files.
        title: as the field writes it.
        prepare: what the metric needs to know of float64[n, d] of one network; has `dimensions` and
            `permuted(order)`. Raises Undefined where the features have no such metric.
        measure: the similarity of two that are prepared.
        blind_to: changes of either side's features that leave it as it is.
        source: whose definition.
        biased: whether unrelated features are above 0 in the mean.
        symmetric: whether either may come first.
        images_per_dimension: images that each dimension needs for a number that says anything; 0: any.
    """

    name: str
    title: str
    prepare: Callable[[torch.Tensor], Any]
    measure: Callable[[Any, Any], float]
    blind_to: frozenset[str]
    source: str
    biased: bool = True
    symmetric: bool = True
    images_per_dimension: int = 0

    def __call__(self, x: Array, y: Array) -> float:
        """The similarity of features [n, d] and [n, d'] of the same images; NaN where it is undefined.

        Raises:
            DataError: arrays that are not features of the same images.
        """
        try:
            return self.between(*map(self.prepare, same_images(x, y)))
        except Undefined:
            return float("nan")

    def between(self, one: Any, other: Any) -> float:
        """The similarity of two prepared networks; exactly 1 for those that are the same to the bit."""
        return 1.0 if _same(one, other) else self.measure(one, other)

    def needs_images(self, dimensions: int) -> int:
        """Fewer images than this, for so many dimensions of the wider side, say nothing."""
        return self.images_per_dimension * dimensions

    def warning(self, images: int, dimensions: int) -> str:
        """What a figure with this metric must say; empty where there are enough images."""
        needed = self.needs_images(dimensions)
        if images >= needed:
            return ""
        return f"{images} images are too few for {dimensions} dimensions: {self.title} needs {needed}"


def _same(one: Any, other: Any) -> bool:
    """Whether two prepared networks, tuples of tensors, tuples and numbers, are equal to the bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, tuple):
        return all(_same(a, b) for a, b in zip(one, other, strict=True))
    return one == other


def _of_rows(function: Callable[[torch.Tensor, torch.Tensor], float]) -> Callable[[Any, Any], float]:
    """A function of two arrays as one of two prepared networks."""
    return lambda one, other: function(one.values, other.values)


_KORNBLITH = "Kornblith et al. 2019"
_WILLIAMS = "Williams et al. 2021"
_RESI = "Klabunde et al. 2025 (ReSi)"
_SZEKELY = "Székely & Rizzo 2013"

_ALL = (
    Metric(
        "cka_unbiased",
        "unbiased CKA",
        shapes.rows,
        _of_rows(cka.unbiased),
        _RIGID,
        "Song et al. 2012",
        biased=False,
    ),
    Metric("cka_linear", "CKA, biased", shapes.rows, _of_rows(cka.linear), _RIGID, _KORNBLITH),
    Metric(
        "cka_rbf",
        "CKA, Gaussian",
        partial(distances.centred_gaussian, tau=0.5),
        distances.correlation,
        _RIGID,
        _KORNBLITH,
    ),
    Metric("procrustes", "Procrustes", shapes.shape, shapes.procrustes, _RIGID, _WILLIAMS),
    Metric(
        "whitened_shape",
        "whitened shape",
        partial(shapes.shape, whitening=1.0),
        shapes.whitened_closeness,
        _LINEAR,
        _WILLIAMS,
        images_per_dimension=5,
    ),
    Metric(
        "cca",
        "mean CCA",
        canonical.span,
        canonical.mean_correlation,
        _LINEAR,
        "Hotelling 1936",
        images_per_dimension=5,
    ),
    Metric(
        "cca_r2",
        "R² CCA",
        canonical.span,
        canonical.mean_squared_correlation,
        _LINEAR,
        _KORNBLITH,
        images_per_dimension=5,
    ),
    Metric(
        "svcca",
        "SVCCA",
        canonical.leading_span,
        canonical.mean_correlation,
        _RIGID,
        "Raghu et al. 2017",
        images_per_dimension=5,
    ),
    Metric(
        "pwcca",
        "PWCCA",
        canonical.weighed,
        canonical.projection_weighted,
        frozenset({REORDERED, SCALED, SHIFTED}),
        "Morcos et al. 2018",
        symmetric=False,
        images_per_dimension=5,
    ),
    Metric(
        "rsa",
        "RSA, Euclidean",
        distances.euclidean_ranks,
        distances.correlation,
        _RIGID,
        "Kriegeskorte et al. 2008",
        biased=False,
    ),
    Metric(
        "rsa_correlation",
        "RSA, 1 − Pearson",
        distances.correlation_ranks,
        distances.correlation,
        frozenset({REORDERED, SCALED}),
        "Kriegeskorte et al. 2008",
        biased=False,
    ),
    Metric(
        "distance_correlation",
        "distance correlation",
        distances.centred_distances,
        distances.distance_correlation,
        _RIGID,
        "Székely et al. 2007",
    ),
    Metric(
        "distance_correlation_unbiased",
        "distance correlation R*",
        distances.u_centred_distances,
        distances.correlation,
        _RIGID,
        _SZEKELY,
        biased=False,
    ),
    Metric("jaccard", "Jaccard, 10-NN", neighbours.near, neighbours.jaccard, _FROM_ZERO, _RESI),
    Metric("rank", "rank similarity, 10-NN", neighbours.near, neighbours.rank_similarity, _FROM_ZERO, _RESI),
    Metric("rank_jaccard", "rank × Jaccard", neighbours.near, neighbours.rank_jaccard, _FROM_ZERO, _RESI),
    Metric(
        "second_order_cosine",
        "second-order cosine",
        neighbours.near,
        neighbours.second_order_cosine,
        _FROM_ZERO,
        _RESI,
    ),
    Metric("aligned_cosine", "aligned cosine", shapes.rows, shapes.aligned_cosine, _FROM_ZERO, _RESI),
)
METRICS = {metric.name: metric for metric in _ALL}


def chosen(names: Sequence[str] | None) -> list[Metric]:
    """Metrics by name; None for all.

    Raises:
        ConfigError: a name that is not known.
    """
    for name in names or ():
        if name not in METRICS:
            raise ConfigError(f"unknown similarity metric '{name}'{nearest(name, list(METRICS))}")
    return [METRICS[name] for name in (METRICS if names is None else names)]


def compare(
    x: Array, y: Array, metrics: Sequence[str] | None = None, permutations: int = 20, seed: int = 0
) -> "pd.DataFrame":
    """Features [n, d] and [n, d'] of the same images by several metrics, with what chance alone would give.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(100, 5))
    >>> float(compare(x, 3 * x, ["procrustes"]).value["procrustes"].round(12))
    1.0

    Args:
        x, y: arrays or tensors; row i is the same image in both.
        metrics: names in METRICS; None for all.
        permutations: how often the images of y are put in another order, which leaves nothing but chance.
        seed: of these orders.

    Returns:
        One row for each metric: `value`; `null_mean` and `null_p95` of the permutations; `excess`, (value -
        null_mean) / (1 - null_mean); `note`, why it is undefined (NaN) or what speaks against reading it. No
        interval: it takes batches (similarity.compare_networks) or several models.

    Raises:
        DataError: arrays that are not features of the same images.
        ConfigError: an unknown metric, or no permutations.
    """
    import pandas as pd

    if permutations < 1:
        raise ConfigError(f"permutations: at least 1 is needed, and there are {permutations}")
    wanted = chosen(metrics)
    one, other = same_images(of_real_numbers(x), of_real_numbers(y))
    rng = rng_for(seed, "similarity")
    orders = [torch.as_tensor(rng.permutation(len(one))) for _ in range(permutations)]
    rows = [_compared(metric, one, other, orders) for metric in wanted]
    return pd.DataFrame(rows, index=pd.Index([metric.name for metric in wanted], name="metric"))


def _compared(
    metric: Metric, x: torch.Tensor, y: torch.Tensor, orders: list[torch.Tensor]
) -> dict[str, float | str]:
    """A row of the table."""
    try:
        one, other = metric.prepare(x), metric.prepare(y)
    except Undefined as reason:
        nothing = dict.fromkeys(("value", "null_mean", "null_p95", "excess"), np.nan)
        return nothing | {"note": f"undefined: {reason}"}
    value = metric.between(one, other)
    null = np.array([metric.between(one, other.permuted(order)) for order in orders])
    warning = metric.warning(len(x), max(one.dimensions, other.dimensions))
    return {
        "value": value,
        "null_mean": null.mean(),
        "null_p95": np.quantile(null, 0.95),
        "excess": excess(value, null.mean()),
        "note": "undefined: too few images differ" if np.isnan(value) else warning,
    }
