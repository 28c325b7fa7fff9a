"""Projections: the published arithmetic step by step, what their neutral strengths are, and the real loop."""

import pytest
import torch

from tests.conftest import changed
from tests.training.adapting import (
    ADAM,
    PLAIN,
    assert_same,
    differs,
    initial,
    of_one_tensor,
    run,
    settings,
    started,
    trained,
)
from transferlens.training.recipes import projection

ORIGIN, TARGET = [[1.0, 2.0], [3.0, 4.0]], torch.tensor([[2.0, 0.0], [3.5, 4.0]], dtype=torch.float64)


def step(recipe, optimiser, gradient, number):
    """One step of a run by hand."""
    recipe.network.backbone.w.grad = gradient.detach().clone()
    recipe.before_step(number)
    optimiser.step()
    recipe.after_step(number)


def adam(parameter, lr=0.1):
    return torch.optim.AdamW([parameter], lr=lr, weight_decay=0)


def test_ftp_learns_its_radii_as_published():
    recipe = started(settings("ftp"), of_one_tensor(ORIGIN))
    w, radii = recipe.network.backbone.w, []
    optimiser = torch.optim.SGD([w], lr=0.1)
    for number in range(5):
        step(recipe, optimiser, w - TARGET, number)
        radii.append(float(recipe.radius["w"]))
        moved = (w.detach() - torch.tensor(ORIGIN)).abs().sum(1)
        torch.testing.assert_close(moved[0], recipe.radius["w"], rtol=0, atol=2e-8)
        assert (moved <= recipe.radius["w"] + 1e-15).all()
    expected = [1e-8, 0.00744137818711, 0.01602477424092, 0.02511800764365, 0.03449708010866]
    assert radii == pytest.approx(expected, abs=1e-13)
    found = torch.tensor([[1.0114990263464, 1.9770019473071], [3.0344970753574, 4.0]], dtype=torch.float64)
    torch.testing.assert_close(w.detach(), found, rtol=0, atol=1e-12)


