"""Adversarial training (Madry et al., ICLR 2018): every batch is changed to raise its loss, then learnt.

    minimise over the weights the mean of  max_{|d| <= r} CE(network(x + d), y),   |.| the l2 norm

The maximum is approached by projected gradient ascent on pixels in [0, 1]: steps of one length along each
image's gradient, each brought back into the ball and then into [0, 1] (which leads no image out of the ball).
It begins at the image itself and draws nothing at random. While d is looked for, batch norm uses the running
statistics, as it will when the network is attacked (TRADES does so; others attack the training mode); what is
then learnt from are the batch statistics of the changed images.
"""

from collections.abc import Iterator

import torch
from torch.nn import functional

from transferlens.training.recipes.base import Phase, Recipe
from transferlens.training.recipes.settings.objectives import AdversarialSettings

_TINY = 1e-12  # norm


class Adversarial(Recipe):
    """Minimises the cross-entropy of images changed within a ball; radius 0 is plain training to the bit."""

    settings: AdversarialSettings

    def phases(self) -> Iterator[Phase]:
        """One phase, whose batches are changed before each step."""
        self.mode()
        yield self.whole_phase(views=[self.settings.training])

    def step(self, views: list[torch.Tensor], labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The cross-entropy of the changed batch, and its logits."""
        (images,) = views
        logits = self.logits(self.attacked(images, labels))
        return self.phase.criterion(logits, labels), logits

    def attacked(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The batch [N, 3, H, W] with each image moved to where its loss is higher."""
        if not self.settings.radius:
            return images
        mean, std = self.data.images.channels
        pixels = images * std + mean
        change = torch.zeros_like(images)
        self.network.eval()
        for _ in range(self.settings.steps):
            ahead = step_along(self._ascent(images, change, std, labels), self.settings.length)
            change = within(change + ahead, self.settings.radius)
            change = torch.maximum(torch.minimum(change, 1 - pixels), -pixels)
        self.mode()
        return images + change / std

    def _ascent(
        self, images: torch.Tensor, change: torch.Tensor, std: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        """The gradient of each image's loss in its pixels."""
        change = change.detach().requires_grad_()
        logits = self.logits(images + change / std)
        (gradient,) = torch.autograd.grad(functional.cross_entropy(logits, labels, reduction="sum"), change)
        return gradient


def norms(images: torch.Tensor) -> torch.Tensor:
    """The l2 norm [N, 1, 1, 1] of each of [N, 3, H, W]."""
    return torch.linalg.vector_norm(images, dim=(1, 2, 3), keepdim=True)


def step_along(gradient: torch.Tensor, length: float) -> torch.Tensor:
    """Steps of this length along gradients [N, 3, H, W]; none where there is no gradient."""
    return gradient * (length / norms(gradient).clamp(min=_TINY))


def within(change: torch.Tensor, radius: float) -> torch.Tensor:
    """Changes [N, 3, H, W], shortened to the radius where they are longer."""
    return change * (radius / norms(change).clamp(min=_TINY)).clamp(max=1)
