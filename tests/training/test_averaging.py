"""The moving average of weights against torch's."""

import copy

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tests.training.adapting import PLAIN, assert_same, initial, interrupted, run, settings, started, trained


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
    first = trained(images, settings("full", PLAIN.model_copy(update={"epochs": 1, "iterations": 1})))
    rate = first.log[0, 2]
    recipe = started(settings("ema", decay=1.0), initial(), images)
    before = {name: value.clone() for name, value in recipe.inference().state_dict().items()}
    steps, after_step = [], recipe.after_step

    def followed(step):
        after_step(step)
        steps.append({name: value.clone() for name, value in recipe.network.named_parameters()})

    recipe.after_step = followed
    run(recipe)
    assert rate > 0
    assert before.keys() == initial().state_dict().keys()
    average = dict(recipe.inference().named_parameters())
    assert all(torch.equal(value, steps[0][name]) for name, value in average.items())
    assert not torch.equal(average["head.weight"], steps[-1]["head.weight"])


def test_an_interrupted_run_goes_on_to_the_same_bits(textures, tmp_path):
    _, images, _ = textures
    recipe = settings("ema", decay=0.5)
    assert_same(interrupted(images, recipe, tmp_path, after=4).network, trained(images, recipe).network)
