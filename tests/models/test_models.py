"""Architectures know their parts; states survive the disk."""

import pytest
import torch

from transferlens.core import artefacts
from transferlens.core.artefacts import Artefact
from transferlens.core.settings import NetworkSettings
from transferlens.models import contract, states


def network(name="small_resnet", classes=5, seed=0, resolution=64):
    torch.manual_seed(seed)
    options = {"width": 8} if name == "small_resnet" else {}
    return contract.build(NetworkSettings(name=name, resolution=resolution, **options), classes).eval()


@pytest.mark.parametrize(
    ("name", "pixels", "features", "map_side"),
    [
        ("small_resnet", 28, 32, 7),
        ("resnet18", 64, 512, 2),
        ("resnet50", 64, 2048, 2),
        ("googlenet", 64, 1024, 2),
        ("vgg16", 64, 4096, 2),
        ("efficientnet_lite0", 64, 1280, 2),
    ],
)
def test_backbone_head_and_class_map_layer_are_where_they_are_said_to_be(name, pixels, features, map_side):
    with torch.device("meta"):
        net = network(name, resolution=pixels)
        seen = []
        layer = net.backbone.get_submodule(net.class_map_layer)
        layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output.shape))
        images = torch.empty(2, 3, pixels, pixels)
        assert net.backbone(images).shape == (2, features)
        assert net(images).shape == (2, 5)
    assert seen[0][2:] == (map_side, map_side)


STACK = Artefact("stack", "s.h5", (), groups={"weights": "of networks"})


def test_a_stack_of_states_gives_each_model_back(tmp_path):
    nets = [network(seed=s) for s in range(3)]
    with artefacts.create(tmp_path / "s.h5", STACK) as out:
        states.reserve(out, "weights", nets[0], 3)
        for row, net in enumerate(nets):
            states.save(out, "weights", row, net)
    again = network(seed=9)
    with artefacts.open(tmp_path / "s.h5", STACK) as file:
        assert file["weights/head.weight"].shape == (3, 5 * 32)
        states.load(file, "weights", 1, again)
    for name, tensor in nets[1].state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
