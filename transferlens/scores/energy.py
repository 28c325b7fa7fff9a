"""Energy: mean log-sum-exp of the source head's logits: how much the images look like the source's.

    E = mean_n log sum_z exp(L_nz)

Higher is a lower free energy, so nearer to the source task. Source: the energy part of ETran (Gholami et
al., ICCV 2023), here of all images and on logits; ETran's own takes features (`etran`).
"""

from scipy.special import logsumexp

from transferlens.scores.candidate import Candidate


def energy(candidate: Candidate) -> float:
    """Mean log-sum-exp of the logits; needs logits."""
    return float(logsumexp(candidate.logits, axis=1).mean())
