"""NLEEP: LEEP with the components of a Gaussian mixture of the features in place of source classes.

    PCA that keeps 80 % of the variance; a mixture of 5 Gaussians a class, of full covariance, on all images;
    LEEP with theta = the components' posterior probabilities

Source: Li et al., Ranking neural checkpoints, CVPR 2021. At most 0; natural logarithm, as in LEEP (one
published implementation averages the probability). With few images the mixture has one component for two of
them. The fit has many optima: it starts from k-means with a fixed seed.
"""

import numpy as np

from transferlens.scores import mixture
from transferlens.scores.candidate import Candidate
from transferlens.scores.leep import expected_prediction

_KEPT = 0.8
_COMPONENTS = 5  # a class
_SEED = 0


def nleep(candidate: Candidate) -> float:
    """LEEP over the components of a mixture of the features."""
    return expected_prediction(memberships(candidate), candidate.labels, candidate.classes)


def memberships(candidate: Candidate) -> np.ndarray:
    """Posterior probabilities float64[images, components] of the mixture."""
    values = candidate.axes.values
    axes = int(np.searchsorted(np.cumsum(values), _KEPT * values.sum()) + 1)
    principal = candidate.principal(axes)
    components = min(_COMPONENTS * candidate.classes, len(principal) // 2)
    return mixture.fit(principal, components, _SEED).memberships
