"""The influence artefact of a planted summary: what every table of it says."""

import h5py
import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from tests.summaries import subset_rows
from tests.summaries import write_summary as write
from transferlens.core import artefacts
from transferlens.core.errors import ArtefactError, DataError
from transferlens.data.index import Index
from transferlens.estimation import designs, estimators
from transferlens.influence import estimate, reading
from transferlens.influence.artefacts import INFLUENCE

UNITS = ["cat", "cow", "car"], ["animal", "animal", "thing"]
TARGET = Index(["cat", "dog"], ["animal", "animal"], None, None, ["cat", "dog"])
MODELS, EXAMPLES = 60, 24
LABELS, HALVES = np.arange(EXAMPLES) % 2, (np.arange(EXAMPLES) // 2) % 2
# What each source class adds to the margin of an example of each target class.
PLANTED = np.array([[3.0, 1.0, 0.0], [1.0, 1.0, -2.0]])


def members(half, *target):
    """Examples of a half, or of one class of it."""
    return np.isin(HALVES, half) & np.isin(LABELS, target or (0, 1))


def write_summary(path, masks, margins, **outputs):
    """Outputs follow from the margins: the other class where they are negative."""
    predictions = np.where(margins > 0, LABELS, 1 - LABELS).astype(np.uint8)
    rows = subset_rows(masks, *UNITS)
    return write(
        path, rows, LABELS, HALVES, TARGET.class_names, margin=margins, prediction=predictions, **outputs
    )


def write_influence(path, summary_path, names=("margin", "correct"), estimator="difference_of_means"):
    estimate.write_influence(path, INFLUENCE, summary_path, TARGET, list(names), estimator)
    return path


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("influence"), np.random.default_rng(0)
    masks = rng.random((MODELS, 3)) < 0.5
    margins = (
        (masks @ PLANTED.T)[:, LABELS] + rng.normal(size=(MODELS, 1)) + rng.normal(size=(MODELS, EXAMPLES))
    ).astype(np.float16)  # as summaries store them
    path = write_influence(folder / "i.h5", write_summary(folder / "s.h5", masks, margins))
    return masks, margins.astype(float), path


def test_example_influences_are_welchs_differences(case):
    masks, margins, path = case
    found = reading.read_influence(path, "margin")
    for c in range(3):
        expected = stats.ttest_ind(margins[masks[:, c]], margins[~masks[:, c]], equal_var=False)
        difference = margins[masks[:, c]].mean(0) - margins[~masks[:, c]].mean(0)
        np.testing.assert_allclose(found.effect[:, c], difference, atol=1e-5)
        np.testing.assert_allclose(found.se[:, c], difference / expected.statistic, rtol=1e-3)
    assert (found.unit_names, found.target_class_names) == (UNITS[0], TARGET.class_names)


def test_class_and_overall_effects_are_means_of_example_effects(case):
    """Differences of means are linear: averaging examples first or last is the same."""
    _, _, path = case
    with h5py.File(path) as file:
        for output in ("margin", "correct"):
            effect = file[f"{output}/effect"][:]
            for half in range(2):
                overall = effect[members(half)].mean(0)
                np.testing.assert_allclose(file[f"{output}/overall_effect"][half], overall, atol=1e-5)
                for target in range(2):
                    by_class = effect[members(half, target)].mean(0)
                    found = file[f"{output}/class_effect"][half, target]
                    np.testing.assert_allclose(found, by_class, atol=1e-5)


def test_class_errors_are_over_models_not_over_examples(case):
    """Noise that a model's examples share does not average out; Welch on the models' means knows it."""
    masks, margins, path = case
    with h5py.File(path) as file:
        group = {key: file[f"margin/class_effect_{key}"][:] for key in ("low", "high", "q")}
    p = np.zeros((2, 2, 3))
    for half, target, c in np.ndindex(2, 2, 3):
        mean = margins[:, members(half, target)].mean(1)
        test = stats.ttest_ind(mean[masks[:, c]], mean[~masks[:, c]], equal_var=False)
        p[half, target, c] = test.pvalue
        low, high = test.confidence_interval()
        assert group["low"][half, target, c] == pytest.approx(low, abs=1e-3)
        assert group["high"][half, target, c] == pytest.approx(high, abs=1e-3)
    for half in range(2):
        q = stats.false_discovery_control(p[half], axis=None)
        np.testing.assert_allclose(group["q"][half].ravel(), np.ravel(q), rtol=1e-2, atol=1e-12)


def test_planted_relations_are_found(case):
    _, _, path = case
    with h5py.File(path) as file:
        names = artefacts.names(file["relation"])
        value, low, high = (file[f"margin/relation_value{end}"][:] for end in ("", "_low", "_high"))
    assert names == ["same", "related", "unrelated", "same - related", "related - unrelated"]
    # One pair is `same` (3), three are `related` (1 each), two `unrelated` (0 and -2).
    for name, truth in (("same", 3), ("related", 1), ("unrelated", -1)):
        i = names.index(name)
        assert (np.abs(value[:, i] - truth) < 1).all()
        assert (low[:, i] < value[:, i]).all()
        assert (value[:, i] < high[:, i]).all()


def test_the_numbers_of_models_on_either_side_are_stated(case):
    masks, _, path = case
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["n_in"], masks.sum(0))
        np.testing.assert_array_equal(file["n_out"], MODELS - masks.sum(0))


