"""Batch spectral shrinkage: singular values and their gradients, and plain fine-tuning without it."""

import pytest
import torch

from tests.conftest import TRAINING, changed
from tests.training.rivals import adapting, assert_same, by_hand, run, settings_of, source_network
from transferlens.training.recipes.kinds import KINDS
from transferlens.training.recipes.settings.base import Task
from transferlens.training.recipes.spectral import Bss, smallest_energy


@pytest.mark.parametrize(("shape", "values"), [((6, 9), 1), ((9, 6), 2)])
def test_the_smallest_singular_values_and_their_gradient(shape, values):
    features = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    u, s, v = torch.linalg.svd(features, full_matrices=False)
    features.requires_grad_()
    energy = smallest_energy(features, values)
    energy.backward()
    torch.testing.assert_close(energy.detach(), (s[-values:] ** 2).sum())
    expected = 2 * (u[:, -values:] * s[-values:]) @ v[-values:]
    torch.testing.assert_close(features.grad, expected)


def test_equal_singular_values_have_a_finite_gradient():
    features = torch.eye(4, 6, requires_grad=True)
    smallest_energy(features, 2).backward()
    assert torch.isfinite(features.grad).all()
    torch.testing.assert_close(features.grad.norm(), torch.tensor(8.0).sqrt())


def test_features_that_are_no_numbers_give_none():
    """The loop says at which step the loss is not finite."""
    assert torch.isnan(smallest_energy(torch.full((4, 6), torch.nan), 1))


def test_without_strength_it_is_plain_fine_tuning(textures):
    _, train, _ = textures
    (plain, _, _), (found, _, _) = (
        run(train, settings_of(kind, **given)) for kind, given in (("full", {}), ("bss", {"strength": 0}))
    )
    assert_same(found, plain)


def test_shrinkage_in_plain_torch(textures):
    _, train, _ = textures
    found, kept, _ = run(train, settings_of("bss", strength=0.5, values=2))
    network = adapting(kept)

    def loss(batch, labels):
        features = network.backbone(batch)
        precise = features.double()  # of 16 images and 32 features: the squares are eigenvalues
        smallest = torch.linalg.eigvalsh(precise @ precise.T)[:2].sum().float()
        return torch.nn.functional.cross_entropy(network.head(features), labels) + 0.5 * smallest

    groups = [{"params": list(network.parameters()), "weight_decay": TRAINING.weight_decay}]
    assert_same(found, by_hand(train, network, groups, loss), rtol=1e-3, atol=1e-4)


def test_more_values_than_there_are_are_refused():
    check = KINDS["bss"].check
    settings = settings_of("bss", values=17)
    assert check(settings, Task(5, 3)) == (
        "values is 17, and the features of a batch of 16 images have at most 16"
    )
    few = settings_of("bss", changed(TRAINING, batch_size=64), values=33)
    assert "a batch of 20 images" in check(few, Task(5, 3, train_images=20))
    assert check(few, Task(5, 3)) == ""
    assert Bss.refuses(few, source_network()) == "values is 33, and it has 32 features"
    assert Bss.refuses(settings, source_network()) == ""
