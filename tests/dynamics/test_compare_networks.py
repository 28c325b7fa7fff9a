"""All layers of one network with all of another, from one pass over a loader."""

import copy

import cka as pytorch_cka
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision import models

from transferlens.core.errors import ConfigError, DataError
from transferlens.dynamics import similarity
from transferlens.dynamics.similarity import cka

IMAGES = torch.randn(48, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Small(nn.Module):
    """A residual network whose one in-place activation is called twice."""

    def __init__(self, classes=4):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(6, classes)

    def forward(self, images):
        first = self.relu(self.norm(self.conv(images)))
        return self.head(self.drop(self.relu(self.second(first) + first)).mean((2, 3)))


NAMES = ("conv", "norm", "relu", "second", "relu@2", "head")


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture
def other():
    torch.manual_seed(1)
    return Small().eval()


def loader(batch=8, **options):
    return DataLoader(TensorDataset(IMAGES, torch.zeros(len(IMAGES))), batch, **options)


def test_the_example_of_the_docs(network, other):
    found = similarity.compare_networks(network, other, loader())
    assert found.first == found.second == NAMES
    assert found.values.shape == found.low.shape == (6, 6)
    assert (found.batches, found.images) == (6, 48)
    assert ((found.low < found.values) & (found.values < found.high)).all()
    table = found.frame()
    assert list(table) == ["first", "second", "value", "se", "low", "high"]
    line = table.set_index(["first", "second"]).loc[("conv", "head")]
    assert line.value == found.values[0, 5]


def test_each_layer_is_seen_as_it_left_its_module(network, other):
    """Fault 10: in-place activations overwrite what hooks have seen; values are those of plain passes."""
    found = similarity.compare_networks(network, other, [IMAGES])
    outputs = []
    with torch.no_grad():
        for each in (network, other):
            normed = each.norm(each.conv(IMAGES))
            first = normed.relu()
            second = each.second(first)
            outputs.append([each.conv(IMAGES), normed, first, second, (second + first).relu(), each(IMAGES)])
    for i, x in enumerate(outputs[0]):
        for j, y in enumerate(outputs[1]):
            assert found.values[i, j] == pytest.approx(cka.unbiased(x.flatten(1), y.flatten(1)), abs=1e-5)
    assert np.isnan(found.se).all()
    assert found.notes[0] == "A single batch has no interval."


@pytest.mark.parametrize("shuffle", [False, True])
def test_an_untouched_copy_is_exactly_the_same(network, shuffle):
    """Fault 9: a loader that shuffles may, as one pass feeds both networks."""
    found = similarity.compare_networks(network, copy.deepcopy(network), loader(shuffle=shuffle))
    assert (np.diagonal(found.values) == 1).all()
    assert (np.diagonal(found.se) == 0).all()


def test_layers_before_a_changed_one_stay_exactly_the_same():
    torch.manual_seed(0)
    network = models.resnet18(weights=None, num_classes=3).eval()
    changed = copy.deepcopy(network)
    with torch.no_grad():
        changed.layer2[1].conv1.weight.add_(0.1)
    images = torch.randn(3, 8, 3, 32, 32)
    found = similarity.compare_networks(network, changed, images)
    assert "layer1.0.relu@2" in found.first
    at = found.first.index("layer2.1.conv1")
    own = np.diagonal(found.values)
    assert (own[:at] == 1).all()
    assert (own[at:] < 1).all()


def test_a_network_with_itself_runs_once(network):
    calls = []
    network.conv.register_forward_hook(lambda *given: calls.append(1))
    found = similarity.compare_networks(network, network, loader())
    assert len(calls) == found.batches
    assert (np.diagonal(found.values) == 1).all()
    assert (found.values == found.values.T).all()


def test_what_another_library_finds(network, other):
    """pytorch-cka in float64 (it does not centre, and keeps what in-place activations overwrite)."""
    names = ["conv", "norm", "second", "head"]
    found = similarity.compare_networks(network, other, loader(), names)
    for each in (network, other):
        each.double().relu.inplace = False
    batches = DataLoader(IMAGES.double(), 8)
    (theirs,) = pytorch_cka.compute_cka(network, other, batches, layers=names, device="cpu", progress=False)
    np.testing.assert_allclose(np.clip(found.values, 0, 1), theirs.numpy(), atol=1e-5)


def test_networks_need_not_be_alike(network):
    torch.manual_seed(0)
    other = nn.Sequential(nn.Flatten(), nn.Linear(192, 5), nn.ReLU()).eval()
    found = similarity.compare_networks(network, other, loader(), ["relu"], ["1"])
    assert (found.first, found.second) == (("relu", "relu@2"), ("1",))
    assert similarity.compare_networks(other, network, loader()).first == ("1", "2")


def test_attention_is_a_layer():
    torch.manual_seed(0)
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    network = nn.Sequential(nn.Flatten(2), nn.Linear(64, 8), encoder).eval()
    found = similarity.compare_networks(network, network, loader())
    assert "2.self_attn" in found.first
    assert not any(name.startswith("2.self_attn.") for name in found.first)


def test_a_network_that_changes_its_images_does_not_change_the_others(other):
    greedy = nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(192, 5)).eval()
    before = IMAGES.clone()
    after_greedy = similarity.compare_networks(greedy, other, loader()).values
    assert torch.equal(IMAGES, before)
    before_greedy = similarity.compare_networks(other, greedy, loader()).values
    np.testing.assert_allclose(after_greedy.T, before_greedy, atol=1e-12)


