"""Learning rate and resolution over time."""

import numpy as np
import pytest

from tests.conftest import TRAINING, changed
from transferlens.core.settings import ResizeSettings
from transferlens.training import schedule


def test_triangle_rises_to_the_peak_and_falls_to_zero():
    training = changed(TRAINING, epochs=16, lr=0.5, lr_peak_epoch=2)
    rates = np.array([schedule.learning_rate(training, s, 100) for s in range(1600)])
    assert rates.argmax() in (199, 200)
    assert rates.max() == pytest.approx(0.5, rel=0.01)
    assert 0 < rates[0] < 0.002
    assert 0 < rates[-1] < 0.001
    assert rates.mean() == pytest.approx(0.25, rel=1e-3)  # half the base times the height
    np.testing.assert_allclose(np.diff(rates[:199]), 0.5 / 200)
    np.testing.assert_allclose(np.diff(rates[201:]), -0.5 / 1400)


@pytest.mark.parametrize("peak", [0, 16])
def test_a_peak_at_either_end_is_a_ramp(peak):
    training = changed(TRAINING, epochs=16, lr=1.0, lr_peak_epoch=peak)
    rates = [schedule.learning_rate(training, s, 1) for s in range(16)]
    assert rates == sorted(rates, reverse=peak == 0)


def test_steps_multiply_the_rate():
    """Food-101 in the paper: 15 epochs at .1, a tenth of it after every 5."""
    training = changed(TRAINING, epochs=15, lr=0.1, schedule="step", step_epochs=5, gamma=0.1)
    rates = [schedule.learning_rate(training, s, 2) for s in range(30)]
    np.testing.assert_allclose(rates, np.repeat([0.1, 0.01, 0.001], 10))


def test_steps_may_be_listed():
    """Concept-Tuning's command: a tenth of the rate after 12 and after 24 of 40 epochs, and no step at 36."""
    training = changed(TRAINING, epochs=40, lr=0.01, schedule="step", step_epochs=[12, 24], gamma=0.1)
    rates = [schedule.learning_rate(training, s, 5) for s in range(200)]
    np.testing.assert_allclose(rates, np.repeat([1e-2, 1e-3, 1e-4], [60, 60, 80]))


def test_the_papers_progressive_resizing():
    """16 epochs, 160 to 192 between 11 and 13: twelve epochs at 160, four at 192."""
    resize = ResizeSettings(low=160, high=192, start=11, end=13)
    sides = [schedule.resolution(resize, epoch, 224) for epoch in range(16)]
    assert sides == [160] * 12 + [192] * 4
    assert schedule.resolution(None, 3, 224) == 224
