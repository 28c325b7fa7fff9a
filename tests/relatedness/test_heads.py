import numpy as np
import pytest
import scipy
import torch

from tests.relatedness.examples import clouds, digits
from transferlens.core.errors import NumericalError
from transferlens.relatedness import heads
from transferlens.relatedness.feature_maps import lipschitz_and_slope
from transferlens.relatedness.heads import Head, fit_head
from transferlens.relatedness.transforms import Transform


def test_the_closed_form_bounds_all_gradients_and_is_met_at_extreme_points():
    """Of the reference's head and of what transforms make of it, for every label."""
    rng = np.random.default_rng(0)
    head = Head(rng.normal(size=(4, 6)), rng.normal(size=4))
    transform = Transform(
        np.full(4, 0.25), rng.dirichlet(np.ones(3), 4).T, rng.normal(size=(6, 6)), rng.normal(size=6)
    )
    turned = transform.head(head)
    inverse = torch.from_numpy(np.linalg.inv(transform.matrix))
    z = torch.from_numpy(rng.normal(size=(5000, 6)) * 3).requires_grad_()
    back = (z - torch.from_numpy(transform.shift)) @ inverse.T
    inner = (back @ torch.from_numpy(head.weight).T + torch.from_numpy(head.bias)).softmax(1)
    for label in range(3):
        loss = -(inner @ torch.from_numpy(transform.label_map).T)[:, label].log()
        (gradients,) = torch.autograd.grad(loss.sum(), z, retain_graph=True)
        assert np.allclose(turned.losses(z.detach().numpy())[:, label], loss.detach().numpy())
        assert gradients.norm(dim=1).max() <= turned.lipschitz


def test_the_closed_form_is_met_far_out_along_the_longest_difference():
    rng = np.random.default_rng(0)
    head = Head(rng.normal(size=(4, 6)), rng.normal(size=4))
    i, j = max(np.ndindex(4, 4), key=lambda pair: np.linalg.norm(np.subtract(*head.weight[list(pair)])))
    z = torch.from_numpy(1e3 * (head.weight[i] - head.weight[j])).requires_grad_()
    logits = torch.from_numpy(head.weight) @ z + torch.from_numpy(head.bias)
    (gradient,) = torch.autograd.grad(-logits.log_softmax(0)[j], z)
    assert np.isclose(gradient.norm(), head.lipschitz, rtol=1e-12)


def test_the_slope_of_the_lipschitz_constant_is_that_of_finite_differences():
    rng = np.random.default_rng(1)
    weight, matrix, step = rng.normal(size=(4, 5)), rng.normal(size=(5, 5)), rng.normal(size=(5, 5))
    value, slope = lipschitz_and_slope(weight, matrix)
    assert np.isclose(value, scipy.spatial.distance.pdist(weight @ np.linalg.inv(matrix)).max())
    ahead, behind = (lipschitz_and_slope(weight, matrix + h * step)[0] for h in (1e-6, -1e-6))
    assert np.isclose((ahead - behind) / 2e-6, (slope * step).sum(), rtol=1e-5)


@pytest.mark.parametrize(("tau", "held"), [(0.02, True), (0.2, True), (20, False)])
def test_a_head_is_held_to_tau_and_no_other_solver_does_better(tau, held):
    """Sequential quadratic programming finds the same optimum of the same convex problem."""
    sample = clouds(np.random.default_rng(3), [12, 20, 8], 3, spread=0.7)
    head = fit_head(sample, 3, tau)
    assert head.lipschitz <= tau * (1 + 1e-12)
    assert np.isclose(head.lipschitz, tau, rtol=1e-3) == held

    def loss(x):
        return Head(x[:9].reshape(3, 3), x[9:]).losses(sample).mean()

    pairs = np.triu_indices(3, 1)
    constraint = {
        "type": "ineq",
        "fun": lambda x: tau**2 - np.square(np.subtract(*x[:9].reshape(3, 3)[list(pairs)])).sum(1),
    }
    options = {"maxiter": 500, "ftol": 1e-12}
    other = scipy.optimize.minimize(loss, np.zeros(12), constraints=constraint, options=options)
    assert abs(head.losses(sample).mean() - other.fun) < heads.TOLERANCE


def test_a_head_without_tau_is_ridge_regression():
    sample = digits(0)[1].train
    from sklearn.linear_model import LogisticRegression

    theirs = LogisticRegression(tol=1e-8, max_iter=1000).fit(sample.features, sample.labels)
    head = fit_head(sample, 5, None)
    assert np.allclose(head.weight, theirs.coef_, atol=1e-4)
    assert head.lipschitz > 2


def test_an_optimum_that_is_not_reached_is_an_error(monkeypatch):
    monkeypatch.setattr("transferlens.relatedness.constrained._ROUNDS", 1)
    with pytest.raises(NumericalError, match=r"held to tau 0.2 is .* nats from its optimum"):
        fit_head(digits(0)[0].train, 5, 0.2)
