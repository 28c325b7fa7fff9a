"""Steps of recipes are timed whatever they need of a source or of a target."""

import pytest
import torch

from tests.conftest import ARCHITECTURE, INPUT, TRAINING
from transferlens.operations import rate
from transferlens.training.recipes import kinds


@pytest.mark.parametrize(
    ("kind", "at_once"), [("full", 3), ("l2_sp", 3), ("lwf", 1), ("co_tuning", 1), ("lp_ft", 1), ("lora", 1)]
)
def test_steps_of_recipes_are_timed(kind, at_once):
    """By themselves, or side by side with others where the jobs train them so."""
    trial = rate.Trial(ARCHITECTURE, INPUT, torch.device("cpu"), at_once)
    before = {name: values.clone() for name, values in trial.network.state_dict().items()}
    of_step, of_image = trial.adaptation(kinds.read({"kind": kind, "training": TRAINING.model_dump()}))
    assert (of_step, of_image > 0) == (0.0, True)
    after = trial.network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], values) for name, values in before.items())
