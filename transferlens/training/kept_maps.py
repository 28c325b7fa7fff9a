"""The probe set: target examples of which every model's evidence for the true class is kept as maps."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from transferlens.core import store
from transferlens.core.errors import ArtefactError
from transferlens.core.seeding import rng_for
from transferlens.data.index import HALVES, Examples
from transferlens.data.pipeline import Images
from transferlens.maps import evidence
from transferlens.models.architectures import Network
from transferlens.training import fitting, outputs

_BATCH = 256


@dataclass(frozen=True)
class Probe:
    """The probe set, on the device.

    Attributes:
        examples: int64[n], positions in the val split, class by class.
        images: float32[n, 3, side, side].
        labels: int64[n].
    """

    examples: np.ndarray
    images: torch.Tensor
    labels: torch.Tensor


def choose(val: Examples, count: int, seed: int) -> np.ndarray:
    """Positions int64[n] of `count` examples of the report half (all, if it has fewer), class by class.

    Drawn at random, from every class alike: before any model is known, and from the half that nothing is
    chosen on.
    """
    rng, ranks = rng_for(seed, "probe"), np.full(len(val), np.inf)
    report = val.halves == HALVES.index("report")
    for c in np.unique(val.labels):
        members = rng.permutation(np.flatnonzero(report & (val.labels == c)))
        ranks[members] = np.arange(len(members)) + rng.random()  # classes take turns in a random order
    chosen = np.argsort(ranks, kind="stable")[: min(count, int(report.sum()))]
    return chosen[np.lexsort((chosen, val.labels[chosen]))]


def open_probe(val: Images, examples: int, seed: int) -> Probe:
    """The images of the probe set that `choose` draws."""
    chosen = choose(val.examples, examples, seed)
    images, _ = val.pick(chosen)
    return Probe(chosen, images, val.labels[torch.from_numpy(chosen).to(val.device)])


def save(out: store.Writer, i: int, network: Network, probe: Probe, models: int) -> None:
    """Write a network's maps and logits of the probe set as row `i` of `probe/maps` and `probe/logit`."""
    maps, logits = true_evidence(network, probe)
    if i == 0:
        _reserve(out, probe, models, maps.shape)
    out.file["probe/maps"][i] = maps
    out.file["probe/logit"][i] = logits


@torch.inference_mode()
def true_evidence(network: Network, probe: Probe) -> tuple[np.ndarray, np.ndarray]:
    """Signed evidence for the true classes float32[n, h, w], and their logits float32[n].

    Raises:
        ConfigError: the network's class maps do not add up to its logits.
    """

    evidence.require_pooling(network)
    shape = []

    def both(part: torch.Tensor) -> torch.Tensor:
        labels = probe.labels[part]
        cells, features = evidence.with_activations(network, probe.images[part])
        maps = evidence.class_evidence(cells, network.head, labels)
        shape[:] = maps.shape[1:]
        return torch.cat([maps.flatten(1), network.head(features).gather(1, labels[:, None])], dim=1)

    numbers = torch.arange(len(probe.labels), device=probe.labels.device)
    found = fitting.in_parts(both, numbers, _BATCH)[0].float().cpu().numpy()
    return found[:, :-1].reshape(-1, *shape), found[:, -1]


def _reserve(out: store.Writer, probe: Probe, models: int, shape: tuple[int, ...]) -> None:
    out.array("probe/examples", probe.examples, ["probe examples"], "position in the val split")
    out.empty(
        "probe/maps",
        (models, *shape),
        np.float32,
        ["models", "probe examples", "map height", "map width"],
        "signed evidence for the true class; its mean over cells plus the head's bias is the logit",
        "logit units per cell",
        chunks=(1, *shape),
        compress=False,  # the digits of a measurement are noise, which does not compress
    )
    out.empty(
        "probe/logit",
        (models, shape[0]),
        np.float32,
        ["models", "probe examples"],
        "logit of the true class",
        "logit units",
    )


def read_examples(shards: list[Path]) -> np.ndarray:
    """The probe set's positions in the val split int64[n], the same in every transfer shard.

    Raises:
        ArtefactError: a shard without a probe set, or with another one.
    """
    found = []
    for path in shards:
        with store.open(path, outputs.KIND) as shard:
            if "probe" not in shard:
                raise ArtefactError(
                    f"{path}: keeps no maps of a probe set; delete it and run snakemake again"
                )
            found.append(shard["probe/examples"][:])
        if not np.array_equal(found[0], found[-1]):
            raise ArtefactError(f"{path}: another probe set than in the first shard; delete it")
    return found[0]


def read(shards: list[Path], name: str, columns: slice = slice(None)) -> np.ndarray:
    """An array of all models of a study's transfer shards, without those columns (axis 1) not asked for."""
    parts = []
    for path in shards:
        with store.open(path, outputs.KIND) as shard:
            parts.append(shard[name][:, columns])
    return np.concatenate(parts)
