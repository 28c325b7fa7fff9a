"""Scores of the smoke study's source models, against what follows from its features, masks and summaries."""

import numpy as np
import pytest
from scipy import stats

from transferlens import open_results

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def results(smoke):
    return open_results(smoke / "results")


def summary(results, study):
    """Of the models that are not from scratch."""
    made = results.stored_summary(study, "optdigits", "fixed")
    return made.isel(model=np.flatnonzero(made.role.values != "scratch"))


def test_scores_are_of_the_targets_training_images_and_the_classes_a_model_saw(results):
    """LEEP from the features of one model, written out."""
    features = results.features("influence", "optdigits", "train", "0001").isel(model=3)
    logits = features.features.values @ features.head_weight.values.T + features.head_bias.values
    seen = np.exp(logits[:, features["mask"].values].astype(float))
    theta = seen / seen.sum(1, keepdims=True)
    labels = np.unique(features.example_class.values, return_inverse=True)[1]
    joint = np.stack([theta[labels == c].sum(0) for c in range(labels.max() + 1)]) / len(labels)
    expected = np.log(np.einsum("nz,nz->n", (joint / joint.sum(0))[labels], theta)).mean()
    scored = results.transferability_scores("optdigits", "influence", "0001").isel(model=3)
    assert float(scored.part_value.sel(part="leep")) == pytest.approx(expected, rel=1e-5)
    assert (scored.reason == "").all()


def test_models_from_scratch_have_no_head_and_are_not_ranked(results):
    scored = results.transferability_scores("optdigits", "reference", "0000")
    scratch = scored.role.values == "scratch"
    reasons = scored.reason.sel(score="leep").values
    assert (reasons[scratch] != "").all()
    assert (reasons[~scratch] == "").all()
    assert np.isfinite(scored.part_value.sel(part="logme").values).all()
    ranking = results.transferability("optdigits", "fixed")
    assert (ranking.candidate_study == "reference").sum() == 3
    assert ranking.sizes["candidate"] == 3 + 48


def test_candidates_are_ranked_against_their_accuracy_after_transfer(results):
    ranking = results.transferability("optdigits", "fixed")
    accuracy = np.concatenate([summary(results, s).accuracy.mean("half") for s in ("reference", "influence")])
    np.testing.assert_allclose(ranking.accuracy, accuracy)
    of_influence = (ranking.candidate_study == "influence").values
    found = ranking.agreement.sel(pool="influence", measure="weighted tau")
    for name in ("leep", "logme", "ncti", "f_otce", "source accuracy"):
        values = ranking.value.sel(ranker=name).values[of_influence]
        expected = stats.weightedtau(values, accuracy[of_influence]).statistic
        assert float(found.sel(ranker=name)) == pytest.approx(expected)
    classes = ranking.value.sel(ranker="source classes").values[of_influence]
    np.testing.assert_array_equal(classes, summary(results, "influence")["mask"].sum("unit"))
    assert ranking.draws.sel(pool="influence") == 24
    assert ranking.interval_missing.sel(pool="reference") != ""
    assert str(ranking.missing.sel(pool="influence", ranker="parameters").values).startswith("the same")
    assert set(ranking.ceiling_from.values) <= {"repeated", "reference"}


def test_influences_on_a_score_are_those_of_any_output(results):
    found = results.score_influences("optdigits", "fixed")
    masks = summary(results, "influence")["mask"].values
    ranking = results.transferability("optdigits", "fixed")
    values = ranking.value.sel(ranker="logme").values[(ranking.candidate_study == "influence").values]
    z = (values - values.mean()) / values.std(ddof=1)
    expected = [z[seen].mean() - z[~seen].mean() for seen in masks.T]
    np.testing.assert_allclose(found.effect.sel(ranker="logme"), expected, atol=1e-5)
    assert found.attrs["folds_missing"] == ""
    assert found.attrs["fold_estimator"] == "difference_of_means"
    assert found.correlation.sel(ranker=["leep", "logme"]).notnull().all()


def test_the_page_tells_of_scores(smoke):
    page = (smoke / "results/report/index.html").read_text(encoding="utf-8")
    assert "Which score tells which source will transfer" in page
    assert "Does a score see which class is missing?" in page
