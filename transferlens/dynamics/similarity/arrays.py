"""What measures of similarity take: features of the same images, as float64 tensors."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from transferlens.core.errors import DataError

# Arrays of NumPy, tensors of any device, or what NumPy makes an array of.
Array = np.ndarray | Tensor | Any

FEWEST = 4  # images of which an unbiased estimate can be had


def same_images(*features: Array) -> tuple[Tensor, ...]:
    """Features [n, d], [n, d'], ... of the same n images, as float64 tensors on the CPU.

    Raises:
        DataError: not tables of finite numbers, of different images, or of fewer than 4.
    """
    tables = tuple(_table(each) for each in features)
    images = [len(table) for table in tables]
    if len(set(images)) > 1:
        counts = " and ".join(f"{n:,}" for n in images)
        raise DataError(
            f"similarity: features of {counts} images; row i of each must be of the same image "
            "(sets of different images are compared by domain gaps)"
        )
    if images[0] < FEWEST:
        raise DataError(f"similarity: {images[0]} images; at least {FEWEST} are needed")
    return tables


def of_real_numbers(features: Array) -> Tensor:
    """What a user gives as a tensor, all of whose numbers are there and real.

    Raises:
        DataError: rows of different lengths, no features, complex numbers, text, or no numbers.
    """
    try:
        given = features if isinstance(features, Tensor) else np.asarray(features)
    except ValueError:
        raise DataError("similarity: rows of different lengths; give features [images, features]") from None
    if isinstance(given, np.ndarray) and given.dtype.kind in "biuf" and not np.ma.is_masked(features):
        given = torch.from_numpy(given.astype(np.float64))
    if not isinstance(given, Tensor) or not _is_plain(given) or 0 in given.shape:
        raise DataError(
            f"similarity: features of type {given.dtype} and shape {list(given.shape)}; give real numbers "
            "[images, features], one by one"
        )
    return given


def _is_plain(tensor: Tensor) -> bool:
    stored = tensor.layout == torch.strided and not tensor.is_meta and not tensor.is_quantized
    return stored and not tensor.is_complex()


def _table(features: Array) -> Tensor:
    given = features if isinstance(features, Tensor) else torch.from_numpy(np.ascontiguousarray(features))
    table = given.detach().to("cpu", torch.float64)
    if table.ndim != 2:
        raise DataError(
            f"similarity: features have the shape {list(table.shape)}; it must be [images, features] "
            "(maps are flattened, or averaged over cells, before)"
        )
    if not table.isfinite().all():
        raise DataError("similarity: features hold NaN or infinite numbers")
    return table
