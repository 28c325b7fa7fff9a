"""Is every file of a results folder whole, and what it claims to be?

Nothing is changed. A file is damaged when it cannot be read, its checksums fail, it belongs to another place
than it lies at, holds other rows than its study has there, or was made from other inputs or settings than it
should be without Snakemake knowing; a file that Snakemake will make again anyway is merely out of date. Every
file is checked, whatever else is broken.
"""

import csv
import json
import shlex
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from textwrap import shorten
from typing import Any
from xml.etree import ElementTree

import h5py

from transferlens.core import artefacts, files, job
from transferlens.core.artefacts import Artefact
from transferlens.core.errors import ArtefactError
from transferlens.core.files import PROGRESS
from transferlens.core.run import Run
from transferlens.data.artefacts import INDEX, MANIFEST
from transferlens.operations.asked import Job
from transferlens.operations.places import Place, Places

# Folders with messages and timings, which are no artefacts.
_PLAIN = ("logs", "benchmarks")


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
        return f"{self.path}: {self.words}; cure: {self.cure}"


@dataclass(frozen=True)
class Checked:
    """What one file says of itself.

    Attributes:
        damage: what is wrong with it; None when nothing is.
        size: bytes.
        sha256: of its content ('' where nothing records it).
        settings, inputs: as recorded in an artefact; None and {} for other files.
        rows: the numbers of the rows of its study that it holds; None where it has none.
    """

    path: str
    damage: str | None
    size: int
    sha256: str = ""
    settings: Mapping[str, Any] | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    rows: tuple[int, ...] | None = None


def find_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """The artefacts of a results folder; temporary files beside them, and folders of jobs in progress."""
    there = sorted(p for p in folder.rglob("*") if p.is_file())
    there = [p for p in there if p.relative_to(folder).parts[0] not in _PLAIN]
    temporary = [p for p in there if p.name.startswith(".") and p.name.endswith(".tmp")]
    progress = {p.parent for p in there if p.parent.name.endswith(PROGRESS)}
    there = [p for p in there if p not in set(temporary) and p.parent not in progress]
    return there, [p for p in temporary if p.parent not in progress] + sorted(progress)


def check_files(run: Run, folder: Path, paths: Sequence[Path], workers: int) -> list[Checked]:
    """Read every file to its last byte, several at a time (HDF5 reads one at a time in a process)."""
    places = Places(run)
    declared = [places.of(path.relative_to(folder).as_posix()) for path in paths]
    kinds = [place.made if place and isinstance(place.made, Artefact) else None for place in declared]
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        checked = pool.map(check_file, paths, kinds, chunksize=8)
        return list(job.progress(checked, "check", "files", len(paths)))


def check_file(path: Path, kind: Artefact | None) -> Checked:
    """Read one file; `kind` is what its place says that it is, if it says that."""
    size = path.stat().st_size
    try:
        recorded = _check_artefact(path, kind) if path.suffix == ".h5" else _check_other(path)
        return Checked(str(path), None, size, **recorded)
    except Exception as error:  # whatever a reader makes of a broken file
        return Checked(str(path), files.first_line(error), size)


def _check_artefact(path: Path, kind: Artefact | None) -> dict[str, Any]:
    """The provenance of an HDF5 artefact all of whose checksums are right."""
    with artefacts.open(path, kind) as file:
        if damage := artefacts.first_damage(file):
            raise damage
        of_study = "study" in (kind.wildcards if kind else ())
        recorded = {
            "settings": artefacts.settings_of(file),
            "inputs": artefacts.inputs_of(file),
            "rows": tuple(file["model"][:].tolist()) if of_study and "model" in file else None,
        }
        if kind and kind.kind == MANIFEST.kind:
            _check_count(path, file)
    return {"sha256": files.sha256(path), **recorded}


def _check_count(path: Path, manifest: h5py.File) -> None:
    """Refuse a manifest of more or fewer images than its index has."""
    index, written = path.with_name("index.h5"), int(manifest.attrs["examples"])
    try:
        with artefacts.open(index, INDEX) as file:
            expected = len(file[f"{path.stem}_example"])
    except ArtefactError:
        return  # the index has a line of its own
    if written != expected:
        raise ArtefactError(f"of {written} images, but {index} has {expected}")


def _check_other(path: Path) -> dict[str, Any]:
    """Of FFCV files, their checksum; other files are read as what their name says."""
    checks = {".png": _check_png, ".svg": _check_svg, ".csv": _check_csv, ".html": _check_html}
    if path.suffix == ".beton":
        return {"sha256": _check_beton(path)}
    if path.suffix in checks:
        checks[path.suffix](path)
    return {}


def _check_beton(path: Path) -> str:
    """The checksum of an FFCV file, which its manifest holds, too."""
    now = files.sha256(path)
    with artefacts.open(path.with_suffix(".h5"), MANIFEST) as manifest:
        if now != manifest.attrs["sha256"]:
            raise ArtefactError("its content is not what was written (SHA-256)")
    return now


def _check_png(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as image:
        image.verify()


def _check_svg(path: Path) -> None:
    ElementTree.parse(path)


def _check_csv(path: Path) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(file)
    widths = {len(row) for row in csv.reader(lines)}
    if len(widths) != 1 or not lines[-1].endswith("\n"):
        raise ArtefactError("cut off: its rows are of different lengths, or the last has no end")


def _check_html(path: Path) -> None:
    if not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
        raise ArtefactError("cut off: it has no end")


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
            words = [*_other_inputs(file, contents), *_other_making(run, file, expected.get(file.path))]
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
    cure = f"rm {shlex.quote(file.path)}" + ("" if of_run else " (not part of the present configuration)")
    # The cure is said once, in the words of this page.
    words = file.damage.removeprefix(f"{file.path}: ").partition("; delete it")[0]
    return Problem(file.path, words, cure)


def _other_inputs(file: Checked, contents: Mapping[str, Checked]) -> Iterator[str]:
    """The recorded inputs that are others now."""
    for path, recorded in file.inputs.items():
        now = contents.get(path) or _outside(path)
        if now and not now.damage and now.sha256 != recorded:
            yield f"made from another {path} than is there now"


def _outside(path: str) -> Checked | None:
    """An input that is not in the results folder (weights from elsewhere, say), if it is there."""
    there = Path(path)
    return Checked(path, None, there.stat().st_size, files.sha256(there)) if there.is_file() else None


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
        ahead = path.stat().st_mtime - now
        if ahead > 0:
            seconds = f"dated {ahead:.0f} s in the future (a clock is wrong)"
            known.append(Problem(str(path), seconds, f"touch {shlex.quote(str(path))}", damaged=False))
    return [problem for problem in known if problem]


def _left_over(path: Path, now: float) -> Problem | None:
    """A temporary file whose writer is gone, as far as can be told from here."""
    try:
        age = now - path.stat().st_mtime
    except FileNotFoundError:
        return None  # its writer has just finished
    process = path.name.removesuffix(".tmp").rpartition(".")[2]
    here = path.name.endswith(f".{socket.gethostname()}.{process}.tmp")
    if here and Path(f"/proc/{process}").exists():
        return None
    words = f"left by a killed job, unless it still runs elsewhere; last written {age / 60:.0f} min ago"
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
    return "\n".join([*lines, *([rerun_table(jobs)] if jobs else [])])
