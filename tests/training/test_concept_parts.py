"""Parts of Concept-Tuning: the search for patches, transport, attention, bottleneck, and their contrast."""

import math

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn
from torch.distributions import Normal, kl_divergence

from transferlens.training.recipes.concept import patches
from transferlens.training.recipes.concept.attention import ChannelAttention, DualAttention, PlaceAttention
from transferlens.training.recipes.concept.bottleneck import Encoded, Encoder, information
from transferlens.training.recipes.concept.losses import Transport, concept_contrast
from transferlens.training.recipes.concept.pairs import select_pairs, sinkhorn_plan
from transferlens.training.recipes.concept.slots import features_by_slot
from transferlens.training.recipes.contrastive import Keys, unit

T = 0.07


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def sets(*shape, seed=0, dtype=torch.float32):
    """Unit vectors."""
    return unit(torch.randn(*shape, generator=generator(seed), dtype=dtype))


# The search


def test_boxes_of_the_published_size():
    cells = torch.tensor([0, 3, 24, 48])  # (0, 0), (0, 3), (3, 3), (6, 6) of 7 x 7
    expected = [[0, 0, 32, 32], [64, 0, 128, 32], [64, 64, 128, 128], [160, 160, 224, 224]]
    torch.testing.assert_close(patches.boxes(cells, (7, 7), 224), torch.tensor(expected).float())


@pytest.mark.parametrize(("shape", "side"), [((7, 7), 224), ((2, 2), 64), ((4, 3), 28), ((1, 1), 32)])
def test_boxes_lie_inside_and_are_not_empty(shape, side):
    boxes = patches.boxes(torch.arange(shape[0] * shape[1]), shape, side)
    assert boxes.min() >= 0
    assert boxes.max() <= side
    assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_sides_of_patches():
    assert [patches.patch_pixels(side) for side in (224, 64, 28, 299, 8)] == [64, 16, 8, 88, 8]


def test_groups_of_channels():
    published = patches.groups(2048)
    assert published[:, 0].tolist() == list(range(0, 2001, 250))
    assert published.shape == (9, 30)
    assert patches.groups(9).tolist() == [[rank] for rank in range(9)]
    assert patches.groups(32).tolist() == [[3 * rank] for rank in range(9)]
    with pytest.raises(ValueError, match="8 channels make no 9 groups"):
        patches.groups(8)


def test_confusers_are_the_best_of_the_others_in_order():
    logits = torch.tensor([[1.0, 5.0, 3.0, 4.0], [9.0, 0.0, 2.0, 1.0]])
    labels = torch.tensor([1, 2])
    assert patches.confusers(logits, labels, 3).tolist() == [[3, 2, 0], [0, 3, 1]]
    assert patches.confusers(logits, labels, 1).tolist() == [[3], [0]]
    with pytest.raises(ValueError, match="4 classes beside an image's own were asked for, of 3"):
        patches.confusers(logits, labels, 4)


