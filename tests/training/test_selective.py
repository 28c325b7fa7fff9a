"""Layer-wise learning rates against timm's and the published ones, and parameters that stay as they are."""

import pytest
import torch
from torch import nn

from tests.conftest import changed
from tests.training.adapting import (
    ADAM,
    PLAIN,
    assert_same,
    differs,
    initial,
    run,
    settings,
    started,
    trained,
)
from transferlens.core.errors import ConfigError
from transferlens.core.settings import NetworkSettings
from transferlens.models.network import Network, Parts
from transferlens.training import source
from transferlens.training.recipes import selective

SCALES = [0.075085, 0.100113, 0.133484, 0.177979, 0.237305, 0.316406, 0.421875, 0.5625, 0.75]


def on_meta(name):
    with torch.device("meta"):
        return source.initial_network(NetworkSettings(name=name), 10, 0)


def scales_of(network, **others):
    return selective.rate_scales(network, settings("layerwise", **others))


def test_scales_of_a_resnet18():
    scales = scales_of(on_meta("resnet18"))
    layers = ["conv1", *(f"layer{stage}.{block}.conv1" for stage in (1, 2, 3, 4) for block in (0, 1))]
    found = [scales[f"backbone.{layer}.weight"] for layer in layers]
    assert found == pytest.approx(SCALES, abs=1e-6)
    assert scales["backbone.bn1.weight"] == found[0]
    assert scales["backbone.layer2.0.downsample.0.weight"] == found[3]
    assert scales["head.weight"] == scales["head.bias"] == 1


@pytest.mark.parametrize(("name", "head"), [("resnet18", "fc"), ("vit_tiny_patch16_224", "head")])
def test_groups_are_timms(name, head):
    timm, optim = pytest.importorskip("timm"), pytest.importorskip("timm.optim")
    with torch.device("meta"):
        theirs = timm.create_model(name, num_classes=10)
    names = {id(parameter): key for key, parameter in theirs.named_parameters()}
    expected = {
        names[id(parameter)]: (group["lr_scale"], group["weight_decay"])
        for group in optim.param_groups_layer_decay(theirs, weight_decay=0.05, layer_decay=0.65)
        for parameter in group["params"]
    }
    ours = on_meta(f"timm/{name}")
    known = {id(parameter): key for key, parameter in ours.named_parameters()}
    found = {
        known[id(parameter)].removeprefix("backbone.").replace("head.", f"{head}."): (
            group.rate,
            0.05 if group.weight_decay is None else group.weight_decay,
        )
        for group in started(settings("layerwise", decay=0.65), ours).groups()
        for parameter in group.parameters
    }
    assert set(found) == set(expected)
    for key, pair in expected.items():
        assert found[key] == pytest.approx(pair), key


def test_without_decay_it_is_plain_fine_tuning(textures):
    _, images, _ = textures
    weighted = changed(PLAIN, weight_decay=5e-4)
    neutral = settings("layerwise", weighted, decay=1.0, decayed="all")
    assert_same(trained(images, neutral).network, trained(images, settings("full", weighted)).network)


def test_with_whole_decay_only_the_head_moves(textures):
    _, images, _ = textures
    for training in (PLAIN, changed(ADAM, weight_decay=0.1)):
        network = trained(images, settings("layerwise", training, decay=0.0, batchnorm="eval")).network
        assert_same(network.backbone, initial().backbone)
        assert differs(network.head, initial().head)


def test_blocks_below_move_less(textures):
    _, images, _ = textures
    scales = scales_of(initial(), decay=0.1, smallest=0.01, backbone_rate=0.5)
    rates = [scales[f"backbone.{block}.weight"] for block in ("stem.0", "block2.first.0", "block3.first.0")]
    assert rates == pytest.approx([0.005, 0.005, 0.05])
    recipe = started(settings("layerwise", decay=0.1), initial(), images)
    assert recipe.groups()[0].rate == 1  # whose rate is logged
    run(recipe)
    moved = [
        float((recipe.network.get_parameter(name) - initial().get_parameter(name)).detach().norm())
        for name in ("backbone.stem.0.weight", "backbone.block3.first.0.weight", "head.weight")
    ]
    assert moved[0] < 0.1 * moved[1]
    assert moved == sorted(moved)


@pytest.mark.parametrize(
    ("which", "moves"),
    [("biases", lambda name: name.endswith("bias")), ("norms", lambda name: ".1." in name)],
)
def test_what_is_not_selected_stays_bit_for_bit(textures, which, moves):
    """Batch norms are the second of two layers in this network; running statistics stay, too."""
    _, images, _ = textures
    recipe = started(settings("bitfit", trained=which), initial(), images)
    run(recipe)
    source, parameters = initial(), dict(recipe.network.named_parameters())
    assert all(parameter.requires_grad for parameter in parameters.values())
    for name, value in recipe.network.state_dict().items():
        expected = name.startswith("head") or (name in parameters and moves(name))
        assert torch.equal(value, source.state_dict()[name]) != expected, name


def test_groups_are_disjoint_and_complete():
    for recipe in (settings("layerwise"), settings("ftp"), settings("bitfit", trained="norms")):
        made = started(recipe, initial())
        ids = [id(parameter) for group in made.groups() for parameter in group.parameters]
        trained = {id(parameter) for parameter in made.network.parameters() if parameter.requires_grad}
        assert len(ids) == len(set(ids))
        assert set(ids) == trained


def test_networks_without_what_is_trained_are_refused(textures):
    _, images, _ = textures

    def flat():
        backbone = nn.Sequential(nn.Flatten(), nn.Linear(3 * 28 * 28, 4, bias=False))
        return Network(backbone, nn.Linear(4, 3), Parts(None, pools=False))

    for recipe, reason in (
        (settings("bitfit"), "no biases"),
        (settings("bitfit", trained="norms"), "no normalisations"),
        (settings("layerwise"), "order of its blocks"),
    ):
        with pytest.raises(ConfigError, match=f"'{recipe.kind}' cannot train this network.*{reason}"):
            trained(images, recipe, flat)
