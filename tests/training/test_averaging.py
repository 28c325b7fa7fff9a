"""The moving average of weights against torch's."""

import copy

import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tests.training.adapting import (
    assert_same,
    differs,
    initial,
    run,
    settings,
    started,
    trained,
)
from transferlens.training.engine import Checkpoints
from transferlens.training.recipes import averaging


def test_the_average_is_torchs(textures):
    """Weights are averaged; running statistics and their counters are the network's."""
    _, images, _ = textures
    recipe = started(settings("ema", decay=0.8), initial(), images)
    theirs, after_step = [], recipe.after_step

    def followed(step):
        if not theirs:
            average = get_ema_multi_avg_fn(0.8)
            theirs.append(AveragedModel(copy.deepcopy(recipe.network), multi_avg_fn=average))
        theirs[0].update_parameters(recipe.network)
        after_step(step)

    recipe.after_step = followed
    run(recipe)
    torch.testing.assert_close(
        recipe.inference().state_dict(), theirs[0].module.state_dict(), rtol=1e-6, atol=1e-7
    )
    assert int(recipe.inference().backbone.stem[1].num_batches_tracked) == 10


def test_without_decay_it_is_plain_fine_tuning(textures):
    _, images, _ = textures
    plain = trained(images, settings("full"))
    found = trained(images, settings("ema", decay=0.0))
    assert_same(found.network, plain.network)
    assert (found.log == plain.log).all()


def test_with_whole_decay_it_stays_where_the_first_step_led(textures):
    _, images, _ = textures
    networks = {}
    whole = Checkpoints(
        (0, 1, 10), lambda position, network: networks.update({position: copy.deepcopy(network)})
    )
    average = trained(images, settings("ema", decay=1.0), checkpoints=whole).network
    assert_same(networks[0], initial())
    plain = Checkpoints((1,), lambda position, network: networks.update({"first": copy.deepcopy(network)}))
    last = trained(images, settings("full"), checkpoints=plain).network
    for found in (networks[1], networks[2], average):
        for a, b in zip(found.parameters(), networks["first"].parameters(), strict=True):
            assert torch.equal(a, b)
    assert torch.equal(average.backbone.stem[1].running_mean, last.backbone.stem[1].running_mean)
    assert differs(average, last)


@pytest.mark.parametrize(
    ("steps", "decay"), [(3, 0.0), (10, 0.5), (100, 0.95), (5000, 0.999), (10**6, 0.999)]
)
def test_short_runs_forget_their_beginning(steps, decay):
    assert averaging.usual_decay(steps) == pytest.approx(decay)
    assert averaging.usual_decay(steps) ** steps < 0.01


def test_the_length_of_the_run_decides_where_no_one_does(textures):
    """Ten steps."""
    _, images, _ = textures
    usual, given = trained(images, settings("ema")), trained(images, settings("ema", decay=0.5))
    assert_same(usual.network, given.network)
