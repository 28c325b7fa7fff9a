"""Class activation maps of target and source classes for the same images, by torchcam.

The only module that imports torchcam. Its choice of layer is unsafe for small inputs, so the layer is
always given; maps are taken before its per-image normalisation, which would make weak maps look as hot as
strong ones.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from transferlens.models.architectures import Network

SIGNED_METHODS = ("CAM",)


class TwoHeaded(nn.Module):
    """One backbone with the target head and the source head; logits [N, target classes + source classes]."""

    def __init__(self, network: Network, source_head: nn.Linear):
        super().__init__()
        self.backbone = network.backbone
        self.target_head = network.head
        self.source_head = source_head
        self.class_map_layer = f"backbone.{network.class_map_layer}"

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.backbone(images)
        return torch.cat([self.target_head(features), self.source_head(features)], dim=1)


@dataclass(frozen=True)
class ClassMaps:
    """Evidence maps for one class an image.

    Attributes:
        maps: float32[images, height, width] at the layer's own resolution. For `CAM` signed, and its mean
            plus the head's bias is the logit; for gradient methods non-negative.
        logits, probabilities: float32[images], of that class, within its own head.
    """

    maps: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray


def class_maps(
    model: TwoHeaded, images: torch.Tensor, classes: list[int], head: str, method: str
) -> ClassMaps:
    """Maps of class `classes[i]` of `head` ('target' or 'source') for image i of float32[N, 3, H, W]."""
    from torchcam import methods

    arguments = {"target_layer": model.class_map_layer, "input_shape": tuple(images.shape[1:])}
    if method == "CAM":
        arguments["fc_layer"] = f"{head}_head"
    # Gradient methods need a gradient to reach the layer even where all parameters are frozen.
    images = images.detach().clone().requires_grad_(True)
    targets = model.target_head.out_features
    with getattr(methods, method)(model, **arguments) as extractor:
        logits = model(images)
        # CAM reads the rows of the named head; gradient methods index the concatenated logits.
        offset = targets if head == "source" and method != "CAM" else 0
        (maps,) = extractor([offset + c for c in classes], logits, normalized=False)
    own = (logits[:, :targets] if head == "target" else logits[:, targets:]).detach().double()
    rows = torch.arange(len(classes))
    return ClassMaps(
        maps.detach().float().numpy(),
        own[rows, classes].float().numpy(),
        own.softmax(1)[rows, classes].float().numpy(),
    )
