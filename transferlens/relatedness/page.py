"""What the page says of task-relatedness."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from transferlens.core.blocks import (
    Block,
    Figure,
    Prose,
    Results,
    Section,
    Subject,
)
from transferlens.core.run import Run
from transferlens.core.studies import SCRATCH
from transferlens.relatedness import findings, reading_page, tables
from transferlens.relatedness.tables import draws_of, mean_of

_METHOD = "task-relatedness"
# Shares: of the loss of guessing, what is near it; of a distance, what is most of it.
_NEAR_GUESSING, _MOST = 0.9, 0.5
_PAIRED = {"random": "at random", "hungarian": "by their distances", "uniform": "all with all"}


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
        f"Reference task {reference}, models of study {study}",
        f"{reference}-{study.replace('/', '-')}",
        (Prose(question(made, target)), *_blocks(made, folder)),
        Subject(
            f"Target {target}: what is promised before a transfer",
            f"relatedness-{target}",
            f"{target}: bounds",
            target,
        ),
        warnings=tuple(
            f"{target}, reference task {reference}, study {study}: {text}" for text in warnings(made)
        ),
        method=_METHOD,
        findings=tuple(findings.of_bound(made, reference)),
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
    yield Figure(
        folder / "bounds.svg",
        "Means over models and draws. A bar is the bound, made of its parts; marks are the losses that it is "
        "set against. Random networks are the control: what the images alone give, without any source.",
        "Stacked bars of the bound beside the losses",
    )
    yield tables.bound_table(made)
    yield tables.probe_table(made)
    yield Figure(
        folder / "models.svg",
        f"Every model at tau {made.tau.values[0]:g}: the bound ({draws_of(made)}) against the probe's loss.",
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
        yield tables.published_table(made)
    if made.correlation.notnull().any():
        yield tables.correlation_table(made)
    else:
        yield Prose(
            "With fewer than five models of a kind, whether a lower bound goes with a lower loss is not told."
        )


def warnings(made: xr.Dataset) -> Iterator[str]:
    """What a reader must know before using any of it."""
    first, guessing = made.isel(tau=0, transform=-1), made.attrs["log_classes"]
    seen = [role for role in made.model_role.values if role != SCRATCH] or list(made.model_role.values)
    losses = [mean_of(first.sel(model_role=role), "probe_loss") for role in seen]
    if min(losses) > _NEAR_GUESSING * guessing:
        yield (
            f"the probe's loss ({min(losses):.3f}) is near that of guessing (log K = {guessing:.3f}); heads "
            f"held to a Lipschitz constant of {made.tau.values[0]:g} are too flat to tell classes apart, and "
            "a bound close to the loss then says nothing; raise relatedness.taus."
        )
    bounds = [mean_of(first.sel(model_role=role), "bound") for role in seen]
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
