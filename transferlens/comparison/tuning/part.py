"""Some images of a split, where only these are to be seen in evaluation; or what a backbone made of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from transferlens.data.pipeline import Images
from transferlens.models.network import Network
from transferlens.training import engine


@dataclass(frozen=True)
class Part:
    """The images of a split that `chosen` (bool[n]) marks, in order."""

    images: Images
    chosen: np.ndarray

    @property
    def labels(self) -> torch.Tensor:
        """int64[those that are chosen], on the device."""
        return self.images.labels[torch.from_numpy(self.chosen).to(self.images.device)]

    def evaluation_batches(self, batch_size: int) -> Iterator[torch.Tensor]:
        """float32[batch, 3, resolution, resolution], without augmentation."""
        start = 0
        for batch in self.images.evaluation_batches(batch_size):
            here = torch.from_numpy(self.chosen[start : start + len(batch)]).to(batch.device)
            start += len(batch)
            if here.any():
                yield batch[here]

    def answers(self, network: torch.nn.Module) -> torch.Tensor:
        """Logits float32[those that are chosen, C] of a network, which is put into evaluation mode."""
        return engine.evaluate(network.eval(), self)


@dataclass(frozen=True)
class Seen:
    """A part by what a backbone that stays makes of it, float32[images, features]: heads alone are asked."""

    labels: torch.Tensor
    features: torch.Tensor

    @classmethod
    def by(cls, network: Network, part: Part) -> "Seen":
        """What the backbone of a network makes of a part."""
        return cls(part.labels, part.answers(network.backbone))

    @torch.inference_mode()
    def answers(self, network: Network) -> torch.Tensor:
        """Logits float32[images, C] of a network with this backbone."""
        return network.head(self.features)
