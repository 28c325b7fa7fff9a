"""The models that are compared: fine-tuned from the full source, and trained on the target from scratch."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from transferlens.core import store, studies
from transferlens.core.config import ArchitectureSettings
from transferlens.core.errors import ConfigError
from transferlens.models.architectures import Network
from transferlens.training import source as sources
from transferlens.training import transfer


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
    places = dict(place for shard in shards for place in _rows(*shard))
    found = min(sum(label.startswith(kind) for label in places) for kind in ("full-", "scratch-"))
    if count > found:
        raise ConfigError(f"memories.models: {count} pairs are asked for, the reference study has {found}")
    for repeat in range(count):
        full = (*pretrained, 0) if pretrained else places[f"full-{repeat}"]
        fine_tuned, source = _adapted(*full, architecture, device)
        scratch, _ = _adapted(*places[f"scratch-{repeat}"], architecture, device)
        yield Pair(source, fine_tuned, scratch)


def _rows(source: Path, transfers: Path) -> Iterator[tuple[str, tuple[Path, Path, int]]]:
    """What each row of a shard is, and where it lies."""
    with store.open(source, sources.KIND) as file:
        labels = studies.read_row_table(file).labels
    for row, label in enumerate(labels):
        yield label, (source, transfers, row)


def _adapted(source: Path, transfers: Path, row: int, architecture, device) -> tuple[Network, Network]:
    """(adapted model, source model) of one row, in evaluation mode on the device."""
    adapted, _ = transfer.load_adapted(transfers, source, row, architecture)
    with store.open(source, sources.KIND) as file:
        network = sources.load_network(file, row, architecture, device)
    return adapted.to(device, memory_format=torch.channels_last), network.eval()


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
        ArchitectureSettings.of(settings["architecture"]),
        settings["models"],
        device,
    )
