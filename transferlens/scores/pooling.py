"""What scores that depend on the other candidates share."""

import numpy as np


def minmax(parts: np.ndarray) -> np.ndarray:
    """Each column of float64[candidates, parts] from 0 at its least to 1 at its largest value.

    Candidates without a value (NaN) count for nothing; a column without any range is NaN.
    """
    known = parts[np.isfinite(parts).all(1)]
    if not len(known):
        return np.full_like(parts, np.nan)
    least, span = known.min(0), np.ptp(known, axis=0)
    return (parts - least) / np.where(span > 0, span, np.nan)
