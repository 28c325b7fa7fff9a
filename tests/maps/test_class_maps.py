"""Class maps by every method: what they add up to, and what they refuse."""

from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from torchcam import methods
from torchcam.utils import overlay_mask
from torchvision.models import VisionTransformer
from torchvision.transforms.functional import to_pil_image

from transferlens.core.errors import ConfigError
from transferlens.core.settings import NetworkSettings
from transferlens.heatmaps.settings import MapMethod
from transferlens.maps import class_maps
from transferlens.maps.class_maps import METHODS
from transferlens.models import contract
from transferlens.models.network import Network, Parts
from transferlens.pictures import overlays

ON_CONVOLUTIONS = [m for m in METHODS if m != "LeGrad"]


def settings_of(name, resolution=64):
    """A network for images of so many pixels; the small one has 8 channels."""
    return NetworkSettings(
        name=name, resolution=resolution, **({"width": 8} if name == "small_resnet" else {})
    )


def a_network(name="small_resnet", pixels=28, classes=4):
    torch.manual_seed(0)
    network = contract.build(settings_of(name, pixels), classes).eval()
    return network, torch.randn(3, 3, pixels, pixels)


def last_activations(network, images):
    found = []
    layer = network.backbone.get_submodule(network.class_map_layer)
    handle = layer.register_forward_hook(lambda _module, _inputs, output: found.append(output.detach()))
    network(images)
    handle.remove()
    return found[0].double()


def close(found, expected):
    """To 1e-5 of the largest value."""
    expected = np.asarray(expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("name", "pixels"), [("small_resnet", 28), ("resnet18", 64)])
def test_cam_averages_to_the_logit(name, pixels):
    network, images = a_network(name, pixels)
    found = class_maps.class_maps(network, images, [0, 2, 1], "CAM")
    logits = network(images).detach()
    rows, bias = torch.arange(3), network.head.bias.detach().numpy()[[0, 2, 1]]
    np.testing.assert_allclose(found.maps.mean((1, 2)) + bias, logits[rows, [0, 2, 1]], atol=1e-4)
    np.testing.assert_allclose(found.logits, logits[rows, [0, 2, 1]], atol=1e-5)
    np.testing.assert_allclose(found.probabilities, logits.softmax(1)[rows, [0, 2, 1]], atol=1e-5)
    assert (found.maps < 0).any()


@pytest.mark.parametrize(("name", "pixels"), [("small_resnet", 28), ("resnet18", 64)])
def test_maps_from_the_weights_are_those_of_torchcam(name, pixels):
    network, images = a_network(name, pixels)
    classes = [3, 0, 1]
    with methods.CAM(network, f"backbone.{network.class_map_layer}", "head") as extractor:
        scores = network(images)
        (theirs,) = extractor(classes, scores, normalized=False)
    close(class_maps.class_maps(network, images, classes, "CAM").maps, theirs)
    activations = last_activations(network, images)
    cells = activations[0, 0].numel()
    weights = network.head.weight.detach().double()[classes] / cells
    for method, used in (("GradCAM", weights), ("LayerCAM", weights.clamp(min=0))):
        expected = torch.einsum("nd,ndhw->nhw", used, activations).clamp(min=0)
        assert expected.max() > 0
        close(class_maps.class_maps(network, images, classes, method).maps, expected)


