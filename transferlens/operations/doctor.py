"""Is every file of a results folder whole, and what it claims to be?

Nothing is changed. A file is damaged when it cannot be read, its checksums fail, or it was made from other
inputs or settings than it should be without Snakemake knowing; a file that Snakemake will make again anyway
is merely out of date.
"""

import csv
import json
import shlex
import socket
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatch
from multiprocessing import get_context
from pathlib import Path
from textwrap import shorten
from xml.etree import ElementTree

from transferlens.analyses import failures, leakage, small_targets, subpopulations
from transferlens.core import job, store, studies
from transferlens.core.errors import ArtefactError
from transferlens.counterfactual import curves, label_mapping
from transferlens.data import ffcv_files, index
from transferlens.heatmaps import faithfulness_report, hurt_examples
from transferlens.influence import artefact, scores
from transferlens.influence_maps import estimates
from transferlens.memories.agreement import measures
from transferlens.memories.effect import composites, interference
from transferlens.memories.images import panels, ranking
from transferlens.memories.kept import probes
from transferlens.memories.remedies import comparison
from transferlens.training import outputs, source, summary

# Folders with messages and timings, which are no artefacts.
_PLAIN = ("logs", "benchmarks")
_KINDS = {
    "data/*/index.h5": index.KIND,
    "data/*/train.h5": ffcv_files.MANIFEST_KIND,
    "data/*/val.h5": ffcv_files.MANIFEST_KIND,
    "studies/*/masks/*.h5": studies.KIND,
    "studies/*/source/*.h5": source.KIND,
    "studies/*/training/*.h5": source.RECORD_KIND,
    "studies/*/transfer/*/*/*.h5": outputs.KIND,
    "studies/*/summary/*/*.h5": summary.KIND,
    "label_mapping/*.h5": label_mapping.KIND,
    "influence/*/*.h5": artefact.KIND,
    "example_influence/*/*.h5": artefact.KIND,
    "scores/*/*.h5": scores.KIND,
    "counterfactual/*/*.h5": curves.KIND,
    "reuse/*/*.h5": curves.KIND,
    "heatmaps/*/*.h5": hurt_examples.KIND,
    "memories/*/*/probes.h5": probes.KIND,
    "memories/*/*/composites.h5": composites.KIND,
    "memories/*/*/interference.h5": interference.KIND,
    "memories/*/*/ranking.h5": ranking.KIND,
    "memories/*/*/panels.h5": panels.KIND,
    "faithfulness/*/*.h5": faithfulness_report.KIND,
    "influence_maps/*/*.h5": estimates.KIND,
    "memories/*/*/agreement.h5": measures.KIND,
    "memories/*/*/remedies.h5": comparison.KIND,
    "analyses/subpopulations/*/*.h5": subpopulations.KIND,
    "analyses/failures/*/*.h5": failures.KIND,
    "analyses/leakage/*/*.h5": leakage.KIND,
    "analyses/small_targets/*/*.h5": small_targets.KIND,
}


@dataclass(frozen=True)
class Job:
    """A job of the present configuration, as Snakemake sees it.

    Attributes:
        outputs: the files it makes.
        settings: what it passes to its script; None for a job without.
        reasons: why it would be run now; empty when it would not.
    """

    rule: str
    outputs: list[str]
    settings: dict | None
    reasons: list[str]


@dataclass(frozen=True)
class Problem:
    """A file that needs somebody's attention.

    Attributes:
        found: what was found.
        cure: the command that cures it.
        damaged: whether results are wrong or lost; else it is only worth knowing.
    """

    path: str
    found: str
    cure: str
    damaged: bool = True

    def __str__(self) -> str:
        return f"{self.path}: {self.found}; cure: {self.cure}"


@dataclass(frozen=True)
class Checked:
    """What one file says of itself.

    Attributes:
        damage: what is wrong with it; None when nothing is.
        size: bytes.
        sha256: of its content ('' where nothing records it).
        settings, inputs: as recorded in an artefact; None and {} for other files.
    """

    path: str
    damage: str | None
    size: int
    sha256: str = ""
    settings: dict | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)


def find_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """The artefacts of a results folder, and temporary files beside them."""
    found = sorted(p for p in folder.rglob("*") if p.is_file())
    found = [p for p in found if p.relative_to(folder).parts[0] not in _PLAIN]
    temporary = [p for p in found if p.name.startswith(".") and p.name.endswith(".tmp")]
    return [p for p in found if p not in set(temporary)], temporary


def check_files(folder: Path, files: Sequence[Path], workers: int) -> list[Checked]:
    """Read every file to its last byte, several at a time (HDF5 reads one at a time in a process)."""
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        found = pool.map(_check_file, [folder] * len(files), files, chunksize=8)
        return list(job.progress(found, "check", "files", len(files)))


def _check_file(folder: Path, path: Path) -> Checked:
    checks = {
        ".h5": _check_artefact,
        ".beton": _check_beton,
        ".png": _check_png,
        ".svg": _check_svg,
        ".csv": _check_csv,
        ".html": _check_html,
    }
    size = path.stat().st_size
    try:
        recorded = checks[path.suffix](path, folder) if path.suffix in checks else {}
        return Checked(str(path), None, size, **(recorded or {}))
    except Exception as error:  # whatever a reader makes of a broken file
        return Checked(str(path), store.first_line(error), size)


def _check_artefact(path: Path, folder: Path) -> dict:
    """The provenance of an HDF5 artefact all of whose checksums are right."""
    inside = str(path.relative_to(folder))
    kind = next((kind for pattern, kind in _KINDS.items() if fnmatch(inside, pattern)), None)
    with store.open(path, kind) as file:
        if damage := store.first_damage(file):
            raise damage
        settings, inputs = store.settings(file), store.inputs(file)
    return {"sha256": store.sha256(path), "settings": settings, "inputs": inputs}


