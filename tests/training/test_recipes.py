"""The seam of recipes and blocks: toys that use all of it, trained for real, against plain torch."""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.conftest import ARCHITECTURE, CLASSES, TRAINING, changed, rows_of
from tests.training import toys
from transferlens.core import artefacts
from transferlens.core.errors import ArtefactError, ConfigError
from transferlens.core.imports import resolve
from transferlens.core.seeding import seed_for
from transferlens.data.pipeline import Pass
from transferlens.models import states
from transferlens.training import block, engine, networks, outputs, recipes, schedule, source, transfer
from transferlens.training.artefacts import TRAINING_RECORDS, TRANSFER_RUNS
from transferlens.training.block import train_block
from transferlens.training.recipes import base
from transferlens.training.recipes.base import Data, Recipe
from transferlens.training.recipes.kinds import KINDS, log_rows, read
from transferlens.training.recipes.settings.base import RecipeKind, RecipeSettings
from transferlens.training.recipes.settings.plain import FixedSettings, FullSettings
from transferlens.training.recipes.settings.remedies import RemediedSettings
from transferlens.training.runs import Job

AUGMENTED = changed(TRAINING, epochs=8, crop="random_resized", flip=True)
FULL = FullSettings(training=TRAINING)
CPU = torch.device("cpu")
SEED = 11
REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = ("recipes", "objectives")
TOYS = {
    "MeanTeacher": {},
    "Staged": {"epochs": lambda settings: 2 * settings.training.epochs},
    "Anchored": {},
    "Soup": {"runs": 2},
}


@pytest.fixture(autouse=True)
def toy_kinds(monkeypatch):
    """The toys, registered as any recipe is."""
    for name, facts in TOYS.items():
        kind = RecipeKind(
            name,
            RecipeSettings,
            f"tests.training.toys:{name}",
            changes_backbone=lambda settings: True,
            **facts,
        )
        monkeypatch.setitem(KINDS, name, kind)


def settings(kind, training=TRAINING):
    return read({"kind": kind, "training": training})


def initial(seed=0):
    return source.initial_network(ARCHITECTURE, 3, seed).to(memory_format=torch.channels_last)


def job(images, recipe, seed=SEED, network=initial, **more):
    return Job(network, Data(images, np.arange(len(images))), recipe, seed, **more)


def trained(*jobs):
    return list(train_block(jobs))


def assert_same(network, expected):
    torch.testing.assert_close(network.state_dict(), expected.state_dict(), rtol=0, atol=0)


def sgd(groups):
    return torch.optim.SGD(groups, lr=0.0, momentum=TRAINING.momentum, fused=True)


def batches_of(images, training, seed, view=0):
    """(step, batch, labels) of a whole training, by the data's own iterator."""
    step = 0
    for epoch in range(training.epochs):
        for batch, labels in images.training_batches(
            Pass(np.arange(90), training, 16, epoch, seed, 28, view)
        ):
            yield step, batch, labels
            step += 1


def test_a_recipe_of_two_networks_four_views_and_a_moving_average(textures):
    _, train, val = textures
    (model,) = trained(job(train, settings("MeanTeacher", AUGMENTED)))
    student = initial().train()
    teacher = copy.deepcopy(student)
    optimiser = sgd([{"params": student.parameters(), "weight_decay": TRAINING.weight_decay}])
    for views in zip(*(batches_of(train, AUGMENTED, SEED, view) for view in range(4)), strict=True):
        step, images, labels = views[0][0], [view[1] for view in views], views[0][2]
        assert all(torch.equal(view[2], labels) for view in views)
        assert not torch.equal(images[0], images[1])
        first, second, third = (student(image) for image in images[:3])
        with torch.no_grad():
            answer = teacher(images[3])
        own = functional.cross_entropy(first, labels) + functional.cross_entropy(second, labels)
        loss = own + functional.mse_loss(third, answer)
        optimiser.zero_grad()
        loss.backward()
        with torch.no_grad():
            for mean, parameter in zip(teacher.parameters(), student.parameters(), strict=True):
                mean.mul_(toys.DECAY).add_(parameter, alpha=1 - toys.DECAY)
        optimiser.param_groups[0]["lr"] = schedule.learning_rate(AUGMENTED, step, 5)
        optimiser.step()
    assert step == 39
    torch.testing.assert_close(dict(model.network.named_parameters()), dict(teacher.named_parameters()))
    with pytest.raises(AssertionError):  # one step ahead, as an average after the step would be
        torch.testing.assert_close(dict(model.network.named_parameters()), dict(student.named_parameters()))
    correct = engine.evaluate(model.network.eval(), val).argmax(1) == val.labels
    assert correct.float().mean() > 0.9