@pytest.mark.parametrize("method", ON_CONVOLUTIONS)
def test_every_method_maps_a_batch_as_its_images_and_disturbs_nothing(method):
    network, images = a_network()
    network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.inference_mode():
        found = class_maps.class_maps(network, images, np.array([0, 2, 3]), method)
    assert network.training
    assert all(p.grad is None for p in network.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
    side = 14 if method == "RefineCAM" else 7
    assert found.maps.shape == (3, side, side)
    assert np.isfinite(found.maps).all()
    assert (found.maps.min() < 0) == (method in class_maps.SIGNED_METHODS)
    assert not found.zero.any()
    torch.manual_seed(5)  # methods with noise draw their own
    single = class_maps.class_maps(network, images[1:2], [2], method)
    close(single.maps[0], found.maps[1])
    assert not np.allclose(class_maps.class_maps(network, images, [1, 1, 1], method).maps, found.maps, atol=0)


@pytest.mark.parametrize("method", [m for m in ON_CONVOLUTIONS if m not in ("SSCAM", "ISCAM")])
def test_methods_map_resnet18(method):
    network, images = a_network("resnet18", 64)
    found = class_maps.class_maps(network, images[:1], [3], method)
    assert found.maps.shape == ((1, 4, 4) if method == "RefineCAM" else (1, 2, 2))
    assert np.isfinite(found.maps).all()


@pytest.mark.parametrize("method", ["GradCAM", "LayerCAM", "RefineCAM", "FinerCAM", "ScoreCAM"])
def test_frozen_parameters_change_no_map(method):
    network, images = a_network()
    expected = class_maps.class_maps(network, images, [0, 1, 2], method).maps
    network.requires_grad_(False)
    close(class_maps.class_maps(network, images, [0, 1, 2], method).maps, expected)


class WithoutGradients(torch.nn.Sequential):
    def forward(self, images):
        with torch.no_grad():
            return super().forward(images)


def test_a_backbone_without_gradients_is_named():
    network, images = a_network()
    expected = {m: class_maps.class_maps(network, images, [0, 1, 2], m).maps for m in ("CAM", "ScoreCAM")}
    network.backbone.__class__ = WithoutGradients
    for method in ("GradCAM", "SmoothGradCAMpp", "RefineCAM"):
        with pytest.raises(ConfigError, match=rf"^heatmaps.method: {method} follows gradients, .* ScoreCAM"):
            class_maps.class_maps(network, images, [0, 1, 2], method)
    for method, maps in expected.items():
        close(class_maps.class_maps(network, images, [0, 1, 2], method).maps, maps)


def test_an_activation_in_place_does_not_change_the_layer_before_it():
    """block3.first.1 is a batch normalisation; the ReLU behind it works in place."""
    network, images = a_network()
    found = class_maps.class_maps(network, images, [0, 1, 2], "XGradCAM", "block3.first.1").maps
    for module in network.modules():
        if isinstance(module, torch.nn.ReLU):
            module.inplace = False
    with methods.XGradCAM(network, "backbone.block3.first.1") as extractor:
        (expected,) = extractor([0, 1, 2], network(images), normalized=False)
    close(found, expected)


def test_a_contrast_is_evidence_for_one_class_rather_than_another():
    network, images = a_network()
    own, rivals = [0, 1, 2], [3, 2, 0]
    found = {
        m: class_maps.class_maps(network, images, own, m, rivals=rivals)
        for m in ("CAM", "GradCAM", "FinerCAM")
    }
    apart = [class_maps.class_maps(network, images, classes, "CAM") for classes in (own, rivals)]
    close(found["CAM"].maps, apart[0].maps - apart[1].maps)
    np.testing.assert_allclose(found["CAM"].logits, apart[0].logits - apart[1].logits, atol=1e-6)
    gradient = found["CAM"].maps.clip(min=0) / found["CAM"].maps[0].size
    close(found["GradCAM"].maps, gradient)
    close(found["FinerCAM"].maps, gradient)
    assert np.isfinite(class_maps.class_maps(network, images, own, "ScoreCAM", rivals=rivals).maps).all()


def test_legrad_follows_the_attention_of_a_vision_transformer():
    torch.manual_seed(0)
    transformer = VisionTransformer(16, 4, 2, 2, 16, 32, num_classes=3)
    head, transformer.heads = transformer.heads[0], torch.nn.Identity()
    torch.nn.init.normal_(head.weight)  # torchvision's is zero before training
    network = Network(transformer, head, Parts("encoder.layers.encoder_layer_1", pools=False)).eval()
    images = torch.randn(2, 3, 16, 16)
    found = class_maps.class_maps(network, images, [0, 2], "LeGrad").maps
    assert found.shape == (2, 4, 4)
    assert (found > 0).any((1, 2)).all()
    close(class_maps.class_maps(network, images[1:], [2], "LeGrad").maps[0], found[1])
    with pytest.raises(ConfigError, match="gives no map"):
        class_maps.class_maps(network, images, [0, 2], "GradCAM")


def test_the_finer_layer_of_refinecam_is_the_last_with_more_cells():
    for name, pixels, expected in (
        ("small_resnet", 28, ["block1", "block3"]),
        ("resnet18", 64, ["layer3", "layer4"]),
        ("googlenet", 64, ["inception4e", "inception5b"]),
        ("vgg11", 64, ["features.19", "features"]),
    ):
        network = contract.build(settings_of(name, pixels), 2).eval()
        images = torch.zeros(1, 3, pixels, pixels)
        assert class_maps.find_layers(network, "RefineCAM", None, images) == expected


@pytest.mark.parametrize(
    ("name", "method", "layer", "message"),
    [
        ("small_resnet", "GradCAM", "blok3", "the network has no layer 'blok3' (did you mean 'block3'?)"),
        ("resnet18", "LayerCAM", "layer5", "the network has no layer 'layer5' (did you mean 'layer4'?)"),
        ("small_resnet", "GradCAM", "flatten", "'flatten' gives no map of two or more cells"),
        (
            "small_resnet",
            "CAM",
            "block2",
            "CAM is the evidence at the layer that is pooled, 'block3', not at",
        ),
        ("small_resnet", "RefineCAM", "stem", "there is none before 'stem'"),
        ("small_resnet", "LeGrad", None, "vision transformer's block, and 'block3' is none"),
        ("vgg11", "CAM", None, "CAM needs class maps that add up to logits, and those of vgg11 do not"),
        ("small_resnet", "LayerCam", None, "heatmaps.method is 'LayerCam' (did you mean 'LayerCAM'?)"),
    ],
)
def test_what_a_network_does_not_allow_is_one_line_before_any_work(name, method, layer, message):
    with pytest.raises(ConfigError) as caught:
        class_maps.check(settings_of(name, 32), [method], layer)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_class_without_positive_evidence_has_a_zero_map():
    network, images = a_network()
    with torch.no_grad():
        network.head.weight[1] = -network.head.weight[1].abs()
    found = class_maps.class_maps(network, images, [0, 1, 0], "LayerCAM")
    assert found.zero.tolist() == [False, True, False]
    assert not class_maps.class_maps(network, images, [0, 1, 0], "CAM").zero.any()


def test_the_configuration_knows_every_method():
    assert get_args(MapMethod) == METHODS
    assert {getattr(methods, m).__name__ for m in METHODS} == set(METHODS)
    assert len(METHODS) == 12


def test_the_published_overlay_is_that_of_torchcam():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (28, 28, 3), dtype=np.uint8)
    y, x = np.mgrid[:7, :7]
    values = np.exp(-((x - 3.0) ** 2 + (y - 2.0) ** 2) / 8).astype(np.float32)
    values = (values - values.min()) / (values.max() - values.min())
    theirs = overlay_mask(Image.fromarray(image), to_pil_image(values, mode="F"), alpha=0.6)
    found = overlays.published(image, 5 * values + 2)
    assert np.abs(found.astype(int) - np.asarray(theirs)).mean() < 2
