"""What a study will cost before anything is run: models, jobs, hours, and bytes of every stage.

Nothing is known here of any capability: jobs are Snakemake's own, and bytes come from declared fields.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from transferlens.core.capability import Advice
from transferlens.core.run import Run
from transferlens.operations.asked import Job
from transferlens.operations.datasets import Data
from transferlens.operations.places import Places
from transferlens.operations.rate import Hours, rows_of
from transferlens.operations.sizes import Sizes


@dataclass
class Stage:
    """Bytes of the files that belong together.

    Attributes:
        files: how many there are.
        temporary: whether they are deleted when nobody needs them any more.
        unknown: dimensions whose sizes are not known: the stage then takes more than is said.
    """

    name: str
    temporary: bool = False
    files: int = 0
    bytes: float = 0.0
    unknown: set[str] = field(default_factory=set)


def count_models(run: Run) -> dict[str, int]:
    """Source models by study."""
    return {name: study.rows for name, study in run.studies.items()}


def count_jobs(jobs: Sequence[Job]) -> dict[str, int]:
    """Jobs by rule, when nothing is there yet."""
    return dict(Counter(job.rule for job in jobs))


def stages(run: Run, data: Mapping[str, Data], jobs: Sequence[Job]) -> list[Stage]:
    """Bytes of every stage, in the order of the capabilities."""
    places, sizes = Places(run), Sizes(run, data)
    made: dict[tuple[str, bool], Stage] = {}
    for job in jobs:
        for path in job.outputs:
            place, temporary = places.of(path), path in job.temporary
            key = (place.stage, temporary)
            stage = made.setdefault(key, Stage(place.stage, temporary))
            size = sizes.of(place)
            stage.files += 1
            stage.bytes += size.bytes
            stage.unknown |= size.unknown
    order = [place.stage for place in places.all()]
    return sorted(made.values(), key=lambda stage: (order.index(stage.name), stage.temporary))


def report(
    run: Run, data: Mapping[str, Data], jobs: Sequence[Job], hours: Mapping[str, Hours], device: str
) -> Iterator[str]:
    """The plan as tables; `hours` as `rate.hours` finds them, on this device."""
    rows = [["data set", "train", "val", "classes", "from"]]
    rows += [[n, *map(_number, (d.train, d.val, d.classes)), d.basis] for n, d in data.items()]
    yield _table(rows)
    yield from (
        f"{n} is counted as if it were not prepared: {d.problem}" for n, d in data.items() if d.problem
    )
    yield "\n" + _table(_study_rows(run))
    counts, order = count_jobs(jobs), list(run.steps)
    counts = dict(sorted(counts.items(), key=lambda c: order.index(c[0]) if c[0] in order else len(order)))
    rows = [["rule", "jobs", ""], *([rule, _number(n), ""] for rule, n in counts.items())]
    yield "\n" + _table([*rows, ["all", _number(sum(counts.values())), ""]])
    unit = "CPU-hours" if device.startswith("a CPU") else "GPU-hours"
    rows = [["work", "models", unit, "measured on"]]
    rows += [[name, _number(h.models), _hours(h.seconds), _basis(h, device)] for name, h in hours.items()]
    total = sum(work.seconds for work in hours.values())
    yield "\n" + _table([*rows, ["all", "", _hours(total), _without(data)]])
    yield "\n" + _table(_stage_rows(stages(run, data, jobs)))


def advice(run: Run, results: Path, hours: Mapping[str, Hours]) -> Iterator[str]:
    """What capabilities advise by the results that are there, with what following it takes.

    Args:
        hours: as `rate.hours` finds them; a model more takes what those of the run take on average.
    """
    for capability in run.capabilities:
        for given in capability.advice(run, results):
            yield given.text + (f": {_cost(given, hours)}" if given.models else "")


def _cost(given: Advice, hours: Mapping[str, Hours]) -> str:
    """Models and hours of one piece of advice."""
    work = [hours.get(name, Hours()) for name in ("source training", f"transfers, {given.recipe}")]
    models = f"{_number(given.models)} more source models"
    if not all(one.models for one in work):
        return models
    seconds = given.models * sum(one.seconds / one.models for one in work)
    return f"{models} and as many transfers, about {_hours(seconds)} hours"


def _study_rows(run: Run) -> list[list[str]]:
    """The table of studies."""
    transferred: Counter[str] = Counter()
    for transfer in run.transfers.values():
        transferred[transfer.study] += rows_of(run, transfer)
    rows = [["study", "models", "a shard", "transfers", ""]]
    for name, study in run.studies.items():
        rows.append([name, *map(_number, (study.rows, study.shard_size, transferred[name])), ""])
    return [*rows, ["all", _number(sum(count_models(run).values())), "", "", ""]]


def _stage_rows(stages: Sequence[Stage]) -> list[list[str]]:
    """The table of bytes."""
    rows = [["stage", "files", "size", ""]]
    for stage in stages:
        name = f"({stage.name}, temporary)" if stage.temporary else stage.name
        notes = ["in all; deleted when it is not needed any more"] * stage.temporary
        if stage.unknown:
            notes.append(f"at least, as there is more along: {', '.join(sorted(stage.unknown))}")
        rows.append([name, _number(stage.files), readable_bytes(stage.bytes), "; ".join(notes)])
    stays = sum(stage.bytes for stage in stages if not stage.temporary)
    return [*rows, ["all that stays", "", readable_bytes(stays), ""]]


def _without(data: Mapping[str, Data]) -> str:
    """A note on data sets of which even the number of images is unknown."""
    unknown = [name for name, known in data.items() if not known.countable]
    return f"without {', '.join(unknown)}: first snakemake datasets" if unknown else ""


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"


def _basis(hours: Hours, device: str) -> str:
    steps = f"a few steps on {device}, decoding of images not among them"
    if not hours.finished:
        return steps
    jobs = f"finished jobs of {hours.finished:,} models"
    return jobs if hours.finished == hours.models else f"{jobs}; for studies without any, {steps}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned columns, numbers (all but the first and last) to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells, row[-1]]).rstrip())
    return "\n".join(lines)


def readable_bytes(size: float) -> str:
    """Three digits and a unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.4g} TB"