def test_phases_have_their_own_parameters_rates_and_decay(textures):
    _, train, _ = textures
    recipe = settings("Staged")
    (model,) = trained(job(train, recipe))
    network = initial().train()
    head, backbone = network.head.parameters, network.backbone.parameters
    decay = TRAINING.weight_decay
    for groups, rates, seed in (
        ([{"params": head(), "weight_decay": decay}], (1,), SEED),
        ([{"params": head(), "weight_decay": decay}, {"params": backbone()}], (1, 0.1), 7),
    ):
        optimiser = sgd(groups)
        for step, images, labels in batches_of(train, TRAINING, seed):
            network.zero_grad()
            functional.cross_entropy(network(images), labels).backward()
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = schedule.learning_rate(TRAINING, step, 5) * rate
            optimiser.step()
    assert_same(model.network, network)
    assert len(model.log) == log_rows(recipe) == 6
    assert (np.diff(model.log[:, 0]) < 0.1).all()


def test_a_converted_network_is_stored_and_loaded_as_it_was_evaluated(textures, tmp_path):
    """An adapter, a frozen source, watched features, a loss on parameters, and changed weights in the end."""
    made, train, val = textures
    table = rows_of(np.ones((2, 3)))
    source.train_shard(
        tmp_path / "s.h5", table, train.examples.labels, list(CLASSES), train, val, ARCHITECTURE, FULL,
        False,
    )  # fmt: skip
    transfer.transfer_shard(
        tmp_path / "t.h5", tmp_path / "s.h5", made, train, val, ARCHITECTURE, settings("Anchored"), True,
        "global",
    )  # fmt: skip
    places = [tmp_path / "s.h5"], [tmp_path / "t.h5"], ARCHITECTURE, CPU
    models = list(networks.adapted_networks(*places))
    with artefacts.open(tmp_path / "t.h5", TRANSFER_RUNS) as file:
        assert file.attrs["implementation"] == "sequential"
        for row, model in enumerate(models):
            margins = outputs.per_example(engine.evaluate(model.network, val), val.labels)["margin"]
            np.testing.assert_allclose(file["margin"][row], margins, rtol=1e-5, atol=1e-5)
    seed = seed_for(1, "transfer")
    ours, theirs = models[1].network, models[1].source
    assert ours.backbone[1].change.weight.abs().max() > 0
    moved = ours.backbone[0].stem[0].weight - theirs.backbone.stem[0].weight
    plain = transfer.adapt(
        copy.deepcopy(theirs).with_head(transfer.new_head(32, 3, seed)), train, settings("full"), seed
    )
    free = plain.network.backbone.stem[0].weight - theirs.backbone.stem[0].weight
    assert 0 < moved.norm() < 0.7 * free.norm()
    transfer.transfer_shard(
        tmp_path / "k.h5", tmp_path / "s.h5", made, train, val, ARCHITECTURE, settings("Anchored"), True,
        "global", checkpoints=(0, 3),
    )  # fmt: skip
    start = next(networks.kept_networks(tmp_path / "s.h5", tmp_path / "k.h5", ARCHITECTURE, CPU, 1)).network
    torch.testing.assert_close(start.head.weight, transfer.new_head(32, 3, seed).weight, rtol=0, atol=0)
    assert (start.backbone[1].change.weight == 0).all()


def test_hooks_stand_before_and_after_every_step(textures):
    _, train, _ = textures
    recipe = toys.Projected(settings("full"))
    recipe.start(initial(), None, Data(train, np.arange(90)), SEED)
    engine.run(recipe)
    expected = [("after", -1), *((when, step) for step in range(15) for when in ("before", "after"))]
    assert [event[:2] for event in recipe.events] == expected
    before = [lengths for when, _, lengths in recipe.events if when == "before"]
    after = [lengths for when, _, lengths in recipe.events if when == "after"]
    np.testing.assert_allclose(before, 1, rtol=1e-5)
    assert (np.abs(np.array(after[1:]) - 1) > 1e-4).any(1).all()  # each step moved the head
    np.testing.assert_allclose(recipe.lengths(), 1, rtol=1e-5)