def test_a_last_smaller_batch_is_left_out(network, other):
    found = similarity.compare_networks(network, other, loader(20))
    assert (found.batches, found.images) == (2, 40)
    assert "The last 8 images, fewer than a batch, are left out." in found.notes
    assert any("16 batches" in note for note in found.notes)


def test_a_dead_layer_is_undefined_and_named(network, other):
    with torch.no_grad():
        other.norm.weight.zero_()
        other.norm.bias.fill_(-1)
    found = similarity.compare_networks(network, other, loader())
    assert np.isnan(found.values[:, 1:3]).all()
    assert np.isfinite(found.values[:, 0]).all()
    assert any("second network: norm, relu" in note for note in found.notes)


def test_networks_in_training_mode_are_refused(network, other):
    """Fault 10."""
    other.norm.train()
    with pytest.raises(ConfigError, match=r"second: the network is in training mode \(norm\)"):
        similarity.compare_networks(network, other, loader())
    with pytest.raises(ConfigError, match="first"):
        similarity.compare_networks(network.train(), other.eval(), loader())


def test_unknown_layers_are_refused_with_the_nearest(network, other):
    with pytest.raises(ConfigError, match=r"no layer 'secnd' \(did you mean 'second'"):
        similarity.compare_networks(network, other, loader(), ["secnd"])


def test_layers_that_are_not_called_are_refused(network, other):
    other.spare = nn.Linear(2, 2).eval()
    with pytest.raises(ConfigError, match="second: layer 'spare' is"):
        similarity.compare_networks(network, other, loader(), ["conv"], ["spare"])
    assert "spare" not in similarity.compare_networks(network, other, loader()).second


def test_reduced_precision_is_refused(network, other):
    with pytest.raises(ConfigError, match=r"computes in torch\.bfloat16"):
        similarity.compare_networks(network, other.bfloat16(), loader())


@pytest.mark.parametrize(
    ("batches", "words"),
    [
        ([IMAGES[:3]], "batches of 3 images; at least 4"),
        ([], "no batch"),
        ([IMAGES[:8], IMAGES[8:12], IMAGES[12:20]], "a batch of 4 images among those of 8"),
        ([IMAGES[:8], IMAGES[8:20]], "a batch of 12 images among those of 8"),
        ([IMAGES / 0], "NaN"),
    ],
)
def test_loaders_that_do_not_serve_are_refused(network, other, batches, words):
    with pytest.raises(DataError, match=words):
        similarity.compare_networks(network, other, batches)
