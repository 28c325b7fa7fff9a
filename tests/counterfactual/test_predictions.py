"""Single removals are predicted by the draws of masks that did not choose them."""

import numpy as np
import pytest
from scipy import stats

from transferlens.core import artefacts
from transferlens.core.artefacts import Artefact, Field
from transferlens.counterfactual.predictions import read_predictions

CELL, BY_FOLD = ("half", "source_class"), ("fold", "half", "source_class")
PLANTED = Artefact(
    "influence",
    "i.h5",
    (
        Field("*/overall_effect", CELL, np.float64, "planted"),
        Field("*/overall_effect_by_fold", BY_FOLD, np.float64, "planted", optional=True),
        Field("*/overall_effect_by_fold_se", BY_FOLD, np.float64, "planted", optional=True),
        Field("*/fold_df", ("fold",), np.float64, "planted", optional=True),
    ),
    attributes={"folds_missing": "planted"},
)
EFFECT = np.arange(4.0).reshape(2, 2)


def test_predictions_are_of_the_report_half_and_of_the_second_fold(tmp_path):
    folds = np.arange(8.0).reshape(2, 2, 2)
    with artefacts.create(tmp_path / "i.h5", PLANTED) as out:
        out.write("p_true/overall_effect", EFFECT)
        out.write("p_true/overall_effect_by_fold", folds)
        out.write("p_true/overall_effect_by_fold_se", folds / 10)
        out.write("p_true/fold_df", [3.0, 5.0])
    found = read_predictions(tmp_path / "i.h5", "p_true")
    assert found.effect.tolist() == [2, 3]
    assert found.single.value.tolist() == [6, 7]
    np.testing.assert_allclose(found.single_se, [0.6, 0.7])
    assert found.single.high[0] == pytest.approx(6 + 0.6 * stats.t.ppf(0.975, 5))


def test_without_folds_there_is_a_reason_in_place_of_predictions(tmp_path):
    with artefacts.create(tmp_path / "i.h5", PLANTED) as out:
        out.write("p_true/overall_effect", EFFECT)
        out.attribute("folds_missing", "there are 12 models")
    found = read_predictions(tmp_path / "i.h5", "p_true")
    assert (found.single, found.missing) == (None, "there are 12 models")
