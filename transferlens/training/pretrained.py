"""The pretrained study: source models whose weights come from elsewhere, and their controls from scratch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from transferlens.core import job
from transferlens.core.errors import ConfigError
from transferlens.core.seeding import seed_for
from transferlens.core.settings import InputSettings, NetworkSettings, TrainingSettings
from transferlens.core.studies import PRETRAINED, SCRATCH, Rows
from transferlens.data import classnames
from transferlens.data.pipeline import Images
from transferlens.models import packages, published
from transferlens.models import weights as foreign
from transferlens.models.network import Network
from transferlens.training import source, transfer
from transferlens.training.artefacts import LOG_QUANTITIES
from transferlens.training.recipes.settings.plain import FixedSettings
from transferlens.training.runs import Trained


@dataclass(frozen=True)
class Given:
    """Weights from elsewhere; see `models.weights.read`.

    Attributes:
        weights: the name of published ones, or a file.
        prefix: where in a file the network is, if copies of it stand under several.
        download: whether published ones may be downloaded.
        named: the section of the configuration that gives them, for messages.
    """

    weights: str
    prefix: str | None = None
    download: bool = False
    named: str = "studies.pretrained"

    def state(self, architecture: NetworkSettings, *, head: bool) -> foreign.State:
        """The weights as a state of this house."""
        asked = f"{self.named}.weights"
        return foreign.read(
            architecture, self.weights, asked, head=head, prefix=self.prefix, download=self.download
        )


def load_pretrained(
    path: Path,
    rows: Rows,
    class_names: list[str],
    given: Given,
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
    _warn_of_input(given.weights, architecture, val.settings)
    network, log = given_network(given, class_names, probe, train, architecture)
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


def _warn_of_input(weights: str, architecture: NetworkSettings, given: InputSettings) -> None:
    """Warn of images that enter published weights otherwise than when they were trained."""
    expected = published.expected_input(architecture, weights) if packages.is_name(weights) else None
    if expected is None:
        return
    wanted = {
        "resolution": expected.resolution,
        "mean": [round(value, 4) for value in expected.mean],
        "std": [round(value, 4) for value in expected.std],
    }
    other = [
        f"input.{key} {value} (not {getattr(given, key)})"
        for key, value in wanted.items()
        if not np.allclose(getattr(given, key), value, atol=1e-3)
    ]
    if other:
        job.log.warning("%s expect %s; other values cost accuracy", weights, ", ".join(other))


def given_network(
    given: Given,
    class_names: list[str],
    probe: TrainingSettings | None,
    train: Images | None,
    architecture: NetworkSettings,
) -> tuple[Network, np.ndarray]:
    """The network of given weights; float64[epochs, 3], the log of its head's training if one is fitted."""
    state = given.state(architecture, head=probe is None)
    network = source.initial_network(architecture, len(class_names), 0)
    if probe is None:
        foreign.load(network, with_head_of(state, class_names, given.weights), given.weights)
        return network, np.zeros((0, len(LOG_QUANTITIES)))
    foreign.load(network, state | network.head.state_dict(prefix="head."), given.weights)
    fitted = fit_head(network.to(train.device, memory_format=torch.channels_last), train, probe)
    return fitted.network, fitted.log


def with_head_of(state: foreign.State, class_names: list[str], weights: str) -> foreign.State:
    """A state whose head has the source's classes: of 1,000 outputs, those of these classes in ImageNet.

    A head over a thousand classes of the source's own is taken as it is.

    Raises:
        ConfigError: a head of 1,000 outputs and a class that is none of ImageNet's; or one of another number
            of outputs than there are classes.
    """
    imagenet, outputs = classnames.known("imagenet").names, len(state["head.weight"])
    own_thousand = len(class_names) == len(imagenet) and set(class_names) != set(imagenet)
    if outputs == len(imagenet) and not own_thousand:
        places = classnames.places_in_imagenet(class_names, weights)
        return {**state, **{key: state[key][places] for key in ("head.weight", "head.bias")}}
    if outputs != len(class_names):
        raise ConfigError(
            f"{weights}: its head has {outputs} outputs, and the source has {len(class_names)} classes; give "
            "weights trained on them, or set `head: probe` beside them"
        )
    return state


def check(given: Given, class_names: list[str] | None, architecture: NetworkSettings) -> None:
    """Refuse weights that will not do, before anything runs.

    Args:
        class_names: of the source, over which they must bring a head; None where one is fitted.

    Raises:
        ConfigError, SetupError: as `models.weights.check` and `with_head_of`.
    """
    named = f"{given.named}.weights"
    wanted = class_names is not None
    outputs = foreign.check(architecture, given.weights, named, head=wanted, prefix=given.prefix)
    if wanted:
        state = {f"head.{kind}": torch.empty(outputs) for kind in ("weight", "bias")}
        with_head_of(state, class_names, f"{named}: {given.weights}")


def fit_head(network: Network, train: Images, training: TrainingSettings) -> Trained:
    """Fit a fresh linear head on the frozen features, as a transfer of kind `fixed` does."""
    seed = seed_for(0, "probe")
    network.head = transfer.new_head(network.head.in_features, network.head.out_features, seed)
    network.to(train.device)
    return transfer.adapt(network, train, FixedSettings(training=training), seed)
