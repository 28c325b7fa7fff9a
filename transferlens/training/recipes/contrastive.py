"""Contrast with keys of every class: queues of them, the encoder that makes them, and the loss.

    L = KL(q || softmax(s / T)),  q = 1 / |P| on the positives P, 0 elsewhere
      = -ln |P| - mean over P of ln softmax(s / T),

which is 0 where the positives share all of the probability alike. Keys come from a copy of the network whose
parameters follow by a moving average,

    theta_key <- m theta_key + (1 - m) theta_query   (before the optimiser's step).

Caveat: it goes on normalising by the statistics of its batches, and its running statistics are its own: the
average is one of parameters alone, as published. Queues filled at random let the first epochs contrast with
vectors that are no keys (`masked` leaves them out).

Sources: Zhong et al., Bi-Tuning (IROS 2024, arXiv:2011.06182); Yang et al., Concept-wise fine-tuning matters
in preventing negative transfer (ICCV 2023); He et al., Momentum contrast (CVPR 2020) for queue and encoder.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from transferlens.models.layers import batch_norms
from transferlens.training.recipes.base import Recipe
from transferlens.training.recipes.settings.contrastive import ContrastSettings


@dataclass(frozen=True)
class Keys:
    """Keys of every class at a time.

    Attributes:
        vectors: float32[classes, length, *shape].
        present: bool[classes, length], the places that count; None for all.
    """

    vectors: torch.Tensor
    present: torch.Tensor | None = None


class ClassQueue(nn.Module):
    """The latest keys of every class, each a ring of `length` places.

    Keys of the first images of a class are overwritten once it is full. Random unit vectors stand where none
    has come yet.

    Attributes:
        keys: float32[classes, length, *shape], along whose last dimension they have length 1.
        place: int64[classes], where the next key goes.
        filled: int64[classes], places that hold keys.
    """

    def __init__(self, classes: int, length: int, *shape: int):
        super().__init__()
        self.register_buffer("keys", unit(torch.randn(classes, length, *shape)))
        self.register_buffer("place", torch.zeros(classes, dtype=torch.long))
        self.register_buffer("filled", torch.zeros(classes, dtype=torch.long))

    @torch.no_grad()
    def enqueue(self, keys: torch.Tensor, labels: torch.Tensor) -> None:
        """Put keys [N, *shape] into the queues of their labels [N], one after the other."""
        length, order = self.keys.shape[1], torch.arange(len(labels), device=labels.device)
        own = functional.one_hot(labels, len(self.keys))
        counts, earlier = own.sum(0), (own.cumsum(0) - own)[order, labels]
        places = (self.place[labels] + earlier) % length
        same = (labels == labels[:, None]) & (places == places[:, None])
        last = (same * order).amax(1)  # whose key stays, where a batch has more than a ring holds
        self.keys[labels, places] = keys[last]
        self.place.copy_((self.place + counts) % length)
        self.filled.copy_((self.filled + counts).clamp(max=length))

    def now(self, masked: bool) -> "Keys":
        """The keys as they are, of which later ones change nothing.

        Args:
            masked: say which places hold keys.
        """
        places = torch.arange(self.keys.shape[1], device=self.keys.device)
        present = places < self.filled[:, None]  # a ring is filled from place 0 on
        return Keys(self.keys.clone(), present if masked else None)


class KeyEncoder(nn.Module):
    """A copy of a network that follows it by a moving average of parameters."""

    def __init__(self, followed: nn.Module, momentum: float):
        super().__init__()
        self.network = copy.deepcopy(followed).requires_grad_(False)
        self.momentum = momentum

    @torch.no_grad()
    def follow(self, followed: nn.Module) -> None:
        """Move towards the present parameters of what is followed."""
        ours, theirs = list(self.network.parameters()), list(followed.parameters())
        torch._foreach_mul_(ours, self.momentum)
        torch._foreach_add_(ours, theirs, alpha=1 - self.momentum)


def unit(vectors: torch.Tensor) -> torch.Tensor:
    """Vectors along the last dimension, made of length 1."""
    return functional.normalize(vectors, dim=-1)


def positive_kl(
    similarities: torch.Tensor,
    positives: torch.Tensor,
    temperature: float,
    present: torch.Tensor | None = None,
) -> torch.Tensor:
    """The mean loss of similarities [N, L], in nats; at least 0.

    Args:
        positives: bool[N, L] (or what broadcasts to it), which of them are to be high.
        present: bool[N, L], which of them are there at all; None for all.
    """
    logits = similarities / temperature
    if present is not None:
        logits, positives = logits.masked_fill(~present, -torch.inf), positives & present
    positives = positives.expand_as(logits)
    count = positives.sum(1).to(logits.dtype)
    log_p = logits.log_softmax(1).where(positives, 0)
    return -(log_p.sum(1) / count + count.log()).mean()


def contrast(
    query: torch.Tensor, own: torch.Tensor, queue: Keys, labels: torch.Tensor, temperature: float
) -> torch.Tensor:
    """The mean loss of unit vectors [N, dim] that are to be like `own` [N, dim] and keys of their labels [N],
    and unlike those of other classes."""
    classes, length = queue.vectors.shape[:2]
    similarities = torch.cat([(query * own).sum(1, keepdim=True), query @ queue.vectors.flatten(0, 1).T], 1)
    same = functional.one_hot(labels, classes).bool().repeat_interleave(length, 1)
    present = None if queue.present is None else _beside_own(queue.present.flatten().expand_as(same))
    return positive_kl(similarities, _beside_own(same), temperature, present)


def _beside_own(of_queue: torch.Tensor) -> torch.Tensor:
    """bool[N, 1 + L] of bool[N, L]: one's own key is there, and is a positive."""
    return functional.pad(of_queue, (1, 0), value=True)


class Contrasting(Recipe):
    """A recipe with queues of keys beside its network, and an encoder that makes them."""

    settings: ContrastSettings

    def mode(self) -> None:
        """All networks in training mode: keys, too, are normalised by their batches."""
        super().mode()
        self.beside.train()
        if self.settings.batchnorm == "eval":
            for norm in batch_norms(self.beside):
                norm.eval()

    def keys_in(self, queue: str) -> Keys:
        """What a queue holds now."""
        return self.beside[queue].now(masked=self.settings.queue_start == "masked")

    def enqueue(self, queue: str, keys: torch.Tensor, labels: torch.Tensor) -> Keys:
        """Put keys into a queue; returns what it held before, in which no image of the batch is."""
        before = self.keys_in(queue)
        self.beside[queue].enqueue(keys, labels)
        return before


@contextmanager
def drawn_by(seed: int) -> Iterator[None]:
    """The CPU's generator starts from a seed inside, and goes on outside as if nothing had been drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
