"""Expected calibration errors of cases that can be told by hand."""

import numpy as np
import pytest

from transferlens.comparison.measures.calibration import calibration_error


def test_two_bins_by_hand() -> None:
    """Bins of two: |1/2 - .6| and |1 - .9|; of one model all is right, of the other as often as it says."""
    confidence = np.array([[0.9, 0.5, 0.7, 0.9], [1.0, 1.0, 1.0, 1.0], [0.5, 0.5, 0.5, 0.5]])
    correct = np.array([[1, 0, 1, 1], [1, 1, 1, 1], [1, 0, 1, 0]], bool)
    assert calibration_error(confidence, correct, bins=2) == pytest.approx([0.1, 0, 0], abs=1e-15)


def test_the_order_of_images_decides_nothing() -> None:
    """Most confidences are 1, as of networks that are sure of themselves."""
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1.4, (3, 100)).clip(max=1)
    correct = rng.random((3, 100)) < 0.7
    order = rng.permutation(100)
    before, after = (
        calibration_error(confidence, correct),
        calibration_error(confidence[:, order], correct[:, order]),
    )
    assert after == pytest.approx(before, abs=1e-14)


def test_opposite_errors_cancel_in_one_bin_and_not_in_two() -> None:
    confidence, correct = np.array([[0.5, 0.5, 1.0, 1.0]]), np.array([[True, True, False, True]])
    assert calibration_error(confidence, correct, bins=1) == pytest.approx([0])
    assert calibration_error(confidence, correct, bins=2) == pytest.approx([0.5])


def test_more_bins_than_images_are_an_image_each() -> None:
    """As halves of single precision, which sums must not be rounded to."""
    confidence = np.array([[0.25, 0.75]], np.float32)
    assert calibration_error(confidence, np.array([[True, False]])) == pytest.approx([0.75])
