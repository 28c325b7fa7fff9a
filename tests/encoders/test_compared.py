"""Accuracies of candidates and their gains, of planted outputs."""

import numpy as np
import pytest

from tests.summaries import write_summary
from transferlens.core import labelled
from transferlens.core.crossed import crossed_mean
from transferlens.core.studies import PRETRAINED, SCRATCH, Rows
from transferlens.encoders import compared, page
from transferlens.encoders.artefacts import CANDIDATES
from transferlens.training import outputs
from transferlens.training.reading import read_outputs

IMAGES = 60
TOLD = {"network": "small_resnet", "weights": "a.pt", "resolution": 24, "crop_ratio": 0.9,
        "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}  # fmt: skip
LABELS = np.repeat([0, 1], [45, 15])
HALVES = np.arange(IMAGES) % 2


def rows(repeats):
    """Pairs of repeats that are not in their order."""
    repeat = np.repeat(np.arange(repeats)[::-1], 2)
    return Rows(
        np.ones((2 * repeats, 2), bool),
        np.arange(2 * repeats),
        repeat,
        [PRETRAINED, SCRATCH] * repeats,
        repeat,
        [""] * (2 * repeats),
        np.zeros(2 * repeats, np.int64),
        ["a", "b"],
        ["", ""],
    )


@pytest.fixture
def summary(tmp_path):
    """Given weights are right nine times of ten, networks from scratch every second time."""

    def make(repeats=4, metric="global", seed=0):
        rng, of = np.random.default_rng(seed), rows(repeats)
        given = np.array(of.roles) == PRETRAINED
        right = rng.random((2 * repeats, IMAGES)) < np.where(given, 0.9, 0.5)[:, None]
        margin = np.where(right, 1.0, -1.0).astype(np.float16)
        accuracy = np.array(
            [outputs.accuracies({"correct": r, "margin": m}, LABELS, HALVES, 2, metric)[0]
             for r, m in zip(right, margin, strict=True)]
        )  # fmt: skip
        path = tmp_path / f"{repeats}-{metric}-{seed}.h5"
        prediction = np.where(right, LABELS, 1 - LABELS).astype(np.uint8)
        write_summary(path, of, LABELS, HALVES, ["x", "y"], accuracy, margin=margin, prediction=prediction)
        return read_outputs(path, ["correct"]).assign_attrs(metric=metric)

    return make


@pytest.mark.parametrize("metric", ["global", "per_class", "auroc"])
def test_values_are_means_of_the_accuracies_that_models_are_stored_with(summary, metric):
    made = summary(metric=metric)
    report, of = made.accuracy.sel(half="report"), made.role.values == PRETRAINED
    own, scratch = report.values[of], report.values[~of]
    expected = [own.mean(), scratch.mean(), own.mean() - scratch.mean()]
    np.testing.assert_allclose(compared.compare(made).means.value, expected, rtol=1e-12)


def test_gains_are_paired_by_repeat_and_their_intervals_are_over_models_and_images(summary):
    made = summary()
    report = np.flatnonzero(HALVES)
    by = {
        role: {int(made.repeat[i]): made.correct.values[i, report] for i in np.flatnonzero(made.role == role)}
        for role in (PRETRAINED, SCRATCH)
    }
    gains = np.array([by[PRETRAINED][r] * 1.0 - by[SCRATCH][r] for r in range(4)])
    expected = crossed_mean(gains, np.ones(gains.shape), [np.arange(len(report))])
    found = compared.compare(made)
    ends = (found.means.value[2], found.means.low[2], found.means.high[2])
    assert ends == pytest.approx((expected.value, expected.low, expected.high))
    assert found.means.low[2] > 0
    assert (found.models, found.missing) == (4, "")


@pytest.mark.parametrize(
    ("given", "reason"),
    [({"repeats": 1}, "one model cannot tell"), ({"metric": "auroc"}, "no mean over images")],
)
def test_where_there_can_be_no_interval_the_reason_is_kept(summary, given, reason):
    found = compared.compare(summary(**given))
    assert reason in found.missing
    assert np.isfinite(found.means.value).all()
    assert np.isnan([found.means.low, found.means.high]).all()


def test_what_is_stored_is_what_is_shown_and_in_the_table(summary, tmp_path):
    summaries = [summary(), summary(repeats=1, seed=1)]
    told = [{**TOLD, "study": "reference", "weights": ""}, {**TOLD, "study": "encoders/a"}]
    place = tmp_path / "results" / CANDIDATES.path.format(target="x", recipe="fixed")
    place.parent.mkdir(parents=True)
    compared.write_candidates(place, summaries, told)
    made = labelled.read(place, CANDIDATES)
    first, second = page.candidate_table(made).rows
    gain = compared.compare(summaries[0]).means
    assert first[:5] == ("reference", "small_resnet", "trained in this run", "24 px", "4")
    assert first[-2:] == (f"{gain.value[2]:+.3g}", f"{gain.low[2]:+.3g} to {gain.high[2]:+.3g}")
    assert second[2] == "a.pt"
    assert second[6] == second[8] == second[10] == ""
    assert "Intervals of encoders/a are left out: one model cannot tell" in page.candidate_table(made).note
    table = compared.table(made)
    assert table.candidate.tolist() == ["reference", "encoders/a"]
    assert table.std_2.tolist() == [0.6, 0.6]
    assert table.gain.tolist() == made.gain.values.tolist()
    assert table.models.tolist() == [4, 1]
