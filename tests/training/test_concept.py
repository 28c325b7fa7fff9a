"""Concept-Tuning on the real loop: its reductions, who is trained by what, statistics, heads, state."""

import copy

import numpy as np
import pytest
import torch

from tests.conftest import ARCHITECTURE, SMALL_VIT, TRAINING, changed
from tests.training.adapting import SEED, trained
from tests.training.adapting import initial as network
from transferlens.core.settings import NetworkSettings
from transferlens.models import contract
from transferlens.training import engine
from transferlens.training.block import train_block
from transferlens.training.recipes.base import Data
from transferlens.training.recipes.concept import tuner
from transferlens.training.recipes.concept.tuner import ConceptTuning
from transferlens.training.recipes.kinds import KINDS, read
from transferlens.training.recipes.settings.base import Task
from transferlens.training.runs import Job

SHORT = changed(TRAINING, epochs=1, crop="random_resized", scale=[0.2, 1.0], flip=True)
OFF = {"image_weight": 0, "concept_weight": 0, "bottleneck_weight": 0, "information_weight": 0}


def settings(training=SHORT, **others):
    small = {"queue": 4, "sinkhorn_iterations": 20, "bottleneck": 8}
    return read({"kind": "concept_tuning", "training": training, **small, **others})


def started(images, **others):
    """A recipe in its phase, as in a step of the loop."""
    recipe = ConceptTuning(settings(**others))
    recipe.start(recipe.convert(network()), None, Data(images, np.arange(len(images))), SEED)
    recipe.enter(next(recipe.phases()), {})
    return recipe


@pytest.fixture
def views():
    """Four views of a batch, and its labels."""
    torch.manual_seed(0)
    labels = torch.arange(12) % 3
    return [torch.randn(12, 3, 28, 28) for _ in range(4)], labels


