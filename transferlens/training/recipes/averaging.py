"""Recipes whose model is a mean of weights: along a run, or over runs.

* `ema` (Polyak & Juditsky 1992; Tarvainen & Valpola 2017): after step 1 the mean e is theta; after every
  later step e <- decay e + (1 - decay) theta. Buffers, running statistics above all, are those of the
  current network.
  Caveat: with T steps in all, the mean keeps a share of about decay^T of the weights after the first step:
  take decay <= 1 - 5 / T.
"""

import copy

import torch

from transferlens.models.network import Network
from transferlens.training.recipes.base import Data, Recipe
from transferlens.training.recipes.settings.averaging import EmaSettings

AVERAGE = "average"


class Ema(Recipe):
    """Fine-tunes as ever, and keeps an exponential moving average of the weights."""

    settings: EmaSettings

    def start(self, network: Network, source: Network | None, data: Data, seed: int) -> None:
        """Take up a run, with a copy of the network for the average."""
        super().start(network, source, data, seed)
        self.beside[AVERAGE] = copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Move the average towards the network; the first step's weights replace it."""
        average, share = self.beside[AVERAGE], 1 - self.settings.decay if step else 1.0
        torch._foreach_lerp_(list(average.parameters()), list(self.network.parameters()), share)
        for mean, current in zip(average.buffers(), self.network.buffers(), strict=True):
            mean.copy_(current)

    def inference(self) -> Network:
        """The average."""
        return self.beside[AVERAGE]
