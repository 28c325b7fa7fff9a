"""What the layers of networks make of a probe, network after network; nothing known is made again."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import torch

from transferlens.core import artefacts, fingerprint, job, provenance, studies
from transferlens.core.errors import ArtefactError
from transferlens.core.settings import NetworkSettings
from transferlens.core.studies import Rows
from transferlens.dynamics.activity.artefacts import ACTIVITY
from transferlens.dynamics.activity.probes import Probe
from transferlens.dynamics.similarity import grams
from transferlens.models import grids, layers
from transferlens.models.network import Network
from transferlens.training import networks
from transferlens.training.artefacts import TRAJECTORIES
from transferlens.training.recipes import kinds


class Layer(NamedTuple):
    """What a layer of one network makes of a probe.

    Attributes:
        gram: float32[batches, pairs], the packed U-centred Gram matrices of its maps.
        pooled: float32[images, channels], means of its maps over cells.
    """

    gram: np.ndarray
    pooled: np.ndarray


@dataclass(frozen=True)
class Seen:
    """What a network makes of a probe.

    Attributes:
        by_layer: what each layer does.
        accuracy: share of the images whose class it tells.
        state: SHA-256 of its state.
    """

    by_layer: Mapping[str, Layer]
    accuracy: float
    state: str


@dataclass(frozen=True)
class Asked:
    """What is asked of a shard.

    Attributes:
        layers: paths in the network.
        probe: the images.
        class_names: what their labels stand for.
        is_target: whether networks are adapted to tell the classes of these images.
    """

    layers: Sequence[str]
    probe: Probe
    class_names: Sequence[str]
    is_target: bool


def write_activity(
    path: Path, source_path: Path, trajectory_path: Path, architecture: NetworkSettings, asked: Asked
) -> None:
    """Look at every kept network of the models of a shard.

    What an earlier file at `path` holds of the same networks, images and code is taken from there: a new
    layer or step costs its own pass alone.
    """
    with artefacts.open(trajectory_path, TRAJECTORIES) as file:
        rows, steps = studies.read_rows(file), networks.kept_steps(file)
        code = _code(json.loads(file.attrs["recipe"])["kind"])
    device = asked.probe.images.device
    with ExitStack() as stack:
        known = Known.of(path, code, asked.probe.digest, stack)
        out = stack.enter_context(artefacts.create(path, ACTIVITY))
        _write_identity(out, rows, steps, code, asked)
        states: list[list[str]] = []
        for model in job.progress(range(len(rows)), f"activity {path.stem}", "models"):
            states.append([])
            kept = networks.kept_networks(source_path, trajectory_path, architecture, device, model)
            for step, moment in enumerate(kept):
                seen = look_again(moment.network, asked.layers, asked.probe, known)
                if model == step == 0:
                    _reserve(out, len(rows), len(steps), seen, asked)
                _save(out, model, step, seen)
                states[model].append(seen.state)
        out.write("state", states)


def _code(kind: str) -> str:
    """Fingerprint of what makes an activity, and of what it runs on."""
    made_by = [fingerprint.fingerprint("probe_activity.py", *kinds.KINDS[kind].code)]
    return json.dumps([*made_by, provenance.software(), provenance.current.device], sort_keys=True)


class Known:
    """What an earlier file holds; of nothing, if there is none that counts."""

    def __init__(self, file: h5py.File | None = None):
        self._file = file
        if file is None:
            return
        self._layers = artefacts.names(file["layer"])
        self._channels = file["channel_layer"][:]
        states = artefacts.names(file["state"])
        self._places = {
            state: (model, step) for model, own in enumerate(states) for step, state in enumerate(own)
        }

    @classmethod
    def of(cls, path: Path, code: str, images: str, stack: ExitStack) -> "Known":
        """That of a file, if it was made by the same code of the same images, and is whole."""
        if not path.exists():
            return cls()
        try:
            file = stack.enter_context(artefacts.open(path, ACTIVITY))
            same = (file.attrs["code"], file.attrs["images"]) == (code, images)
            return cls(file) if same else cls()
        except ArtefactError:  # it is made anew
            return cls()

    def of_network(self, state: str, names: Sequence[str]) -> dict[str, Layer]:
        """Those of some layers of a network with this state that are known."""
        if self._file is None or state not in self._places:
            return {}
        model, step = self._places[state]
        return {name: self._layer(model, step, name) for name in names if name in self._layers}

    def accuracy(self, state: str) -> float:
        """Of a network of which something is known."""
        return float(self._file["accuracy"][self._places[state]]) if "accuracy" in self._file else np.nan

    def _layer(self, model: int, step: int, name: str) -> Layer:
        layer = self._layers.index(name)
        (channels,) = np.nonzero(self._channels == layer)
        gram = self._file["gram"][model, layer, step]
        return Layer(gram, self._file["pooled"][model, step, :, channels[0] : channels[-1] + 1])


def look_again(network: Network, names: Sequence[str], probe: Probe, known: Known) -> Seen:
    """What layers of a network make of a probe, of which some may be known."""
    state = digest_of(network)
    have = known.of_network(state, names)
    lacking = [name for name in names if name not in have]
    if not lacking:
        return Seen(have, known.accuracy(state), state)
    seen, accuracy = look(network, lacking, probe)
    return Seen({name: (have | seen)[name] for name in names}, accuracy, state)


@torch.inference_mode()
def look(network: Network, names: Sequence[str], probe: Probe) -> tuple[dict[str, Layer], float]:
    """What layers of a network in evaluation mode make of a probe; and the share of images that it tells.

    In float32; the maps of one batch are in memory at a time.
    """
    rows, pooled, correct = [], [], 0
    labels = torch.from_numpy(probe.labels).split(probe.batch)
    with layers.watch(network, names) as latest, grams.full_precision(probe.images.device):
        for images, truth in zip(probe.inputs(), labels, strict=True):
            logits = network(images)
            rows.append(grams.batch_rows({name: latest[name] for name in names}).cpu().numpy())
            pooled.append([pool(latest[name]).cpu().numpy() for name in names])
            correct += int((logits.argmax(1).cpu() == truth).sum())
    gram = np.stack(rows, axis=1)
    channels = [np.concatenate(parts) for parts in zip(*pooled, strict=True)]
    seen = {name: Layer(gram[i], channels[i]) for i, name in enumerate(names)}
    return seen, correct / len(probe)


def pool(output: torch.Tensor) -> torch.Tensor:
    """Means of the output of a layer over its cells, or over its tokens: [n, channels]."""
    if output.ndim == 2:
        return output
    return output.mean(1) if output.ndim == 3 else grids.to_maps(output).mean((2, 3))


def digest_of(network: Network) -> str:
    """SHA-256 of a network's state."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def _write_identity(out: artefacts.Writer, rows: Rows, steps: Sequence[int], code: str, asked: Asked) -> None:
    """What is known before the first network."""
    studies.write_rows(out, rows)
    out.attribute("code", code)
    out.attribute("images", asked.probe.digest)
    out.write("step", steps)
    out.write("layer", asked.layers)
    out.write("example", asked.probe.ids)
    out.write("example_class", [asked.class_names[label] for label in asked.probe.labels])
    pixels = (grams.batch_rows({"input": images}) for images in asked.probe.inputs())
    out.write("input_gram", np.concatenate([row.cpu().numpy() for row in pixels]))


