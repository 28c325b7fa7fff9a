"""Bi-Tuning: both contrasts by hand, what the queues hold when, and the reduction to plain fine-tuning."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from tests.conftest import TRAINING, changed
from tests.training.adapting import assert_same, trained
from tests.training.adapting import initial as network
from transferlens.training import engine
from transferlens.training.recipes.base import Data
from transferlens.training.recipes.bi_tuning import BiTuning
from transferlens.training.recipes.kinds import KINDS, read
from transferlens.training.recipes.settings.base import Task

SHORT = changed(TRAINING, epochs=1, crop="random_resized", flip=True)
LABELS = torch.tensor([0, 1, 1, 2])
T = 0.07


def settings(**others):
    return read({"kind": "bi_tuning", "training": SHORT, "queue": 3, "projection": 6, **others})


def started(images, **others):
    recipe = BiTuning(settings(**others))
    recipe.start(network(), None, Data(images, np.arange(len(images))), 5)
    recipe.enter(next(recipe.phases()), {})
    return recipe


def loss_of(positives, negatives):
    """-ln |P| - mean over P of ln softmax."""
    p = torch.stack([*positives, *negatives]).div(T).softmax(0)
    return -math.log(len(positives)) - p[: len(positives)].log().mean()


@pytest.fixture
def views():
    torch.manual_seed(0)
    return [torch.randn(4, 3, 28, 28) for _ in range(2)]


@pytest.mark.parametrize("class_keys", ["after", "before"])
def test_both_contrasts_by_hand(textures, views, class_keys):
    recipe = started(textures[1], class_keys=class_keys, weight=0.5)
    model, projector = copy.deepcopy(recipe.network), copy.deepcopy(recipe.beside["projector"])
    key = copy.deepcopy(model)  # equal at first, so that following changes nothing
    projected, features = (recipe.beside[name].keys.clone() for name in ("projected", "features"))
    loss, logits = recipe.step(views, LABELS)

    h, h_key = model.backbone(views[0]), key.backbone(views[1])
    z, z_key = (normalize(projector(x), dim=1) for x in (h, h_key))
    h, h_key = (normalize(torch.cat([x, torch.ones(4, 1)], 1), dim=1) for x in (h, h_key))
    w = normalize(torch.cat([model.head.weight, model.head.bias[:, None]], 1), dim=1).detach()
    own = model.head(model.backbone(views[0]))
    torch.testing.assert_close(logits, own)
    entered = features.clone()
    for place, i in ((0, 0), (0, 1), (1, 2), (0, 3)):
        entered[LABELS[i], place] = h_key[i].detach()
    torch.testing.assert_close(recipe.beside["features"].keys, entered)
    seen = entered if class_keys == "after" else features
    expected = torch.nn.functional.cross_entropy(own, LABELS)
    for i, c in enumerate(LABELS):
        others = [k for k in range(3) if k != c]
        by_features = loss_of(
            [z[i] @ z_key[i].detach(), *(projected[c] @ z[i])], (projected[others] @ z[i]).flatten()
        )
        by_class = loss_of([h[i] @ w[c], *(seen[c] @ w[c])], (seen[others] @ w[c]).flatten())
        expected = expected + 0.5 * (by_features + by_class) / 4
    torch.testing.assert_close(loss, expected)
    ours, theirs = (
        torch.autograd.grad(of, found.backbone.stem[0].weight)[0]
        for of, found in ((loss, recipe.network), (expected, model))
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_the_contrasts_train_backbone_and_projector_and_not_the_head(textures, views):
    recipe = started(textures[1])
    loss, logits = recipe.step(views, LABELS)
    (loss - recipe.phase.criterion(logits, LABELS)).backward()
    assert recipe.network.head.weight.grad is None or recipe.network.head.weight.grad.abs().max() < 1e-9
    assert recipe.network.backbone.stem[0].weight.grad.abs().sum() > 0
    assert recipe.beside["projector"].weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in recipe.beside["key"].parameters())


def test_keys_follow_backbone_and_projector_before_the_optimiser_steps(textures):
    recipe = BiTuning(settings(key_momentum=0.5))
    recipe.start(network(), None, Data(textures[1], np.arange(16)), 5)
    key = recipe.beside["key"].network
    with torch.no_grad():
        for parameter in key.parameters():
            parameter.add_(1)
    start = [parameter.clone() for parameter in recipe._encoder().parameters()]
    engine.run(recipe)
    for parameter, expected in zip(key.parameters(), start, strict=True):
        torch.testing.assert_close(parameter, expected + 0.5)
    assert not torch.equal(recipe.beside["projector"].weight, start[-2])


def test_without_its_losses_it_is_plain_fine_tuning(textures):
    _, train, _ = textures
    plain = trained(train, read({"kind": "full", "training": SHORT}))
    ours = trained(train, settings(weight=0, backbone_rate=1.0))
    assert_same(ours.network, plain.network)


def test_it_learns_on_the_real_loop(textures):
    _, train, val = textures
    recipe = read(
        {
            "kind": "bi_tuning",
            "training": changed(SHORT, epochs=8, crop="none"),
            "queue": 8,
            "queue_start": "masked",
            "backbone_rate": 1.0,
        }
    )
    model = trained(train, recipe)
    correct = engine.evaluate(model.network.eval(), val).argmax(1) == val.labels
    assert correct.float().mean() > 0.9


def test_what_cannot_be_learned_so_is_said():
    check = KINDS["bi_tuning"].check
    assert check(settings(), Task(10, 2, 2, 1)) == ""
    assert "the target has 1; take one with two or more" in check(settings(), Task(10, 1))
    assert "the target has 1 to train on" in check(settings(), Task(10, 2, 1, 0))
