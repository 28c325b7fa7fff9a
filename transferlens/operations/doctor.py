"""Is every file of a results folder whole, and what it claims to be?

Nothing is changed. A file is damaged when it cannot be read, its checksums fail, it belongs to another place
than it lies at, holds other rows than its study has there, or was made from other inputs or settings than it
should be without Snakemake knowing; a file that Snakemake will make again anyway is merely out of date. Every
file is checked, whatever else is broken.
"""

import json
import os
import shlex
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

from transferlens.core import files
from transferlens.core.errors import printable
from transferlens.core.files import PROGRESS
from transferlens.core.run import Run
from transferlens.operations.asked import Job
from transferlens.operations.checked import Checked
from transferlens.operations.places import Place


@dataclass(frozen=True)
class Problem:
    """A file that needs somebody's attention.

    Attributes:
        words: what is wrong with it.
        cure: the command that cures it.
        damaged: whether results are wrong or lost; else it is only worth knowing.
    """

    path: str
    words: str
    cure: str
    damaged: bool = True

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.words}; cure: {self.cure}")


def find_problems(run: Run, checked: Sequence[Checked], jobs: Sequence[Job]) -> list[Problem]:
    """Damage in the files, and what contradicts their inputs, their studies and the configuration's settings.

    Args:
        jobs: as Snakemake sees them; none where it cannot plan.
    """
    outdated = {path for made_by in jobs if made_by.reasons for path in made_by.outputs}
    expected, contents = outputs_of(run), {file.path: file for file in checked}
    problems = []
    for file in checked:
        if file.damage:
            problems.append(_damaged(file, file.path in expected))
        elif file.path not in outdated:
            place = expected.get(file.path)
            words = [*_other_inputs(run, file, place, contents), *_other_making(run, file, place)]
            if words:
                problems.append(Problem(file.path, "; ".join(words), f"rm {shlex.quote(file.path)}"))
    return problems


def outputs_of(run: Run) -> dict[str, Place]:
    """The files that the run makes, by path."""
    places = {}
    for capability in run.capabilities:
        for step in capability.steps:
            for wildcards in run.jobs_of(step.name):
                for made in step.outputs.values():
                    places[made.at(**wildcards)] = Place(capability, step, made, wildcards)
    return places


def _damaged(file: Checked, of_run: bool) -> Problem:
    quoted = shlex.quote(file.path)
    is_closed = not os.access(file.path, os.R_OK, effective_ids=True)
    cure = f"chmod u+r {quoted}, as its owner" if is_closed else f"rm {quoted}"
    # The cure is said once, in the words of this page.
    words = file.damage.removeprefix(f"{file.path}: ").partition("; delete it")[0]
    return Problem(file.path, words, cure + ("" if of_run else " (not part of the present configuration)"))


def of_closed(folder: Path) -> Problem:
    """A folder that may not be looked into, so that nobody knows of its files."""
    cure = f"chmod -R u+rX {shlex.quote(str(folder))}, as its owner"
    return Problem(str(folder), "no permission to look into it, so its files are not checked", cure)


def _other_inputs(
    run: Run, file: Checked, place: Place | None, contents: Mapping[str, Checked]
) -> Iterator[str]:
    """The recorded inputs that are others now.

    Outside of the results folder are only looked at those that the run itself names (weights from elsewhere,
    say): a record may name any file at all.
    """
    asked = inputs_of(run, place) if place else ()
    for path, recorded in file.inputs.items():
        now = contents.get(path) or (_outside(path) if path in asked else None)
        if now and not now.damage and now.sha256 != recorded:
            yield f"made from another {path} than is there now"


def inputs_of(run: Run, place: Place) -> set[str]:
    """The files that a file of the run is made from."""
    given = run.inputs(place.step.name, place.wildcards).values()
    return {path for paths in given for path in ([paths] if isinstance(paths, str) else paths)}


def _outside(path: str) -> Checked | None:
    """An input that is not in the results folder, if it is there and can be read."""
    there = Path(path)
    if not (there.is_file() and os.access(there, os.R_OK)):
        return None
    return Checked(path, None, there.stat().st_size, files.sha256(there))


def _other_making(run: Run, file: Checked, place: Place | None) -> Iterator[str]:
    """Settings other than the configuration's, rows other than the study's."""
    if place is None or file.settings is None:
        return
    settings = json.loads(run.settings_of(place.step.name, place.wildcards))
    for key, (was, is_) in differences(file.settings, settings).items():
        yield f"made with {key} {was}, the configuration has {is_}"
    if file.rows is not None and file.rows != (rows := rows_at(run, place)) and rows is not None:
        yield f"holds rows {_span(file.rows)} of its study, where {_span(rows)} belong"


