"""Published architectures, from files as their publishers save them to class maps with either head."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision

from tests.conftest import CLASSES, INPUT, TRAINING, changed, rows_of
from transferlens.core import artefacts
from transferlens.core.errors import ConfigError
from transferlens.core.settings import NetworkSettings
from transferlens.data import pipeline
from transferlens.maps.class_maps import class_maps
from transferlens.models import weights
from transferlens.training import pretrained, source, transfer
from transferlens.training.artefacts import SOURCE_MODELS
from transferlens.training.recipes.settings.plain import FullSettings

CPU = torch.device("cpu")
ONE_STEP = FullSettings(training=changed(TRAINING, epochs=1, batch_size=36, lr=0.001))


@pytest.fixture
def opened(dataset):
    """The textures' train and val images at a resolution."""
    made, files = dataset

    def open_at(side):
        settings = changed(INPUT, resolution=side)
        return [pipeline.open_images(files["raw"][s], made.split(s), settings, CPU) for s in ("train", "val")]

    return open_at


def published(name, path, classes=3, **extra):
    """A network of torchvision, and its state in a file as the published notebook wants it."""
    torch.manual_seed(0)
    theirs = getattr(torchvision.models, name)(num_classes=classes, **extra).eval()
    torch.save({"model_state_dict": {f"module.{k}": v for k, v in theirs.state_dict().items()}}, path)
    return theirs


class _Narrow(torch.nn.Linear):
    """64 in place of the 4,096 hidden units of vgg16, which would take most of the test's time."""

    def __init__(self, inputs, outputs, bias=True):
        super().__init__(*(64 if width == 4096 else width for width in (inputs, outputs)), bias)


def head_of(name):
    return {"vgg16": "classifier.6"}.get(name, "fc")


@pytest.mark.parametrize(
    ("name", "side", "layer", "extra"),
    [
        ("resnet18", 64, None, {}),
        ("vgg16", 32, "features.29", {}),
        ("googlenet", 64, None, {"aux_logits": True, "transform_input": True, "init_weights": False}),
    ],
)
def test_a_saved_network_transfers_and_gets_its_own_head_back(
    name, side, layer, extra, opened, tmp_path, monkeypatch
):
    """The fine-tuned backbone under the source's own head is torchvision's network with its new trunk."""
    monkeypatch.setattr(torch.nn, "Linear", _Narrow)
    theirs = published(name, tmp_path / "w.pt", **extra)
    architecture, (_, val) = NetworkSettings(name=name, resolution=side), opened(side)
    network = source.initial_network(architecture, 3, 5).eval()
    weights.load(network, weights.read(architecture, str(tmp_path / "w.pt")), "w.pt")
    images = val.pick(np.arange(3))[0]
    with torch.no_grad():
        torch.testing.assert_close(network(images), theirs(images), rtol=1e-4, atol=1e-4)

    source_head, before = network.head, next(network.backbone.parameters()).detach().clone()
    network.head = transfer.new_head(source_head.in_features, 2, 0)
    val.labels = val.labels.clamp(max=1)
    transfer.adapt(network, val, ONE_STEP, 0)
    network.eval()
    assert (next(network.backbone.parameters()) != before).any()

    theirs.load_state_dict(
        {
            **{k: v for k, v in theirs.state_dict().items() if k.startswith(("aux", head_of(name)))},
            **network.backbone.state_dict(),
        }
    )
    memory = network.with_head(source_head)
    with torch.no_grad():
        torch.testing.assert_close(memory(images), theirs(images), rtol=1e-4, atol=1e-4)
    found = class_maps(memory, images, [2, 0, 1], "LayerCAM", layer)
    assert found.maps.shape[1:] == (2, 2)
    assert np.isfinite(found.maps).all()
    if network.pools:
        signed = class_maps(memory, images, [2, 0, 1], "CAM")
        bias = source_head.bias.detach().numpy()[[2, 0, 1]]
        np.testing.assert_allclose(signed.maps.mean((1, 2)) + bias, signed.logits, atol=1e-4)


def test_googlenets_scaling_of_the_input_is_the_same_for_every_model():
    for seed in range(2):  # from scratch, too: what is loaded into it must see the same
        network = source.initial_network(NetworkSettings(name="googlenet", resolution=64), 3, seed)
        assert network.backbone.transform_input
        assert not any(key.startswith("backbone.aux") for key in network.state_dict())


def test_a_self_supervised_resnet_gets_a_head_and_loses_its_projection(opened, tmp_path):
    """As SimCLR's codes save it: torchvision's names under `backbone.`, a projection in the head's place."""
    torch.manual_seed(1)
    backbone = torchvision.models.resnet18()
    backbone.fc = torch.nn.Sequential(torch.nn.Linear(512, 512), torch.nn.ReLU(), torch.nn.Linear(512, 128))
    state = {f"backbone.{key}": tensor for key, tensor in backbone.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "simclr.pt")
    train, val = opened(32)
    table = replace(rows_of([[1, 1, 1]]), roles=["pretrained"])
    architecture = NetworkSettings(name="resnet18", resolution=32)

    def load(path, probe):
        given = pretrained.Given(str(tmp_path / "simclr.pt"))
        pretrained.load_pretrained(path, table, list(CLASSES), given, probe, train, val, architecture)
        return path

    path = load(tmp_path / "p.h5", changed(TRAINING, epochs=10, lr=0.1))
    with artefacts.open(path, SOURCE_MODELS) as file:
        found = source.load_network(file, 0, architecture, CPU)
        assert file["accuracy"][0] > 0.5  # of three classes, from random features
    torch.testing.assert_close(found.backbone.conv1.weight, backbone.conv1.weight)
    with pytest.raises(ConfigError, match="a backbone without a head"):
        load(tmp_path / "q.h5", None)
