"""Calibration: the scale of logits under which their probabilities are right."""

import numpy as np
import scipy  # its functions load at their first use

_LOG_TEMPERATURES = (-6.0, 6.0)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The T > 0 under which softmax(logits [images, classes] / T) makes the labels most likely."""
    rows, logits = np.arange(len(labels)), logits.astype(np.float64)

    def loss(log_temperature: float) -> float:
        scaled = logits * np.exp(-log_temperature)
        return float((scipy.special.logsumexp(scaled, axis=1) - scaled[rows, labels]).mean())

    best = scipy.optimize.minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded")
    return float(np.exp(best.x))
