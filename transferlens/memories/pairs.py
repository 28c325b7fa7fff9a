"""The models that are compared: fine-tuned from the full source, and trained on the target from scratch."""

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from transferlens.core import job
from transferlens.core.errors import ConfigError
from transferlens.core.settings import ArchitectureSettings
from transferlens.core.studies import FULL, PRETRAINED, SCRATCH
from transferlens.models.architectures import Network
from transferlens.training import networks
from transferlens.training.networks import Adapted


@dataclass(frozen=True)
class Pair:
    """A fine-tuned model and its control; all networks in evaluation mode, on one device.

    Attributes:
        source: the source model, with its source head.
        fine_tuned: the adapted model, with its target head.
        scratch: the same architecture adapted to the target from random weights, with its target head.
    """

    source: Network
    fine_tuned: Network
    scratch: Network

    @property
    def source_head(self) -> nn.Linear:
        """The source model's own head, unchanged by fine-tuning."""
        return self.source.head


def read_pairs(
    sources: Sequence[Path],
    transfers: Sequence[Path],
    architecture: ArchitectureSettings,
    count: int,
    device: torch.device,
) -> Iterator[Pair]:
    """The first `count` pairs of a study, one at a time: repeat r's full (or pretrained) and scratch models.

    Args:
        sources, transfers: source models and transfer runs, shard by shard, of the study `reference` or
            `pretrained`.

    Raises:
        ConfigError: the study has fewer pairs.
        ArtefactError: a damaged file.
    """
    rows = networks.study_rows(sources)
    whole = PRETRAINED if PRETRAINED in rows.roles else FULL
    full, scratch = (rows.numbers[rows.of_role(role)] for role in (whole, SCRATCH))
    pairs = min(len(full), len(scratch))
    if count > pairs:
        raise ConfigError(f"memories.models: {count} pairs are asked for, the study has {pairs}")

    def adapted(numbers: Sequence[int]) -> Iterator[Adapted]:
        return networks.adapted_networks(sources, transfers, architecture, device, numbers)

    for tuned, control in zip(adapted(full[:count]), adapted(scratch[:count]), strict=True):
        yield Pair(tuned.source, tuned.network, control.network)


def add_arguments(script: job.Script) -> None:
    """The files of the pairs, as arguments of a script."""
    script.reads("sources", "shards of the study `reference` or `pretrained`, in order", many=True)
    script.reads("transfers", "their transfer runs", many=True)


def pairs_of(arguments: Namespace, settings: Mapping[str, Any], device: torch.device) -> Iterator[Pair]:
    """The pairs of a script, by its arguments and its settings `architecture` and `models`."""
    return read_pairs(
        arguments.sources,
        arguments.transfers,
        ArchitectureSettings.read(settings["architecture"]),
        settings["models"],
        device,
    )
