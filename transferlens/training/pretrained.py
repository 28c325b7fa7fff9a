"""The pretrained study: source models whose weights come from elsewhere, and their controls from scratch."""

from pathlib import Path

import numpy as np
import torch

from transferlens.core import job
from transferlens.core.errors import ConfigError
from transferlens.core.seeding import seed_for
from transferlens.core.settings import NetworkSettings, TrainingSettings
from transferlens.core.studies import PRETRAINED, SCRATCH, Rows
from transferlens.data import classnames
from transferlens.data.pipeline import Images
from transferlens.models import efficientnet, states
from transferlens.models.network import Network
from transferlens.training import source, transfer
from transferlens.training.artefacts import LOG_QUANTITIES
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
    architecture: NetworkSettings,
) -> None:
    """As `source.train_shard` for the pretrained study: rows whose weights come from elsewhere, and scratch.

    Every row of given weights holds the same state, so that it is read as any other source model.

    Args:
        probe: how a linear head is fitted to the frozen features of the source's training images `train`;
            None if the weights hold one.
    """
    if weights == efficientnet.WEIGHTS and {*val.settings.mean, *val.settings.std} != {0.5}:
        job.log.warning(
            "%s expects input.mean and input.std of 0.5 each; other values cost accuracy", weights
        )
    network, log = given_network(
        states.foreign(architecture, weights), class_names, weights, probe, train, architecture
    )
    network.to(val.device, memory_format=torch.channels_last)
    everything, right = np.ones(len(class_names), bool), source.right(network, val)
    with source.reserve(path, rows, class_names, architecture, len(log)) as out:
        for i in rows.of_role(PRETRAINED):
            source.save(out, i, network, right, everything, val)
            out.file["log"][i] = log
            out.file["train_images"][i] = len(train) if probe else 0
        for i in rows.of_role(SCRATCH):
            seed = int(rows.training_seeds[i])
            control = source.new_network(architecture, len(class_names), val.device, seed)
            source.save(out, i, control, source.right(control, val), ~everything, val)
        out.attribute("implementation", "weights from elsewhere")


def given_network(
    state: dict[str, torch.Tensor],
    class_names: list[str],
    weights: str,
    probe: TrainingSettings | None,
    train: Images | None,
    architecture: NetworkSettings,
) -> tuple[Network, np.ndarray]:
    """The network of a given state; float64[epochs, 3], the log of its head's training if one is fitted."""
    network = source.initial_network(architecture, len(class_names), 0)
    if probe is None:
        states.load_foreign(network, with_head_of(state, class_names, weights), weights)
        return network, np.zeros((0, len(LOG_QUANTITIES)))
    states.load_foreign(network.backbone, backbone_of(state, architecture), weights)
    fitted = fit_head(network.to(train.device, memory_format=torch.channels_last), train, probe)
    return fitted.network, fitted.log


def with_head_of(
    state: dict[str, torch.Tensor], class_names: list[str], weights: str
) -> dict[str, torch.Tensor]:
    """A state whose head has the source's classes: of 1,000 outputs, those of these classes in ImageNet.

    A head of other size is taken as it is, and one over a thousand classes of the source's own.

    Raises:
        ConfigError: no head; or a head of 1,000 outputs and a class that is none of ImageNet's.
    """
    if "head.weight" not in state:
        raise ConfigError(
            f"{weights}: a backbone without a head, so that nothing can be said of source classes (memories, "
            "heatmaps); set studies.pretrained.head: probe to fit one on the source's training images"
        )
    imagenet = classnames.known("imagenet").names
    own_thousand = len(class_names) == len(imagenet) and set(class_names) != set(imagenet)
    if len(state["head.weight"]) != len(imagenet) or own_thousand:
        return state
    places = classnames.places_in_imagenet(class_names, weights)
    return {**state, **{key: state[key][places] for key in ("head.weight", "head.bias")}}


def fit_head(network: Network, train: Images, training: TrainingSettings) -> Trained:
    """Fit a fresh linear head on the frozen features, as a transfer of kind `fixed` does."""
    seed = seed_for(0, "probe")
    network.head = transfer.new_head(network.head.in_features, network.head.out_features, seed)
    network.to(train.device)
    return transfer.adapt(network, train, FixedSettings(training=training), seed)


def backbone_of(state: dict[str, torch.Tensor], architecture: NetworkSettings) -> dict[str, torch.Tensor]:
    """A state's backbone, without what stands in the head's place (self-supervision's projections, say)."""
    place = architectures.head_place(architecture.name)
    return {
        key.removeprefix("backbone."): tensor
        for key, tensor in state.items()
        if not key.startswith(("head.", f"backbone.{place}."))
    }
