"""Source training: the block of models of one shard."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from transferlens import job, store, studies
from transferlens.config import ArchitectureSettings, TrainingSettings
from transferlens.data.pipeline import Images
from transferlens.models import architectures, states
from transferlens.models.architectures import Network
from transferlens.seeding import seed_for
from transferlens.studies import Rows
from transferlens.training import device as devices
from transferlens.training import engine

KIND = "source models"


def train_shard(
    path: Path,
    rows: Rows,
    train: Images,
    val: Images,
    architecture: ArchitectureSettings,
    training: TrainingSettings,
    *,
    config: dict,
    inputs: list,
) -> None:
    """Train every row of a shard and write weights, accuracy and training log.

    Labels are not remapped: the head has all source classes, and those outside the mask are never
    positive. Accuracy is over the val images of the classes in the mask.
    """
    classes = len(rows.class_names)
    with _reserve(path, rows, architecture, training.epochs, config, inputs, train.device) as out:
        for i in job.progress(range(len(rows)), f"train {path.stem}", "models"):
            network = initial_network(architecture, classes, int(rows.training_seeds[i]))
            network.to(train.device, memory_format=torch.channels_last)
            positions = np.flatnonzero(rows.masks[i][train.examples.labels])
            if len(positions):
                network.train()
                seed = seed_for(int(rows.training_seeds[i]), "data")
                out.file["log"][i] = engine.train(
                    network, network.parameters(), train, positions, training, seed
                )
            out.file["train_images"][i] = len(positions)
            _save(out, i, network, rows.masks[i], val)


def load_pretrained(
    path: Path,
    rows: Rows,
    weights: str,
    val: Images,
    architecture: ArchitectureSettings,
    *,
    config: dict,
    inputs: list,
) -> None:
    """As `train_shard` for the pretrained study: one row whose weights come from elsewhere."""
    with _reserve(path, rows, architecture, 0, config, inputs, val.device) as out:
        network = initial_network(architecture, len(rows.class_names), 0)
        states.load_foreign(network, states.foreign(architecture, weights), weights)
        network.to(val.device, memory_format=torch.channels_last)
        _save(out, 0, network, rows.masks[0], val)


def initial_network(architecture: ArchitectureSettings, classes: int, seed: int) -> Network:
    """The randomly initialised network of a training seed."""
    torch.manual_seed(seed_for(seed, "weights"))
    return architectures.build(architecture, classes)


@contextmanager
def _reserve(path, rows: Rows, architecture, epochs: int, config, inputs, device):
    """Create the artefact with room for every row; yields its writer."""
    models, classes = rows.masks.shape
    with store.create(path, KIND, config=config, inputs=inputs, device=devices.name(device)) as out:
        studies.write_row_table(out, rows)
        states.reserve(out, "weights", initial_network(architecture, classes, 0), models)
        reserve_log(out, models, epochs)
        out.empty("train_images", (models,), np.int64, ["models"], "training images an epoch")
        out.empty(
            "accuracy",
            (models,),
            np.float64,
            ["models"],
            "val accuracy over the classes in the mask; NaN when it is empty",
        )
        out.empty(
            "class_accuracy",
            (models, classes),
            np.float64,
            ["models", "classes"],
            "val accuracy on images of the class",
        )
        yield out


def reserve_log(out: store.Writer, models: int, epochs: int) -> None:
    """Room for the training logs that `engine.train` returns."""
    out.empty(
        "log",
        (models, epochs, 3),
        np.float64,
        ["models", "epochs", "mean loss, accuracy, last learning rate"],
        "training log",
    )


def _save(out: store.Writer, i: int, network: Network, mask: np.ndarray, val: Images) -> None:
    """Write row i: weights, and accuracy on the val images."""
    network.eval()
    states.save(out, "weights", i, network)
    correct = (engine.evaluate(network, val).argmax(1) == val.labels).cpu().numpy()
    labels = val.examples.labels
    out.file["class_accuracy"][i] = [correct[labels == c].mean() for c in range(len(mask))]
    seen = mask[labels]
    out.file["accuracy"][i] = correct[seen].mean() if seen.any() else np.nan
