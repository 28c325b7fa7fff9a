"""Heads as the published programs fit them: large gradients of the loss are penalised, none is excluded."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy, one_hot

from transferlens.relatedness.heads import Head
from transferlens.relatedness.tasks import Sample


@dataclass(frozen=True)
class HeadRecipe:
    """Constants of a published head.

    Attributes:
        large: whether of the large-scale program: SGD on batches drawn with replacement, a penalty for each
            of two losses; else Adam on batches in the images' order, a penalty for both losses together.
        rounds: epochs at small scale, steps at large scale.
        batch: images.
        rate: of learning.
        penalty: weight of the penalty.
    """

    large: bool
    rounds: int
    batch: int
    rate: float
    penalty: float


def fit_penalised(sample: Sample, tau: float, recipe: HeadRecipe, seed: int) -> Head:
    """A head whose gradients are drawn below `tau`, of a sample's training images."""
    generator = torch.Generator().manual_seed(seed)
    features, labels = torch.from_numpy(sample.features), torch.from_numpy(sample.labels)
    weight = torch.empty((sample.classes, features.shape[1]), dtype=torch.float64)
    torch.nn.init.xavier_uniform_(weight, generator=generator)
    parameters = [
        weight.requires_grad_(),
        torch.zeros(sample.classes, dtype=torch.float64, requires_grad=True),
    ]
    optimiser = _optimiser(parameters, recipe)
    for rows in _batches(len(labels), recipe, generator):
        drawn = torch.randint(sample.classes, (len(rows),), generator=generator)
        loss = penalised_loss(*parameters, features[rows], (labels[rows], drawn), tau, recipe)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return Head(*(p.detach().numpy() for p in parameters))


def penalised_loss(
    weight: torch.Tensor,
    bias: torch.Tensor,
    features: torch.Tensor,
    labels: tuple[torch.Tensor, torch.Tensor],
    tau: float,
    recipe: HeadRecipe,
) -> torch.Tensor:
    """Cross-entropy, and the mean square of what gradients in the features exceed `tau` by.

    Args:
        features: float64[images, d].
        labels: true and random ones, int64[images].
    """
    logits = features @ weight.T + bias
    p = logits.softmax(1)
    # The gradient of -log p_y in the features is W^T (p - e_y).
    rests = [p - one_hot(of, len(bias)) for of in labels]
    penalised = rests if recipe.large else [sum(rests)]
    excess = sum(((rest @ weight).norm(dim=1) - tau).relu().square().mean() for rest in penalised)
    return cross_entropy(logits, labels[0]) + recipe.penalty * excess


def _optimiser(parameters: list[torch.Tensor], recipe: HeadRecipe) -> torch.optim.Optimizer:
    if recipe.large:
        return torch.optim.SGD(parameters, recipe.rate, momentum=0.9, weight_decay=5e-4)
    return torch.optim.Adam(parameters, recipe.rate, betas=(0.5, 0.999), eps=1e-7)


def _batches(images: int, recipe: HeadRecipe, generator: torch.Generator):
    """Rows of each batch; at small scale always in the same order, without what is left at the end."""
    batch = min(recipe.batch, images)
    for _ in range(recipe.rounds):
        if recipe.large:
            yield torch.randint(images, (batch,), generator=generator)
        else:
            yield from np.arange(images // batch * batch).reshape(-1, batch)