def rows_at(run: Run, place: Place) -> tuple[int, ...] | None:
    """The numbers of the rows of its study that a file of the run holds; None where its settings say so."""
    study = run.studies[place.wildcards["study"]]
    if "shard" in place.wildcards:
        shards = [place.wildcards["shard"]]
    elif "recipe" in place.wildcards:
        shards = run.transfer_shards(*(place.wildcards[name] for name in ("study", "target", "recipe")))
    else:
        return None
    return tuple(row for shard in shards for row in study.rows_of(shard))


def _span(rows: Sequence[int]) -> str:
    """Rows in a message: all of them where they are not next to each other."""
    if not rows:
        return "none"
    whole = list(rows) == list(range(rows[0], rows[-1] + 1))
    return f"{rows[0]} to {rows[-1]}" if whole else shorten(", ".join(map(str, rows)), 60, placeholder="...")


def differences(
    was: Mapping[str, Any], now: Mapping[str, Any], prefix: str = ""
) -> dict[str, tuple[str, str]]:
    """The settings that differ, by dotted name: (value then, value now) as JSON, 'nothing' for none."""
    changed = {}
    for key in sorted({*was, *now}):
        one, other = was.get(key), now.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            changed |= differences(one, other, f"{prefix}{key}.")
        elif key not in was or key not in now or one != other:
            changed[prefix + key] = tuple(
                shorten(json.dumps(v[key]), 60, placeholder="...") if key in v else "nothing"
                for v in (was, now)
            )
    return changed


def notices(temporary: Iterable[Path], paths: Iterable[Path]) -> list[Problem]:
    """What is no damage but worth knowing: left-overs of killed jobs, and files from the future."""
    now = time.time()
    known = [_left_over(path, now) for path in temporary]
    for path in paths:
        ahead = _date(path) - now
        if ahead > 0:
            seconds = f"dated {ahead:.0f} s in the future (a clock is wrong)"
            known.append(Problem(str(path), seconds, f"touch {shlex.quote(str(path))}", damaged=False))
    return [problem for problem in known if problem]


def _date(path: Path) -> float:
    """When a file was last written, in seconds since 1970; 0 for one that is gone by now."""
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0


def _left_over(path: Path, now: float) -> Problem | None:
    """A temporary file whose writer is gone, as far as can be told from here."""
    if not (written := _date(path)):
        return None  # its writer has just finished
    if files.has_writer(path):
        return None
    minutes = (now - written) / 60
    words = f"left by a killed job, unless it still runs elsewhere; last written {minutes:.0f} min ago"
    if path.name.endswith(PROGRESS):
        words = f"training in progress {words}; run again, it goes on from there"
        return Problem(str(path), words, f"rm -r {shlex.quote(str(path))}, to begin anew", damaged=False)
    return Problem(str(path), words, f"rm {shlex.quote(str(path))}", damaged=False)


def rerun_table(jobs: Sequence[Job]) -> str:
    """What Snakemake would run now, and why: a line for each rule and set of reasons."""
    counts = Counter((j.rule, "; ".join(j.reasons)) for j in jobs if j.reasons)
    if not counts:
        return "Snakemake would run nothing: every result is there and up to date."
    width = max(len(rule) for rule, _ in counts)
    lines = [f"{'rule':{width}}  jobs  why"]
    lines += [f"{rule:{width}}  {n:4}  {why}" for (rule, why), n in counts.items()]
    return "\n".join(["Snakemake would run:", *lines])


def conclusion(run: Run, checked: Sequence[Checked], problems: Sequence[Problem], jobs: Sequence[Job]) -> str:
    """How much was checked and found, and what Snakemake would run."""
    expected = outputs_of(run)
    others = sum(file.settings is not None and file.path not in expected for file in checked)
    gigabytes = sum(file.size for file in checked) / 1e9
    lines = [f"Checked {len(checked)} files, {gigabytes:.3g} GB: {len(problems) or 'none'} damaged."]
    if others:
        lines.append(f"{others} of them are not part of the present configuration; nothing reads them.")
    if unknown := [file.path for file in checked if not file.damage and not file.is_recorded]:
        lines.append(
            f"Of {len(unknown)} no digest is recorded, so only their format was checked: {unknown[0]}, ... "
            "(made before digests were recorded, or by hand)."
        )
    return "\n".join([*lines, *([rerun_table(jobs)] if jobs else [])])
