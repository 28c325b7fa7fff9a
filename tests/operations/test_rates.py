"""Steps of recipes are timed whatever they need of a source or of a target."""

import pytest
import torch

from tests.conftest import ARCHITECTURE, INPUT, TRAINING
from transferlens.operations import rate
from transferlens.training.recipes import kinds


@pytest.mark.parametrize("kind", ["l2_sp", "lwf", "co_tuning", "lp_ft", "lora"])
def test_steps_of_recipes_are_timed(kind):
    trial = rate.Trial(ARCHITECTURE, INPUT, torch.device("cpu"))
    before = {name: values.clone() for name, values in trial.network.state_dict().items()}
    of_step, of_image = trial.adaptation(kinds.read({"kind": kind, "training": TRAINING.model_dump()}))
    assert (of_step, of_image > 0) == (0.0, True)
    after = trial.network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], values) for name, values in before.items())
