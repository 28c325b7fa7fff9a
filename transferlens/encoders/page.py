"""What the page says of candidate sources."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from transferlens.core.blocks import (
    Column,
    Results,
    Section,
    Table,
    adaptation,
    signed,
    signed_range,
)
from transferlens.core.run import Run
from transferlens.encoders import findings
from transferlens.encoders.capability import input_of, normalisation
from transferlens.models.known import expected_input
from transferlens.training.artefacts import METRICS

# With fewer, the degrees of freedom are one, or none.
LEAST_MODELS = 3
_HEAD = (
    Column("candidate"),
    Column("network"),
    Column("weights"),
    Column("input"),
    Column("models", number=True),
    Column("accuracy", number=True),
    Column("95 % interval", number=True),
    Column("from scratch", number=True),
    Column("95 % interval", number=True),
    Column("gain over scratch", number=True),
    Column("95 % interval", number=True),
)


def sections(run: Run, results: Results) -> Iterator[Section]:
    """The candidates of every target and recipe."""
    for wildcards in run.jobs_of("candidates"):
        made = results.candidate_sources(**wildcards)
        subject = adaptation(wildcards["target"], wildcards["recipe"])
        warnings = (*_few(subject.short, made), *other_inputs(run))
        title = "Candidate sources"
        shown = (candidate_table(made),)
        yield Section(
            title,
            "candidates",
            shown,
            subject,
            warnings=warnings,
            method="candidate-sources",
            findings=tuple(findings.findings(made)),
        )


def candidate_table(made: xr.Dataset) -> Table:
    """A row for each candidate, in the order of the configuration."""
    rows = tuple(_row(made.isel(candidate=i)) for i in range(made.sizes["candidate"]))
    return Table(_HEAD, rows, _note(made))


def _row(one: xr.Dataset) -> tuple[str, ...]:
    accuracy, scratch = (
        (f"{float(one[name]):.3f}", _range(one, name, lambda low, high: f"{low:.3f} to {high:.3f}"))
        for name in ("accuracy", "scratch")
    )
    gain = signed(one.gain), _range(one, "gain", signed_range)
    return (
        str(one.candidate.item()),
        str(one.network.item()),
        str(one.weights.item()) or "trained in this run",
        f"{int(one.resolution)} px",
        str(int(one.models)),
        *accuracy,
        *scratch,
        *gain,
    )


def _range(one: xr.Dataset, name: str, words) -> str:
    """An interval in words; '' where there is none."""
    low, high = float(one[f"{name}_low"]), float(one[f"{name}_high"])
    return "" if np.isnan(low) else words(low, high)


def _note(made: xr.Dataset) -> str:
    return " ".join(
        [
            f"Accuracy is {METRICS[made.metric]}, on the {made.images} images of the report half, of models "
            "with these weights that were adapted to the target; from scratch: of the same network, adapted "
            "from random weights. Gain: the first minus the second, paired by seed. Intervals are for other "
            "adaptations of the same weights (for `reference`: of other models, trained as these), and other "
            "images. All candidates are scored on the same images, so that two can differ where their "
            "intervals overlap. Candidates differ in their networks and sizes of input as well as in what "
            "they were trained on. The highest accuracy of several is too high, as it was chosen by these "
            "images. Where nothing varies, there is no interval.",
            *_left_out(made),
        ]
    )


def _left_out(made: xr.Dataset) -> Iterator[str]:
    """Why some candidates have no intervals."""
    for reason in dict.fromkeys(filter(None, made.interval_missing.values)):
        names = ", ".join(made.candidate.values[made.interval_missing.values == reason])
        yield f"Intervals of {names} are left out: {reason}."


def _few(of: str, made: xr.Dataset) -> Iterator[str]:
    names = made.candidate.values[made.models.values < LEAST_MODELS]
    if len(names) and made.metric != "auroc":
        yield (
            f"{of}: of {', '.join(map(str, names))} there are fewer than {LEAST_MODELS} models, so that "
            "intervals are very wide or missing."
        )


def other_inputs(run: Run) -> Iterator[str]:
    """A warning for each encoder whose images are normalised otherwise than its published weights expect."""
    for name, given in run.settings.encoders.items():
        expected = expected_input(given.architecture, given.weights)
        if expected is None:
            continue
        found, wanted = normalisation(input_of(run, name)), normalisation(expected)
        if found != wanted:
            yield (
                f"encoders.{name}: images enter with mean {found['mean']} and std {found['std']}; the "
                f"published weights of {given.architecture.title} expect {wanted['mean']} and "
                f"{wanted['std']}. Others can cost accuracy."
            )