def test_several_runs_are_combined(textures):
    _, train, _ = textures
    (soup,) = trained(job(train, settings("Soup")))
    first, second = trained(
        job(train, settings("full")), job(train, settings("full"), seed_for(SEED, "run", 1))
    )
    expected = (first.network.head.weight + second.network.head.weight) / 2
    torch.testing.assert_close(soup.network.head.weight, expected, rtol=0, atol=0)
    np.testing.assert_array_equal(soup.log, np.concatenate([first.log, second.log]))
    assert log_rows(settings("Soup")) == 6


def test_a_models_result_depends_on_its_own_job_alone(textures):
    """Not on its neighbours, nor on its place: dropout draws from the generator that its network seeded."""
    _, train, _ = textures

    def with_dropout():
        network = initial()
        network.backbone.append(nn.Dropout(0.5))
        return network

    def make(seed):
        return job(train, settings("full", changed(TRAINING, epochs=1)), seed, with_dropout)

    alone = [trained(make(seed))[0] for seed in (1, 2, 3)]
    together = trained(make(3), make(1), make(2))
    for model, place in zip(alone, (1, 2, 0), strict=True):
        assert_same(model.network, together[place].network)
        np.testing.assert_array_equal(model.log, together[place].log)
        assert model.implementation == "sequential"


def test_networks_of_a_block_are_made_when_their_turn_comes(textures):
    _, train, _ = textures
    made = []

    def network():
        made.append(len(made))
        return initial()

    recipe = settings("full", changed(TRAINING, epochs=1))
    models = train_block(job(train, recipe, network=network) for _ in range(3))
    next(models)
    assert made == [0]


def test_a_model_without_images_stays_as_it_is(textures):
    _, train, _ = textures
    kept = []
    checkpoints = engine.Checkpoints((0, 1), lambda position, network: kept.append(position))
    data = Data(train, np.arange(0))
    (model,) = trained(Job(initial, data, settings("full"), SEED, checkpoints=checkpoints))
    assert_same(model.network, initial())
    assert (model.log == 0).all()
    assert kept == [0]


@pytest.fixture
def sources(textures, tmp_path):
    """A shard of two source models with checkpoints: all classes, and one class."""
    _, train, val = textures
    table = rows_of([[1, 1, 1], [1, 0, 0]], first=4)
    source.train_shard(
        tmp_path / "s.h5", table, train.examples.labels, list(CLASSES), train, val, ARCHITECTURE, FULL,
        False, (0, 1, 2, 4),
    )  # fmt: skip
    return tmp_path / "s.h5"


def test_checkpoints_are_the_networks_along_the_way(sources, textures):
    _, train, _ = textures
    at = {
        step: next(networks.source_networks([sources], ARCHITECTURE, CPU, [4], step)) for step in (0, 1, 2, 4)
    }
    assert_same(at[0], source.initial_network(ARCHITECTURE, 3, 0))
    network = initial().train()
    optimiser = sgd([{"params": network.parameters(), "weight_decay": TRAINING.weight_decay}])
    for step, images, labels in batches_of(train, TRAINING, seed_for(0, "data")):
        optimiser.zero_grad()
        functional.cross_entropy(network(images), labels).backward()
        optimiser.param_groups[0]["lr"] = schedule.learning_rate(TRAINING, step, 5)
        optimiser.step()
        if step + 1 in at:
            assert_same(at[step + 1], network)
    (final,) = networks.source_networks([sources], ARCHITECTURE, CPU, [4])
    assert_same(final, network)


