"""Removal rescues where a memory was planted, and only there; without any, p-values are uniform."""

import numpy as np
import scipy
import torch
from torch import nn

from transferlens.memories.effect import ablation, removal
from transferlens.models.network import Network, Parts

SIDE = 32


def texture_network():
    """Features: how much fine texture there is in each colour; class 0 lives on green, class 1 on red."""
    edges = nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular", groups=3, bias=False)
    kernel = torch.tensor([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]])
    edges.weight.data = kernel.expand(3, 1, 3, 3).clone()
    layers = [edges, nn.ReLU(), nn.AvgPool2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    network = Network(nn.Sequential(*layers), nn.Linear(3, 2, bias=False), Parts("2", pools=True))
    network.head.weight.data = torch.tensor([[0.0, 1, 0], [1.0, 0, 0]])
    return network.eval()


def planted(rng):
    """Green texture all over, and stronger red texture in one corner: class 0, taken for class 1."""
    image = torch.zeros(3, SIDE, SIDE)
    checks = torch.from_numpy(np.indices((SIDE, SIDE)).sum(0) % 2).float()
    image[1] = 0.5 * checks
    y, x = rng.integers(0, SIDE - 12, 2)
    image[0, y : y + 12, x : x + 12] = 6 * checks[y : y + 12, x : x + 12]
    red = torch.zeros(SIDE, SIDE)
    red[y : y + 12, x : x + 12] = 1
    return image, red


def test_the_planted_region_rescues_and_another_does_not():
    rng, network = np.random.default_rng(0), texture_network()
    images, maps = zip(*[planted(rng) for _ in range(6)], strict=True)
    images, maps = torch.stack(images), torch.stack(maps)
    labels = np.zeros(6, np.int64)
    assert (network(images).argmax(1) == 1).all()
    found = removal.measure(network, images, labels, maps, 0.2, 39, seed=0)
    np.testing.assert_allclose(found.p, 1 / 40)
    assert (found.q <= 0.05).all()
    assert (found.effect > 2 * found.null_mean).all()
    elsewhere = maps.roll((SIDE // 2, SIDE // 2), (1, 2))
    assert removal.measure(network, images, labels, elsewhere, 0.2, 39, seed=0).p.min() > 0.3


def test_a_region_has_its_share_of_pixels_where_the_map_is_highest_and_shifts_keep_its_shape():
    evidence = torch.zeros(4, 4)
    evidence[0, 3] = 1
    mask = removal.region(evidence, 16, 0.05)
    assert mask.sum() == 13
    assert mask[:4, 12:].sum() == 13
    masks = removal.shifted(mask, 99, np.random.default_rng(0))
    assert masks.shape == (99, 16, 16)
    assert (masks.sum((1, 2)) == 13).all()
    assert len({m.numpy().tobytes() for m in [mask, *masks]}) == 100
    # All steps of a small image, each once.
    assert len(removal.shifted(torch.eye(3, dtype=torch.bool), 99, np.random.default_rng(0))) == 8


def test_p_values_are_uniform_when_maps_have_nothing_to_do_with_the_image():
    generator = torch.Generator().manual_seed(0)
    network = texture_network()
    images = torch.randn(120, 3, 16, 16, generator=generator)
    # A region anywhere on the torus: the same square, moved.
    square = torch.zeros(16, 16)
    square[:7, :7] = 1
    moves = torch.randint(0, 16, (120, 2), generator=generator).tolist()
    maps = torch.stack([square.roll(move, (0, 1)) for move in moves])
    found = removal.measure(network, images, np.zeros(120, np.int64), maps, 49 / 256, 19, seed=1)
    spread = found.p - np.random.default_rng(0).random(120) / 20  # p comes in steps of a twentieth
    assert scipy.stats.kstest(spread, "uniform").pvalue > 0.01


def heads(seed=0):
    torch.manual_seed(seed)
    return nn.Linear(8, 3), nn.Linear(8, 40), torch.randn(120, 8)


def test_ablation_is_the_change_along_the_direction_and_leaves_the_true_logit():
    target, source, features = heads()
    feature = features[0].double()
    v = ablation.directions(source, target.weight[1])[7].detach()
    np.testing.assert_allclose(v.norm(), 1)
    weight, bias = target.weight.detach().double(), target.bias.detach().double()
    np.testing.assert_allclose(weight[1] @ v, 0, atol=1e-7)
    rest = feature - v * (v @ feature)
    before, after = weight @ feature + bias, weight @ rest + bias
    np.testing.assert_allclose(after[1], before[1], atol=1e-6)
    expected = min(after[1] - after[0], after[1] - after[2]) - min(
        before[1] - before[0], before[1] - before[2]
    )
    found = ablation.changes(features[0], 1, target, source)
    np.testing.assert_allclose(found[7], expected, atol=1e-6)
    # With one rival: (W_rival . v)(v . f).
    two = nn.Linear(8, 2)
    v = ablation.directions(source, two.weight[0])[7].detach()
    found = ablation.changes(features[0], 0, two, source)
    np.testing.assert_allclose(found[7], (two.weight[1].detach().double() @ v) * (v @ feature), atol=1e-6)


def test_ablation_finds_the_memory_that_is_copied_into_the_head_and_none_at_random():
    target, source, features = heads()
    overlap = np.zeros((40, 3), bool)
    rng = np.random.default_rng(0)
    arguments = (target, source, overlap, 2000, 0)
    labels = rng.integers(0, 3, 120)
    found = ablation.measure(features, labels, rng.integers(0, 40, 120), *arguments)
    spread = found.p - rng.random(120) / 40
    assert scipy.stats.kstest(spread, "uniform").pvalue > 0.01
    target.weight.data[2] = source.weight.data[7]
    features = features + 30 * source.weight.data[7]
    found = ablation.measure(features[:20], np.zeros(20, np.int64), np.full(20, 7), *arguments)
    np.testing.assert_allclose(found.p, 1 / 40)
    overlap[7:20, 0] = True
    found = ablation.measure(
        features[:1], np.zeros(1, np.int64), np.full(1, 30), target, source, overlap, 2000, 0
    )
    # Classes that mean the true one are no controls: 26 others are left.
    assert (found.p * 27) % 1 < 1e-9 or (found.p * 27) % 1 > 1 - 1e-9