def _reserve(out: artefacts.Writer, models: int, steps: int, seen: Seen, asked: Asked) -> None:
    """Room for all networks, made with the first."""
    channels = [seen.by_layer[name].pooled.shape[1] for name in asked.layers]
    out.write("channel_layer", np.repeat(np.arange(len(channels)), channels))
    batches, pairs = seen.by_layer[asked.layers[0]].gram.shape
    out.reserve("gram", (models, len(channels), steps, batches, pairs), chunks=(1, 1, 1, batches, pairs))
    images = len(asked.probe)
    out.reserve("pooled", (models, steps, images, sum(channels)), chunks=(1, 1, images, sum(channels)))
    if asked.is_target:
        out.reserve("accuracy", (models, steps))


def _save(out: artefacts.Writer, model: int, step: int, seen: Seen) -> None:
    """Write what a network makes of the probe."""
    out.file["gram"][model, :, step] = np.stack([layer.gram for layer in seen.by_layer.values()])
    pooled = [layer.pooled for layer in seen.by_layer.values()]
    out.file["pooled"][model, step] = np.concatenate(pooled, axis=1)
    if "accuracy" in out.file:
        out.file["accuracy"][model, step] = seen.accuracy


def layer_channels(file: h5py.File) -> Iterator[tuple[str, slice]]:
    """The layers of an open ACTIVITY, and where their channels are in `pooled`."""
    of = file["channel_layer"][:]
    for i, name in enumerate(artefacts.names(file["layer"])):
        (own,) = np.nonzero(of == i)
        yield name, slice(own[0], own[-1] + 1)
