"""The seam between recipes and the training loop: what a recipe says, and the loop asks.

A recipe is an object of one training run. The loop (`training.engine`) knows none of them by name.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import nn

from transferlens.core.settings import InputSettings, TrainingSettings
from transferlens.data.pipeline import Batch, Pass
from transferlens.models.layers import batch_norms
from transferlens.models.network import Network
from transferlens.training import device as devices
from transferlens.training.criterion import Criterion


class Batches(Protocol):
    """What the loop draws batches from: the images of a split (`data.pipeline.Images`), or features."""

    labels: torch.Tensor
    device: torch.device
    settings: InputSettings

    def __len__(self) -> int: ...

    def training_batches(self, one: Pass) -> Iterator[Batch]:
        """One shuffled pass."""


@dataclass(frozen=True)
class Data:
    """What a model is trained on.

    Attributes:
        images: of a split, for training and for evaluation.
        positions: int64[n], those to train on.
        steps: optimiser steps an epoch; None for those of one pass over the images.
        material: what a recipe is made of beside these, if it asks for anything (`remedies.Material`).
    """

    images: Any
    positions: np.ndarray
    steps: int | None = None
    material: Any = None


@dataclass(frozen=True)
class Group:
    """Parameters with a learning rate of their own.

    Attributes:
        rate: factor of the schedule's learning rate.
        weight_decay: None for that of the training settings.
    """

    parameters: Sequence[nn.Parameter]
    rate: float = 1.0
    weight_decay: float | None = None


@dataclass(frozen=True)
class Phase:
    """A stretch of a run with an optimiser of its own.

    Attributes:
        network: what a batch passes through, to logits: the whole network, or a part of it.
        groups: what is trained; the first one's learning rate is the one that is logged.
        data, positions, steps, seed: as in `Data`; batches and their augmentation depend on the seed alone.
        divisible: whether a batch may be cut when memory runs out: its images are labelled one by one, and
            the loss is a mean over them.
        views: how each augmented view of a batch is made, for a recipe that takes several in a `step` of its
            own; none for one forward pass of one view, and `loss`.
    """

    network: nn.Module
    groups: Sequence[Group]
    data: Batches
    positions: np.ndarray
    training: TrainingSettings
    seed: int
    steps: int | None = None
    divisible: bool = True
    views: Sequence[TrainingSettings] = ()

    @cached_property
    def criterion(self) -> Criterion:
        """The cross-entropy that the training settings describe."""
        return Criterion.of(self.training, self.data.labels, self.positions)

    @cached_property
    def precision(self) -> torch.dtype:
        """The arithmetic of forward passes."""
        return devices.precision(self.training.precision, self.data.device)

    @cached_property
    def parameters(self) -> dict[str, nn.Parameter]:
        """The network's parameters by name."""
        return dict(self.network.named_parameters())

    def autocast(self) -> AbstractContextManager:
        """The context of forward passes."""
        return devices.autocast(self.precision, self.data.device)