def test_ftp_takes_a_vector_for_one_row():
    recipe = started(settings("ftp"), of_one_tensor([0.0, 0.0, 0.0]))
    w = recipe.network.backbone.w
    optimiser = torch.optim.SGD([w], lr=0.1)
    for number in range(3):
        step(recipe, optimiser, torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64), number)
    expected = torch.tensor([-0.0026710005732, 0.0053420011465, -0.0080130017197], dtype=torch.float64)
    torch.testing.assert_close(w.detach(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shrinking", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("sign", [-1, 1])
def test_slopes_that_shrink_a_radius_are_weighed(shrinking, sign):
    recipe = started(settings("ftp", shrinking=shrinking), of_one_tensor([[0.0, 0.0]]))
    recipe.direction = {"w": torch.tensor([[3.0, 4.0]], dtype=torch.float64) / 7}
    recipe.network.backbone.w.grad = sign * torch.tensor([[1.0, 0.5]], dtype=torch.float64)
    recipe.after_step(1)
    slope = sign * (3 + 2) / 7
    assert float(recipe.mean["w"]) == pytest.approx(0.1 * slope * (shrinking if slope > 0 else 1))


def test_a_parameter_without_a_gradient_keeps_its_radius_and_its_age():
    """By name: the others' are not shifted."""
    network = of_one_tensor(ORIGIN)
    network.backbone.unused = torch.nn.Parameter(torch.ones(2, 2, dtype=torch.float64))
    recipe = started(settings("ftp"), network)
    w = network.backbone.w
    optimiser = torch.optim.SGD([w], lr=0.1)
    for number in range(2):
        step(recipe, optimiser, w - TARGET, number)
    assert float(recipe.radius["w"]) == pytest.approx(0.00744137818711, abs=1e-13)
    assert recipe.updates == {"w": 2, "unused": 0}


def test_a_step_that_overflowed_leaves_the_radii_finite():
    recipe = started(settings("ftp"), of_one_tensor(ORIGIN))
    w = recipe.network.backbone.w
    optimiser = torch.optim.SGD([w], lr=0.1)
    for number in range(3):
        step(recipe, optimiser, w - TARGET, number)
    w.grad = torch.full_like(w, float("inf"))
    recipe.before_step(3)
    recipe.after_step(3)
    assert w.isfinite().all()
    assert 0 < float(recipe.radius["w"]) < 1


@pytest.mark.parametrize(
    ("strength", "expected"),
    [(0.0, 0.3278247121), (0.5, 0.2639123551), (1.0, 0.1999999980), (2.0, 0.0721752839)],
)
def test_spd_takes_back_a_share_of_what_grows_against_its_gradient(strength, expected):
    recipe = started(settings("spd", strength=strength), of_one_tensor([0.0, 0.0]))
    w = recipe.network.backbone.w
    optimiser, places = adam(w), []
    for number, gradient in enumerate([-1.0, -1.0, 0.1, 0.1]):
        step(recipe, optimiser, torch.tensor([gradient, 0.0], dtype=torch.float64), number)
        places.append(float(w.detach()[0]))
    assert places[-1] == pytest.approx(expected, abs=1e-9)
    if strength == 1:
        assert places[2] == pytest.approx(places[1], abs=1e-12)


def test_spd_lets_a_descent_home_go_on():
    """Contracting steps, and the first one, are the optimiser's."""
    recipe = started(settings("spd", strength=2.0), of_one_tensor([0.0, 0.0]))
    alone = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    w = recipe.network.backbone.w
    optimiser, plain = torch.optim.SGD([w], lr=0.1), torch.optim.SGD([alone], lr=0.1)
    for number, gradient in enumerate([-1.0, -1.0, 0.5, 0.5]):
        gradient = torch.tensor([gradient, 0.0], dtype=torch.float64)
        step(recipe, optimiser, gradient, number)
        alone.grad = gradient.clone()
        plain.step()
        assert torch.equal(w, alone)


def mars(weights, moved, **others):
    recipe = started(settings("mars_sp", **others), of_one_tensor(weights))
    with torch.no_grad():
        recipe.network.backbone.w.copy_(torch.tensor(moved))
    recipe.after_step(0)
    return recipe, recipe.network.backbone.w.detach().clone()


def test_mars_brings_rows_back_to_their_radius():
    moved = [[3.0, 1.0], [3.5, 4.0]]
    recipe, found = mars(ORIGIN, moved, radius=1.0)
    expected = torch.tensor([[5 / 3, 5 / 3], [3.5, 4]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-15)
    recipe.after_step(1)
    torch.testing.assert_close(recipe.network.backbone.w.detach(), expected, rtol=0, atol=1e-15)
    assert torch.equal(mars(ORIGIN, moved, radius=0.0)[1], torch.tensor(ORIGIN).double())
    assert torch.equal(mars(ORIGIN, moved, radius=None)[1], torch.tensor(moved).double())
    _, whole = mars(ORIGIN, moved, radius=1.5, norm="frobenius")
    assert float((whole - torch.tensor(ORIGIN)).norm()) == pytest.approx(1.5)


def test_mars_measures_batch_norms_by_their_running_deviation():
    network = initial().double()
    norm = network.backbone.stem[1]
    norm.running_var.fill_(4.0)
    recipe = started(settings("mars_sp", radius=0.1, head_radius=0.5), network)
    with torch.no_grad():
        norm.weight.add_(torch.tensor([0.5, 0.1, 0, 0, 0, 0, 0, -0.5]))
        norm.bias.add_(3.0)
        network.head.weight.fill_(1.0)
    recipe.after_step(0)
    expected = torch.tensor([1.2, 1.1, 1, 1, 1, 1, 1, 0.8], dtype=torch.float64)
    torch.testing.assert_close(norm.weight.detach(), expected, rtol=0, atol=1e-6)
    assert (norm.bias == 3).all()
    torch.testing.assert_close(network.head.weight.abs().sum(1), torch.full((3,), 0.5).double())
    norm.running_var.fill_(1.0)  # the same weights now scale twice as much
    recipe.after_step(1)
    torch.testing.assert_close(norm.weight.detach(), torch.full((8,), 0.6).double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "neutral", "training"),
    [
        ("spd", {"strength": 0.0}, PLAIN),
        ("spd", {"strength": 0.0}, ADAM),
        ("mars_sp", {"radius": None}, PLAIN),
        ("mars_sp", {"radius": 1e6}, PLAIN),
    ],
)
def test_neutral_strengths_are_plain_fine_tuning(textures, kind, neutral, training):
    _, images, _ = textures
    plain = trained(images, settings("full", training))
    found = trained(images, settings(kind, training, **neutral))
    assert_same(found.network, plain.network)
    assert (found.log == plain.log).all()


STRONG = {"ftp": {}, "spd": {"strength": 2.0}, "mars_sp": {"radius": 0.5}}


@pytest.mark.parametrize("kind", STRONG)
def test_weights_stay_nearer_to_the_source_and_the_head_is_free(textures, kind):
    _, images, _ = textures
    rate = changed(ADAM, lr=0.03)
    network, source = initial(), initial()
    recipe = started(settings(kind, rate, **STRONG[kind]), network, images)
    run(recipe)
    origin = dict(source.backbone.named_parameters())
    assert all(torch.equal(value, origin[name]) for name, value in recipe.origin.items())
    plain = trained(images, settings("full", rate)).network

    def distance(found):
        pairs = zip(found.backbone.parameters(), source.backbone.parameters(), strict=True)
        return sum(float((a - b).detach().square().sum()) for a, b in pairs)

    assert 0 < distance(network) < 0.8 * distance(plain)
    assert (network.head.weight - source.head.weight).norm() > 0.1
    if kind == "ftp":
        for name, value in network.backbone.named_parameters():
            moved = projection.row_norms((value - recipe.origin[name]).detach())
            assert (moved <= recipe.radius[name] * 1.0001 + 1e-6).all()


def test_what_is_not_projected_is_torchs(textures):
    """The head, while the backbone stands still."""
    _, images, _ = textures
    still = settings("ftp", PLAIN, batchnorm="eval", backbone_rate=0.0)
    plain = settings("full", PLAIN, batchnorm="eval", backbone_rate=0.0)
    found, expected = trained(images, still).network, trained(images, plain).network
    assert torch.equal(found.head.weight, expected.head.weight)
    assert differs(found.head, initial().head)
