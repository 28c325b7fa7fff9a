"""Recipes that keep what the source head says: divergences, relationships of classes, plain torch."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch import nn
from torch.nn import functional

from tests.conftest import TRAINING
from tests.training.rivals import (
    SOURCE_CLASSES,
    adapting,
    assert_same,
    by_hand,
    run,
    settings_of,
    source_network,
    started,
)
from transferlens.core.errors import ConfigError
from transferlens.training import engine
from transferlens.training.recipes import distillation, relationship
from transferlens.training.recipes.kinds import KINDS
from transferlens.training.recipes.settings.base import Task

CLOSE = {"rtol": 1e-4, "atol": 1e-6}


def test_divergence():
    teacher, student = torch.randn(2, 4, 5, dtype=torch.float64)
    assert float(distillation.divergence(teacher, teacher + 3)) == pytest.approx(0, abs=1e-12)
    p, q = teacher.softmax(1), student.softmax(1)
    found = distillation.divergence(teacher, student)
    torch.testing.assert_close(found, (p * (p / q).log()).sum(1).mean())


@pytest.mark.parametrize("kind", ["lwf", "co_tuning"])
def test_without_strength_it_is_plain_fine_tuning(textures, kind):
    _, train, _ = textures
    plain, _, log = run(train, settings_of("full"))
    found, kept, found_log = run(train, settings_of(kind, strength=0))
    assert_same(found, plain)
    assert_same(kept, source_network())
    assert (found_log == log).all()


def test_lwf_in_plain_torch(textures):
    """The source head, frozen, on the student's features, and the source on the very same images."""
    _, train, _ = textures
    found, kept, _ = run(train, settings_of("lwf", strength=2.0, temperature=1.5))
    assert_same(kept, source_network())
    network = adapting(kept)

    def loss(batch, labels):
        features = network.backbone(batch)
        p, q = ((kept.head(f) / 1.5).softmax(1) for f in (kept.backbone(batch), features))
        penalty = (p * (p.log() - q.log())).sum(1).mean()
        return functional.cross_entropy(network.head(features), labels) + 2 * penalty

    groups = [{"params": list(network.parameters()), "weight_decay": TRAINING.weight_decay}]
    assert_same(found, by_hand(train, network, groups, loss), **CLOSE)


def test_co_tuning_in_plain_torch(textures):
    """The source head is trained at its own rate, to the mean answer of the source to the label's class."""
    _, train, _ = textures
    found, kept, _ = run(train, settings_of("co_tuning", strength=1.5, source_rate=0.3))
    assert_same(kept, source_network())
    network = adapting(kept)
    head = nn.Linear(32, SOURCE_CLASSES)
    head.load_state_dict(kept.head.state_dict())
    answers = engine.evaluate(kept, train).softmax(1)
    targets = torch.stack([answers[train.labels == c].mean(0) for c in range(3)])

    def loss(batch, labels):
        features = network.backbone(batch)
        penalty = -(targets[labels] * head(features).log_softmax(1)).sum(1).mean()
        return functional.cross_entropy(network.head(features), labels) + 1.5 * penalty

    groups = [
        {"params": list(part.parameters()), "rate": rate, "weight_decay": TRAINING.weight_decay}
        for part, rate in ((network, 1), (head, 0.3))
    ]
    assert_same(found, by_hand(train, network, groups, loss), **CLOSE)


@pytest.mark.parametrize("kind", ["direct", "learned"])
def test_relationships_are_functions_of_the_seed_with_rows_of_sum_1(textures, kind):
    _, train, _ = textures
    found = [next_targets(train, kind) for _ in range(2)]
    assert found[0].shape == (3, SOURCE_CLASSES)
    assert torch.equal(*found)
    torch.testing.assert_close(found[0].sum(1), torch.ones(3))
    assert (found[0] >= 0).all()


def next_targets(train, kind):
    recipe = started(settings_of("co_tuning", relationship=kind), train)
    next(recipe.phases())
    return recipe.targets


def planted(classes, each=40, seed=0):
    """Answers to images of each target class, most of them one of two source classes; and labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    favourite = 2 * labels + rng.integers(0, 2, len(labels))
    logits = rng.normal(size=(len(labels), 2 * classes))
    logits[np.arange(len(labels)), favourite] += 4
    return softmax(logits, axis=1), labels


@pytest.mark.parametrize("classes", [2, 4])
def test_learned_relationships_find_what_was_planted(classes):
    answers, labels = planted(classes)
    found = relationship.learned(answers, labels, classes, np.random.default_rng(1))
    np.testing.assert_allclose(found.sum(1), 1)
    own = [found[c, 2 * c : 2 * c + 2].sum() for c in range(classes)]
    assert min(own) > 0.9
    direct = relationship.direct(answers, labels, classes)
    np.testing.assert_allclose(direct[1], answers[labels == 1].mean(0))


def test_inversion_is_bayes_rule():
    forward, prior = np.array([[0.9, 0.2, 0.5], [0.1, 0.8, 0.5]]), np.array([0.5, 0.3, 0.2])
    found = relationship.inverted(np.log(forward), prior)
    np.testing.assert_allclose(found[0], np.array([0.45, 0.06, 0.10]) / 0.61)
    np.testing.assert_allclose(found[1], np.array([0.05, 0.24, 0.10]) / 0.39)
    tiny = relationship.inverted(np.log(forward) - 1000, prior)  # where probabilities would be 0
    np.testing.assert_allclose(tiny, found)


def test_a_share_of_every_class_is_held_out():
    labels = np.repeat([0, 1, 2], [2, 10, 33])
    held = relationship.held_out(labels, 3, np.random.default_rng(0))
    assert np.bincount(labels[held]).tolist() == [1, 2, 7]


def test_classes_without_images_are_refused():
    answers, labels = planted(3)
    absent = labels != 1
    for relate in (
        relationship.direct,
        lambda *given: relationship.learned(*given, np.random.default_rng(0)),
    ):
        with pytest.raises(ConfigError, match="class 1 of the target has 0 training images"):
            relate(answers[absent], labels[absent], 3)
    check = KINDS["co_tuning"].check
    direct, learned = (settings_of("co_tuning", relationship=kind) for kind in ("direct", "learned"))
    assert "no training image" in check(direct, Task(5, 3, 90, 0))
    assert check(direct, Task(5, 3, 90, 1)) == check(direct, Task(5, 3)) == ""
    assert "set relationship: direct" in check(learned, Task(5, 3, 90, 1))
    for kind in ("lwf", "co_tuning"):
        assert "single class" in KINDS[kind].check(settings_of(kind), Task(1, 3))
