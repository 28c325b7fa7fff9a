"""Class maps explain logits; the examples shown are the ones most surely hurt."""

import numpy as np
import pytest
import torch

from transferlens.config import ArchitectureSettings
from transferlens.explain import class_maps, hurt_examples
from transferlens.models import architectures


def two_headed(name, pixels):
    torch.manual_seed(0)
    network = architectures.build(ArchitectureSettings(name, 8), 3)
    source_head = torch.nn.Linear(network.head.in_features, 7)
    model = class_maps.TwoHeaded(network, source_head).eval()
    return model, torch.randn(4, 3, pixels, pixels)


@pytest.mark.parametrize(("name", "pixels"), [("small_resnet", 28), ("resnet18", 64)])
@pytest.mark.parametrize(("head", "classes"), [("target", [0, 2, 1, 1]), ("source", [6, 3, 0, 6])])
def test_cam_averages_to_the_logit(name, pixels, head, classes):
    model, images = two_headed(name, pixels)
    found = class_maps.class_maps(model, images, classes, head, "CAM")
    linear = getattr(model, f"{head}_head")
    logits = linear(model.backbone(images)).detach()
    expected = logits[torch.arange(4), classes].numpy()
    bias = linear.bias.detach().numpy()[classes]
    np.testing.assert_allclose(found.maps.mean((1, 2)) + bias, expected, atol=1e-4)
    np.testing.assert_allclose(found.logits, expected, atol=1e-5)
    probabilities = logits.softmax(1)[torch.arange(4), classes]
    np.testing.assert_allclose(found.probabilities, probabilities, atol=1e-5)
    assert (found.maps < 0).any()


@pytest.mark.parametrize("method", ["GradCAM", "LayerCAM"])
def test_gradient_methods_show_positive_evidence_even_of_a_frozen_network(method):
    model, images = two_headed("small_resnet", 28)
    model.requires_grad_(False)
    cam = class_maps.class_maps(model, images, [0, 1, 2, 3], "source", "CAM").maps
    found = class_maps.class_maps(model, images, [0, 1, 2, 3], "source", method).maps
    assert found.min() >= 0
    assert found.max() > 0
    if method == "GradCAM":  # for pooling and a linear head: the positive part of CAM over the cells
        np.testing.assert_allclose(found, cam.clip(min=0) / cam[0].size, atol=1e-5)


def test_a_batch_equals_its_images_one_by_one():
    model, images = two_headed("small_resnet", 28)
    batch = class_maps.class_maps(model, images, [0, 1, 2, 0], "target", "CAM").maps
    single = class_maps.class_maps(model, images[2:3], [2], "target", "CAM").maps
    np.testing.assert_allclose(batch[2], single[0], atol=1e-5)


def test_the_surest_harm_comes_first():
    rng = np.random.default_rng(0)
    effect, se = rng.normal(0, 0.1, (40, 6)), np.full((40, 6), 0.1)
    halves = np.arange(40) % 2
    effect[7, 3] = -2.0  # report half, sure
    effect[9, 2], se[9, 2] = -5.0, 3.0  # larger, but hardly known
    effect[8, 1] = -9.0  # select half: must not be shown
    found = hurt_examples.most_hurt(effect, se, 48.0, halves, count=5)
    assert found.examples[0] == 7
    assert found.source_units[0] == 3
    assert found.q[0] < 1e-6
    assert 9 not in found.examples
    assert (found.examples % 2 == 1).all()
    assert len(set(found.examples)) == 5
