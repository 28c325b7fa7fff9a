"""Running statistics for weights that no training made: a mean of networks has activations of its own."""

import torch

from transferlens.core.seeding import seed_for
from transferlens.core.settings import TrainingSettings
from transferlens.data.pipeline import Pass
from transferlens.models.layers import batch_norms
from transferlens.models.network import Network
from transferlens.training.recipes.base import Data


@torch.no_grad()
def reestimate(network: Network, data: Data, training: TrainingSettings, seed: int) -> None:
    """Give every batch norm the mean statistics of the batches of one pass over the images, not augmented.

    Nothing else of the network changes, counters of batches included, and nothing is drawn from torch's
    generator: all other modules are in evaluation mode.
    """
    norms = [norm for norm in batch_norms(network) if norm.running_mean is not None]
    if not norms or not len(data.positions):
        return
    kept = [(norm.momentum, norm.num_batches_tracked.clone()) for norm in norms]
    network.eval()
    for norm in norms:
        norm.train().reset_running_stats()
        norm.momentum = None  # the mean of all batches
    for images, _ in data.images.training_batches(plain_pass(data, training, seed)):
        network(images)
    for norm, (momentum, batches) in zip(norms, kept, strict=True):
        norm.momentum = momentum
        norm.num_batches_tracked.copy_(batches)
    network.eval()


def plain_pass(data: Data, training: TrainingSettings, seed: int) -> Pass:
    """A shuffled pass over the evaluation crops of a run's images.

    As a view of its own: the pass that the run is in goes on where it is read by a loader.
    """
    plain = training.model_copy(update={"crop": "none", "flip": False, "resize": None})
    size = min(training.batch_size, len(data.positions))
    return Pass(
        data.positions, plain, size, 0, seed_for(seed, "running statistics"),
        data.images.settings.resolution, view=1,
    )  # fmt: skip