def test_every_estimator_writes_what_it_estimates(case):
    masks, margins, path = case
    for name in ("least_squares", "ridge", "lasso"):
        found = reading.read_influence(
            write_influence(path.parent / f"{name}.h5", path.parent / "s.h5", ["margin"], name), "margin"
        )
        fitted = estimators.make(name, masks, margins.astype(np.float32))
        expected = fitted.effects(margins.astype(np.float32), exact_df=False)
        np.testing.assert_allclose(found.effect, expected.effect, atol=1e-5)
        np.testing.assert_allclose(found.se, expected.se, atol=1e-5)
        assert found.df == pytest.approx(expected.df)


@pytest.mark.parametrize("estimator", estimators.ESTIMATORS)
@pytest.mark.parametrize("design", ["bernoulli", "fixed_size", "complementary", "hadamard"])
def test_every_output_as_stored_gives_what_it_gives_as_a_float(tmp_path, design, estimator):
    """Booleans, half precision and outputs that follow from others are storage, not other numbers."""
    masks = designs.draw_masks(design, 3, 0.5, 0, range(MODELS))
    chance = np.random.default_rng(0).normal(size=(MODELS, EXAMPLES))
    margins = ((masks @ PLANTED.T)[:, LABELS] + chance).astype(np.float16)
    stored = write_summary(tmp_path / "stored.h5", masks, margins, raw_margin=margins)
    as_floats = margins.astype(np.float32)
    plain = write_summary(
        tmp_path / "plain.h5",
        masks,
        as_floats,
        raw_margin=as_floats,
        p_true=expit(as_floats),
        correct=(margins > 0).astype(np.float32),
    )
    # Lasso takes its time: the output that is stored most differently stands for all.
    names = ("correct",) if estimator == "lasso" else ("margin", "p_true", "raw_margin", "correct")
    paths = [write_influence(path.with_suffix(".i.h5"), path, names, estimator) for path in (stored, plain)]
    compared = []
    with h5py.File(paths[0]) as one, h5py.File(paths[1]) as other:

        def compare(name, values):
            if isinstance(values, h5py.Dataset):
                compared.append(name)
                np.testing.assert_array_equal(values[()], other[name][()], err_msg=name)

        one.visititems(compare)
    for name in names:
        assert {f"{name}/effect", f"{name}/class_effect_q", f"{name}/relation_value_low"} < set(compared)


def test_a_class_that_all_models_saw_stops_before_anything_is_written(tmp_path):
    masks = np.random.default_rng(0).random((10, 3)) < 0.5
    masks[:, 1] = True
    path = write_summary(tmp_path / "s.h5", masks, np.zeros((10, EXAMPLES)))
    with pytest.raises(DataError, match="influence of 'cow' cannot be estimated: 10 of 10"):
        write_influence(tmp_path / "i.h5", path)
    assert not (tmp_path / "i.h5").exists()


def test_a_damaged_summary_is_named(case, tmp_path):
    _, _, path = case
    content = bytearray((path.parent / "s.h5").read_bytes())
    with h5py.File(path.parent / "s.h5") as file:
        content[file["margin"].id.get_chunk_info(0).byte_offset + 9] ^= 0xFF
    (tmp_path / "s.h5").write_bytes(content)
    with pytest.raises(ArtefactError, match=r"s\.h5: damaged"):
        write_influence(tmp_path / "i.h5", tmp_path / "s.h5")
