"""Stochastic normalisation (Kou et al. 2020): batch norms that use the source's statistics at random.

Channel c of a batch norm gives, in a step,

    s_c * (normalised by the batch's statistics) + (1 - s_c) * (normalised by the running ones),

s_c ~ Bernoulli(p), scaled and shifted as ever. The running statistics are those of before the step, and
follow the batches as ever. In evaluation it is plain batch norm: nothing of this is in the stored network.
"""

from collections.abc import Iterator

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from transferlens.core.seeding import seed_for
from transferlens.models import layers
from transferlens.models.network import Network
from transferlens.training.recipes.base import Data, Phase, Recipe
from transferlens.training.recipes.settings.stochastic_norm import StochNormSettings


class StochNorm(Recipe):
    """Fine-tuning with stochastic batch norms. What is random is drawn once a step."""

    settings: StochNormSettings

    @classmethod
    def refuses(cls, settings: StochNormSettings, network: Network) -> str:
        """A network without batch norms."""
        return "" if _norms(network) else "it has no batch norm with running statistics"

    def start(self, network: Network, source: Network | None, data: Data, seed: int) -> None:
        """Take up a run."""
        super().start(network, source, data, seed)
        self._norms = _norms(network)
        self._generator = torch.Generator().manual_seed(seed_for(seed, "stochastic norms"))

    def phases(self) -> Iterator[Phase]:
        """One phase, whose batch norms are stochastic."""
        with layers.observed(self.network, self._norms, self._mixed):
            self.mode()
            yield self.whole_phase()

    def extra_images(self, batch: torch.Tensor) -> None:
        """None; it is drawn which channels take the batch's statistics, and the running ones are kept.

        So a forward pass that is repeated, or computed again, for want of memory is the same.
        """
        self._from_batch = draw(self._norms, self.settings.probability, self._generator)
        self._running = {
            name: {"running_mean": norm.running_mean.clone(), "running_var": norm.running_var.clone()}
            for name, norm in self._norms.items()
        }

    def state(self) -> dict[str, torch.Tensor]:
        """That of the generator."""
        return {"generator": self._generator.get_state()}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Draw on from there."""
        self._generator.set_state(state["generator"])

    def _mixed(
        self, name: str, norm: _BatchNorm, inputs: tuple[torch.Tensor], output: torch.Tensor
    ) -> torch.Tensor | None:
        """What replaces the output of a batch norm in training."""
        if not norm.training:
            return None
        return mixed(norm, inputs[0], output, self._from_batch[name], self._running[name])


def draw(
    norms: dict[str, _BatchNorm], probability: float, generator: torch.Generator
) -> dict[str, torch.Tensor]:
    """bool[channels] for each batch norm: whether a channel takes the batch's statistics."""
    sizes = [norm.num_features for norm in norms.values()]
    chosen = torch.rand(sum(sizes), generator=generator) < probability
    device = next(iter(norms.values())).running_mean.device
    return dict(zip(norms, chosen.to(device).split(sizes), strict=True))


def mixed(
    norm: _BatchNorm,
    x: torch.Tensor,
    output: torch.Tensor,
    from_batch: torch.Tensor,
    running: dict[str, torch.Tensor],
) -> torch.Tensor:
    """The output of a batch norm in training, with channels that the running statistics normalise.

    Args:
        x: [N, C, ...], its input.
        output: [N, C, ...], normalised by the batch's statistics.
        from_batch: bool[C], the channels that stay so.
        running: its running statistics, by the names of its buffers.
    """
    norm.eval()
    fixed = functional_call(norm, running, (x,))
    norm.train()
    return torch.where(from_batch.view(-1, *[1] * (output.ndim - 2)), output, fixed)


def _norms(network: nn.Module) -> dict[str, _BatchNorm]:
    """The batch norms of a network that keep running statistics, by name."""
    modules = network.named_modules()
    return {
        name: module
        for name, module in modules
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    }
