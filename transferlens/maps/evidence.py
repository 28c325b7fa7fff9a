"""Where the evidence for a class lies: signed class maps that add up to the logits, from the weights.

Where features are means over the cells of a layer, logit_c = sum_d W[c, d] mean_u A[d, u] + b_c, so that
E_c(u) = sum_d W[c, d] A[d, u] is the evidence for class c in cell u: its mean over cells plus the bias is the
logit (Zhou et al. 2016, CAM). One product of matrices gives the maps of all classes.
"""

import torch
from torch import nn
from torch.nn import functional

from transferlens.core.errors import ConfigError
from transferlens.models import layers
from transferlens.models.architectures import Network


def activations(network: Network, images: torch.Tensor) -> torch.Tensor:
    """Output [N, D, h, w] of the class map layer for images [N, 3, H, W].

    Raises:
        ConfigError: the network's class maps do not add up to its logits.
    """
    require_pooling(network)
    return with_activations(network, images)[0]


def require_pooling(network: Network) -> None:
    """Refuse a network whose class maps do not add up to its logits."""
    if not network.pools:
        raise ConfigError(
            "architecture: class maps that add up to logits need a network ending in global average pooling "
            "and one linear layer; this one does not (vgg16): use a gradient method"
        )


def with_activations(network: Network, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Output [N, channels, h, w] of the class map layer, and features [N, D], of images [N, 3, H, W]."""
    layer = network.class_map_layer
    with layers.watch(network.backbone, [layer]) as latest:
        features = network.backbone(images)
    return latest[layer], features


def class_evidence(
    activations: torch.Tensor, head: nn.Linear, classes: torch.Tensor | None = None
) -> torch.Tensor:
    """Signed evidence maps of activations [N, D, h, w], in logit units a cell.

    Args:
        classes: int64[N], the class of each image whose map is wanted; by default all classes' maps.

    Returns:
        [N, h, w], or [N, C, h, w] for all classes.
    """
    if classes is None:
        return torch.einsum("cd,ndhw->nchw", head.weight, activations)
    return torch.einsum("nd,ndhw->nhw", head.weight[classes], activations)


def inside_share(
    positive: torch.Tensor, x: torch.Tensor, y: torch.Tensor, side: torch.Tensor | int, resolution: int
) -> torch.Tensor:
    """Share [n] of maps' sums that lies inside squares, the maps enlarged to the input's resolution.

    Enlarging is linear: how much of each cell's value ends in a range of pixels is known for rows and columns
    beforehand, and no enlarged map is made. NaN for a map of zeros.

    Args:
        positive: [n, h, w], maps without negative values.
        x, y, side: int64[n], the squares in pixels of the input.
    """
    sums = []
    for starts, cells in ((y, positive.shape[1]), (x, positive.shape[2])):
        spread = _enlarged(cells, resolution).to(positive)
        pixels = torch.arange(resolution, device=starts.device)
        inside = (pixels >= starts[:, None]) & (pixels < (starts + side)[:, None])
        sums.append((inside.to(positive) @ spread, spread.sum(0)))
    (rows, all_rows), (columns, all_columns) = sums
    within = torch.einsum("nhw,nh,nw->n", positive, rows, columns)
    return within / torch.einsum("nhw,h,w->n", positive, all_rows, all_columns)


def _enlarged(cells: int, pixels: int) -> torch.Tensor:
    """float32[pixels, cells]: a line of cells, bilinearly enlarged, is this times it."""
    lines = torch.eye(cells)[:, None]
    return functional.interpolate(lines, size=pixels, mode="linear", align_corners=False)[:, 0].T
