"""Receptive fields by arithmetic are those that gradients find."""

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from transferlens.core.errors import ConfigError
from transferlens.dynamics.units import tracing
from transferlens.models import layers
from transferlens.models.small_resnet import small_resnet

# Height and width of the fields of interior cells, and how far apart these lie, by layer.
KNOWN = {
    "vgg19": {
        "features.3": (5, 1),
        "features.8": (14, 2),
        "features.17": (48, 4),
        "features.26": (116, 8),
        "features.35": (252, 16),
    },
    "alexnet": {"features.1": (11, 4), "features.4": (51, 8), "features.11": (163, 16)},
    "resnet50": {"layer1": (35, 4), "layer2": (91, 8), "layer3": (267, 16), "layer4": (427, 32)},
}


def on_meta(name: str) -> nn.Module:
    """A network of torchvision without numbers: the arithmetic asks for none."""
    with torch.device("meta"):
        return getattr(torchvision.models, name)(weights=None).eval()


@pytest.mark.parametrize("name", KNOWN)
def test_known_networks(name):
    side = 1024  # larger than all fields
    for layer, fields in tracing.trace(on_meta(name), list(KNOWN[name]), (side, side)).items():
        middle = len(fields.rows) // 2
        jump = np.diff(fields.rows[middle : middle + 2, 0]).item()
        assert (fields.size, jump) == ((KNOWN[name][layer][0],) * 2, KNOWN[name][layer][1]), layer
        assert not fields.mixed_by
        np.testing.assert_array_equal(fields.rows, fields.columns)


class Dilated(nn.Module):
    """Padding by words, dilation, a rounded-up pooling, bins of unequal size, channels last, a shortcut."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding="same", dilation=2)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.norm, self.linear = nn.LayerNorm(4), nn.Linear(4, 4)
        self.strided = nn.Conv2d(4, 4, (1, 3), (3, 1), padding=(0, 1))
        self.bins = nn.AdaptiveAvgPool2d((3, 5))

    def forward(self, x):
        x = self.pool(self.first(x))
        y = self.linear(self.norm(x.permute(0, 2, 3, 1))).transpose(2, 3).transpose(1, 2)
        return self.bins(self.strided(torch.cat([x[:, :2], (x + y).relu_()[:, 2:]], 1)))


PROBED = {
    "alexnet": (torchvision.models.alexnet, ["features.4", "features.11"], (127, 90)),
    "resnet18": (torchvision.models.resnet18, ["relu", "layer1", "layer2.0", "layer3"], (97, 64)),
    "densenet121": (
        torchvision.models.densenet121,
        ["features.denseblock1", "features.transition2"],
        (72, 65),
    ),
    "googlenet": (torchvision.models.googlenet, ["inception3b", "inception4b"], (79, 64)),
    "small_resnet": (small_resnet, ["stem", "block1.first", "block2", "block3"], (41, 64)),
    "dilated": (Dilated, ["pool", "strided", "bins"], (26, 31)),
}


@pytest.mark.filterwarnings("ignore:The default weight initialization of GoogleNet")
@pytest.mark.parametrize("name", PROBED)
def test_fields_are_where_gradients_are(name):
    """Of the linearised network: positive weights and images pass every ReLU, means stand for maxima."""
    make, paths, side = PROBED[name]
    network = linearised(make(classes=3) if make is small_resnet else built(make))
    image = torch.rand(1, 3, *side, dtype=torch.float64, requires_grad=True)
    fields = tracing.trace(network, paths, side)
    with layers.watch(network, paths) as outputs:
        network(image)
        for path in paths:
            height, width = outputs[path].shape[2:]
            cells = np.array([(0, 0), (height // 2, width // 3), (height - 1, width - 1), (0, width - 2)])
            for cell, box in zip(cells, fields[path].boxes(cells), strict=True):
                assert box.tolist() == seen(outputs[path][0, :, *cell], image), (path, cell)


def seen(cell: torch.Tensor, image: torch.Tensor) -> list[int]:
    """Top, bottom, left and right of where the gradients of a cell [C] are."""
    (gradient,) = torch.autograd.grad(cell.sum(), image, retain_graph=True)
    rows, columns = (gradient[0].sum(0).abs().sum(axis).nonzero() for axis in (1, 0))
    return [int(edge) for edge in (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)]


def built(make):
    """Without GoogLeNet's further heads, which need large images."""
    return make(weights=None, aux_logits=False) if make is torchvision.models.googlenet else make()


def linearised(network: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                same = (child.kernel_size, child.stride, child.padding, child.ceil_mode)
                setattr(module, name, nn.AvgPool2d(*same))
        if isinstance(module, nn.LayerNorm):
            module.forward = lambda x: x  # its output has either sign
    with torch.no_grad():
        for parameter in network.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
            parameter.copy_((0.5 + torch.rand_like(parameter)) / fan_in)
    return network.double().eval()


@pytest.mark.parametrize(
    ("name", "layer", "reasons"),
    [
        ("vit_b_16", "encoder.layers.encoder_layer_1", ("reshape", "scaled_dot_product_attention")),
        ("efficientnet_b0", "features.2", ("adaptive_avg_pool2d",)),  # squeeze and excitation
        ("resnet18", "avgpool", ("adaptive_avg_pool2d",)),
    ],
)
def test_what_mixes_all_positions_sees_the_whole_image_and_says_why(name, layer, reasons):
    fields = tracing.trace(on_meta(name), [layer], (224, 224))[layer]
    assert fields.mixed_by == reasons
    np.testing.assert_array_equal(fields.boxes(np.array([[3, 5], [0, 0]])), [[0, 224, 0, 224]] * 2)


def test_the_patches_of_a_transformer_see_themselves():
    fields = tracing.trace(on_meta("vit_b_16"), ["conv_proj"], (224, 224))["conv_proj"]
    np.testing.assert_array_equal(fields.boxes(np.array([2, 13])), [32, 48, 208, 224])


def test_statistics_of_a_batch_mix_all_positions():
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2, track_running_stats=False)).eval()
    assert tracing.trace(network, ["1"], (8, 8))["1"].mixed_by == ("batch_norm",)


def test_what_has_no_fields_is_refused():
    network = small_resnet(3)
    with pytest.raises(ValueError, match="evaluation mode"):
        tracing.trace(network, ["stem"], (32, 32))
    with pytest.raises(ConfigError, match=r"no layer 'blok1'.*block1"):
        tracing.trace(network.eval(), ["blok1"], (32, 32))
