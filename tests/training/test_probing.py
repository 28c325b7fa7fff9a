"""Probes against scikit-learn, what begins with one, and weights between two ends."""

import copy

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional

from tests.conftest import changed
from tests.training.adapting import (
    ADAM,
    PLAIN,
    assert_same,
    differs,
    initial,
    run,
    settings,
    started,
    trained,
)
from transferlens.models.network import Network, Parts
from transferlens.training import engine
from transferlens.training.recipes import probing, running_statistics
from transferlens.training.recipes.kinds import KINDS
from transferlens.training.recipes.settings.base import Task

STILL = changed(PLAIN, lr=1e-30, schedule="step", epochs=1)


@pytest.fixture(scope="module")
def points():
    """Overlapping classes 0, 1 and 3 of four: features float64[150, 5] and labels int64[150]."""
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 1, 3], 150)
    return 3 + 2 * rng.normal(size=(150, 5)) + np.eye(4, 5)[labels], labels


@pytest.mark.parametrize("strength", [1e-3, 1.0, 100.0])
def test_a_probe_is_scikit_learns(points, strength):
    features, labels = points
    _, known = np.unique(labels, return_inverse=True)
    oracle = LogisticRegression(C=strength, tol=1e-10, max_iter=5000).fit(features, known)
    found = probing.logistic(features, known, strength, np.zeros((3, 6)))
    np.testing.assert_allclose(found[:, :-1], oracle.coef_, atol=2e-4)
    differences = found[:, -1] - found[0, -1], oracle.intercept_ - oracle.intercept_[0]
    np.testing.assert_allclose(*differences, atol=2e-3)


def test_scale_and_centre_are_folded_back_and_absent_classes_are_never_answered(points):
    features, labels = points
    held = probing.held_out(labels, 0.2, np.random.default_rng(1))
    grid = np.array([1.0])
    weight, bias = probing.probe(features, labels, held, grid, 4)
    scaled = (features - features.mean()) / features.std()
    fitted = probing.logistic(scaled, np.unique(labels, return_inverse=True)[1], 1.0, np.zeros((3, 6)))
    logits = features @ weight.T + bias
    np.testing.assert_allclose(logits[:, [0, 1, 3]], scaled @ fitted[:, :-1].T + fitted[:, -1], atol=1e-4)
    assert (weight[2] == 0).all()
    assert not (logits.argmax(1) == 2).any()


def test_the_strength_is_the_most_accurate_on_held_out_images_and_the_smallest_of_equals():
    """One feature tells the classes; noise in many others is fitted where little is penalised."""
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 2
    features = rng.normal(size=(60, 40))
    features[:, 0] += 4 * labels
    held = probing.held_out(labels, 0.5, rng)
    strengths = np.logspace(-7, 2, 10)
    right = []
    for strength in strengths:
        fitted = probing.logistic(features[~held], labels[~held], strength, np.zeros((2, 41)))
        right.append(((features[held] @ fitted[:, :-1].T + fitted[:, -1]).argmax(1) == labels[held]).sum())
    chosen, _ = probing._chosen(features, labels, held, strengths, 2)
    assert chosen == strengths[int(np.argmax(right))] < 1
    assert max(right) > right[-1]


def test_a_part_of_every_class_is_held_out():
    labels = np.repeat([0, 1, 2, 3], [10, 5, 2, 1])
    held = probing.held_out(labels, 0.3, np.random.default_rng(0))
    assert np.bincount(labels[held], minlength=4).tolist() == [3, 2, 1, 0]
    assert (held == probing.held_out(labels, 0.3, np.random.default_rng(0))).all()
    assert (held != probing.held_out(labels, 0.3, np.random.default_rng(1))).any()


def test_fine_tuning_begins_with_the_probes_logits(textures):
    """Phase 2 without a rate: (W, b) take features as they are."""
    _, images, _ = textures
    recipe = started(settings("lp_ft", STILL), initial(), images)
    log = run(recipe)
    features = engine.evaluate(initial().eval().backbone, images).double().numpy()
    labels = images.labels.numpy()
    held = probing.held_out(labels, 0.2, probing.rng_for(11, "held out"))
    weight, bias = probing.probe(features, labels, held, np.logspace(-7, 2, 10), 3)
    found = engine.evaluate(recipe.network.eval(), images).numpy()
    np.testing.assert_allclose(found, features @ weight.T + bias, atol=1e-5)
    assert log.shape == (1, 3)
    assert log[0, 1] > 0.9


