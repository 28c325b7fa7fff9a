"""Transfer: each source model of a shard adapted to one target by one recipe."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from transferlens.core import job, store, studies
from transferlens.core.config import ArchitectureSettings, RecipeSettings, TrainingSettings
from transferlens.core.seeding import seed_for
from transferlens.data.index import HALVES, Index
from transferlens.data.pipeline import Images, shuffled_batches
from transferlens.models import states
from transferlens.models.architectures import Network
from transferlens.training import device as devices
from transferlens.training import engine, fitting, outputs
from transferlens.training import kept_maps as probes
from transferlens.training import source as sources
from transferlens.training.kept_maps import Probe
from transferlens.training.recipes import remedies


def transfer_shard(
    path: Path,
    source_path: Path,
    target: Index,
    train: Images,
    val: Images,
    architecture: ArchitectureSettings,
    recipe: RecipeSettings,
    keep_weights: bool,
    metric: str,
    probe: Probe | None = None,
    material: remedies.Material | None = None,
    *,
    config: dict,
    inputs: list,
) -> None:
    """Adapt every source model of a shard and write its per-example outputs on the target's val split.

    Args:
        keep_weights: also store the whole adapted network (when the recipe changes the backbone).
        metric: what accuracy is on this target, as in `outputs.accuracies`.
        probe: examples whose evidence maps are kept of every model; None for none.
        material: what the recipe's remedy is made of, if it has one.
    """
    with (
        fitting.named(train.device, recipe.training.batch_size, train.settings.resolution),
        store.open(source_path, sources.KIND) as source,
        store.create(
            path, outputs.KIND, config=config, inputs=inputs, device=devices.name(train.device)
        ) as out,
    ):
        rows = studies.read_row_table(source)
        reserve(out, rows, target, recipe.training.epochs, source)
        out.attribute("metric", metric)
        if material:
            out.strings(
                "remedy_classes", material.class_names, ["remedied"], "source class used by the remedy"
            )
        for i in job.progress(range(len(rows)), f"transfer {path.stem}", "models"):
            network = sources.load_network(source, i, architecture, train.device)
            seed = seed_for(int(rows.training_seeds[i]), "transfer")
            network.head = new_head(network.head.in_features, len(target.class_names), seed)
            network.to(train.device)
            out.file["log"][i] = adapt(network, train, recipe, seed, material)
            network.eval()
            _save_outputs(out, i, engine.evaluate(network, val), target, val.labels, metric)
            _save_network(out, i, network, len(rows), changes_backbone(recipe), keep_weights)
            if probe:
                probes.save(out, i, network, probe, len(rows))


def changes_backbone(recipe: RecipeSettings) -> bool:
    """Whether the adapted backbone differs from the source model's."""
    return recipe.kind == "full" or recipe.batchnorm == "train"


def adapt(
    network: Network,
    train: Images,
    recipe: RecipeSettings,
    seed: int,
    material: remedies.Material | None = None,
) -> np.ndarray:
    """Train a network with a fresh head on the target's training images, in place.

    * `full`: every parameter is trained; with a remedy, beside images made of its `material`.
    * `fixed`, batchnorm `eval`: the features of the evaluation crop are computed once, and the head is
      trained on them, standardised (then folded back): the features of source models differ in scale by
      orders of magnitude, and one learning rate must be fair to all, to random weights above all.
    * `fixed`, batchnorm `train`: the frozen backbone normalises with batch statistics, and its running
      ones drift towards the target.

    Returns:
        The training log of `engine.train`.
    """
    positions, training = np.arange(len(train)), recipe.training
    if recipe.kind == "full":
        network.train()
        parameters = network.parameters()
        if recipe.remedy is None:
            return engine.train(network, parameters, train, positions, training, seed)
        with remedies.applied(recipe.remedy, material, network, training, seed) as remedy:
            return engine.train(network, parameters, train, positions, training, seed, beside=remedy)
    if recipe.batchnorm == "train":
        network.train()
        frozen = _FrozenBackbone(network)
        return engine.train(frozen, network.head.parameters(), train, positions, training, seed)
    network.eval()
    # Cloned, as tensors made in inference mode cannot take part in training.
    features = engine.evaluate(network.backbone, train).clone()
    mean, std = features.mean(0), features.std(0)
    std = torch.where(std > 0, std, torch.ones_like(std))  # a constant feature stays constant
    batches = _FeatureBatches((features - mean) / std, train.labels, train.settings, train.device)
    training = replace(training, precision="float32", resize=None)
    head = network.head
    log = engine.train(head, head.parameters(), batches, positions, training, seed)
    with torch.no_grad():
        head.weight /= std
        head.bias -= head.weight @ mean
    return log


