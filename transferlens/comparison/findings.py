"""What the page's summary says of recipes compared: whether choosing one gains anything."""

import numpy as np
import xarray as xr

from transferlens.core.blocks import Finding, Kind, p_value, signed, signed_range


def of_choice(made: xr.Dataset) -> Finding:
    """What models gain by the recipe that other models choose, and which one is recommended."""
    best = made.base.values[made.recipe.values == made.recommended].item()
    recipes, plain = int((~made.from_scratch).sum()), made.base.values[0]
    gain, low, high = (float(made[f"chosen_gain{end}"]) for end in ("", "_low", "_high"))
    text = (
        f"choosing among {recipes} recipes (recommended: {best}) changes accuracy by {signed(gain)} against "
        f"{plain}"
    )
    if np.isnan(low):
        reason = made.chosen_gain_missing or "nothing varies"
        return Finding(Kind.UNKNOWN, f"Whether {text}.", f"no interval: {reason}")
    sure = f"95 % {signed_range(low, high)}, p {p_value(float(made.chosen_gain_p))}, over models and images"
    if low > 0 or high < 0:
        kind = Kind.HELPS if low > 0 else Kind.HURTS
        return Finding(kind, f"{text[:1].upper()}{text[1:]}.", sure)
    return Finding(Kind.UNKNOWN, f"Whether {text}.", sure)