def test_a_converged_probe_moves_the_backbone_alone_at_first(textures):
    _, images, _ = textures
    network = initial().eval()
    with torch.no_grad():
        features = network.backbone(next(iter(images.evaluation_batches(90)))).double()
        noisy = images.labels.roll(1)  # no probe is right about all of them: the optimum is inside
        scale = features.std()
        fitted = probing.logistic((features / scale).numpy(), noisy.numpy(), 100.0, np.zeros((3, 33)))
        network.head.weight.copy_(torch.from_numpy(fitted[:, :-1]) / scale)
        network.head.bias.copy_(torch.from_numpy(fitted[:, -1]))
    functional.cross_entropy(network(next(iter(images.evaluation_batches(90)))), noisy).backward()
    backbone = max(float(parameter.grad.norm()) for parameter in network.backbone.parameters())
    assert network.head.bias.grad.norm() < 1e-4
    assert network.head.weight.grad.norm() * scale < 0.01 * backbone


def test_a_head_of_zeros_moves_no_backbone():
    network = initial()
    nn.init.zeros_(network.head.weight)
    nn.init.zeros_(network.head.bias)
    images = torch.randn(4, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    functional.cross_entropy(network(images), torch.tensor([0, 1, 2, 0])).backward()
    assert all((parameter.grad == 0).all() for parameter in network.backbone.parameters())
    assert (network.head.weight.grad != 0).any()


def test_running_statistics_stay_unless_they_are_to_move(textures):
    _, images, _ = textures
    for batchnorm in ("eval", "train"):
        network = trained(images, settings("lp_ft", ADAM, batchnorm=batchnorm)).network
        mean = network.backbone.stem[1].running_mean
        assert torch.equal(mean, initial().backbone.stem[1].running_mean) == (batchnorm == "eval")
        assert differs(network.backbone, initial().backbone)


def moved(images, **others):
    return trained(images, settings("wise_ft", batchnorm="train", **others)).network


@pytest.mark.parametrize("bn", ["interpolate", "reestimate"])
def test_the_ends_are_the_probe_and_its_fine_tuning(textures, bn):
    """Bit for bit, buffers included."""
    _, images, _ = textures
    probe = started(settings("lp_ft"), initial(), images)
    probe.fit_probe()
    assert_same(moved(images, alpha=0.0, bn=bn), probe.network)
    tuned = trained(images, settings("lp_ft", batchnorm="train")).network
    assert_same(moved(images, alpha=1.0, bn=bn), tuned)


def test_weights_and_statistics_between_the_ends(textures):
    _, images, _ = textures
    first, last = (moved(images, alpha=alpha).state_dict() for alpha in (0.0, 1.0))
    between = moved(images, alpha=0.25, bn="interpolate").state_dict()
    for name, value in between.items():
        if name.endswith("num_batches_tracked"):
            assert int(value) == int(last[name]) == 10
        else:
            torch.testing.assert_close(value, 0.75 * first[name] + 0.25 * last[name])


def test_statistics_that_did_not_move_stay_between_the_ends(textures):
    _, images, _ = textures
    found = trained(images, settings("wise_ft", ADAM, alpha=0.5)).network.backbone.stem[1]
    for name, value in initial().backbone.stem[1].named_buffers():
        assert torch.equal(found.get_buffer(name), value), name


def test_logits_of_a_linear_network_are_linear_in_alpha():
    torch.manual_seed(0)
    first, last = (Network(nn.Flatten(), nn.Linear(12, 3), Parts(None, pools=False)) for _ in range(2))
    images = torch.randn(5, 3, 2, 2)
    between = copy.deepcopy(first)
    between.load_state_dict(probing.interpolated(first.state_dict(), last.state_dict(), 0.3))
    torch.testing.assert_close(between(images), 0.7 * first(images) + 0.3 * last(images))


def test_statistics_are_those_of_the_interpolated_network(textures):
    """The mean of the batches of one pass; the first layer's inputs are the images themselves."""
    _, images, _ = textures
    augmented = changed(PLAIN, crop="random_resized", flip=True, batch_size=30)
    recipe = started(settings("wise_ft", augmented, batchnorm="train"), initial(), images)
    run(recipe)
    found = recipe.inference()
    conv, norm = found.backbone.stem[0], found.backbone.stem[1]
    with torch.no_grad():
        outputs = conv(next(iter(images.evaluation_batches(90))))
    torch.testing.assert_close(norm.running_mean, outputs.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    one = running_statistics.plain_pass(recipe.data, augmented, 11)
    with torch.no_grad():
        variances = torch.stack([conv(batch).var((0, 2, 3)) for batch, _ in images.training_batches(one)])
    torch.testing.assert_close(norm.running_var, variances.mean(0), rtol=1e-4, atol=1e-5)
    assert norm.momentum == 0.1
    assert int(norm.num_batches_tracked) == int(recipe.network.backbone.stem[1].num_batches_tracked) == 6
    state = torch.get_rng_state()
    assert_same(recipe.inference(), found)
    assert torch.equal(state, torch.get_rng_state())


def test_too_few_images_to_hold_any_out_are_refused_before_anything_runs():
    check = KINDS["lp_ft"].check
    assert "3 images of 3 classes leave none" in check(settings("lp_ft"), Task(5, 3, train_images=3))
    for task in (Task(5, 3), Task(5, 3, train_images=4)):
        assert check(settings("wise_ft"), task) == ""
