"""Where the evidence for a class lies: signed class maps that add up to the logits, from the weights.

Where features are means over the cells of a layer, logit_c = sum_d W[c, d] mean_u A[d, u] + b_c, so that
E_c(u) = sum_d W[c, d] A[d, u] is the evidence for class c in cell u: its mean over cells plus the bias is the
logit (Zhou et al. 2016, CAM). One product of matrices gives the maps of all classes.

Where a layer normalisation stands between, features are g_d (m_d - mu) / s + h_d of the means
m = mean_u A[:, u], with their own mean mu and deviation s. With mu and s *held fixed* at the image's own that
is linear in A, and E_c(u) = sum_d W[c, d] g_d (A[d, u] - mu) / s: its mean over cells plus a constant of the
class, `offsets`, is the logit. What a change in a cell would do to mu and s is not in it.
"""

import torch
from torch import nn
from torch.nn import functional

from transferlens.core.errors import ConfigError
from transferlens.models import layers
from transferlens.models.network import Network


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
            "architecture: class maps that add up to logits need a network whose features are means over the "
            "cells of a map, and this one's are not (snakemake network says why): use a gradient method"
        )


def with_activations(network: Network, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Output of the class map layer as maps [N, channels, h, w], and features [N, D], of images [N, 3, H, W].

    Raises:
        ConfigError: the network has no class map layer.
    """
    layer = network.class_map_layer
    if layer is None:
        raise ConfigError(
            "architecture: nothing in this network has a height and a width, so that it has no maps"
        )
    with layers.watch(network.backbone, [layer]) as latest:
        features = network.backbone(images)
    return network.maps_of(latest[layer]), features


def class_evidence(
    network: Network, activations: torch.Tensor, classes: torch.Tensor | None = None
) -> torch.Tensor:
    """Signed evidence maps of activations [N, D, h, w], in logit units a cell.

    Args:
        classes: int64[N], the class of each image whose map is wanted; by default all classes' maps.

    Returns:
        [N, h, w], or [N, C, h, w] for all classes.
    """
    weight = network.head.weight
    if network.norm is not None:
        weight, activations = _normalised(network.norm, weight, activations)
    if classes is None:
        return torch.einsum("cd,ndhw->nchw", weight, activations)
    return torch.einsum("nd,ndhw->nhw", weight[classes], activations)


def _normalised(
    norm: nn.LayerNorm, weight: torch.Tensor, activations: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights times the normalisation's, and activations as it shifts and scales their means."""
    means = activations.mean((2, 3), keepdim=True)
    variance, mean = torch.var_mean(means, dim=1, correction=0, keepdim=True)
    gain = 1 if norm.weight is None else norm.weight
    return weight * gain, (activations - mean) / (variance + norm.eps).sqrt()


def offsets(network: Network) -> torch.Tensor:
    """[C] what the mean of a class's evidence lacks of its logit: the head's bias, and a norm's share."""
    head, norm = network.head, network.norm
    return head.bias if norm is None or norm.bias is None else head.bias + head.weight @ norm.bias


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
