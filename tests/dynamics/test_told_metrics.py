"""Metrics of pooled features along the way, their null levels, and how far they agree."""

import numpy as np
import pytest
import scipy
import torch

from tests.dynamics import activities
from transferlens.dynamics.similarity.metrics import METRICS
from transferlens.dynamics.told import metrics

NAMES = list(METRICS)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Of networks of which the second one has a layer that is constant in the end."""
    features = activities.walks(steps=3)
    features[2, 2, 0] = 1
    with activities.probed(activities.write(tmp_path_factory.mktemp("a") / "a.h5", features)) as probed:
        return features.astype(np.float32).astype(float), metrics.told(probed, seed=0)


def test_values_are_those_of_the_library(told):
    features, made = told
    assert made["metric_value"].shape == (len(NAMES), 2, 2, 2, 3)
    for name in ("cka_linear", "pwcca", "jaccard"):
        of = made["metric_value"][NAMES.index(name), 1, :, 1]
        start, middle, end = features[2, :, 1]
        assert of[0, 1] == pytest.approx(METRICS[name](start, middle))
        assert of[1, 1] == pytest.approx(METRICS[name](middle, end))
        assert of[0, 0] == of[1, 2] == 1


def test_the_null_is_that_of_other_orders_of_the_images(told):
    features, made = told
    rng = np.random.default_rng(5)
    for name in ("cka_linear", "procrustes", "jaccard", "distance_correlation"):
        of = NAMES.index(name)
        draws = [
            METRICS[name](features[model, 0, 1][rng.permutation(64)], features[model, 1, 1])
            for model in (0, 2)
            for _ in range(20)
        ]
        null = made["metric_null_mean"][of, 1, 1]
        assert null == pytest.approx(np.mean(draws), abs=3 * np.std(draws))
        np.testing.assert_allclose(
            made["metric_excess"][of, :, 1, 1], (made["metric_value"][of, :, 0, 1, 1] - null) / (1 - null)
        )


def test_a_constant_layer_is_undefined_with_a_reason_and_nothing_else_is(told):
    made = told[1]
    missing = np.isnan(made["metric_excess"])
    assert missing[:, 1, 0, 2].all()
    assert missing.sum() == len(NAMES)
    notes = np.array(made["metric_note"])
    assert all(note.startswith("undefined after 1 of 3 kept steps: ") for note in notes[:, 0])
    assert (notes[:, 1] == "").all()
    assert not np.isnan(made["agreement"]).any()


def test_agreement_is_spearmans_over_layers_and_steps(told):
    excess = told[1]["metric_excess"]
    one, other = (NAMES.index(name) for name in ("cka_linear", "rsa"))
    expected = [
        scipy.stats.spearmanr(*(excess[of, model, :, 1:].ravel() for of in (one, other)), nan_policy="omit")[
            0
        ]
        for model in range(2)
    ]
    assert told[1]["agreement"][one, other] == pytest.approx(np.mean(expected))
    assert told[1]["agreement"][one, one] == 1


def test_few_images_for_the_dimensions_are_noted_where_they_matter(tmp_path):
    features = activities.walks(models=2, steps=2, layers=1, images=64, channels=30)
    with activities.probed(activities.write(tmp_path / "a.h5", features)) as probed:
        notes = dict(zip(NAMES, np.array(metrics.told(probed, seed=0)["metric_note"])[:, 0], strict=True))
    assert "64 images are too few for 30 dimensions" in notes["cca"]
    assert notes["cka_unbiased"] == ""


def test_metrics_of_pairs_are_told_of_fewer_images():
    assert [metrics.images_of("cca", n) for n in (64, 512, 4096)] == [64, 512, 1024]
    assert [metrics.images_of("rsa", n) for n in (64, 512, 4096)] == [64, 128, 1024]
    assert [metrics.orders_of(models) for models in (1, 3, 8)] == [4, 2, 1]
    for name, metric in METRICS.items():
        made = metric.prepare(torch.rand(20, 3).double())
        if getattr(made, "values", None) is not None and made.values.shape == (20, 20):
            assert metrics.images_of(name, 512) == 128, name