def _check_beton(path: Path, folder: Path) -> dict:
    ffcv_files.check(path)
    found = store.sha256(path)
    with store.open(path.with_suffix(".h5"), ffcv_files.MANIFEST_KIND) as manifest:
        if found != manifest.attrs["sha256"]:
            raise ArtefactError("its content is not what was written (SHA-256)")
    return {"sha256": found}


def _check_png(path: Path, folder: Path) -> None:
    from PIL import Image

    with Image.open(path) as image:
        image.verify()


def _check_svg(path: Path, folder: Path) -> None:
    ElementTree.parse(path)


def _check_csv(path: Path, folder: Path) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(file)
    widths = {len(row) for row in csv.reader(lines)}
    if len(widths) != 1 or not lines[-1].endswith("\n"):
        raise ArtefactError("cut off: its rows are of different lengths, or the last has no end")


def _check_html(path: Path, folder: Path) -> None:
    if not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
        raise ArtefactError("cut off: it has no end")


def find_problems(files: Sequence[Checked], jobs: Sequence[Job]) -> list[Problem]:
    """Damage in the files, and what contradicts their inputs and the configuration's settings."""
    of_job = {output: made_by for made_by in jobs for output in made_by.outputs}
    contents = {file.path: file for file in files}
    problems = []
    for file in files:
        if file.damage:
            problems.append(_damaged(file, of_job))
            continue
        made_by = of_job.get(file.path)
        if made_by and made_by.reasons:
            continue  # will be made again: out of date
        if found := _contradictions(file, made_by, contents):
            problems.append(Problem(file.path, "; ".join(found), f"rm {shlex.quote(file.path)}"))
    return problems


def _damaged(file: Checked, of_job: Mapping[str, Job]) -> Problem:
    cure = f"rm {shlex.quote(file.path)}"
    if file.path not in of_job:
        cure += " (not part of the present configuration)"
    # The cure is said once, in the words of this page.
    found = file.damage.removeprefix(f"{file.path}: ").partition("; delete it")[0]
    return Problem(file.path, found, cure)


def _contradictions(file: Checked, made_by: Job | None, contents: Mapping[str, Checked]) -> list[str]:
    found = []
    for path, recorded in file.inputs.items():
        now = contents.get(path) or _outside(path)
        if now and not now.damage and now.sha256 != recorded:
            found.append(f"made from another {path} than is there now")
    if made_by and made_by.settings is not None and file.settings is not None:
        for key, (was, is_) in differences(file.settings, made_by.settings).items():
            found.append(f"made with {key} {was}, the configuration has {is_}")
    return found


def _outside(path: str) -> Checked | None:
    """An input that is not in the results folder (weights from elsewhere, say), if it is there."""
    there = Path(path)
    return Checked(path, None, there.stat().st_size, store.sha256(there)) if there.is_file() else None


def differences(was: Mapping, now: Mapping, prefix: str = "") -> dict[str, tuple[str, str]]:
    """The settings that differ, by dotted name: (value then, value now) as JSON, 'nothing' for none."""
    found = {}
    for key in sorted({*was, *now}):
        one, other = was.get(key), now.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found |= differences(one, other, f"{prefix}{key}.")
        elif key not in was or key not in now or one != other:
            found[prefix + key] = tuple(
                shorten(json.dumps(v[key]), 60, placeholder="...") if key in v else "nothing"
                for v in (was, now)
            )
    return found


def notices(temporary: Iterable[Path], files: Iterable[Path]) -> list[Problem]:
    """What is no damage but worth knowing: left-overs of killed jobs, and files from the future."""
    now = time.time()
    found = [_left_over(path, now) for path in temporary]
    for path in files:
        ahead = path.stat().st_mtime - now
        if ahead > 0:
            seconds = f"dated {ahead:.0f} s in the future (a clock is wrong)"
            found.append(Problem(str(path), seconds, f"touch {shlex.quote(str(path))}", damaged=False))
    return [problem for problem in found if problem]


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
    found = f"left by a killed job, unless it still runs elsewhere; last written {age / 60:.0f} min ago"
    return Problem(str(path), found, f"rm {shlex.quote(str(path))}", damaged=False)


def rerun_table(jobs: Sequence[Job]) -> str:
    """What Snakemake would run now, and why: a line for each rule and set of reasons."""
    counts = Counter((j.rule, "; ".join(j.reasons)) for j in jobs if j.reasons)
    if not counts:
        return "Snakemake would run nothing: every result is there and up to date."
    width = max(len(rule) for rule, _ in counts)
    lines = [f"{'rule':{width}}  jobs  why"]
    lines += [f"{rule:{width}}  {n:4}  {why}" for (rule, why), n in counts.items()]
    return "\n".join(["Snakemake would run:", *lines])


def conclusion(files: Sequence[Checked], problems: Sequence[Problem], jobs: Sequence[Job]) -> str:
    """How much was checked and found, and what Snakemake would run."""
    made = {output for made_by in jobs for output in made_by.outputs}
    others = sum(file.settings is not None and file.path not in made for file in files)
    gigabytes = sum(file.size for file in files) / 1e9
    lines = [f"Checked {len(files)} files, {gigabytes:.3g} GB: {len(problems) or 'none'} damaged."]
    if others:
        lines.append(f"{others} of them are not part of the present configuration; nothing reads them.")
    return "\n".join([*lines, rerun_table(jobs)])
