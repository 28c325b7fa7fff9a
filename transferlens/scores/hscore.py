"""H-score and its regularised form: share of the features' variance between classes, whitened.

    H(F) = tr( pinv(cov F) cov G ),   G_n = mean of the features of n's class;   0 to classes - 1
    regularised: tr( pinv(cov_a) (1 - a) cov G ),   cov_a = Ledoit-Wolf covariance with shrinkage a

Sources: Bao et al., An information-theoretic approach to transferability in task transfer learning, ICIP 2019;
Ibrahim, Ponomareva, Mazumder, Newer is not always better, 2021. As in the published code of the latter, cov G
is divided by images - 1 in the regularised form, where Ledoit-Wolf's covariance is divided by images.
Directions without variance are left out of the inverse.
"""

import numpy as np

from transferlens.scores.candidate import Candidate
from transferlens.scores.moments import Moments


def hscore(candidate: Candidate) -> float:
    """Trace of the whitened scatter between classes."""
    moments = candidate.moments
    return float((_between(moments)[: moments.rank] / moments.values[: moments.rank]).sum())


def regularised(candidate: Candidate) -> float:
    """The same with Ledoit-Wolf's shrunk covariance."""
    moments = candidate.moments
    images = len(moments.coordinates)
    shrinkage = ledoit_wolf(moments)
    values = moments.values / images
    shrunk = (1 - shrinkage) * values + shrinkage * values.sum() / moments.dimensions
    return float((1 - shrinkage) * (_between(moments) / shrunk).sum() / (images - 1))


def _between(moments: Moments) -> np.ndarray:
    """float64[r], scatter of the class means along each principal axis."""
    along = moments.class_means @ moments.vectors
    return moments.counts @ along**2


def ledoit_wolf(moments: Moments) -> float:
    """Ledoit and Wolf's shrinkage (2004, A well-conditioned estimator ...), from norms and eigenvalues alone."""
    images, d = len(moments.coordinates), moments.dimensions
    values = moments.values / images
    distance = (values**2).sum() - values.sum() ** 2 / d  # of the covariance to a multiple of the identity
    fourth = (np.einsum("nr,nr->n", moments.coordinates, moments.coordinates) ** 2).mean()
    noise = (fourth - (values**2).sum()) / images
    return float(min(noise, distance) / distance) if distance > 0 else 0.0
