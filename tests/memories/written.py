"""Small artefacts for tests, with all that their declaration asks for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from transferlens.core import artefacts
from transferlens.core.artefacts import Artefact, Field
from transferlens.data.artefacts import HALVES
from transferlens.memories.kept.binding import Binding
from transferlens.memories.kept.probes import Probes
from transferlens.memories.kept.retention import Retained, Retention


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


def probes_of(
    source_names: list[str],
    target_names: list[str],
    binding: np.ndarray,
    overlap: np.ndarray,
    models: int = 1,
    q: float = 1.0,
) -> Probes:
    """Probes of both halves' pairs of models with a binding float64[halves, source, target classes] and its
    q.

    What fills them is ones, and zeros.
    """
    _, classes, targets = binding.shape
    of_class, cell = np.ones((models, 2, classes)), np.zeros(binding.shape)
    return Probes(
        source_names,
        target_names,
        np.arange(2 * models).reshape(2, models),
        Retention(*[of_class] * 4, np.full((2, classes), 10), Retained(*[of_class[0, 0]] * 4)),
        Binding(
            *np.zeros((2, models, *binding.shape)),
            *(binding, cell, binding, binding, cell, np.full(binding.shape, q)),
            np.zeros((classes, targets), bool),
            "",
        ),
        np.ones((models, 2)),
        np.zeros((models, *binding.shape)),
        overlap,
    )
