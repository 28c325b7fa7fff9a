"""What networks make of the probe images of one data set, over all shards, read piece by piece."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import h5py
import numpy as np
import torch

from transferlens.core import artefacts, studies
from transferlens.core.errors import ArtefactError
from transferlens.core.studies import SCRATCH
from transferlens.dynamics.activity.artefacts import ACTIVITY
from transferlens.dynamics.activity.measured import layer_channels


class Probed:
    """Open files of ACTIVITY of all shards on one data set, as one; models are rows of the study in order.

    Attributes:
        name: of the data set.
        numbers: int64[models], row numbers in the study.
        whole, scratch: positions of the source models that are told of, and of those from scratch in the same
            pairs.
        layers: paths in the network, in depth order.
        steps: int64[steps], optimiser steps taken by then.
        classes: the class of each image.
        batches: how many there are.
    """

    def __init__(self, paths: Sequence[Path], name: str, models: int, stack: ExitStack):
        """Open shards, which stay open as long as the stack.

        Args:
            models: how many pairs are told of, the first; shards may hold more.

        Raises:
            ArtefactError: a damaged file, shards out of order, or networks that were kept at other steps.
        """
        self._files = [stack.enter_context(artefacts.open(path, ACTIVITY)) for path in paths]
        parts = [studies.read_rows(file) for file in self._files]
        rows, first = studies.joined(parts, list(paths)), self._files[0]
        self._places = studies.places(parts, paths, rows.numbers)
        self.name, self.numbers = name, rows.numbers
        scratch, first_pairs = np.array(rows.roles) == SCRATCH, rows.repeats < models
        self.whole, self.scratch = (
            np.flatnonzero(kind & first_pairs).tolist() for kind in (~scratch, scratch)
        )
        self.layers, self.steps = artefacts.names(first["layer"]), first["step"][:]
        self.classes = artefacts.names(first["example_class"])
        self._channels = [channels for _, channels in layer_channels(first)]
        self.batches = len(first["input_gram"])
        for path, file in zip(paths, self._files, strict=True):
            if not np.array_equal(file["step"][:], self.steps):
                raise ArtefactError(
                    f"{path}: networks were kept after other steps than those of {paths[0]}; delete both and "
                    "run snakemake again"
                )

    @property
    def images(self) -> int:
        """How many there are."""
        return len(self.classes)

    @property
    def pixels(self) -> np.ndarray:
        """Packed U-centred Gram matrices of the images' own pixels, float32[batches, pairs]."""
        return self._files[0]["input_gram"][:]

    def grams(self, model: int) -> np.ndarray:
        """Packed U-centred Gram matrices of a model, float32[layers, steps, batches, pairs]."""
        file, row = self._place(model)
        return file["gram"][row]

    def layer_grams(self, model: int, layer: int) -> np.ndarray:
        """Those of one of its layers, float32[steps, batches, pairs]."""
        file, row = self._place(model)
        return file["gram"][row, layer]

    def pooled(self, model: int, layer: int, images: int | None = None) -> torch.Tensor:
        """Pooled features of the first images (all, where None), float64[steps, images, channels]."""
        file, row = self._place(model)
        values = file["pooled"][row, :, :images, self._channels[layer]]
        return torch.from_numpy(values.astype(np.float64))

    def accuracy(self, model: int) -> np.ndarray:
        """Share of the target's probe images that it tells, float64[steps]; NaN on other data sets."""
        file, row = self._place(model)
        return file["accuracy"][row] if "accuracy" in file else np.full(len(self.steps), np.nan)

    def _place(self, model: int) -> tuple[h5py.File, int]:
        shard, row = self._places[model]
        return self._files[shard], row
