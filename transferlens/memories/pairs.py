"""The models that are compared: fine-tuned from the full source, and trained on the target from scratch.

Each half of the images has pairs of its own: those of the report half tell what those of the select half have
chosen, so that no choice is reported by the models that made it.
"""

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from transferlens.core import job
from transferlens.core.errors import ConfigError
from transferlens.core.settings import NetworkSettings
from transferlens.core.studies import FULL, PRETRAINED, SCRATCH
from transferlens.data.artefacts import HALVES
from transferlens.models.network import Network
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
    architecture: NetworkSettings,
    repeats: range,
    device: torch.device,
) -> Iterator[Pair]:
    """Pairs of a study, one at a time: the full (or pretrained) and the scratch model of some repeats.

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
    if repeats.stop > pairs:
        raise ConfigError(f"memories.models: {repeats.stop} pairs are asked for, the study has {pairs}")
    chosen = slice(repeats.start, repeats.stop)

    def adapted(numbers: Sequence[int]) -> Iterator[Adapted]:
        return networks.adapted_networks(sources, transfers, architecture, device, numbers)

    for tuned, control in zip(adapted(full[chosen]), adapted(scratch[chosen]), strict=True):
        yield Pair(tuned.source, tuned.network, control.network)


def add_arguments(script: job.Script) -> None:
    """The files of the pairs, as arguments of a script."""
    script.reads("sources", "shards of the study `reference` or `pretrained`, in order", many=True)
    script.reads("transfers", "their transfer runs", many=True)


def repeats_of(half: str, settings: Mapping[str, Any]) -> range:
    """The repeats whose pairs see a half of the images: the first `models` report, the next `choosing`
    choose.

    Args:
        settings: `models` and `choosing`.
    """
    models, choosing = settings["models"], settings["choosing"]
    return {"select": range(models, models + choosing), "report": range(models)}[half]


def halves_seen(settings: Mapping[str, Any]) -> list[str]:
    """The halves that have pairs: both, or the report half alone."""
    return [half for half in HALVES if len(repeats_of(half, settings))]


def pairs_of(
    arguments: Namespace, settings: Mapping[str, Any], device: torch.device, half: str
) -> Iterator[Pair]:
    """A half's pairs of a script, by its arguments and its settings `architecture`, `models`, `choosing`."""
    return read_pairs(
        arguments.sources,
        arguments.transfers,
        NetworkSettings.read(settings["architecture"]),
        repeats_of(half, settings),
        device,
    )
