"""Architectures know their parts; states survive the disk."""

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from tests.conftest import ARCHITECTURE
from transferlens.core import artefacts
from transferlens.core.artefacts import Artefact
from transferlens.core.errors import ConfigError
from transferlens.core.settings import NetworkSettings
from transferlens.models import contract, states


def network(name="small_resnet", classes=5, width=8, seed=0):
    torch.manual_seed(seed)
    return contract.build(NetworkSettings(name=name, width=width), classes).eval()


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
        net = network(name)
        seen = []
        layer = net.backbone.get_submodule(net.class_map_layer)
        layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output.shape))
        images = torch.empty(2, 3, pixels, pixels)
        assert net.backbone(images).shape == (2, features)
        assert net(images).shape == (2, 5)
    assert seen[0][2:] == (map_side, map_side)


def test_torchvision_states_load_under_our_names_and_compute_the_same():
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18(num_classes=5).eval()
    ours = network("resnet18", seed=1)
    renamed = architectures.from_torchvision_names("resnet18", theirs.state_dict())
    states.load_foreign(ours, renamed, "torchvision")
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(ours(images), theirs(images))


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


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_come_from_plain_files(tmp_path, suffix):
    state = network(seed=3).state_dict()
    path = tmp_path / f"w{suffix}"
    if suffix == ".pt":
        torch.save({"model_state_dict": {f"module.{k}": v for k, v in state.items()}}, path)
    else:
        save_file(state, path)
    again = network(seed=4)
    states.load_foreign(again, states.foreign(ARCHITECTURE, str(path)), "file")
    assert torch.equal(again.head.weight, state["head.weight"])


def test_weights_that_do_not_fit_are_named(tmp_path):
    state = network(classes=7).state_dict()
    with pytest.raises(ConfigError, match=r"'head.weight' is \(7, 32\), .* needs \(5, 32\)"):
        states.load_foreign(network(), state, "file")
    headless = {k: v for k, v in network().state_dict().items() if k != "head.bias"}
    with pytest.raises(ConfigError, match=r"tensor 'head.bias' is missing"):
        states.load_foreign(network(), headless, "file")
    with pytest.raises(ConfigError, match=r"unexpected tensor 'heat.bias' \(did you mean 'head.bias'"):
        states.load_foreign(network(), {"heat.bias": torch.zeros(5)}, "file")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ConfigError, match="holds no state"):
        states.foreign(ARCHITECTURE, str(tmp_path / "list.pt"))
    for name in ("page.pt", "cut.pt", "page.safetensors"):
        (tmp_path / name).write_text("<html>404</html>")
        with pytest.raises(ConfigError, match=f"{name}: holds no readable weights"):
            states.foreign(ARCHITECTURE, str(tmp_path / name))
    with pytest.raises(ConfigError, match="no file"):
        states.foreign(ARCHITECTURE, str(tmp_path / "none.pt"))
    with pytest.raises(ConfigError, match="no torchvision weight name"):
        states.foreign(NetworkSettings(name="resnet18", width=8), "IMAGENET9K")
