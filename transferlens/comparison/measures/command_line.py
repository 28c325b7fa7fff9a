"""What scripts that measure adapted models have in common."""

from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from transferlens.comparison.measures.measured import Reported
from transferlens.comparison.measures.probes import Probe
from transferlens.core.settings import InputSettings, NetworkSettings
from transferlens.data import index, pipeline
from transferlens.training import networks
from transferlens.training.networks import Adapted


def adapted(arguments: Namespace, place: torch.device) -> Iterator[Adapted]:
    """The transfer runs of the rows that are asked for, one at a time."""
    settings = arguments.settings
    architecture = NetworkSettings.read(settings["architecture"])
    return networks.adapted_networks(
        arguments.sources, arguments.transfers, architecture, place, settings["rows"]
    )


def probe_of(arguments: Namespace, place: torch.device) -> Probe:
    """The images of a data set that probes go by."""
    settings, dataset = arguments.settings, index.read_index(arguments.index)
    images = InputSettings.read(settings["input"])
    splits = (
        pipeline.open_images(beton, dataset.split(split), images, place)
        for split, beton in (("train", arguments.train), ("val", arguments.val))
    )
    return Probe.of(dataset, *splits, settings["images"], settings["seed"])


def reported(index_path: Path, beton: Path, given: Mapping[str, Any], place: torch.device) -> Reported:
    """The report half of a data set, whose images enter networks by the settings given."""
    dataset = index.read_index(index_path)
    images = pipeline.open_images(beton, dataset.val, InputSettings.read(given), place)
    return Reported(images, dataset.class_names)
