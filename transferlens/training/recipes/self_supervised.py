"""SimCLR: features of images without their labels (Chen et al., ICML 2020), and a linear probe on them.

Of N images, 2N views are projected to z_1, ..., z_2N; of a view i and the other view j of its image

    l(i, j) = -log exp(s_ij / t) / sum_{k != i} exp(s_ik / t),   s_ik = cosine(z_i, z_k),

and the loss is the mean over all 2N views (NT-Xent). Equal projections have ln(2N - 1): what a loss says
depends on the batch. Labels are used by the probe alone. The paper's blur is not among the augmentations (nor
was it for small images there).
"""

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from transferlens.data import augmentation
from transferlens.models.network import Network
from transferlens.training import schedule
from transferlens.training.recipes.base import Data, Group, Phase, Recipe
from transferlens.training.recipes.fixed import Fixed
from transferlens.training.recipes.settings.objectives import SimclrSettings
from transferlens.training.recipes.settings.plain import FixedSettings


class Simclr(Recipe):
    """The backbone learns that views of an image belong together; then a linear head is fitted to it.

    In the first phase the head is not trained: the accuracy in its log is that of a head of random weights.
    """

    settings: SimclrSettings
    _probe: Fixed | None = None

    def start(self, network: Network, source: Network | None, data: Data, seed: int) -> None:
        """Take up a run, with a fresh projection network."""
        super().start(network, source, data, seed)
        features = network.head.in_features
        hidden, last = nn.Linear(features, features), nn.Linear(features, self.settings.projection)
        self.beside["projection"] = nn.Sequential(hidden, nn.ReLU(), last).to(data.images.device)

    def phases(self) -> Iterator[Phase]:
        """Two phases: the backbone and the projection, on two views; then the head, as of `fixed`."""
        self.mode()
        trained = [*self.network.backbone.parameters(), *self.beside["projection"].parameters()]
        yield self.whole_phase(groups=[Group(trained)], views=[self.settings.training] * 2)
        self._probe = Fixed(FixedSettings(training=self.settings.probe))
        self._probe.start(self.network, None, self._probed(), self.seed)
        yield from self._probe.phases()

    def _probed(self) -> Data:
        """What the probe is trained on: the same images, in as many steps as all if that is so of the run."""
        images, positions = self.data.images, self.data.positions
        matched = self.data.steps is not None
        steps = schedule.steps_per_epoch(len(images), self.settings.probe, self.seed) if matched else None
        return Data(images, positions, steps)

    def step(self, views: list[torch.Tensor], labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss of two views, which pass through the network together; the logits are of the first one."""
        batch = torch.cat([self._recoloured(view) for view in views])
        with self.phase.autocast():
            features = self.network.backbone(batch)
            projections = self.beside["projection"](features).float()
        loss = nt_xent(*projections.chunk(2), self.settings.temperature)
        return loss, self.network.head(features[: len(labels)].detach().float())

    def _recoloured(self, images: torch.Tensor) -> torch.Tensor:
        """A view [N, 3, H, W] as networks take it, with other colours."""
        mean, std = self.data.images.channels
        pixels = images * std + mean
        pixels = augmentation.jitter_colours(pixels, self.settings.jitter, torch.default_generator)
        pixels = augmentation.lose_colours(pixels, self.settings.grayscale, torch.default_generator)
        return (pixels - mean) / std

    def inference(self) -> Network:
        """The network, with its head as far as that is fitted."""
        return self.network if self._probe is None else self._probe.inference()


def nt_xent(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """The loss of projections [N, D] of one view of each image and of the other (equation 1, averaged)."""
    views = functional.normalize(torch.cat([first, second]), dim=1)
    similarities = views @ views.T / temperature
    itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
    partner = torch.arange(len(views), device=views.device).roll(len(first))
    return functional.cross_entropy(similarities.masked_fill(itself, -torch.inf), partner)
