"""Queues of keys, their encoder and the contrast, against numbers by hand, loops and finite differences."""

import math

import pytest
import torch
from torch import nn

from transferlens.training.recipes.contrastive import (
    ClassQueue,
    KeyEncoder,
    Keys,
    contrast,
    drawn_by,
    positive_kl,
    unit,
)

T = 0.07


def keys(classes, length, dim, seed=0, **like):
    return Keys(
        unit(torch.randn(classes, length, dim, generator=torch.Generator().manual_seed(seed), **like))
    )


def by_loop(query, own, queue, labels, temperature=T):
    """The loss image by image, its positives first."""
    losses = []
    for i, label in enumerate(labels):
        positives = [query[i] @ own[i], *(query[i] @ key for key in queue.vectors[label])]
        others = [query[i] @ key for c, of in enumerate(queue.vectors) if c != label for key in of]
        p = torch.stack(positives + others).div(temperature).softmax(0)
        losses.append(-math.log(len(positives)) - p[: len(positives)].log().mean())
    return torch.stack(losses).mean()


def test_the_contrast_of_images_is_that_of_a_loop():
    query, own = unit(torch.randn(5, 7)), unit(torch.randn(5, 7))
    queue, labels = keys(3, 4, 7), torch.tensor([0, 2, 2, 1, 0])
    torch.testing.assert_close(contrast(query, own, queue, labels, T), by_loop(query, own, queue, labels))


def test_equal_similarities_at_the_published_sizes():
    """200 classes and 40 keys of each: ln((1 + K C) / (K + 1)); patches with 199 classes and ten pairs."""
    for others, expected in ((199 * 40, 5.27375), (10 * 199 * 40, 7.57171)):
        positives = torch.arange(41 + others) < 41
        found = positive_kl(torch.zeros(2, 41 + others, dtype=torch.float64), positives, T)
        assert float(found) == pytest.approx(expected, abs=5e-6)


def test_perfect_alignment_with_orthogonal_negatives():
    """Every class on an axis of its own: ln(1 + (C - 1) K / (K + 1) e^(-1 / T)); 0 without others."""
    axes, labels = torch.eye(4, dtype=torch.float64), torch.arange(4)
    queue = Keys(axes[:, None].expand(4, 5, 4))
    expected = math.log1p(3 * 5 / 6 * math.exp(-1 / T))
    assert float(contrast(axes, axes, queue, labels, T)) == pytest.approx(expected, rel=1e-6)
    nothing = Keys(queue.vectors, torch.zeros(4, 5, dtype=torch.bool))
    assert float(contrast(axes, axes, nothing, labels, T)) == 0


def test_the_gradient_of_the_contrast():
    query = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    own, labels = unit(torch.randn(4, 3, dtype=torch.float64)), torch.tensor([0, 1, 2, 2])
    queue = keys(3, 2, 3, dtype=torch.float64)
    queue = Keys(queue.vectors, torch.tensor([[True, False], [True, True], [False, False]]))
    assert torch.autograd.gradcheck(lambda query: contrast(unit(query), own, queue, labels, 0.5), query)


def test_places_without_keys_are_left_out():
    """As if they were not there: a class with one key, and one with none."""
    query, own, labels = unit(torch.randn(3, 5)), unit(torch.randn(3, 5)), torch.tensor([0, 1, 0])
    queue = keys(3, 2, 5)
    masked = Keys(queue.vectors, torch.tensor([[True, True], [True, False], [False, False]]))
    losses = []
    for i, positives in enumerate((3, 2, 3)):
        there = torch.cat([own[i : i + 1], queue.vectors[masked.present]])  # own, 0, 0, 1
        order = [0, 3, 1, 2] if labels[i] else [0, 1, 2, 3]
        losses.append(positive_kl((there[order] @ query[i])[None], torch.arange(4) < positives, T))
    torch.testing.assert_close(contrast(query, own, masked, labels, T), torch.stack(losses).mean())


def test_a_queue_is_a_ring_of_its_class():
    queue = ClassQueue(3, 4, 2)
    start = queue.keys.clone()
    torch.testing.assert_close(start.norm(dim=-1), torch.ones(3, 4))
    batches = [unit(torch.randn(3, 2)) for _ in range(3)]
    for batch in batches:
        queue.enqueue(batch, torch.tensor([1, 0, 1]))
    assert queue.place.tolist() == [3, 2, 0]
    assert queue.filled.tolist() == [3, 4, 0]
    _, second, third = batches
    torch.testing.assert_close(queue.keys[1], torch.stack([third[0], third[2], second[0], second[2]]))
    torch.testing.assert_close(queue.keys[0, :3], torch.stack([batch[1] for batch in batches]))
    torch.testing.assert_close(queue.keys[2], start[2])
    assert queue.now(masked=True).present.tolist() == [[True] * 3 + [False], [True] * 4, [False] * 4]


def test_more_keys_than_a_queue_holds_leave_the_last():
    queue, batch = ClassQueue(2, 3, 2), unit(torch.randn(8, 2))
    queue.enqueue(batch, torch.ones(8, dtype=torch.long))
    assert queue.place.tolist() == [0, 2]
    torch.testing.assert_close(queue.keys[1], torch.stack([batch[6], batch[7], batch[5]]))


def test_what_a_queue_held_is_not_changed_by_later_keys():
    queue = ClassQueue(2, 2, 3)
    before = queue.now(masked=False)
    values = before.vectors.clone()
    queue.enqueue(unit(torch.randn(2, 3)), torch.tensor([0, 1]))
    torch.testing.assert_close(before.vectors, values, rtol=0, atol=0)
    assert before.present is None


def test_keys_follow_parameters_and_not_statistics():
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    encoder = KeyEncoder(network, 0.9)
    start = {name: value.clone() for name, value in encoder.network.state_dict().items()}
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    network[1].running_mean.fill_(7)
    encoder.follow(network)
    for name, parameter in encoder.network.named_parameters():
        torch.testing.assert_close(parameter, start[name] + 0.1)
        assert not parameter.requires_grad
    assert (encoder.network[1].running_mean == 0).all()


def test_drawing_by_a_seed_leaves_torchs_generator():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with drawn_by(5):
        first = torch.rand(1)
    assert torch.equal(torch.rand(2), expected)
    with drawn_by(5):
        assert torch.equal(torch.rand(1), first)
