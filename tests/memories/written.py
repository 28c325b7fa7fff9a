"""Small artefacts for tests, with all that their declaration asks for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from transferlens.core import artefacts
from transferlens.core.artefacts import Artefact, Field
from transferlens.data.artefacts import HALVES


def write_artefact(path: Path, artefact: Artefact, sizes: Mapping[str, int], **values: Any) -> Path:
    """Write an artefact with the values given; the other required fields hold names, or zeros.

    Args:
        sizes: of the dimensions of fields that are not given.
    """
    with artefacts.create(path, artefact) as out:
        for field in artefact.fields:
            if field.name in values:
                out.write(field.name, values.pop(field.name))
            elif not field.optional:
                out.write(field.name, _filler(field, sizes))
        for name, value in values.items():
            out.attribute(name, value)
    return path


def _filler(field: Field, sizes: Mapping[str, int]) -> Any:
    if field.name == "half":
        return HALVES
    shape = tuple(sizes[dim] for dim in field.dims)
    if field.dtype is str:
        names = [f"{field.name} {i}" for i in range(int(np.prod(shape)))]
        return np.array(names, dtype=object).reshape(shape)
    return np.zeros(shape, np.uint8 if field.dtype is np.unsignedinteger else field.dtype)
