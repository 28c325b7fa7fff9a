"""The pretrained study: one source model whose weights come from elsewhere."""

from pathlib import Path

import numpy as np
import torch

from transferlens.core import job
from transferlens.core.errors import ConfigError
from transferlens.core.seeding import seed_for
from transferlens.core.settings import ArchitectureSettings, TrainingSettings
from transferlens.core.studies import Rows
from transferlens.data.pipeline import Images
from transferlens.models import architectures, efficientnet, states
from transferlens.models.architectures import Network
from transferlens.training import source, transfer
from transferlens.training.block import Trained
from transferlens.training.recipes.settings import FixedSettings


def load_pretrained(
    path: Path,
    rows: Rows,
    class_names: list[str],
    weights: str,
    probe: TrainingSettings | None,
    train: Images | None,
    val: Images,
    architecture: ArchitectureSettings,
) -> None:
    """As `source.train_shard` for the pretrained study: one row whose weights come from elsewhere.

    Args:
        probe: how a linear head is fitted to the frozen features of the source's training images `train`;
            None if the weights hold one.
    """
    if weights == efficientnet.WEIGHTS and {*val.settings.mean, *val.settings.std} != {0.5}:
        job.log.warning(
            "%s expects input.mean and input.std of 0.5 each; other values cost accuracy", weights
        )
    epochs = probe.epochs if probe else 0
    network = source.initial_network(architecture, len(class_names), 0)
    state = states.foreign(architecture, weights)
    with source.reserve(path, rows, class_names, architecture, epochs) as out:
        if probe is None:
            _check_head(state, weights)
            states.load_foreign(network, state, weights)
            network.to(val.device, memory_format=torch.channels_last)
        else:
            states.load_foreign(network.backbone, backbone_of(state, architecture), weights)
            network.to(val.device, memory_format=torch.channels_last)
            fitted = fit_head(network, train, probe)
            network, out.file["log"][0] = fitted.network, fitted.log
            out.file["train_images"][0] = len(train)
        source.save(out, 0, network, np.ones(len(class_names), bool), val)
        out.attribute("implementation", "weights from elsewhere")


def fit_head(network: Network, train: Images, training: TrainingSettings) -> Trained:
    """Fit a fresh linear head on the frozen features, as a transfer of kind `fixed` does."""
    seed = seed_for(0, "probe")
    network.head = transfer.new_head(network.head.in_features, network.head.out_features, seed)
    network.to(train.device)
    return transfer.adapt(network, train, FixedSettings(training=training), seed)


def backbone_of(
    state: dict[str, torch.Tensor], architecture: ArchitectureSettings
) -> dict[str, torch.Tensor]:
    """A state's backbone, without what stands in the head's place (self-supervision's projections, say)."""
    place = architectures.head_place(architecture.name)
    return {
        key.removeprefix("backbone."): tensor
        for key, tensor in state.items()
        if not key.startswith(("head.", f"backbone.{place}."))
    }


def _check_head(state: dict[str, torch.Tensor], weights: str) -> None:
    if "head.weight" not in state:
        raise ConfigError(
            f"{weights}: a backbone without a head, so that nothing can be said of source classes (memories, "
            "heatmaps); set studies.pretrained.head: probe to fit one on the source's training images"
        )
