"""Recipes whose model is a mean of weights along the run.

* `ema` (Polyak & Juditsky 1992; Tarvainen & Valpola 2017): after step 1 the mean e is theta; after every
  later step e <- decay e + (1 - decay) theta. Buffers, running statistics above all, are those of the
  current network.
  Caveat: after T steps the mean still holds a share of decay^T of the first step's weights, so that the usual
  decay of 0.999 is 1 - 5 / T where T is small, unless another one is asked for.
"""

import copy
from collections.abc import Mapping

import torch

from transferlens.models.network import Network
from transferlens.training.recipes.base import Data, Phase, Recipe
from transferlens.training.recipes.settings.averaging import EmaSettings
from transferlens.training.schedule import steps_per_epoch

AVERAGE = "average"
_DECAY = 0.999


class Ema(Recipe):
    """Fine-tunes as ever, and keeps an exponential moving average of the weights."""

    settings: EmaSettings
    decay: float

    def start(self, network: Network, source: Network | None, data: Data, seed: int) -> None:
        """Take up a run, with a copy of the network for the average."""
        super().start(network, source, data, seed)
        self.beside[AVERAGE] = copy.deepcopy(network)

    def enter(self, phase: Phase, features: Mapping[str, torch.Tensor]) -> None:
        """Take up the phase, whose length decides the decay if no one does."""
        super().enter(phase, features)
        each = phase.steps or steps_per_epoch(len(phase.positions), phase.training, phase.seed)
        steps = each * phase.training.epochs
        self.decay = usual_decay(steps) if self.settings.decay is None else self.settings.decay

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Move the average towards the network; the first step's weights replace it."""
        average, share = self.beside[AVERAGE], 1 - self.decay if step else 1.0
        torch._foreach_lerp_(list(average.parameters()), list(self.network.parameters()), share)
        for mean, current in zip(average.buffers(), self.network.buffers(), strict=True):
            mean.copy_(current)

    def inference(self) -> Network:
        """The average."""
        return self.beside[AVERAGE]


def usual_decay(steps: int) -> float:
    """0.999, or what leaves less than 1 % of the first weights after so many steps."""
    return max(0.0, min(_DECAY, 1 - 5 / steps))
