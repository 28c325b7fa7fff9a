"""Tables of bounds, of the probe beside them, and of the published algorithm's numbers."""

import numpy as np
import xarray as xr

from transferlens.core.blocks import Column, Table, signed_estimate
from transferlens.relatedness.means import over_models
from transferlens.relatedness.words import ROLES

_LOSS, _BOUND = 1, 8  # places of the loss that is bounded and of the bound among the published numbers
_BOUND_HEAD = (
    Column("models"),
    Column("transform"),
    Column("reference loss", number=True),
    Column("label mismatch", number=True),
    Column("transport", number=True),
    Column("prior gap", number=True),
    Column("bound (95 %)", number=True),
    Column("least", number=True),
    Column("transformed head's loss (95 %)", number=True),
)
_PROBE_HEAD = (
    Column("models"),
    Column("of them", number=True),
    Column("probe's loss (95 %)", number=True),
    Column("log K", number=True),
    Column("probe's accuracy (95 %)", number=True),
    Column("Wasserstein distance (95 %)", number=True),
    Column("its floor", number=True),
    Column("probe worse than transformed head", number=True),
)
_CORRELATION_HEAD = (
    Column("models"),
    Column("transform"),
    Column("bound and probe's loss (95 %)", number=True),
    Column("bound and probe's accuracy (95 %)", number=True),
)


def bound_table(made: xr.Dataset) -> Table:
    """The bound and its parts, a row for every kind of models and transform, at the first tau."""
    first = made.isel(tau=0)
    rows = tuple(
        (_role(made, role), transform, *_bound_cells(first.sel(model_role=role, transform=transform)))
        for role in made.model_role.values
        for transform in made.transform.values
    )
    note = (
        f"Tau {made.tau.values[0]:g}. Means over models; {draws_of(made)} (choices of training images, and "
        "of pairs of classes where these are random). The bound is the sum of the four parts; "
        "transport is the transformed head's Lipschitz constant times the Wasserstein distance. Least: the "
        "mean over models of the lowest of the draws, each of which is a bound on these images. Intervals "
        "speak of other models of the kind and other test images of the same classes, with the transforms "
        "held (of one model, or of given weights, which are the same in every repeat: of other images "
        "alone); label mismatch and Lipschitz constant follow from the transform alone."
    )
    return Table(_BOUND_HEAD, rows, note)


def _role(made: xr.Dataset, role: str) -> str:
    return ROLES[str(role)]


def _bound_cells(one: xr.Dataset) -> tuple[str, ...]:
    parts = (
        three_digits(mean_of(one, name))
        for name in ("reference_loss", "label_mismatch", "transport", "prior_gap")
    )
    least = float(one.least.sel(quantity="bound"))
    return (*parts, _told(one, "bound"), f"{least:.3f}", _told(one, "transformed_loss"))


def mean_of(one: xr.Dataset, name: str) -> float:
    """A mean over models, by name."""
    return float(one["mean"].sel(quantity=name))


def _told(one: xr.Dataset, name: str) -> str:
    """A mean with its interval, where it has one."""
    return _with_range(*(float(one[f"mean{end}"].sel(quantity=name)) for end in ("", "_low", "_high")))


def _with_range(value: float, low: float, high: float) -> str:
    return three_digits(value) + ("" if np.isnan(low) else f" ({three_digits(low)} to {three_digits(high)})")


def three_digits(value: float) -> str:
    """Three digits behind the point, and no sign before zero."""
    return f"{round(float(value), 3) + 0.0:.3f}"


def draws_of(made: xr.Dataset) -> str:
    """How many draws a number rests on, in words."""
    draws = made.sizes["draw"]
    return "one draw" if draws == 1 else f"mean over {draws} draws"


def probe_table(made: xr.Dataset) -> Table:
    """The probe itself, and how much of the distance is sampling, a row for every kind of models."""
    rows = tuple(_probe_row(made, str(role)) for role in made.model_role.values)
    last = made.transform.values[-1]
    note = (
        "The probe is the target's own head under the same Lipschitz constant. Distance and last column are "
        f"those of {last}. The floor is the distance between two halves of the target's own test images, "
        "class by class: so far apart are samples of that size of one and the same distribution."
    )
    return Table(_PROBE_HEAD, rows, note)


def _probe_row(made: xr.Dataset, role: str) -> tuple[str, ...]:
    one = made.isel(tau=0, transform=-1).sel(model_role=role)
    of_role = made.isel(tau=0, transform=-1, model=np.flatnonzero(made.role.values == role))
    worse = int((~of_role.probe_is_better.astype(bool)).sum())
    return (
        ROLES[role],
        str(int(one.role_models)),
        _told(one, "probe_loss"),
        f"{made.attrs['log_classes']:.3f}",
        _told(one, "probe_accuracy"),
        _told(one, "wasserstein"),
        f"{float(of_role.floor.mean()):.3f}",
        f"{worse} of {of_role.probe_is_better.size}",
    )


def correlation_table(made: xr.Dataset) -> Table:
    """What goes with what over models of a kind."""
    first = made.isel(tau=0)
    rows = tuple(
        (
            ROLES[str(role)],
            str(transform),
            *(_correlation(first, role, transform, a) for a in made.actual.values),
        )
        for role in made.model_role.values
        for transform in made.transform.values
    )
    note = (
        "Pearson's correlation over models of one kind (mean over draws); a jackknife over models on "
        "Fisher's scale. A useful bound goes up with the loss and down with the accuracy."
    )
    return Table(_CORRELATION_HEAD, rows, note)


def _correlation(first: xr.Dataset, role: str, transform: str, actual: str) -> str:
    one = first.sel(model_role=role, transform=transform, actual=actual)
    if np.isnan(one.correlation):
        return "fewer than five models"
    return signed_estimate(one.correlation, one.correlation_low, one.correlation_high)


def published_table(made: xr.Dataset) -> Table:
    """The published algorithm's numbers, a column for every kind of models."""
    of_draws = made.published.isel(tau=0, transform=-1)
    roles = [str(role) for role in made.model_role.values]
    found = [
        over_models(v.mean(1), np.zeros_like(v[:, 0]))
        for v in (
            of_draws.isel(model=np.flatnonzero(made.role.values == role))
            .transpose("model", "draw", "column")
            .values
            for role in roles
        )
    ]
    rows = tuple(
        (f"{i + 1}. {name}", *(_with_range(of.value[i], of.low[i], of.high[i]) for of in found))
        for i, name in enumerate(made.column.values)
    )
    below = int((of_draws.isel(column=_BOUND) < of_draws.isel(column=_LOSS)).sum())
    note = (
        f"As the published algorithm defines them (transform {made.transform.values[-1]}, tau "
        f"{made.tau.values[0]:g}): its inverse is learned beside the map, its Lipschitz constant is measured "
        "without it, and classes are averaged alike, so that nothing is proved of its bound. In "
        f"{below} of {made.sizes['model'] * made.sizes['draw']} models and draws it lies below the loss that "
        "it is to bound. Intervals are over models alone."
    )
    return Table(
        (Column("published number"), *(Column(f"{ROLES[r]} (95 %)", number=True) for r in roles)), rows, note
    )
