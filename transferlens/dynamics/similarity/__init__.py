"""How similar two sets of features of the same images are, or all layers of two networks.

`compare_networks(first, second, loader)` takes two networks; `linear`, `unbiased`, `rbf` and `partial` of
`cka` take arrays [n, d]. For many layers, steps and models at once, keep the rows of `grams.batch_rows` and
give them to `minibatch`.
"""

from transferlens.dynamics.similarity import cka, grams, minibatch
from transferlens.dynamics.similarity.networks import LayerSimilarities, compare_networks

__all__ = ["LayerSimilarities", "cka", "compare_networks", "grams", "minibatch"]
