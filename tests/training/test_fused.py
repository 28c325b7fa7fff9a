"""Our optimisers against torch's own, bit for bit; and that training imports no compiler."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import TRAINING, changed
from transferlens.training.optimisation import Optimiser
from transferlens.training.recipes.base import Group

SETTINGS = {
    "plain": {"momentum": 0.0, "weight_decay": 0.0},
    "momentum": {"momentum": 0.9, "weight_decay": 5e-4},
    "nesterov": {"momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
    "adamw": {"optimizer": "adamw", "betas": [0.8, 0.99], "weight_decay": 0.1},
}
REPOSITORY = Path(__file__).resolve().parents[2]
RATES = (0.1, 0.05, 0.2, 0.01)


def parameters():
    """Weights whose memory is laid out in either way, and one that never has a gradient."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((8, 3, 3, 3), (8,), (5, 7), (4,))
    made = [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]
    made[0] = made[0].detach().to(memory_format=torch.channels_last).requires_grad_()
    return made


def gradients(step):
    generator = torch.Generator().manual_seed(step + 1)
    return [torch.randn(p.shape, generator=generator) for p in parameters()[:3]]


def by_torch(settings):
    training = changed(TRAINING, **settings)
    weights = parameters()
    groups = [{"params": weights[:2]}, {"params": weights[2:], "weight_decay": 0.3}]
    options = {"lr": 0.0, "weight_decay": training.weight_decay, "fused": True}
    if training.optimizer == "adamw":
        optimiser = torch.optim.AdamW(groups, betas=tuple(training.betas), **options)
    else:
        momentum, nesterov = training.momentum, training.nesterov
        optimiser = torch.optim.SGD(groups, momentum=momentum, nesterov=nesterov, **options)
    for step, rate in enumerate(RATES):
        for group, factor in zip(optimiser.param_groups, (1, 2), strict=True):
            group["lr"] = rate * factor
        for weight, gradient in zip(weights, gradients(step), strict=False):
            weight.grad = gradient
        optimiser.step()
    return weights


def ours(settings, interrupted_after=None):
    """The same by the house's optimiser, which may go on from what is kept after some steps."""
    training, weights = changed(TRAINING, **settings), parameters()
    groups = [Group(weights[:2], 1), Group(weights[2:], 2, 0.3)]

    def begun():
        return Optimiser(training, groups, torch.amp.GradScaler("cpu", enabled=False))

    optimiser = begun()
    for step, rate in enumerate(RATES):
        if step == interrupted_after:
            kept = io.BytesIO()
            torch.save(optimiser.state(), kept)
            optimiser = begun()
            optimiser.load_state(torch.load(io.BytesIO(kept.getvalue()), weights_only=True))
        for group, factor in zip(optimiser._inner.param_groups, (1, 2), strict=True):
            group["lr"] = rate * factor
        optimiser.zero_grad()
        assert all(weight.grad is None for weight in weights)
        for weight, gradient in zip(weights, gradients(step), strict=False):
            weight.grad = gradient
        optimiser.unscale()
        optimiser.step()
    return weights


@pytest.mark.parametrize("interrupted_after", [None, 2])
@pytest.mark.parametrize("name", SETTINGS)
def test_steps_are_those_of_torchs_own_classes(name, interrupted_after):
    expected, found = by_torch(SETTINGS[name]), ours(SETTINGS[name], interrupted_after)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    assert not torch.equal(found[0], parameters()[0])
    assert torch.equal(found[3], parameters()[3])


TRAINS = """
import sys
import numpy as np
import torch
from tests.conftest import INPUT, TRAINING, changed
from transferlens.training import engine
from transferlens.training.recipes.fixed import FeatureBatches

network = torch.nn.Linear(6, 3)
labels = torch.arange(80) % 3
images = FeatureBatches(torch.randn(80, 6), labels, INPUT, torch.device("cpu"))
for settings in ({"clip": 1.0}, {"optimizer": "adamw"}):
    training = changed(TRAINING, epochs=1, **settings)
    engine.train(network, network.parameters(), images, np.arange(80), training, seed=3)
assert "torch._dynamo" not in sys.modules
"""


def test_training_imports_no_compiler():
    done = subprocess.run([sys.executable, "-c", TRAINS], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
