"""Gram matrices of a batch of images, U-centred, as rows whose inner products are those of the matrices.

A layer's row on a batch is all that later comparisons ask of it: `minibatch.products` of rows of any layers,
steps and models on the same batches gives their similarities, so that no network runs twice. A network's
input is a layer like the others: give its pixels to `batch_rows` under a name of their own.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isqrt, sqrt

import torch
from torch import Tensor

from transferlens.core.errors import DataError
from transferlens.dynamics.similarity.arrays import FEWEST

# What differs by fewer roundings than these, relative to its size, is taken to be the same.
_ROUNDINGS = 8
_HAS_BACKENDS = hasattr(torch.backends.cuda.matmul, "fp32_precision")  # since torch 2.9
_BACKENDS = (
    (
        *(torch.backends.cuda.matmul, torch.backends.cudnn.conv),
        *(torch.backends.mkldnn.matmul, torch.backends.mkldnn.conv),
    )
    if _HAS_BACKENDS
    else (torch.backends.cuda.matmul, torch.backends.cudnn)
)
# By which setting of theirs products and convolutions of float32 numbers are exact, and at what value.
_EXACT = ("fp32_precision", "ieee") if _HAS_BACKENDS else ("allow_tf32", False)


def u_centred(gram: Tensor) -> Tensor:
    """Gram matrices [..., b, b] in the space in which inner products estimate without bias, float64.

    Off the diagonal, means over each image's other images are subtracted; the diagonal is zero (Szekely and
    Rizzo 2014). <A, B> / (b (b - 3)) of two of them is the unbiased HSIC of Song et al. (2012).
    Where nothing but the rounding of the Gram's own type is left, all is zero.

    Raises:
        DataError: fewer than 4 images.
    """
    b = gram.shape[-1]
    if b < FEWEST:
        raise DataError(f"similarity: a batch of {b} images; at least {FEWEST} are needed")
    centred = gram.to(torch.float64, copy=True)
    size = centred.flatten(-2).norm(dim=-1)
    zero_diagonal(centred)
    sums = centred.sum(-1, keepdim=True)
    centred -= (sums + sums.mT) / (b - 2) - sums.sum(-2, keepdim=True) / ((b - 1) * (b - 2))
    zero_diagonal(centred)
    rounding = _ROUNDINGS * torch.finfo(gram.dtype).eps * size
    nothing = centred.flatten(-2).norm(dim=-1) <= rounding
    return centred.masked_fill_(nothing[..., None, None], 0)


def zero_diagonal(matrices: Tensor) -> None:
    """Set the diagonals of matrices [..., b, b] to zero, in place."""
    matrices.diagonal(dim1=-2, dim2=-1).zero_()


def packed(centred: Tensor) -> Tensor:
    """U-centred Grams [..., b, b] as rows float32[..., b (b - 1) / 2]: the upper triangle times sqrt 2.

    The inner product of two rows is that of the two matrices, which are symmetric with a diagonal of zeros.
    """
    b = centred.shape[-1]
    above = torch.triu_indices(b, b, 1, device=centred.device)
    return (sqrt(2) * centred[..., above[0], above[1]]).float()


def unpacked(rows: Tensor) -> Tensor:
    """U-centred Grams [..., b, b] of rows [..., b (b - 1) / 2]; the inverse of `packed`."""
    b = images_of(rows.shape[-1])
    above = torch.triu_indices(b, b, 1, device=rows.device)
    half = rows.new_zeros((*rows.shape[:-1], b, b))
    half[..., above[0], above[1]] = rows / sqrt(2)
    return half + half.mT


def images_of(pairs: int) -> int:
    """How many images b have so many pairs, b (b - 1) / 2.

    Raises:
        DataError: none do.
    """
    b = (1 + isqrt(1 + 8 * pairs)) // 2
    if b * (b - 1) // 2 != pairs:
        raise DataError(f"similarity: rows of {pairs} numbers are not those of a batch's pairs of images")
    return b


def permuted(rows: Tensor, order: Tensor) -> Tensor:
    """Rows [..., b (b - 1) / 2] of the same images in another order: first comes image order[0]."""
    return rows[..., pair_order(order)]


def pair_order(order: Tensor) -> Tensor:
    """Where the pairs of images in an order int64[b] stand in a row of the unchanged order, int64[pairs]."""
    b = len(order)
    above = torch.triu_indices(b, b, 1)
    place = torch.zeros(b, b, dtype=torch.int64)
    place[above[0], above[1]] = torch.arange(above.shape[1])
    place += place.mT.clone()
    return place[order[above[0]], order[above[1]]]


def batch_rows(activations: Mapping[str, Tensor]) -> Tensor:
    """The rows float32[layers, b (b - 1) / 2] of layers whose outputs [b, ...] on a batch are given by name.

    Raises:
        DataError: fewer than 4 images, or layers with different numbers of them.
    """
    images = {name: len(output) for name, output in activations.items()}
    if len(set(images.values())) > 1:
        raise DataError(f"similarity: layers of one batch have different numbers of images: {images}")
    return torch.stack([row(output) for output in activations.values()])


def row(output: Tensor) -> Tensor:
    """The row float32[b (b - 1) / 2] of a layer's output [b, ...]; zero if it is the same for all images.

    Features lose their mean over the batch first: float32 products of large means would drown what differs.
    """
    features = output.detach().flatten(1).float()
    with full_precision(features.device):
        mean = features.mean(0)
        centred = features - mean
        gram = centred @ centred.mT
    whole = gram.trace() + len(features) * mean.square().sum()  # sum of squares, uncentred
    constant = gram.trace() <= (_ROUNDINGS * torch.finfo(torch.float32).eps) ** 2 * whole
    return packed(u_centred(gram.masked_fill(constant, 0)))


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Arithmetic of float32 is float32 in the block: no autocast, TF32 or bfloat16."""
    setting, exact = _EXACT
    before = [getattr(backend, setting) for backend in _BACKENDS]
    for backend in _BACKENDS:
        setattr(backend, setting, exact)
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for backend, value in zip(_BACKENDS, before, strict=True):
            setattr(backend, setting, value)
