"""The contrast of patches: each image's with those of its class, and with those of classes it is taken for.

For the nine unit vectors of an image (a row a patch) and nine of another, a transport plan chooses pairs of
patches (`pairs`); their similarities are positives (one pair of each set of the image's class, its own first)
or negatives (ten pairs of each set of a confusing class) of `contrastive.positive_kl`. The choice has no
gradient.

Source: Yang et al., ICCV 2023.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from transferlens.training.recipes.concept.pairs import select_pairs, sinkhorn_plan
from transferlens.training.recipes.contrastive import Keys, positive_kl

POSITIVE, NEGATIVE = 3, 10  # best pairs of a plan: one of the first is drawn, the others are all taken

# The places int64[..., m] in the flat table of pairs, of similarities [..., 9, 9], of the k best pairs, or of
# one of them if asked (m = 1, else k).
Choose = Callable[[torch.Tensor, int, bool], torch.Tensor]


@dataclass(frozen=True)
class Transport:
    """Pairs by transport plans; see `pairs`.

    Attributes:
        generator: of the draw of one pair; torch's own by default.
    """

    iterations: int
    tolerance: float
    generator: torch.Generator | None = None

    def __call__(self, similarities: torch.Tensor, k: int, one: bool) -> torch.Tensor:
        """As `Choose`."""
        cost = 1 - similarities.detach().flatten(0, -3)
        plan = sinkhorn_plan(cost, iterations=self.iterations, tolerance=self.tolerance)
        return select_pairs(plan, k, self.generator, one).view(*similarities.shape[:-2], -1)


def concept_contrast(
    query: torch.Tensor,
    own: torch.Tensor,
    queue: Keys,
    labels: torch.Tensor,
    confusing: torch.Tensor,
    temperature: float,
    choose: Choose,
) -> torch.Tensor:
    """The mean loss of images, in nats.

    Args:
        query: [N, 9, dim], unit vectors of their patches.
        own: [N, 9, dim], the keys of their other view.
        queue: of vectors [classes, length, 9, dim].
        labels: int64[N].
        confusing: int64[N, n], classes to be told from.
    """
    image = torch.arange(len(query), device=query.device)
    with_queue = _similarities(query, queue.vectors)
    with_own = (query @ own.transpose(1, 2))[:, None]
    same = _chosen(torch.cat([with_own, with_queue[image, labels]], 1), POSITIVE, True, choose)
    others = _chosen(with_queue[image[:, None], confusing], NEGATIVE, False, choose)
    chosen = torch.cat([same, others], 1)
    positives = torch.arange(chosen.shape[1], device=chosen.device) < same.shape[1]
    present = None if queue.present is None else _present(queue.present, labels, confusing)
    return positive_kl(chosen, positives, temperature, present)


def _similarities(query: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """[N, classes, length, 9, 9] of patches [N, 9, dim] and keys [classes, length, 9, dim]."""
    flat = query.flatten(0, 1) @ keys.flatten(0, 2).T
    return flat.view(*query.shape[:2], *keys.shape[:3]).permute(0, 2, 3, 1, 4)


def _chosen(similarities: torch.Tensor, k: int, one: bool, choose: Choose) -> torch.Tensor:
    """[N, all] of similarities [N, ..., 9, 9]: those of the chosen pairs."""
    return similarities.flatten(-2).gather(-1, choose(similarities, k, one)).flatten(1)


def _present(filled: torch.Tensor, labels: torch.Tensor, confusing: torch.Tensor) -> torch.Tensor:
    """bool[N, 1 + length + n length 10]: which pairs are of keys that are there."""
    own = filled.new_ones(len(labels), 1)
    others = filled[confusing].flatten(1).repeat_interleave(NEGATIVE, 1)
    return torch.cat([own, filled[labels], others], 1)
