"""How similar two sets of features of the same images are, or all layers of two networks.

`compare(x, y)` takes two arrays [n, d] and tells all METRICS, `compare_networks(first, second, loader)` two
networks; `cka` holds more for arrays. `compare_maps(one, other)` takes the maps [n, c, h, w] of two networks,
filter by filter, and `gaps(x, y)` features of two sets of different images. For many layers, steps and models
at once, keep the rows of `grams.batch_rows` and give them to `minibatch`.
"""

from transferlens.dynamics.similarity import cka, grams, minibatch
from transferlens.dynamics.similarity.filters import compare_maps
from transferlens.dynamics.similarity.gap import gaps
from transferlens.dynamics.similarity.metrics import METRICS, compare
from transferlens.dynamics.similarity.networks import LayerSimilarities, compare_networks

__all__ = [
    "METRICS",
    "LayerSimilarities",
    "cka",
    "compare",
    "compare_maps",
    "compare_networks",
    "gaps",
    "grams",
    "minibatch",
]
