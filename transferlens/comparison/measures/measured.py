"""What is measured of adapted models on the target's and the source's report halves.

* Of every target image: whether it is classified correctly and how probable the answer given was, as the
  transfer recorded it, and whether its corrupted versions are classified correctly.
* Retention: whether the source's own head is right on the features of the adapted backbone, and whether it
  was on those of the source. A head that is wrong may be out of place where the features still tell classes
  apart, which is what fresh probes say (`probes`).
* How far every weight of the backbone has moved, |w - w0| and |w0| (running statistics are not weights).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import h5py
import numpy as np
import torch

from transferlens.comparison.measures import corruptions
from transferlens.comparison.measures.artefacts import MEASURES
from transferlens.core import artefacts, job, studies
from transferlens.core.studies import Rows
from transferlens.data.pipeline import Images
from transferlens.models.network import Network
from transferlens.training import engine, fitting
from transferlens.training.artefacts import TRANSFER_RUNS
from transferlens.training.networks import Adapted

_BATCH = 256


@dataclass(frozen=True)
class Reported:
    """The images of a report half.

    Attributes:
        images: of the whole split.
        classes: what their labels stand for.
    """

    images: Images
    classes: Sequence[str]

    @property
    def positions(self) -> np.ndarray:
        """Of the half's images in the split, int64[n], ascending."""
        return self.images.examples.of_half("report")

    @property
    def labels(self) -> np.ndarray:
        """int64[n]."""
        return self.images.examples.labels[self.positions]

    @property
    def ids(self) -> list[str]:
        """Their names."""
        return [self.images.examples.ids[i] for i in self.positions]

    def write(self, out: artefacts.Writer, name: str) -> None:
        """As the examples `name`, with their classes."""
        out.write(name, self.ids)
        out.write(f"{name}_class", [self.classes[label] for label in self.labels])

    def correct(self, network: Network) -> np.ndarray:
        """Whether a network classifies them correctly, bool[n]."""
        logits = engine.evaluate_some(network, self.images, self.positions)
        return logits.argmax(1).cpu().numpy() == self.labels


def write_measures(
    path: Path,
    models: Iterable[Adapted],
    transfers: Sequence[Path],
    rows: Sequence[int],
    target: Reported,
    source: Reported | None,
    corrupted: Mapping[str, Sequence],
) -> None:
    """Measure the transfers of a study's rows. Memory holds all of their networks where images are corrupted.

    Args:
        models: of these rows, in order.
        transfers: the files of transfer runs that hold them.
        source: None for models that know nothing of it: what is retained is then empty.
        corrupted: `names` of corruptions, and `severities`.
    """
    networks = []
    with artefacts.create(path, MEASURES) as out:
        out.write("model", rows)
        target.write(out, "example")
        for name, values in recorded(transfers, rows, target.positions).items():
            out.write(name, values)
        reserve_retention(out, len(rows), source)
        for i, model in enumerate(job.progress(models, f"measure {path.stem}", "models", len(rows))):
            _write_moved(out, i, len(rows), model)
            if source:
                out.file["source_correct"][i] = source.correct(model.source)
                out.file["retained"][i] = source.correct(model.network.with_head(model.source.head))
            networks += [model.network] * bool(corrupted["names"])
        out.write("corruption", corrupted["names"])
        out.write("severity", corrupted["severities"])
        out.write("corrupted_correct", corrupted_correct(networks, len(rows), target, corrupted))


def recorded(paths: Sequence[Path], rows: Sequence[int], positions: np.ndarray) -> dict[str, np.ndarray]:
    """What transfers recorded of rows on evaluation images at positions: each [rows, positions].

    The probability of the answer given is the true class's where it is right, and the best other one's where
    it is not.
    """
    parts, answers = [_rows(path) for path in paths], []
    for shard, i in studies.places(parts, paths, rows):
        with artefacts.open(paths[shard], TRANSFER_RUNS) as file:
            answers.append(_answers(file, i, positions))
    return {name: np.stack([one[name] for one in answers]) for name in answers[0]}


