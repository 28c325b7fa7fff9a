"""What a network makes of a batch of images: features once, and from them class maps of every head; and how
much two class maps agree.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from transferlens.core.statistics import rank_correlations
from transferlens.maps import class_maps, evidence
from transferlens.models.network import Network

# Of networks whose class maps do not add up to their logits.
GRADIENT_METHOD = "GradCAM"


@dataclass(frozen=True)
class Seen:
    """One pass of a backbone over images; class maps of any head on it need no other.

    Attributes:
        images: float32[N, 3, H, W].
        activations: [N, channels, h, w], output of the class map layer.
        features: [N, D].
    """

    network: Network
    images: torch.Tensor
    activations: torch.Tensor
    features: torch.Tensor

    @torch.no_grad()
    def logits(self, head: nn.Linear) -> torch.Tensor:
        """Float64[N, classes of the head]."""
        return head(self.features).double()

    def maps(self, head: nn.Linear, classes: torch.Tensor) -> torch.Tensor:
        """Evidence maps [N, h, w] for class int64[N] of each image.

        Signed, and adding up to logits, where the network pools; else the positive evidence of GradCAM.
        """
        headed = self.network.with_head(head)
        if headed.pools:
            with torch.no_grad():
                return evidence.class_evidence(headed, self.activations, classes)
        explained = class_maps.class_maps(headed, self.images, classes.tolist(), GRADIENT_METHOD)
        return torch.from_numpy(explained.maps).to(self.images.device)


@torch.no_grad()
def see(network: Network, images: torch.Tensor) -> Seen:
    """Pass images [N, 3, H, W] through the backbone."""
    return Seen(network, images, *evidence.with_activations(network, images))


def intersection(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Shared share of the positive evidence of two maps [N, h, w], each as a distribution over cells: [N].

    1 where both lie in the same cells to the same degree, 0 where they share no cell or one is empty.
    """
    return np.minimum(_distribution(first), _distribution(second)).sum(1)


def _distribution(maps: np.ndarray) -> np.ndarray:
    positive = _cells(maps).clip(min=0)
    total = positive.sum(1, keepdims=True)
    return np.divide(positive, total, out=np.zeros_like(positive), where=total > 0)


def iou(first: np.ndarray, second: np.ndarray, share: float = 0.2) -> np.ndarray:
    """Intersection over union of the cells of most evidence, the top `share` of each map [N, h, w]: [N]."""
    tops = [_top(_cells(maps), share) for maps in (first, second)]
    return np.logical_and(*tops).sum(1) / np.logical_or(*tops).sum(1)


def _top(cells: np.ndarray, share: float) -> np.ndarray:
    count = max(1, round(share * cells.shape[1]))
    top = np.zeros(cells.shape, bool)
    np.put_along_axis(top, np.argsort(-cells, 1, kind="stable")[:, :count], True, 1)
    return top


def rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's correlation over the cells of two maps [N, h, w]: [N]; NaN where one is constant."""
    return rank_correlations(_cells(first), _cells(second))


def _cells(maps: np.ndarray) -> np.ndarray:
    return maps.reshape(len(maps), -1).astype(np.float64)
