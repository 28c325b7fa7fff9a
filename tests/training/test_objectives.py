"""What sources are trained for beside their labels: without them (SimCLR), and against attacks."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.conftest import ARCHITECTURE, CLASSES, TRAINING, changed, rows_of
from transferlens.capabilities import run_of
from transferlens.core import artefacts
from transferlens.core.settings import InputSettings, SourceTrainingSettings, TrainingSettings
from transferlens.operations import rate
from transferlens.operations.datasets import Data as Known
from transferlens.training import engine, source
from transferlens.training.artefacts import SOURCE_MODELS, TRAINING_RECORDS
from transferlens.training.block import train_block
from transferlens.training.capability import CAPABILITY, TRAIN_SOURCE
from transferlens.training.recipes import adversarial, kinds
from transferlens.training.recipes.adversarial import Adversarial
from transferlens.training.recipes.base import Data
from transferlens.training.recipes.self_supervised import nt_xent
from transferlens.training.recipes.settings.objectives import AdversarialSettings, SimclrSettings, of_source
from transferlens.training.recipes.settings.plain import FullSettings
from transferlens.training.runs import Job

PROBE = changed(TRAINING, epochs=10, lr=0.5)
VIEWS = changed(TRAINING, epochs=12, batch_size=30, crop="random_resized", flip=True)
SIMCLR = SimclrSettings(training=VIEWS, projection=16, probe=PROBE)
FULL = FullSettings(training=TRAINING)
SEED = 3


def projections(n, d=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((2, n, d), generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_nt_xent_is_its_double_loop(n):
    first, second = projections(n)
    z = [*first, *second]
    total = 0.0
    for i in range(2 * n):
        similar = [float(functional.cosine_similarity(z[i], other, 0)) / 0.3 for other in z]
        others = sum(math.exp(similar[k]) for k in range(2 * n) if k != i)
        total -= math.log(math.exp(similar[(i + n) % (2 * n)]) / others)
    assert float(nt_xent(first, second, 0.3)) == pytest.approx(total / (2 * n), abs=1e-12)


def test_nt_xent_of_equal_projections_is_a_constant():
    same = torch.ones(6, 4)
    assert float(nt_xent(same, same, 0.1)) == pytest.approx(math.log(11), abs=1e-6)


def test_nt_xent_knows_its_gradient():
    first, second = (part.clone().requires_grad_() for part in projections(3))
    assert torch.autograd.gradcheck(lambda *views: nt_xent(*views, 0.5), (first, second))


def test_nt_xent_is_finite_for_large_similarities():
    first, second = (1e4 * part.float() for part in projections(4))
    first.requires_grad_()
    loss = nt_xent(first, second, 1e-4)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(first.grad).all()
    assert float(nt_xent(second, second, 1e-4)) == pytest.approx(0, abs=1e-6)


def train_shard(path, textures, recipe, masks=((1, 1, 1), (1, 1, 0), (0, 0, 0)), step_matched=False):
    _, train, val = textures
    units, rows = train.examples.labels, rows_of(masks)
    source.train_shard(path, rows, units, list(CLASSES), train, val, ARCHITECTURE, recipe, step_matched)
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("shards")


def weights(path, row, part):
    with artefacts.open(path, SOURCE_MODELS) as file:
        return {name: file[f"weights/{name}"][row] for name in file["weights"] if name.startswith(part)}


def test_the_probe_of_a_source_without_labels_beats_chance(textures, place):
    path = train_shard(place / "simclr.h5", textures, SIMCLR)
    with artefacts.open(path, SOURCE_MODELS) as file:
        assert file["accuracy"][0] > 0.8  # of three classes
        assert file["class_accuracy"][1, 2] == 0  # no image of the third class for its probe
        assert file["train_images"][:].tolist() == [90, 60, 0]
        log = file["log"][:]
    assert log.shape == (3, 22, 3)
    assert log[0, 0, 0] < math.log(59)  # views are told apart better than by chance, and ever better
    assert 0 < log[0, 11, 0] < 0.9 * log[0, 0, 0]
    assert log[0, -1, 1] > 0.8
    assert not log[2].any()
    for name, tensor in source.initial_network(ARCHITECTURE, 3, 2).state_dict().items():
        np.testing.assert_array_equal(weights(path, 2, name)[name], tensor.numpy().ravel())


def test_labels_decide_the_head_alone(textures, place):
    """The same images under other labels: the same backbone to the bit, and another head."""
    index, train, val = textures
    short = changed(SIMCLR, training=changed(VIEWS, epochs=2))
    whole = train_shard(place / "labelled.h5", textures, short, ((1, 1, 1),))
    train.labels = (train.labels + torch.arange(90)) % 3
    other = train_shard(place / "relabelled.h5", (index, train, val), short, ((1, 1, 1),))
    for name, value in weights(whole, 0, "backbone").items():
        np.testing.assert_array_equal(value, weights(other, 0, "backbone")[name])
    assert not np.array_equal(*(weights(path, 0, "head.weight")["head.weight"] for path in (whole, other)))


def test_a_step_matched_source_takes_as_many_steps_as_the_whole_one(textures, place, monkeypatch):
    steps = []

    def counted(recipe, phase, *others, real=engine._train):
        steps.append((phase.steps or len(phase.positions) // phase.training.batch_size, len(phase.positions)))
        return real(recipe, phase, *others)

    monkeypatch.setattr(engine, "_train", counted)
    short = SimclrSettings(training=changed(VIEWS, epochs=1), probe=changed(PROBE, epochs=1))
    train_shard(place / "matched.h5", textures, short, ((1, 1, 1), (1, 1, 0)), step_matched=True)
    assert steps == [(3, 90), (5, 90), (3, 60), (5, 60)]


def images_of(textures, n=12):
    _, train, _ = textures
    positions = np.arange(0, 90, 90 // n)
    return train.pick(positions)[0].contiguous(), train.labels[torch.from_numpy(positions)]


def attacker(textures, network, **settings):
    """A recipe of this radius at its first step on a network."""
    _, train, _ = textures
    recipe = Adversarial(AdversarialSettings(training=TRAINING, **settings))
    recipe.start(network, None, Data(train, np.arange(90)), SEED)
    recipe.enter(next(recipe.phases()), {})
    return recipe


def initial(seed=0):
    return source.initial_network(ARCHITECTURE, 3, seed).to(memory_format=torch.channels_last)


def trained(textures, recipe):
    _, train, _ = textures
    (model,) = train_block([Job(initial, Data(train, np.arange(90)), recipe, SEED)])
    return model


@pytest.mark.parametrize("step_size", [None, 10.0])
def test_an_attack_stays_in_the_ball_and_among_images(textures, step_size):
    images, labels = images_of(textures)
    recipe = attacker(textures, trained(textures, FULL).network, radius=0.7, step_size=step_size)
    recipe.network.zero_grad()
    changed_images = recipe.attacked(images, labels)
    mean, std = recipe.data.images.channels
    moved = (changed_images - images) * std
    lengths = moved.flatten(1).norm(dim=1)
    assert lengths.max() <= 0.7 + 1e-5
    assert lengths.max() > 0.5
    pixels = changed_images * std + mean
    assert pixels.min() >= -1e-5
    assert pixels.max() <= 1 + 1e-5
    assert recipe.network.training
    assert all(parameter.grad is None for parameter in recipe.network.parameters())


def test_an_attack_raises_the_loss_of_a_trained_network(textures):
    images, labels = images_of(textures)
    recipe = attacker(textures, trained(textures, FULL).network, radius=0.5)
    attacked = recipe.attacked(images, labels)
    network = recipe.network.eval()
    clean, worse = (
        functional.cross_entropy(network(batch).detach(), labels, reduction="none")
        for batch in (images, attacked)
    )
    assert (worse >= clean - 1e-6).all()
    assert worse.mean() > 1.5 * clean.mean()


def test_one_step_of_the_attack_is_along_the_gradient():
    """Of a linear network the maximum is known: the radius along the gradient."""
    gradient = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
    step = adversarial.step_along(gradient, 0.5)
    torch.testing.assert_close(step.flatten(), torch.tensor([0.3, 0.4]))
    torch.testing.assert_close(adversarial.within(4 * step, 1.0).flatten(), torch.tensor([0.6, 0.8]))
    torch.testing.assert_close(adversarial.within(step, 1.0), step)
    assert not adversarial.step_along(torch.zeros(1, 3, 2, 2), 0.5).any()
    assert not adversarial.within(torch.zeros(1, 3, 2, 2), 0.0).any()


def test_radius_zero_is_plain_training_to_the_bit(textures):
    plain, same = (
        trained(textures, recipe) for recipe in (FULL, AdversarialSettings(training=TRAINING, radius=0.0))
    )
    torch.testing.assert_close(plain.network.state_dict(), same.network.state_dict(), rtol=0, atol=0)
    np.testing.assert_array_equal(plain.log, same.log)


def test_adversarial_training_resists_better(textures):
    images, labels = images_of(textures, n=45)
    longer, right = changed(TRAINING, epochs=8), []
    for recipe in (
        FullSettings(training=longer),
        AdversarialSettings(training=longer, radius=3.0, steps=3),
    ):
        attack = attacker(textures, trained(textures, recipe).network, radius=3.0)
        attacked = attack.attacked(images, labels)
        right.append(float((attack.network.eval()(attacked).argmax(1) == labels).float().mean()))
    assert right[1] > right[0] + 0.5


def planned(**training):
    given = {"source": "digits-and-clothes", "targets": {"optdigits": {}}, "source_training": training}
    return run_of(given)


SHARD = {"study": "reference", "shard": "0000"}


def test_only_what_an_objective_takes_is_a_setting_of_the_job():
    plain = TRAIN_SOURCE.settings(planned(epochs=3, contrast={"temperature": 0.1}), SHARD)
    assert plain["training"] == TrainingSettings(epochs=3).model_dump()
    assert "objective" not in plain
    for objective, kind, other in (("simclr", "contrast", "attack"), ("adversarial", "attack", "contrast")):
        run = planned(epochs=3, objective=objective)
        settings = TRAIN_SOURCE.settings(run, SHARD)
        assert settings["objective"]["kind"] == objective
        assert settings["objective"]["training"]["epochs"] == 3
        assert "training" not in settings
        code = TRAIN_SOURCE.code(run, SHARD)
        assert code == kinds.KINDS[objective].code != TRAIN_SOURCE.code(planned(), SHARD)
        changes = {"contrast": {"temperature": 0.1}, "attack": {"radius": 0.1}}
        now, same = (planned(epochs=3, objective=objective, **{key: changes[key]}) for key in (kind, other))
        assert TRAIN_SOURCE.settings(now, SHARD) != settings == TRAIN_SOURCE.settings(same, SHARD)


def test_a_plan_counts_the_epochs_of_the_probe():
    run = planned(epochs=4, objective="simclr", contrast={"probe": {"epochs": 7}})
    assert CAPABILITY.sizes(run, TRAINING_RECORDS, SHARD, {"model": 2})["epoch"] == 11
    assert CAPABILITY.sizes(planned(epochs=4), TRAINING_RECORDS, SHARD, {"model": 2})["epoch"] == 4


def test_objectives_become_recipes():
    training = SourceTrainingSettings(epochs=3, objective="adversarial")
    assert of_source(training) == AdversarialSettings(training=TrainingSettings(epochs=3))
    assert of_source(changed(training, objective="supervised")) == FullSettings(
        training=TrainingSettings(epochs=3)
    )
    assert of_source(changed(training, objective="simclr")).probe == TrainingSettings()


def test_a_plan_counts_no_epoch_of_a_probe_as_training():
    work = rate.transfer_work(changed(SIMCLR, probe=changed(PROBE, epochs=40)), 90, 36)
    assert (work.steps, work.batch, work.evaluated) == (12 * 3, 30, 36 + 90)
    assert rate.transfer_work(AdversarialSettings(training=TRAINING), 90, 36).steps == 3 * 5


@pytest.mark.parametrize("objective", ["supervised", "simclr", "adversarial"])
def test_a_plan_measures_the_training_that_an_objective_asks_for(objective, monkeypatch):
    """Views and attacks make a step dear: the recipe itself is measured; plain training as ever."""
    measured = []
    monkeypatch.setattr(rate.Trial, "training", lambda self, training: measured.append(training) or 1.0)
    monkeypatch.setattr(rate.Trial, "adaptation", lambda self, how: measured.append(how) or (0.0, 3.0))
    monkeypatch.setattr(rate.Trial, "evaluation", lambda self: 0.0)
    run = planned(epochs=4, batch_size=10, objective=objective)
    known = dict.fromkeys(("digits-and-clothes", "optdigits"), Known(100, 0, 20, "published counts"))
    seconds = rate._Measured(run, known, torch.device("cpu")).source(run.studies["reference"])
    each = 1.0 if objective == "supervised" else 3.0
    assert seconds == pytest.approx(run.studies["reference"].rows * 4 * 100 / 2 * each)
    recipe = of_source(run.settings.source_training)
    assert measured[-1] in (recipe, recipe.training)


def test_a_trial_takes_real_steps_of_both_views():
    images = InputSettings(resolution=28)
    trial = rate.Trial(ARCHITECTURE, images, torch.device("cpu"))
    recipe = SimclrSettings(training=changed(VIEWS, batch_size=8), probe=changed(PROBE, epochs=1))
    assert trial.adaptation(recipe)[1] > 0