def _answers(file: h5py.File, row: int, positions: np.ndarray) -> dict[str, np.ndarray]:
    correct, p_true, lead = (file[name][row][positions] for name in ("correct", "p_true", "softmax_margin"))
    return {"correct": correct, "p_true": p_true, "confidence": np.where(correct, p_true, p_true - lead)}


def _rows(path: Path) -> Rows:
    with artefacts.open(path, TRANSFER_RUNS) as file:
        return studies.read_rows(file)


def reserve_retention(out: artefacts.Writer, models: int, source: Reported | None) -> None:
    """Room for what is retained of the source's images; of none, where there is no source."""
    if source:
        source.write(out, "source_example")
    else:
        out.write("source_example", [])
        out.write("source_example_class", [])
    for name in ("source_correct", "retained"):
        out.reserve(name, (models, len(source.positions) if source else 0))


def distances(model: Adapted) -> dict[str, tuple[float, float]]:
    """(|w - w0|, |w0|) of every tensor of weights that the source's and the adapted backbone both have."""
    before, after = (dict(one.backbone.named_parameters()) for one in (model.source, model.network))
    return {
        name: (float((after[name] - weight).double().norm()), float(weight.double().norm()))
        for name, weight in before.items()
        if name in after and after[name].shape == weight.shape
    }


@torch.no_grad()
def _write_moved(out: artefacts.Writer, i: int, models: int, model: Adapted) -> None:
    moved = distances(model)
    if i == 0:
        out.write("layer", list(moved))
        for name in ("moved", "moved_of"):
            out.reserve(name, (models, len(moved)))
    out.file["moved"][i], out.file["moved_of"][i] = np.array(list(moved.values())).T


@torch.inference_mode()
def corrupted_correct(
    networks: Sequence[Network], models: int, target: Reported, corrupted: Mapping[str, Sequence]
) -> np.ndarray:
    """Whether corrupted images are classified correctly: bool[models, corruptions, severities, images].

    An image is corrupted once for all networks, of which there are none where there are no corruptions.
    """
    names, severities = corrupted["names"], corrupted["severities"]
    right = np.zeros((models, len(names), len(severities), len(target.positions)), bool)
    if not names:
        return right
    ids, labels, done, size = target.ids, target.labels, 0, _BATCH
    for pixels in pixels_of(target.images, target.positions):
        here = slice(done, done + len(pixels))
        for (c, name), (s, severity) in product(enumerate(names), enumerate(severities)):
            batch = as_input(corruptions.corrupt(name, severity, pixels, ids[here]), target.images)
            for m, network in enumerate(networks):
                logits, size = fitting.in_parts(network, batch, size)
                right[m, c, s, here] = logits.argmax(1).cpu().numpy() == labels[here]
        done += len(pixels)
    return right


def pixels_of(images: Images, positions: np.ndarray) -> Iterator[np.ndarray]:
    """Evaluation images at positions int64[n], ascending, some at a time: uint8[some, side, side, 3]."""
    (mean, std), start = images.channels, 0
    for batch in images.evaluation_batches(_BATCH):
        first, last = np.searchsorted(positions, [start, start + len(batch)])
        if first < last:
            values = (batch[torch.from_numpy(positions[first:last] - start)] * std + mean) * 255
            yield values.round().byte().permute(0, 2, 3, 1).cpu().numpy()
        start += len(batch)


def as_input(pixels: np.ndarray, images: Images) -> torch.Tensor:
    """Pixels float32[n, side, side, 3] in [0, 1] as networks take them: [n, 3, side, side] on the device."""
    mean, std = images.channels
    batch = torch.from_numpy(pixels).to(images.device).permute(0, 3, 1, 2)
    return ((batch - mean) / std).contiguous(memory_format=torch.channels_last)
