"""The models that are compared: fine-tuned from the full source, and trained on the target from scratch."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from transferlens.core.errors import ConfigError
from transferlens.core.settings import ArchitectureSettings
from transferlens.models.architectures import Network
from transferlens.training import networks


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
    shards: list[tuple[Path, Path]],
    pretrained: tuple[Path, Path] | None,
    architecture: ArchitectureSettings,
    count: int,
    device: torch.device,
) -> Iterator[Pair]:
    """The first `count` pairs of the reference study, one at a time: repeat r's full and scratch models.

    Args:
        shards: (source models, transfer runs) of every shard of the reference study, in order.
        pretrained: the same of the `pretrained` study: its only model takes the place of the full ones.

    Raises:
        ConfigError: the study has fewer pairs.
        ArtefactError: a damaged file.
    """
    source_paths, transfer_paths = (list(paths) for paths in zip(*shards, strict=True))
    study = networks.study_rows(source_paths)
    numbers = dict(zip(study.labels, study.rows, strict=True))
    pairs = min(sum(label.startswith(kind) for label in numbers) for kind in ("full-", "scratch-"))
    if count > pairs:
        raise ConfigError(f"memories.models: {count} pairs are asked for, the reference study has {pairs}")

    def models(kind: str) -> Iterator[networks.Adapted]:
        rows = [numbers[f"{kind}-{repeat}"] for repeat in range(count)]
        return networks.adapted_networks(source_paths, transfer_paths, architecture, device, rows)

    full = models("full")
    if pretrained:
        of_pretrained = [[path] for path in pretrained]
        full = networks.adapted_networks(*of_pretrained, architecture, device, [0] * count)
    for fine_tuned, scratch in zip(full, models("scratch"), strict=True):
        yield Pair(fine_tuned.source, fine_tuned.network, scratch.network)


def add_arguments(parser: ArgumentParser) -> None:
    """The files of the pairs, as arguments of a script."""
    parser.add_argument("--sources", type=Path, nargs="+", required=True, help="reference shards, in order")
    parser.add_argument("--transfers", type=Path, nargs="+", required=True, help="their transfer runs")
    parser.add_argument("--pretrained-source", type=Path, help="takes the place of the full-source models")
    parser.add_argument("--pretrained-transfer", type=Path, help="its transfer run")


def files_of(arguments: Namespace) -> list[Path]:
    """The files that a script was given by these arguments."""
    pretrained = (arguments.pretrained_source, arguments.pretrained_transfer)
    return [*arguments.sources, *arguments.transfers, *(path for path in pretrained if path)]


def pairs_of(arguments: Namespace, settings: Mapping, device: torch.device) -> Iterator[Pair]:
    """The pairs of a script, by its arguments and its settings `architecture` and `models`."""
    pretrained = (arguments.pretrained_source, arguments.pretrained_transfer)
    return read_pairs(
        list(zip(arguments.sources, arguments.transfers, strict=True)),
        pretrained if arguments.pretrained_source else None,
        ArchitectureSettings.read(settings["architecture"]),
        settings["models"],
        device,
    )
