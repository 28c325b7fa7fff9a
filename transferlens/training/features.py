"""Features: what the models of a shard make of images before their heads, kept for all who read them."""

from collections.abc import Iterable
from pathlib import Path

from transferlens.core import artefacts, job, studies
from transferlens.core.artefacts import Artefact
from transferlens.core.settings import NetworkSettings
from transferlens.data.artefacts import write_example_columns
from transferlens.data.pipeline import Images
from transferlens.models.network import Network
from transferlens.training import engine, networks
from transferlens.training.artefacts import ADAPTED_FEATURES, FEATURES, SOURCE_MODELS, TRANSFER_RUNS


def write_features(
    path: Path, source_path: Path, images: Images, class_names: list[str], architecture: NetworkSettings
) -> None:
    """Features of the source models of a shard.

    Args:
        class_names: what the labels of the images stand for.
    """
    models = networks.source_networks([source_path], architecture, images.device)
    _write(path, FEATURES, (source_path, SOURCE_MODELS, "source_class"), models, images, class_names)


def write_adapted_features(
    path: Path,
    source_path: Path,
    transfer_path: Path,
    images: Images,
    class_names: list[str],
    architecture: NetworkSettings,
) -> None:
    """Features of the source models of a shard, each adapted to a target; of any data set's images."""
    runs = networks.adapted_networks([source_path], [transfer_path], architecture, images.device)
    models = (run.network for run in runs)
    _write(
        path, ADAPTED_FEATURES, (transfer_path, TRANSFER_RUNS, "target_class"), models, images, class_names
    )


def _write(
    path: Path,
    artefact: Artefact,
    trained: tuple[Path, Artefact, str],
    models: Iterable[Network],
    images: Images,
    class_names: list[str],
) -> None:
    """One model after the other; memory holds the features of one.

    Args:
        trained: the file of the models, its kind, and where it names the classes of their heads.
    """
    shard, kind, classes = trained
    with artefacts.open(shard, kind) as file:
        rows, head_classes = studies.read_rows(file), artefacts.names(file[classes])
    examples = images.examples
    with artefacts.create(path, artefact) as out:
        studies.write_rows(out, rows)
        write_example_columns(out, examples.ids, examples.labels, examples.halves, class_names)
        out.write(classes, head_classes)
        for i, network in enumerate(job.progress(models, f"features {path.stem}", "models", len(rows))):
            if i == 0:
                _reserve(out, len(rows), len(images), network)
            out.file["features"][i] = engine.evaluate(network.backbone, images).cpu().numpy()
            out.file["head_weight"][i] = network.head.weight.detach().cpu().numpy()
            out.file["head_bias"][i] = network.head.bias.detach().cpu().numpy()


def _reserve(out: artefacts.Writer, models: int, examples: int, network: Network) -> None:
    classes, features = network.head.weight.shape
    out.reserve("features", (models, examples, features))
    out.reserve("head_weight", (models, classes, features))
    out.reserve("head_bias", (models, classes))