class Recipe:
    """How a network is trained. Subclasses override what they do otherwise than plain fine-tuning.

    Attributes:
        settings: of its kind (`recipes.settings`), at least `training`.
        keeps_source: whether `start` is given the frozen source network with its own head.
        network, source, data, seed: what `start` was given.
        beside: modules of the run that are no part of the network (projectors, queues and radii as buffers,
            momentum encoders); what of them is trained belongs to a group of a phase.
        watched: layers of the network whose outputs `loss` and `step` see, such as `backbone.block3`.
        features: their outputs in the latest forward pass, by name.
        phase: the one that the run is in.
    """

    keeps_source: ClassVar[bool] = False
    watched: tuple[str, ...] = ()
    network: Network
    source: Network | None
    data: Data
    seed: int
    beside: nn.ModuleDict
    phase: Phase
    features: Mapping[str, torch.Tensor]

    def __init__(self, settings: Any):
        self.settings = settings

    @classmethod
    def refuses(cls, settings: Any, network: Network) -> str:
        """Why a network cannot be trained so, in words; '' if it can."""
        return ""

    def convert(self, network: Network) -> Network:
        """The network with the parts that this recipe adds or replaces, before training.

        Called again, on a source model, when a stored network is loaded.
        """
        return network

    def start(self, network: Network, source: Network | None, data: Data, seed: int) -> None:
        """Take up a run.

        Args:
            network: to adapt, converted and on the device of the data.
            source: the frozen source network with its own head; None unless the recipe `keeps_source`.
            seed: all that the recipe draws depends on it alone.
        """
        self.network, self.source, self.data, self.seed = network, source, data, seed
        self.beside = nn.ModuleDict()

    def state(self) -> dict[str, Any]:
        """What a run in progress must remember beside its modules: tensors and plain values.

        A killed run goes on so: `convert`, `start` and `phases` are called again as they were, up to the
        phase that it was in; then the network, what is `beside` it, this, the optimiser and torch's
        generators are put back.
        """
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` said."""

    def mode(self) -> None:
        """Put the network into training mode; its batch norms as the settings say."""
        self.network.train()
        if getattr(self.settings, "batchnorm", "train") == "eval":
            for norm in batch_norms(self.network):
                norm.eval()

    def groups(self) -> list[Group]:
        """All parameters of the network, those of the backbone perhaps at a rate of their own."""
        rate = getattr(self.settings, "backbone_rate", 1.0)
        if rate == 1:
            return [Group(list(self.network.parameters()))]
        head, backbone = self.network.head.parameters(), self.network.backbone.parameters()
        return [Group(list(head)), Group(list(backbone), rate)]

    def phases(self) -> Iterator[Phase]:
        """The phases of the run, one after the other; what stands between two is done between them."""
        self.mode()
        yield self.whole_phase()

    def whole_phase(self, parameters: Iterable[nn.Parameter] | None = None, **others: Any) -> Phase:
        """A phase that trains the network (or some parameters of it) on the run's images.

        Args:
            others: what is otherwise than this in the `Phase`.
        """
        usual = {
            "network": self.network,
            "groups": self.groups() if parameters is None else [Group(list(parameters))],
            "data": self.data.images,
            "positions": self.data.positions,
            "training": self.settings.training,
            "seed": self.seed,
            "steps": self.data.steps,
        }
        return Phase(**{**usual, **others})

    def enter(self, phase: Phase, features: Mapping[str, torch.Tensor]) -> None:
        """Take up a phase; called by the loop."""
        self.phase, self.features = phase, features

    def extra_images(self, batch: torch.Tensor) -> torch.Tensor | None:
        """Images [M, 3, H, W] that join the batch [N, 3, H, W]; called once a step."""
        return None

    def loss(
        self,
        logits: torch.Tensor,
        features: Mapping[str, torch.Tensor],
        labels: torch.Tensor,
        parameters: Mapping[str, nn.Parameter],
    ) -> torch.Tensor:
        """The loss of a step, by default the phase's cross-entropy.

        Args:
            logits: float32[N + M, C], of the batch and of the extra images.
            features: outputs of the watched layers for the same images, by name.
            labels: int64[N], of the batch.
            parameters: of the phase's network, by name.
        """
        return self.phase.criterion(logits, labels)

    def step(self, views: list[torch.Tensor], labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss and the logits [N, C] of a batch of several views, each [N, 3, H, W]; see `Phase`.

        The loop goes backward from the loss. Such batches are never cut when memory runs out.
        """
        raise NotImplementedError(f"{type(self).__name__} has views and no step")

    def logits(self, images: torch.Tensor, network: nn.Module | None = None) -> torch.Tensor:
        """float32 logits of images in the phase's arithmetic, for a `step` of one's own."""
        with self.phase.autocast():
            return (network or self.phase.network)(images).float()

    def before_step(self, step: int) -> None:
        """Called when the gradients of step 0, 1, ... of the run are there, before the optimiser's step."""

    def after_step(self, step: int) -> None:
        """Called after the optimiser's step 0, 1, ... of the run."""

    def finish(self) -> None:
        """Called after the last phase: post-processing of the weights."""

    def inference(self) -> Network:
        """The network as it is evaluated and stored: at the end, and wherever a checkpoint is kept."""
        return self.network

    def further_heads(self) -> Mapping[str, nn.Module]:
        """Other ways than `inference` from images to logits that it trains along the way, by name."""
        return {}

    def combine(self, networks: list[Network]) -> Network:
        """One network of those of several runs of different seeds (see `RecipeKind.runs`)."""
        (network,) = networks
        return network
