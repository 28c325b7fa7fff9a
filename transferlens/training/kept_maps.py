"""The probe set: target examples of which every model's evidence for the true class is kept as maps."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from transferlens.core import artefacts
from transferlens.core.errors import ArtefactError
from transferlens.core.seeding import rng_for
from transferlens.data.artefacts import HALVES, positions
from transferlens.data.index import Examples
from transferlens.data.pipeline import Images
from transferlens.maps import evidence
from transferlens.models.network import Network
from transferlens.training import fitting
from transferlens.training.artefacts import TRANSFER_RUNS

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


class ProbeMaps:
    """Keeps the maps and logits of a probe set; a collector of transfers.

    Args:
        settings: `examples`, how many, and the `seed` that draws them.
    """

    def __init__(self, val: Images, settings: Mapping[str, int]):
        self.probe = open_probe(val, **settings)
        self.ids = [val.examples.ids[position] for position in self.probe.examples]

    def save(self, out: artefacts.Writer, row: int, network: Network, models: int) -> None:
        """Write a network's maps and logits as a row of `probe_map` and `probe_logit`."""
        maps, logits = true_evidence(network, self.probe)
        if row == 0:
            out.write("probe_example", self.ids)
            out.reserve("probe_map", (models, *maps.shape), chunks=(1, *maps.shape))
            out.reserve("probe_logit", (models, len(maps)))
        out.file["probe_map"][row] = maps
        out.file["probe_logit"][row] = logits


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
        maps = evidence.class_evidence(network, cells, labels)
        shape[:] = maps.shape[1:]
        return torch.cat([maps.flatten(1), network.head(features).gather(1, labels[:, None])], dim=1)

    numbers = torch.arange(len(probe.labels), device=probe.labels.device)
    values = fitting.in_parts(both, numbers, _BATCH)[0].float().cpu().numpy()
    return values[:, :-1].reshape(-1, *shape), values[:, -1]


def read_examples(shards: list[Path]) -> np.ndarray:
    """The probe set's positions in the val split int64[n], the same in every transfer shard.

    Raises:
        ArtefactError: a shard without a probe set, or with another one.
    """
    examples = []
    for path in shards:
        with artefacts.open(path, TRANSFER_RUNS) as shard:
            if "probe_example" not in shard:
                raise ArtefactError(
                    f"{path}: keeps no maps of a probe set; delete it and run snakemake again"
                )
            ids = artefacts.names(shard["example"])
            examples.append(positions(artefacts.names(shard["probe_example"]), ids))
        if not np.array_equal(examples[0], examples[-1]):
            raise ArtefactError(f"{path}: another probe set than in the first shard; delete it")
    return examples[0]


def read(shards: list[Path], name: str, columns: slice = slice(None)) -> np.ndarray:
    """An array of all models of a study's transfer shards, without those columns (axis 1) not asked for."""
    parts = []
    for path in shards:
        with artefacts.open(path, TRANSFER_RUNS) as shard:
            parts.append(shard[name][:, columns])
    return np.concatenate(parts)