def test_a_checkpoint_that_a_run_never_reached_is_refused(sources, tmp_path):
    """One class makes three steps; the step after 4 is in the file, and not in this model's run."""
    with pytest.raises(ArtefactError, match=r"no checkpoint of row 1 after 4 steps; kept are: 0, 1, 2$"):
        next(networks.source_networks([sources], ARCHITECTURE, CPU, [5], step=4))
    with pytest.raises(ArtefactError, match="row 6 is in none of these 1 shards"):
        next(networks.source_networks([sources], ARCHITECTURE, CPU, [6]))
    source.write_record(tmp_path / "r.h5", sources)
    with artefacts.open(tmp_path / "r.h5", TRAINING_RECORDS) as record:
        assert states.CHECKPOINTS not in record
        assert record["checkpoint_kept"][:].tolist() == [[True] * 4, [True, True, True, False]]


def test_a_checkpoint_of_a_head_on_cached_features_takes_features_as_they_are(sources, textures, tmp_path):
    made, train, val = textures
    recipe = FixedSettings(training=changed(TRAINING, epochs=4))
    transfer.transfer_shard(
        tmp_path / "t.h5", sources, made, train, val, ARCHITECTURE, recipe, False, "global",
        checkpoints=(0, 20),
    )  # fmt: skip
    along = networks.kept_networks(sources, tmp_path / "t.h5", ARCHITECTURE, CPU, 0)
    kept = [(step, copy.deepcopy(network)) for step, network in along]
    (first, start), (at_20, along), (last, end) = kept
    assert (first, at_20, last) == (0, 20, 20)
    assert_same(along, end)
    (source_model,) = networks.source_networks([sources], ARCHITECTURE, CPU, [4])
    features = engine.evaluate(source_model.backbone, train)
    head = transfer.new_head(32, 3, seed_for(0, "transfer"))
    std = features.std(0)
    standardised = (features - features.mean(0)) / torch.where(std > 0, std, torch.ones_like(std))
    expected = head(standardised).detach()
    torch.testing.assert_close(engine.evaluate(start, train), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"kind": "fixed", "batchnorm": "train"}, FixedSettings),
        ({"kind": "full"}, FullSettings),
        ({"kind": "inside", "classes": 2, "weight": 0.5}, RemediedSettings),
    ],
)
def test_settings_of_a_recipe_are_read_by_its_kind(given, kind):
    recipe = read({**given, "training": {"epochs": 3}})
    assert isinstance(recipe, kind)
    assert read(json.loads(json.dumps(recipe.model_dump()))) == recipe
    assert recipe.training.epochs == 3
    assert type(recipes.make(recipe)).__name__.lower() == given["kind"]


def test_settings_that_are_no_recipe_are_named():
    with pytest.raises(ConfigError, match=r"config: 'recipe.kind' is 'fulll' .did you mean 'full'"):
        read({"kind": "fulll"}, "recipe")
    with pytest.raises(ConfigError, match=r"unknown key 'recipe.classes'"):
        read({"kind": "full", "classes": 3}, "recipe")


def test_what_a_plan_asks_of_recipes_needs_no_torch():
    code = "import sys, transferlens.training.recipes.kinds; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_every_recipe_has_a_card():
    """Those with a seam of their own; the two plain ones and the remedies are told in docs/training.md."""
    told = "".join((REPOSITORY / f"docs/{page}.md").read_text(encoding="utf-8") for page in PAGES)
    told_elsewhere = {"fixed", "full"} | {name for name, kind in KINDS.items() if kind.asked_for_by}
    cards = re.findall(r"^### (\w+)\n(.*?)(?=^#|\Z)", told, re.MULTILINE | re.DOTALL)
    assert sorted(name for name, _ in cards) == sorted(KINDS.keys() - TOYS.keys() - told_elsewhere)
    for name, card in cards:
        for part in ("Idea", "Loss", "Needs", "Cost", "Pitfalls", "Source"):
            assert f"**{part}.**" in card, f"{name}: {part}"


def test_what_refuses_networks_says_what_it_needs():
    """As networks are tried for those alone, before anything runs."""
    for kind in KINDS.values():
        refuses = resolve(kind.path).refuses.__func__ is not Recipe.refuses.__func__
        assert kind.needs or not refuses, kind.name


def test_the_loop_knows_no_recipe_by_name():
    implementations = {kind.path.split(":")[0] for kind in KINDS.values()}
    for module in (engine, block, base):
        assert not implementations & {getattr(value, "__module__", "") for value in vars(module).values()}
        assert not implementations & {getattr(value, "__name__", "") for value in vars(module).values()}