class _FrozenBackbone(nn.Module):
    """The network with gradients for its head only."""

    def __init__(self, network: Network):
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            features = self.network.backbone(images)
        return self.network.head(features)


@dataclass(frozen=True)
class _FeatureBatches:
    """Cached features [N, D] in place of images, for the training loop."""

    features: torch.Tensor
    labels: torch.Tensor
    settings: object
    device: torch.device

    def training_batches(
        self,
        positions: np.ndarray,
        training: TrainingSettings,
        batch_size: int,
        epoch: int,
        seed: int,
        resolution: int,
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for batch in shuffled_batches(positions, batch_size, epoch, seed):
            batch = batch.to(self.device)
            yield self.features[batch], self.labels[batch]


def new_head(features: int, classes: int, seed: int) -> nn.Linear:
    torch.manual_seed(seed_for(seed, "head"))
    return nn.Linear(features, classes)


def load_adapted(
    transfer_path: Path, source_path: Path, row: int, architecture: ArchitectureSettings
) -> tuple[Network, nn.Linear]:
    """The adapted network of one transfer run (with its target head), and the source head.

    Raises:
        ArtefactError: a damaged file.
        KeyError: the recipe changes the backbone and this study's weights were not kept.
    """
    with (
        store.open(source_path, sources.KIND) as source,
        store.open(transfer_path, outputs.KIND) as transfer,
    ):
        network = sources.load_network(source, row, architecture, torch.device("cpu"))
        source_head, classes = network.head, len(transfer["target_class_names"])
        network.head = nn.Linear(source_head.in_features, classes)
        states.load(transfer, "head", row, network.head)
        if transfer.attrs["backbone_changed"]:
            states.load(transfer, "weights", row, network)
    return network.eval(), source_head.eval()


def reserve(out: store.Writer, rows, target: Index, epochs: int, source: Mapping) -> None:
    """Write what is known before the first run, and reserve room for the outputs."""
    models, classes, examples = len(rows), len(target.class_names), target.val
    studies.write_row_table(out, rows)
    out.array("source_accuracy", source["accuracy"][:], ["models"], "accuracy of the source model")
    out.array("train_images", source["train_images"][:], ["models"], "source images an epoch")
    write_examples(out, target)
    sources.reserve_log(out, models, epochs)
    for name, (dtype, meaning) in outputs.OUTPUTS.items():
        out.empty(
            f"outputs/{name}",
            (models, len(examples)),
            dtype,
            ["models", "examples"],
            meaning,
            outputs.UNITS.get(name),
        )
    out.empty("accuracy", (models, 2), np.float64, ["models", "halves"], "accuracy (halves: select, report)")
    out.empty(
        "class_accuracy",
        (models, 2, classes),
        np.float64,
        ["models", "halves", "target classes"],
        "accuracy on examples of the class",
    )


def write_examples(out: store.Writer, target: Index) -> None:
    """The columns that identify target examples and classes."""
    out.strings("target_class_names", target.class_names, ["target classes"], "target class")
    out.strings("example_ids", target.val.ids, ["examples"], "the data set's own example id")
    out.array("example_labels", target.val.labels, ["examples"], "index into target_class_names")
    out.array("example_halves", target.val.halves, ["examples"], f"index into {HALVES}")


def _save_outputs(
    out: store.Writer, i: int, logits: torch.Tensor, target: Index, labels, metric: str
) -> None:
    values = outputs.per_example(logits, labels)
    for name, value in values.items():
        out.file[f"outputs/{name}"][i] = value
    overall, by_class = outputs.accuracies(
        values["correct"], target.val.labels, target.val.halves, len(target.class_names), metric
    )
    out.file["accuracy"][i] = overall
    out.file["class_accuracy"][i] = by_class


def _save_network(
    out: store.Writer, i: int, network: Network, models: int, changed: bool, keep: bool
) -> None:
    """Store the target head of every run, and the whole network if asked."""
    if i == 0:
        states.reserve(out, "head", network.head, models)
        out.attribute("backbone_changed", int(changed))
        if changed and keep:
            states.reserve(out, "weights", network, models)
    states.save(out, "head", i, network.head)
    if changed and keep:
        states.save(out, "weights", i, network)