def assert_same(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_without_its_losses_it_is_plain_fine_tuning(textures):
    _, train, _ = textures
    plain = trained(train, read({"kind": "full", "training": SHORT}))
    ours = trained(train, settings(**OFF, backbone_rate=1.0))
    assert_same(ours.network.state_dict(), plain.network.state_dict())
    np.testing.assert_array_equal(ours.log, plain.log)


@pytest.mark.parametrize(
    "others",
    [{}, {"patch_source": "feature", "queue_start": "masked", "attention": "concatenation"}],
    ids=["released", "variants"],
)
def test_every_part_learns_on_the_real_loop(textures, others):
    _, train, val = textures
    recipe = ConceptTuning(settings(**others))
    recipe.start(network(), None, Data(train, np.arange(90)), SEED)
    before = copy.deepcopy(recipe.beside.state_dict())
    log = engine.run(recipe)
    assert np.isfinite(log).all()
    after = recipe.beside.state_dict()
    unmoved = {name for name in after if torch.equal(after[name], before[name])}
    assert not unmoved
    once, again = (engine.evaluate(recipe.inference().eval(), val) for _ in range(2))
    assert_same(once, again)


def test_the_head_learns_from_images_and_not_from_patches(textures, views):
    images, labels = views
    gradients = {}
    for name, weight in (("image", "image_weight"), ("concept", "concept_weight")):
        recipe = started(textures[1], **{**OFF, weight: 1.0})
        loss, logits = recipe.step(images, labels)
        (loss - recipe.phase.criterion(logits, labels)).backward()
        gradients[name] = recipe.network.head.weight.grad, recipe.network.backbone.stem[0].weight.grad
        assert all(parameter.grad is None for parameter in recipe.beside["key"].parameters())
    assert gradients["image"][0].abs().sum() > 0
    assert gradients["concept"][0] is None or gradients["concept"][0].abs().max() == 0
    for _, of_backbone in gradients.values():
        assert of_backbone.abs().sum() > 0


def test_the_bottleneck_learns_from_its_own_losses_alone(textures, views):
    recipe = started(textures[1], bottleneck_weight=0, information_weight=0)
    recipe.step(*views)[0].backward()
    assert all(p.grad is None for p in (*recipe.encoder.parameters(), *recipe.decoder.parameters()))


def test_keys_follow_before_the_optimiser_steps(textures):
    _, train, _ = textures
    recipe = ConceptTuning(settings(changed(SHORT, lr_peak_epoch=0.2), key_momentum=0.5))
    recipe.start(network(), None, Data(train, np.arange(16)), SEED)  # a single step
    with torch.no_grad():
        for parameter in recipe.beside["key"].network.parameters():
            parameter.add_(1)  # so that following shows
    start = {name: parameter.clone() for name, parameter in recipe.network.named_parameters()}
    engine.run(recipe)
    for name, key in recipe.beside["key"].network.named_parameters():
        torch.testing.assert_close(key, start[name] + 0.5)
    assert not torch.equal(recipe.network.head.weight, start["head.weight"])


@pytest.mark.parametrize("patch_source", ["image", "feature"])
def test_running_statistics_are_those_of_one_pass_of_images(textures, views, patch_source):
    recipe = started(textures[1], patch_source=patch_source)
    expected = network().train()
    expected(views[0][0])
    recipe.step(*views)
    assert_same(dict(recipe.network.named_buffers()), dict(expected.named_buffers()))
    assert all(norm.momentum == 0.1 for norm in recipe.network.modules() if hasattr(norm, "momentum"))


def test_batch_norm_may_stay_as_the_sources(textures, views):
    recipe = started(textures[1], batchnorm="eval")
    recipe.step(*views)
    for found in (recipe.network, recipe.beside["key"].network):
        assert_same(dict(found.named_buffers()), dict(network().named_buffers()))


def test_queues_hold_keys_of_their_classes(textures, views):
    recipe = started(textures[1])
    images, labels = views
    recipe.step(images, labels)
    for name in ("images", "concepts"):
        queue = recipe.beside[name]
        assert queue.place.tolist() == [0, 0, 0]  # four images of each class of a ring of four
        torch.testing.assert_close(queue.keys.norm(dim=-1), torch.ones(queue.keys.shape[:-1]))
    key = copy.deepcopy(recipe.beside["key"].network)
    own = torch.nn.functional.normalize(key(images[1]), dim=1)
    torch.testing.assert_close(recipe.beside["images"].keys[1], own[labels == 1], rtol=1e-3, atol=1e-4)


def test_patches_join_at_their_epoch(textures):
    _, train, _ = textures
    recipe = ConceptTuning(settings(changed(SHORT, epochs=3), concept_from=1))
    recipe.start(network(), None, Data(train, np.arange(90)), SEED)
    seen = []
    patches = recipe._patch_queries
    recipe._patch_queries = lambda *given: (seen.append(recipe._steps), patches(*given))[1]
    engine.run(recipe)
    assert seen == list(range(5, 15))
    assert recipe.beside["concepts"].filled.min() == 4


def test_the_head_behind_the_bottleneck_may_be_kept(textures):
    """Training is the same bit for bit; its logits are of the mean, and both heads are in the network."""
    _, train, val = textures
    recipes = {}
    for head in ("classifier", "bottleneck"):
        recipe = recipes[head] = ConceptTuning(settings(head=head))
        torch.manual_seed(1)
        converted = recipe.convert(network())
        torch.manual_seed(2)
        assert recipe.refuses(recipe.settings, converted) == ""
        recipe.start(converted, None, Data(train, np.arange(90)), SEED)
        engine.run(recipe)
    plain, behind = recipes.values()
    assert_same(behind.plain.state_dict(), plain.network.state_dict())
    assert_same(behind.decoder.state_dict(), plain.beside["decoder"].state_dict())
    stored = behind.inference().eval()
    once, again = (engine.evaluate(stored, val) for _ in range(2))
    assert_same(once, again)
    loaded = ConceptTuning(settings(head="bottleneck")).convert(network()).eval()
    loaded.load_state_dict(stored.state_dict())
    assert_same(engine.evaluate(loaded, val), once)
    assert not torch.allclose(once, engine.evaluate(plain.network.eval(), val))


def noting(loss, values):
    """A loss whose values are noted."""

    def noted(*given):
        values.append(loss(*given))
        return values[-1]

    return noted


def test_one_batch_is_learned(textures, views, monkeypatch):
    """Every loss falls when the same batch comes again and again."""
    losses = {"all": [], "classes": []}
    for name in ("contrast", "concept_contrast"):
        losses[name] = []
        monkeypatch.setattr(tuner, name, noting(getattr(tuner, name), losses[name]))
    recipe = started(textures[1], backbone_rate=1.0)
    (images, labels), parameters = views, [p for group in recipe.groups() for p in group.parameters]
    optimiser = torch.optim.SGD(parameters, lr=0.02, momentum=0.9)
    for _ in range(20):
        loss, logits = recipe.step(images, labels)
        losses["all"].append(loss)
        losses["classes"].append(recipe.phase.criterion(logits, labels))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for values in losses.values():
        values = torch.stack(values).detach()
        assert values[-4:].mean() < values[:4].mean()
        assert values.min() >= 0


def test_a_transformer_has_patches_of_its_tokens(textures):
    _, train, _ = textures
    options = {"image_size": 28, "patch_size": 7, "dim": 32, "depth": 2, "heads": 2}
    vit = NetworkSettings(file=f"{SMALL_VIT}:make_vit", resolution=28, **options)
    recipe = settings(patch_source="feature")
    one = Job(lambda: contract.build(vit, 3), Data(train, np.arange(90)), recipe, SEED)
    assert np.isfinite(next(train_block([one])).log).all()


def check(classes, images=100, **others):
    kind = KINDS["concept_tuning"]
    return kind.check(settings(**others), Task(10, classes, images, 5))


def test_what_cannot_be_learned_so_is_said():
    assert check(3) == check(2) == check(200, None) == check(3, confusing=2) == ""
    assert check(3, confusing=3) == (
        "confusing is 3, and the target has 2 classes beside an image's own; give at most 2, or null"
    )
    assert "contrasts classes, and the target has 1" in check(1)
    assert "the target has 1 to train on" in check(3, 1)
    assert "bottleneck_weight 0 does not train it" in check(3, head="bottleneck", bottleneck_weight=0)
    assert "the first must be the smaller" in check(3, patch_scale=[1.0, 0.5])


def test_networks_that_cannot_be_trained_so_are_refused():
    def refused(architecture, **others):
        return ConceptTuning.refuses(settings(**others), contract.build(architecture, 2))

    assert refused(ARCHITECTURE) == ""
    vit = NetworkSettings(file=f"{SMALL_VIT}:make_vit", resolution=64)
    assert "takes images of one size; set patch_source: feature" in refused(vit)
    assert refused(vit, patch_source="feature") == ""
    flat = contract.build(ARCHITECTURE, 2)
    flat.parts = type(flat.parts)(None, False)
    assert "here they are made of none" in ConceptTuning.refuses(settings(), flat)
    narrow = contract.build(ARCHITECTURE, 2).with_head(torch.nn.Linear(8, 2))
    assert "9 groups of channels, and this network has 8" in ConceptTuning.refuses(settings(), narrow)