@pytest.mark.parametrize("classes", [2, 3, 4, 6])
def test_patches_are_found_where_channels_of_the_class_are_active(classes):
    """Channel d alone is active in cell d; they are scored by m W_c less the m rivals' rows."""
    maps = torch.eye(9).reshape(1, 9, 3, 3).repeat(2, 1, 1, 1)
    weight = torch.randn(classes, 9, generator=generator())
    logits = torch.randn(2, classes, generator=generator(1))
    labels, m = torch.tensor([0, classes - 1]), min(3, classes - 1)
    found = patches.search(maps, logits, labels, weight, classes - 1, 90)
    for i, label in enumerate(labels):
        rivals = [c for c in logits[i].argsort(descending=True).tolist() if c != label][:m]
        order = (m * weight[label] - weight[rivals].sum(0)).argsort(descending=True)
        centres = torch.stack([order % 3, order // 3], 1) * 30.0
        half = 90 / 7
        expected = torch.cat([centres - half, centres + half], 1).clamp(0, 90)
        torch.testing.assert_close(found.boxes[i], expected)
        assert label not in found.confusing[i]
    assert found.confusing.shape == (2, classes - 1)


def test_patches_are_cut_from_their_own_images():
    images = torch.arange(2.0)[:, None, None, None] + torch.linspace(0, 0.9, 64)[None, None, None]
    images = images.expand(2, 3, 64, 64).contiguous()
    boxes = torch.tensor([[[0.0, 0, 16, 16], [32, 0, 48, 16]]]).repeat(2, 1, 1)
    cut = patches.cut(images, boxes, 16)
    torch.testing.assert_close(cut[:, 1, :, 3, 3], images[:, :, 3, 35])
    torch.testing.assert_close(cut[1] - cut[0], torch.ones_like(cut[0]))
    # Of a map of a quarter of the side, with the same boxes.
    of_map = patches.cut(images[:, :, ::4, ::4].contiguous(), boxes, 2, 0.25)
    assert of_map.shape == (2, 2, 3, 2, 2)
    assert (of_map[:, 1] > of_map[:, 0]).all()


@pytest.mark.parametrize("training", [True, False])
def test_one_pass_of_all_patches_is_nine_passes(training):
    """Down to maps of one cell, of which convolutions see the centre."""
    layers = (
        nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(4), nn.Conv2d(4, 4, 3, 1, 1),
        nn.Conv2d(4, 4, 5, 2, 4, dilation=2, groups=2), nn.BatchNorm2d(4), nn.Flatten(),
    )  # fmt: skip
    network = nn.Sequential(*layers).train(training)
    images = torch.randn(5, 9, 3, 8, 8)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = features_by_slot(network, images)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    expected = torch.stack([network(images[:, slot]) for slot in range(9)], 1)
    torch.testing.assert_close(found, expected)
    weights = [p for p in network.parameters() if p.ndim == 4]
    ours, theirs = (torch.autograd.grad(x.sin().sum(), weights) for x in (found, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


# Transport


def log_domain(cost, epsilon, iterations):
    """Sinkhorn's iterations on potentials, as in textbooks."""
    u, v = torch.zeros_like(cost[:, 0]), torch.zeros_like(cost[:, 0])
    share = math.log(1 / cost.shape[1])
    for _ in range(iterations):
        u = epsilon * share - epsilon * ((v[:, None] - cost) / epsilon).logsumexp(2)
        v = epsilon * share - epsilon * ((u[:, :, None] - cost) / epsilon).logsumexp(1)
    return ((u[:, :, None] + v[:, None] - cost) / epsilon).exp()


def costs(problems=40, dim=6, seed=0, dtype=torch.float64):
    x, y = sets(2, problems, 9, dim, seed=seed, dtype=dtype)
    return 1 - x @ y.transpose(1, 2)


@pytest.mark.parametrize("iterations", [3, 30])
def test_scaling_of_kernels_is_sinkhorns_iteration(iterations):
    expected = log_domain(costs(), 0.01, iterations)
    for cost in (costs(), costs().float()):
        plan = sinkhorn_plan(cost, 0.01, iterations, 0)
        torch.testing.assert_close(plan.double(), expected, rtol=1e-3, atol=1e-6)


def test_marginals_of_plans_and_the_tolerance():
    plan = sinkhorn_plan(costs().float())
    torch.testing.assert_close(plan.sum(1), torch.full((40, 9), 1 / 9), rtol=0, atol=1e-5)
    torch.testing.assert_close(plan.sum(2), torch.full((40, 9), 1 / 9), rtol=0.2, atol=0)
    exact = sinkhorn_plan(costs(), iterations=5000, tolerance=0)
    torch.testing.assert_close(exact.sum(2), torch.full((40, 9), 1 / 9, dtype=exact.dtype), rtol=1e-3, atol=0)
    one, loose = (sinkhorn_plan(costs(), iterations=n, tolerance=10) for n in (1, 200))
    torch.testing.assert_close(one, loose, rtol=0, atol=0)


def test_the_largest_costs_stay_finite():
    opposite = 1 - sets(5, 9, 4) @ sets(5, 9, 4).transpose(1, 2)
    extreme = torch.stack(
        [torch.zeros(9, 9), torch.full((9, 9), 2.0), 2 * (1 - torch.eye(9)), 2 * torch.eye(9)]
    )
    for cost in (opposite, extreme):
        assert sinkhorn_plan(cost).isfinite().all()


def test_converged_plans_are_within_their_entropy_of_the_best_assignment():
    cost = costs()
    plan = sinkhorn_plan(cost, iterations=20000, tolerance=1e-9)
    spent = (plan * cost).sum((1, 2))
    for one, found in zip(cost.numpy(), spent.tolist(), strict=True):
        best = one[linear_sum_assignment(one)].sum() / 9
        assert -1e-6 <= found - best <= 0.01 * math.log(9) + 1e-6


def test_permuted_sets_have_permuted_plans():
    cost, order = costs(), torch.randperm(9, generator=generator())
    torch.testing.assert_close(sinkhorn_plan(cost[:, :, order]), sinkhorn_plan(cost)[:, :, order])


def test_identical_sets_are_paired_with_themselves():
    x = sets(20, 9, 64)
    cost = 1 - x @ x.transpose(1, 2)
    chosen = select_pairs(sinkhorn_plan(cost), 9)
    assert cost.flatten(1).gather(1, chosen).abs().max() < 1e-5


def test_one_pair_is_drawn_from_the_best():
    plan = torch.rand(300, 9, 9, generator=generator())
    best, drawn = select_pairs(plan, 3), select_pairs(plan, 3, generator(1), one=True)
    assert (best == drawn).any(1).all()
    shares = (best == drawn).float().mean(0)
    assert shares.min() > 0.2  # of 1/3
    assert torch.equal(drawn, select_pairs(plan, 3, generator(1), one=True))


# Contrast of patches


def problem(dtype=torch.float32):
    query, own = sets(2, 3, 9, 5, seed=1, dtype=dtype)
    queue = Keys(sets(4, 2, 9, 5, seed=2, dtype=dtype))
    return query, own, queue, torch.tensor([0, 3, 1]), torch.tensor([[1, 2], [0, 2], [3, 0]])


def test_the_contrast_of_patches_is_that_of_a_loop():
    """With pairs that are given by a table: those of a plan that is drawn once for every two sets."""
    query, own, queue, labels, confusing = problem()
    tables = torch.rand(3, 9, 9, generator=generator())  # by image, so that order matters

    def choose(similarities, k, one):
        best = tables.flatten(1).topk(k, dim=1).indices[:, : 1 if one else k]
        lead = similarities.shape[1:-2]
        return best.view(3, *(1,) * len(lead), -1).expand(3, *lead, -1)

    losses = []
    for i in range(3):
        order = tables[i].flatten().topk(10).indices
        positives = [(query[i] @ keys.T).flatten()[order[0]] for keys in (own[i], *queue.vectors[labels[i]])]
        negatives = [
            (query[i] @ keys.T).flatten()[place]
            for c in confusing[i]
            for keys in queue.vectors[c]
            for place in order
        ]
        p = torch.stack(positives + negatives).div(T).softmax(0)
        losses.append(-math.log(3) - p[:3].log().mean())
    found = concept_contrast(query, own, queue, labels, confusing, T, choose)
    torch.testing.assert_close(found, torch.stack(losses).mean())


def test_equal_patches():
    """All similarities equal: ln((1 + K (1 + 10 n)) / (K + 1))."""
    same = torch.ones(2, 9, 1)
    queue, labels, confusing = (
        Keys(torch.ones(4, 3, 9, 1)),
        torch.tensor([0, 1]),
        torch.tensor([[1, 2], [0, 3]]),
    )
    loss = concept_contrast(same, same, queue, labels, confusing, T, Transport(5, 0))
    assert float(loss) == pytest.approx(math.log((1 + 3 * (1 + 20)) / 4), rel=1e-6)


def test_pairs_have_no_gradient():
    """The gradient of the loss is that of the pairs that were chosen, by finite differences."""
    query, *others = problem(torch.float64)
    fixed = {}

    def choose(similarities, k, one):
        if k not in fixed:
            fixed[k] = Transport(50, 0, generator())(similarities, k, one)
        return fixed[k]

    def loss(query):
        return concept_contrast(query, *others, 0.5, choose)

    query.requires_grad_()
    free = concept_contrast(query, *others, 0.5, Transport(50, 0, generator()))
    torch.testing.assert_close(free, loss(query))
    (gradient,) = torch.autograd.grad(free, query)
    torch.testing.assert_close(gradient, torch.autograd.grad(loss(query), query)[0])
    assert torch.autograd.gradcheck(loss, query)


def test_masked_sets_are_left_out_of_the_contrast_of_patches():
    query, own, queue, labels, confusing = problem()
    empty = Keys(queue.vectors, torch.zeros(4, 2, dtype=torch.bool))
    assert float(concept_contrast(query, own, empty, labels, confusing, T, Transport(5, 0))) == 0
    full = Keys(queue.vectors, torch.ones(4, 2, dtype=torch.bool))
    with_mask, without = (
        concept_contrast(query, own, keys, labels, confusing, T, Transport(5, 0, generator()))
        for keys in (full, queue)
    )
    torch.testing.assert_close(with_mask, without)


# Attention and bottleneck


def test_attention_is_twice_its_input_at_first():
    maps = torch.randn(2, 16, 3, 3)
    torch.testing.assert_close(DualAttention(16)(maps), 2 * maps, rtol=0, atol=0)
    both = DualAttention(16, "concatenation")(maps)
    torch.testing.assert_close(both, torch.cat([maps, maps], 1), rtol=0, atol=0)


def test_attention_is_what_its_formula_says():
    maps = torch.randn(2, 16, 3, 4, dtype=torch.float64)
    places, channels = PlaceAttention(16).double(), ChannelAttention().double()
    places.factor.data.fill_(0.3)
    channels.factor.data.fill_(-0.7)
    cells = maps.flatten(2)
    query, key, value = (made(maps).flatten(2) for made in (places.query, places.key, places.value))
    shares = torch.einsum("ndi,ndj->nij", query, key).softmax(2)
    expected = 0.3 * torch.einsum("nij,ndj->ndi", shares, value) + cells
    torch.testing.assert_close(places(maps).flatten(2), expected)
    alike = torch.einsum("nci,ndi->ncd", cells, cells)
    shares = (alike.amax(2, keepdim=True) - alike).softmax(2)
    expected = -0.7 * torch.einsum("ncd,ndi->nci", shares, cells) + cells
    torch.testing.assert_close(channels(maps).flatten(2), expected)


def test_attention_does_not_know_places():
    maps, order = torch.randn(2, 16, 1, 9), torch.randperm(9, generator=generator())
    attention = DualAttention(16)
    for factor in (attention.places.factor, attention.channels.factor):
        factor.data.fill_(0.5)
    torch.testing.assert_close(attention(maps[..., order]), attention(maps)[..., order])


def test_parameters_at_the_published_sizes():
    def count(module):
        return sum(parameter.numel() for parameter in module.parameters())

    with torch.device("meta"):
        encoder = Encoder(2048, 512, "sum")
    assert count(encoder.attention) == 5_245_442
    assert count(encoder.linear) == 2_098_176


def test_information_of_a_bottleneck():
    """Numbers of one dimension at s = 0, and torch's own divergence for the exact one."""
    scale = nn.functional.softplus(torch.tensor([[-5.0]], dtype=torch.float64))
    assert float(scale) == pytest.approx(0.0067153, abs=5e-8)
    still = Encoded(torch.zeros_like(scale), scale)
    assert float(information(still, "released")) == pytest.approx(4.53e-5, abs=5e-8)
    assert float(information(still, "exact")) == pytest.approx(4.50338, abs=5e-6)
    encoded = Encoded(torch.randn(3, 4), torch.rand(3, 4) + 0.1)
    for kind, scales in (("exact", encoded.scale), ("released", encoded.scale.exp())):
        expected = kl_divergence(Normal(encoded.mean, scales), Normal(0.0, 1.0)).sum(1).mean()
        torch.testing.assert_close(information(encoded, kind), expected)
    assert float(information(Encoded(torch.zeros(2, 3), torch.ones(2, 3)), "exact")) == 0


def test_samples_spread_about_the_mean_by_the_scale():
    torch.manual_seed(0)
    encoded = Encoded(torch.full((4000, 1), 2.0), torch.full((4000, 1), 0.5))
    sampled = encoded.sampled()
    assert float(sampled.mean()) == pytest.approx(2, abs=0.05)
    assert float(sampled.std()) == pytest.approx(0.5, abs=0.03)
