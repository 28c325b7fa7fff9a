"""What the page says of task-relatedness."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from transferlens.core.blocks import (
    Block,
    Column,
    Figure,
    Prose,
    Results,
    Section,
    Subject,
    Table,
    signed,
    signed_range,
)
from transferlens.core.run import Run
from transferlens.core.studies import SCRATCH
from transferlens.relatedness import reading_page
from transferlens.relatedness.means import over_models
from transferlens.relatedness.words import ROLES

_METHOD = "task-relatedness"
# Shares: of the loss of guessing, what is near it; of a distance, what is most of it.
_NEAR_GUESSING, _MOST = 0.9, 0.5
_LOSS, _BOUND = 1, 8  # places of the loss that is bounded and of the bound among the published numbers
_PAIRED = {"random": "at random", "hungarian": "by their distances", "uniform": "all with all"}
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


def sections(run: Run, results: Results) -> Iterator[Section]:
    """The bounds of every target, and what near classes do."""
    for wildcards in run.jobs_of("relatedness"):
        made = results.task_relatedness(**wildcards)
        folder = (
            results.folder
            / "report/relatedness"
            / "/".join(wildcards[name] for name in ("target", "reference", "study"))
        )
        yield bound_section(made, folder, wildcards)
    for wildcards in run.jobs_of("relatedness_reading"):
        found = results.relatedness_and_influence(**wildcards)
        yield reading_page.section(found, wildcards, run.settings.report.output)


def bound_section(made: xr.Dataset, folder: Path, names: dict[str, str]) -> Section:
    """One reference, target and study."""
    target, reference, study = (names[key] for key in ("target", "reference", "study"))
    return Section(
        f"Reference {reference}, models of {study}",
        f"{reference}-{study.replace('/', '-')}",
        (Prose(question(made, target)), *_blocks(made, folder)),
        Subject(
            f"Target {target}: what is promised before a transfer",
            f"relatedness-{target}",
            f"{target}: bounds",
        ),
        warnings=tuple(f"{target}, reference {reference}, {study}: {text}" for text in warnings(made)),
        method=_METHOD,
    )


def question(made: xr.Dataset, target: str) -> str:
    """What the numbers are, and what is proved of them."""
    tau, classes = made.tau.values[0], made.sizes["target_class"]
    return (
        f"A head of {made.attrs['reference_dataset']} ({made.sizes['reference_class']} classes) is turned "
        f"into one of {target} ({classes} classes) by pairing classes {_PAIRED[made.attrs['label_start']]} "
        "(FixedAll), by mapping features, too (LearnedA), or by learning labels, class prior and features "
        "(LearnedAll). Its loss on "
        f"{made.attrs['target_images']} test images of {target} is at most the bound: proved, and checked on "
        "these images by every inequality on the way; it is a bound of the loss on these images, not of that "
        "on others. That the probe (a linear head fitted to the target's own training images) is at least "
        f"as good as the transformed head is an assumption; it failed for {made.attrs['assumption_failed']} "
        f"of {made.attrs['bounds']} bounds. All heads are held to a Lipschitz constant of {tau:g}, the "
        f"probe too. Who knows nothing has a loss of log K = {made.attrs['log_classes']:.3f}: a bound above "
        "it promises nothing. Losses are in nats."
    )


def _blocks(made: xr.Dataset, folder: Path) -> Iterator[Block]:
    """Tables and figures."""
    draws = made.sizes["draw"]
    yield Figure(
        folder / "bounds.svg",
        "Means over models and draws. A bar is the bound, made of its parts; marks are the losses that it is "
        "set against. Random networks are the control: what the images alone give, without any source.",
        "Stacked bars of the bound beside the losses",
    )
    yield bound_table(made)
    yield probe_table(made)
    yield Figure(
        folder / "models.svg",
        f"Every model at tau {made.tau.values[0]:g}: the bound (mean over {draws} draws) against the probe's "
        "loss.",
        "Scatter of bounds and losses with the diagonal",
    )
    if made.sizes["tau"] > 1:
        yield Figure(
            folder / "taus.svg",
            f"Bound and losses against tau, transform {made.transform.values[-1]}; bands are 95 % intervals. "
            "Where a small tau brings all of them together near log K, it is because heads so flat can tell "
            "nothing.",
            "Bound and losses against tau",
        )
    yield Figure(
        folder / "classes.svg",
        "Mean over models. Distance: of the features of a target class's training images to those of a "
        "reference class's test images, on the scale of each task. Label map: the probability of a target "
        "class given a reference class (columns sum to 1).",
        "Heat maps of class distances and of the learned label map",
    )
    if "trace_bound" in made:
        text = (
            "The bound on the training images that transforms are learned from, round by round, at the first "
            "tau and draw; a line a model (dashed: random networks)."
        )
        yield Figure(folder / "trace.svg", text, "The bound along the rounds of learning")
    if "published" in made:
        yield published_table(made)
    if made.correlation.notnull().any():
        yield correlation_table(made)
    else:
        yield Prose(
            "With fewer than five models of a kind, whether a lower bound goes with a lower loss is not told."
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
        f"Tau {made.tau.values[0]:g}. Means over models and {made.sizes['draw']} draws (choices of training "
        "images, and of pairs of classes where these are random). The bound is the sum of the four parts; "
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
        f"{_mean(one, name):.3f}" for name in ("reference_loss", "label_mismatch", "transport", "prior_gap")
    )
    least = float(one.least.sel(quantity="bound"))
    return (*parts, _told(one, "bound"), f"{least:.3f}", _told(one, "transformed_loss"))


def _mean(one: xr.Dataset, name: str) -> float:
    return float(one["mean"].sel(quantity=name))


def _told(one: xr.Dataset, name: str) -> str:
    """A mean with its interval, where it has one."""
    return _with_range(*(float(one[f"mean{end}"].sel(quantity=name)) for end in ("", "_low", "_high")))


def _with_range(value: float, low: float, high: float) -> str:
    return f"{value:.3f}" + ("" if np.isnan(low) else f" ({low:.3f} to {high:.3f})")


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
    return f"{signed(one.correlation)} ({signed_range(one.correlation_low, one.correlation_high)})"


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


def warnings(made: xr.Dataset) -> Iterator[str]:
    """What a reader must know before using any of it."""
    first, guessing = made.isel(tau=0, transform=-1), made.attrs["log_classes"]
    seen = [role for role in made.model_role.values if role != SCRATCH] or list(made.model_role.values)
    losses = [_mean(first.sel(model_role=role), "probe_loss") for role in seen]
    if min(losses) > _NEAR_GUESSING * guessing:
        yield (
            f"the probe's loss ({min(losses):.3f}) is near that of guessing (log K = {guessing:.3f}); heads "
            f"held to a Lipschitz constant of {made.tau.values[0]:g} are too flat to tell classes apart, and "
            "a bound close to the loss then says nothing; raise relatedness.taus."
        )
    bounds = [_mean(first.sel(model_role=role), "bound") for role in seen]
    if min(bounds) > guessing:
        yield (
            f"the bound ({min(bounds):.3f}) lies above the loss of guessing (log K = {guessing:.3f}): it "
            "promises nothing."
        )
    share = _floor_share(made, seen)
    if share > _MOST:
        yield (
            f"halves of one and the same class lie {100 * share:.0f} % as far apart as reference and target "
            "(the floor of the Wasserstein distance): most of transport is sampling; more images of a class "
            "lower it."
        )
    if failed := made.attrs["assumption_failed"]:
        yield (
            f"for {failed} of {made.attrs['bounds']} bounds the probe is worse than the transformed head: "
            "the bound holds for that head, not for this probe."
        )


def _floor_share(made: xr.Dataset, roles: Sequence[str]) -> float:
    """The floor over the distance by the reported transform, mean over the models of these roles."""
    rows = np.flatnonzero(np.isin(made.role.values, roles))
    of_models = made.isel(tau=0, transform=-1, model=rows)
    return float((of_models.floor / of_models.wasserstein.mean("draw")).mean())
