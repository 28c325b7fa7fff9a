"""Every optimiser, schedule and bound on gradients against plain torch; and settings that cannot hold."""

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.optim import lr_scheduler as schedulers

from tests.conftest import INPUT, TRAINING, changed
from transferlens.core.errors import ConfigError
from transferlens.core.settings import TrainingSettings
from transferlens.data.pipeline import Pass, shuffled_batches
from transferlens.training import engine, schedule
from transferlens.training.recipes.fixed import FeatureBatches

EPOCHS, STEPS = 4, 5  # 5 batches of 16 in 80 images
CONSTANT = changed(TRAINING, epochs=EPOCHS, schedule="step", step_epochs=EPOCHS, lr=0.05)
POSITIONS = np.arange(80)


@pytest.fixture
def data():
    """80 points of three noisy classes in six dimensions, in float64; logits are float32."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 80)
    points = rng.normal(size=(80, 6)) + 2 * np.eye(3, 6)[labels]
    return FeatureBatches(torch.from_numpy(points), torch.from_numpy(labels), INPUT, torch.device("cpu"))


def linear():
    torch.manual_seed(0)
    return torch.nn.Linear(6, 3).double()


def trained(data, training):
    network = linear()
    log = engine.train(network, network.parameters(), data, POSITIONS, training, seed=3)
    return network.weight.detach(), log


def by_torch(data, optimiser_of, scheduler_of=None, clip=None, epochs=EPOCHS):
    """The same by a plain loop: (weights, the learning rate of every epoch's last step)."""
    network = linear()
    optimiser = optimiser_of(network.parameters())
    scheduler = scheduler_of(optimiser) if scheduler_of else None
    rates = []
    for epoch in range(epochs):
        for batch in shuffled_batches(Pass(POSITIONS, TRAINING, 16, epoch, seed=3, resolution=28)):
            optimiser.zero_grad()
            functional.cross_entropy(network(data.features[batch]), data.labels[batch]).backward()
            if clip:
                torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
            rate = optimiser.param_groups[0]["lr"]
            optimiser.step()
            if scheduler:
                scheduler.step()
        rates.append(rate)
    return network.weight.detach(), np.array(rates)


def sgd(parameters, lr=0.05, **options):
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9, weight_decay=5e-4, **options)


def assert_agree(ours, theirs):
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours[1][:, 2], theirs[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd(data, nesterov):
    ours = trained(data, changed(CONSTANT, nesterov=nesterov))
    assert_agree(ours, by_torch(data, lambda p: sgd(p, nesterov=nesterov)))


def test_momentum_is_nesterovs_only_where_asked_for(data):
    plain, nesterov = (trained(data, changed(CONSTANT, nesterov=value))[0] for value in (False, True))
    assert (plain - nesterov).abs().max() > 1e-3


def test_adamw(data):
    training = changed(CONSTANT, optimizer="adamw", betas=[0.8, 0.99], weight_decay=0.1, lr=0.01)

    def adamw(parameters):
        return torch.optim.AdamW(parameters, lr=0.01, betas=(0.8, 0.99), weight_decay=0.1)

    assert_agree(trained(data, training), by_torch(data, adamw))


def test_gradients_are_clipped(data):
    clipped = trained(data, changed(CONSTANT, clip=0.05))
    assert_agree(clipped, by_torch(data, sgd, clip=0.05))
    assert (clipped[0] - trained(data, CONSTANT)[0]).abs().max() > 0.1


def test_a_bound_that_no_gradient_reaches_changes_nothing(data):
    torch.testing.assert_close(trained(data, changed(CONSTANT, clip=1e3))[0], trained(data, CONSTANT)[0])


WARMUP = 8  # steps: 1.6 epochs


def rising(optimiser):
    return schedulers.LinearLR(optimiser, start_factor=1 / WARMUP, total_iters=WARMUP - 1)


SCHEDULES = {
    "step": (
        {"schedule": "step", "step_epochs": 2, "gamma": 0.3},
        lambda o: schedulers.StepLR(o, 2 * STEPS, gamma=0.3),
    ),
    "step after a warm-up": (
        {"schedule": "step", "step_epochs": 2, "gamma": 0.3, "warmup_epochs": 1.6},
        lambda o: schedulers.ChainedScheduler([rising(o), schedulers.StepLR(o, 2 * STEPS, gamma=0.3)]),
    ),
    "cosine": (
        {"schedule": "cosine"},
        lambda o: schedulers.CosineAnnealingLR(o, EPOCHS * STEPS),
    ),
    "cosine after a warm-up": (
        {"schedule": "cosine", "warmup_epochs": 1.6},
        lambda o: schedulers.SequentialLR(
            o, [rising(o), schedulers.CosineAnnealingLR(o, EPOCHS * STEPS - WARMUP)], [WARMUP]
        ),
    ),
    "triangular": (
        {"schedule": "triangular", "lr_peak_epoch": 1.5},
        lambda o: schedulers.LambdaLR(
            o, lambda step: np.interp((step + 0.5) / STEPS, [0, 1.5, EPOCHS], [0, 1, 0])
        ),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(data, name):
    changes, scheduler_of = SCHEDULES[name]
    assert_agree(trained(data, changed(CONSTANT, **changes)), by_torch(data, sgd, scheduler_of))


def test_every_rate_of_a_cosine_with_warm_up():
    training = changed(CONSTANT, schedule="cosine", warmup_epochs=1.6)
    rates = np.array([schedule.learning_rate(training, step, STEPS) for step in range(EPOCHS * STEPS)])
    assert rates[: WARMUP - 1] == pytest.approx(0.05 * np.arange(1, WARMUP) / WARMUP)
    assert rates.max() == rates[WARMUP - 1] == rates[WARMUP] == 0.05
    assert (np.diff(rates[WARMUP:]) < 0).all()
    assert rates[WARMUP + 6] == pytest.approx(0.025)  # half way


def test_a_length_in_iterations(data):
    """Twelve steps in four equal parts: the third part ends in the second pass of five steps a pass."""
    ours = trained(data, changed(CONSTANT, iterations=12))
    assert ours[1].shape == (EPOCHS, 3)
    network = linear()
    optimiser = sgd(network.parameters())
    batches = [
        b
        for epoch in range(3)
        for b in shuffled_batches(Pass(POSITIONS, TRAINING, 16, epoch, seed=3, resolution=28))
    ][:12]
    losses = []
    for batch in batches:
        optimiser.zero_grad()
        loss = functional.cross_entropy(network(data.features[batch]), data.labels[batch])
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    torch.testing.assert_close(ours[0], network.weight.detach(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours[1][:, 0], np.reshape(losses, (EPOCHS, 3)).mean(1), rtol=1e-5)
    assert schedule.steps_per_epoch(10**6, changed(CONSTANT, iterations=12)) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iterations": 17}, "iterations is 17, not a multiple of 16 epochs"),
        ({"warmup_epochs": 1}, "warmup_epochs is for the schedules step and cosine"),
        ({"schedule": "cosine", "warmup_epochs": 17}, "warmup_epochs is 17.0, more than the 16 epochs"),
        ({"nesterov": True, "momentum": 0}, "nesterov needs momentum above 0"),
    ],
)
def test_settings_that_cannot_hold_together(changes, message):
    TrainingSettings().check("training")
    with pytest.raises(ConfigError, match=f"training: {message}"):
        TrainingSettings(**changes).check("training")


def test_defaults_are_those_of_plain_sgd():
    training = TrainingSettings()
    assert (training.optimizer, training.nesterov, training.clip) == ("sgd", False, None)
    assert (training.iterations, training.warmup_epochs) == (None, 0)
