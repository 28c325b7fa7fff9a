"""Results: files of a finished study, spoiled; read, checked by the doctor, and read on by jobs."""

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np
import yaml

from fuzzing import spoiling, study
from fuzzing.cases import Case, Group, import_all, judged, note_provenance, tried
from fuzzing.children import Limits, Report
from fuzzing.outcomes import HARMLESS, WRONG, Outcome, of_job, of_line
from transferlens.core import files
from transferlens.core.errors import printable

# Steps whose jobs take a second or two.
_QUICK = (
    "draw_masks",
    "summary",
    "influence",
    "influence_figures",
    "counterfactual",
    "variance",
    "subpopulations",
    "failures",
)
_PLAIN = ("logs", "benchmarks")


class Folder:
    """A results folder of a case: links to a finished study, of which some are replaced by spoiled files.

    Attributes:
        base: the project of the study.
        foreign: the project of another study of the same names; None for none.
        files: its files, as `results/...`.
        touched: those that were spoiled.
        sealed: those that were written anew by HDF5 itself, so that all checksums hold.
    """

    def __init__(self, base: Path, foreign: Path | None, files: list[str]):
        self.base, self.foreign, self.files = base, foreign, files
        self.touched: list[str] = []
        self.sealed: set[str] = set()
        for folder in sorted({Path(file).parent for file in files}):
            folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            os.symlink(base / file, file)
        for entry in base.iterdir():
            if entry.name not in ("results", ".snakemake") and not Path(entry.name).exists():
                os.symlink(entry, entry.name)

    def take(self, numbers: Random, suffix: str = "") -> Path:
        """A file to spoil, in place of its link: by its kind first, as there are few of some."""
        suffix = suffix or numbers.choice(sorted({Path(file).suffix for file in self.files} | {".h5"}))
        path = Path(numbers.choice([file for file in self.files if file.endswith(suffix)]))
        return self.own(path)

    def own(self, path: Path) -> Path:
        """A file as the case's own."""
        if path.is_symlink() and path.exists():
            original = path.resolve()
            path.unlink()
            shutil.copyfile(original, path)
        if str(path) not in self.touched:
            self.touched.append(str(path))
        return path


class Results(Group):
    """What a results folder holds."""

    name = "artefacts"
    limits = Limits(cpu=90, asleep=20)

    def __init__(self, project: Path | None = None, configfile: str = ""):
        self.project, self.configfile = project, configfile
        self.steps = {
            step.__name__: step
            for step in (
                *(
                    _bytes,
                    _bytes,
                    _bytes,
                    _a_chunk,
                    _a_chunk,
                    _no_plain_file,
                    _swapped,
                    _of_another_kind,
                    _foreign,
                    _lost,
                ),
                *(_attribute, _structure, _dated, _copied, _strange),
            )
        }

    def prepare(self, folder: Path) -> None:
        """Find or make a finished study, and what the doctor says of it while it is whole."""
        from transferlens.operations import checked, doctor

        import_all("matplotlib.pyplot", "pandas", "scipy.optimize", "scipy.stats", "xarray", "h5netcdf")
        import_all("transferlens.data.pipeline", "transferlens.results", "transferlens.training.transfer")
        note_provenance()
        self.base, self.foreign, self.run = self._studies(folder)
        with contextlib.chdir(self.base):
            paths = checked.find_files(Path("results")).files
            digests = [path for path in Path("results/digests").rglob("*") if path.is_file()]
            self.files = [str(path) for path in [*paths, *digests]]
            files = checked.check_files(self.run, Path("results"), paths, 1)
            self.checked = {file.path: file for file in files}
            problems = doctor.find_problems(self.run, files, [])
        if problems:
            raise RuntimeError(f"the study is not whole: {problems[0]}")
        self.readers = self._readers()

    def _studies(self, folder: Path) -> tuple[Path, Path | None, Any]:
        """The study, another one with another seed, and the run of the first."""
        if self.project is None:
            for seed, name in enumerate(("study", "foreign")):
                (folder / name).mkdir()
                with contextlib.chdir(folder / name):
                    run = study.make(Path().absolute(), seed)
            with contextlib.chdir(folder / "study"):
                return folder / "study", folder / "foreign", study.make(Path().absolute())
        from transferlens.capabilities import run_of
        from transferlens.core.configuration import merged

        given = [
            yaml.safe_load((self.project / name).read_text()) for name in ("config.yaml", self.configfile)
        ]
        with contextlib.chdir(self.project):
            run = run_of(merged(*given))
        return self.project.absolute(), None, run

    def _readers(self) -> dict[str, list[tuple[str, dict[str, str]]]]:
        """The quick jobs that read each file."""
        readers: dict[str, list[tuple[str, dict[str, str]]]] = {}
        for name in _QUICK:
            for wildcards in self.run.jobs_of(name):
                for value in self.run.inputs(name, wildcards).values():
                    for path in [value] if isinstance(value, str) else value:
                        readers.setdefault(path, []).append((name, dict(wildcards)))
        return readers

    def play(self, case: Case, report: Report) -> None:
        """Spoil some files; read, check and use them."""
        folder = Folder(self.base, self.foreign, self.files)
        for step in case.steps(list(self.steps)):
            self.steps[step.name](folder, step.random)
        changed = [path for path in folder.touched if self._read(report, folder, path)]
        self._check(report, folder, changed)
        if folder.touched:
            self._use(report, case.random.choice(folder.touched), folder)

    def _read(self, report: Report, folder: Folder, path: str) -> bool:
        """Read a file by the read API; whether it gives something else than before, or nothing."""
        from transferlens.results import open_results

        place = _place(self.run, path)
        if place is None or not path.endswith(".h5") or not (self.base / path).exists():
            return _content(Path(path)) != _content(self.base / path)
        values = [place.wildcards[name] for name in place.made.wildcards]
        read = tried(
            report, "read", lambda: getattr(open_results("results"), place.made.method)(*values), [path]
        )
        if not read.accepted:
            return True
        before = getattr(open_results(self.base / "results"), place.made.method)(*values)
        changed = not read.value.identical(before)
        refused = changed and path not in folder.sealed
        judged(report, "read", [f"{path} gives something else than was written"] if refused else [])
        return changed

    def _check(self, report: Report, folder: Folder, changed: list[str]) -> None:
        """What the doctor says: of everything that is changed, in good lines."""
        found = tried(report, "doctor", lambda: self._problems(folder), folder.touched)
        if not found.accepted:
            return
        said = [_as_said(problem) for problem in found.value]
        for problem, line in zip(found.value, said, strict=True):
            report.add(of_line("doctor", line, [printable(problem.path)]))
        for path in changed:
            if self._must_be_seen(path, folder) and not any(printable(path) in line for line in said):
                report.add(Outcome("doctor", WRONG, f"{path} is changed, which the doctor does not see"))
        report.add(Outcome("doctor", HARMLESS))

    def _problems(self, folder: Folder) -> list[Any]:
        """All that the doctor finds; what was not touched is as it was."""
        from transferlens.operations import checked, doctor

        there = checked.find_files(Path("results"))
        known = {str(path): self.checked.get(str(path)) for path in there.files}
        again = [path for path in there.files if known[str(path)] is None or _is_touched(path, folder)]
        anew = {file.path: file for file in checked.check_files(self.run, Path("results"), again, 1)}
        every = [file for file in (known | anew).values() if file]
        doctor.conclusion(self.run, every, [], [])
        problems = doctor.find_problems(self.run, every, [])
        return [*problems, *doctor.notices(there.unfinished, there.files)]

    def _must_be_seen(self, path: str, folder: Folder) -> bool:
        """Whether the doctor can know what a file was, and the file is there in some way.

        An artefact that was edited by HDF5 itself is sound: another one that was made from it tells.
        """
        before = self.checked.get(path)
        if path in folder.sealed and not any(path in file.inputs for file in self.checked.values()):
            return False
        return Path(path).exists() and not Path(path).is_dir() and (before is None or before.is_recorded)

    def _use(self, report: Report, path: str, folder: Folder) -> None:
        """A job that reads a spoiled file: refused, or with the results that it had before."""
        jobs = self.readers.get(path)
        if not jobs:
            return
        name, wildcards = jobs[len(folder.touched) % len(jobs)]
        action = f"job {name}"
        report.begin(action)
        status, said = study.run_job(Path().absolute(), self.run, name, wildcards)
        outcome = of_job(action, status, said, [Path(file).name for file in folder.touched])
        if status or outcome.kind != HARMLESS:
            report.add(outcome)
            return
        wrong = []
        for made in self.run.steps[name].artefacts:
            output = made.at(**wildcards)
            if Path(output).exists() and not _same_arrays(Path(output), self.base / output):
                wrong.append(f"{output} has other numbers, from spoiled {', '.join(folder.touched)}")
        judged(report, action, wrong)


def _as_said(problem: Any) -> str:
    """A problem as `job.say` prints it: a line for each of its lines."""
    return "\n".join(map(printable, str(problem).split("\n")))


def _is_touched(path: Path, folder: Folder) -> bool:
    """Whether a file, its digest, or what its digest is compared with was spoiled."""
    digest = f"results/digests/{path.relative_to('results')}.sha256"
    return any(part in folder.touched for part in (str(path), digest, str(path.with_suffix(".h5"))))


def _place(run: Any, path: str) -> Any:
    from transferlens.core.artefacts import Artefact
    from transferlens.operations.places import Places

    place = Places(run).of(path)
    return place if place and isinstance(place.made, Artefact) else None


def _content(path: Path) -> str | None:
    """A digest of a file; None where there is none to be read."""
    return files.sha256(path) if path.is_file() else None


def _same_arrays(one: Path, other: Path) -> bool:
    """Whether two artefacts hold the same arrays, bit by bit."""
    with h5py.File(one) as a, h5py.File(other) as b:
        names: list[str] = []
        b.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        return all(
            name in a and np.asarray(a[name]).tobytes() == np.asarray(b[name]).tobytes() for name in names
        )


# What goes wrong


def _bytes(folder: Folder, numbers: Random) -> None:
    path = folder.take(numbers)
    if path.is_file():
        spoiling.spoil_bytes(path, numbers)


def _a_chunk(folder: Folder, numbers: Random) -> None:
    """A bit of an array."""
    path = folder.take(numbers, ".h5")
    offsets: list[tuple[int, int]] = []

    def collect(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.chunks:
            chunks = [item.id.get_chunk_info(i) for i in range(item.id.get_num_chunks())]
            offsets.extend((chunk.byte_offset, chunk.size) for chunk in chunks)
        elif isinstance(item, h5py.Dataset) and item.id.get_offset():
            offsets.append((item.id.get_offset(), item.id.get_storage_size()))

    try:
        with h5py.File(path) as file:
            file.visititems(collect)
    except (OSError, RuntimeError, KeyError):
        return  # spoiled before
    if offsets:
        start, size = numbers.choice(offsets)
        data = bytearray(path.read_bytes())
        data[start + numbers.randrange(max(size, 1))] ^= 1 << numbers.randrange(8)
        path.write_bytes(data)


def _no_plain_file(folder: Folder, numbers: Random) -> None:
    numbers.choice(list(spoiling.FILES.values()))(folder.take(numbers), numbers)


def _swapped(folder: Folder, numbers: Random) -> None:
    """Two files of one kind in each other's place."""
    one = folder.take(numbers)
    alike = [
        file for file in folder.files if Path(file).suffix == one.suffix and _depth(file) == _depth(str(one))
    ]
    other = folder.own(Path(numbers.choice(alike)))
    if one != other and one.exists() and other.exists():
        one.rename("kept")
        other.rename(one)
        Path("kept").rename(other)


def _depth(file: str) -> tuple:
    parts = Path(file).parts
    return len(parts), parts[1]


def _of_another_kind(folder: Folder, numbers: Random) -> None:
    path = folder.take(numbers)
    spoiling.replace(path)
    shutil.copyfile(folder.base / numbers.choice(folder.files), path)


def _foreign(folder: Folder, numbers: Random) -> None:
    """The same file of another configuration, with a new date."""
    path = folder.take(numbers)
    if folder.foreign and (folder.foreign / path).is_file():
        spoiling.replace(path)
        shutil.copyfile(folder.foreign / path, path)
        folder.sealed.add(str(path))


def _lost(folder: Folder, numbers: Random) -> None:
    spoiling.replace(folder.take(numbers))


def _dated(folder: Folder, numbers: Random) -> None:
    path = folder.take(numbers)
    if path.is_file():
        date = numbers.choice((0, -1, time.time() + 3600, time.time() + 10**9, 2**33))
        os.utime(path, (date, date))


def _copied(folder: Folder, numbers: Random) -> None:
    """A copy beside the file, under a name that nothing makes."""
    path = folder.take(numbers)
    names = (
        f"{path.stem} (1){path.suffix}",
        f"0099{path.suffix}",
        f"é\n{path.suffix}",
        f"\x1b[31m{path.suffix}",
        f"-rf{path.suffix}",
    )
    other = path.with_name(numbers.choice(names))
    if path.is_file() and not other.exists():
        shutil.copyfile(path, other)


def _strange(folder: Folder, numbers: Random) -> None:
    """Something that is no result."""
    path = folder.take(numbers).with_name(
        numbers.choice((".DS_Store", ".x.h5.node.1.tmp", "notes.txt", "x.h5", "y.csv"))
    )
    if numbers.random() < 0.3:
        spoiling.as_fifo(path, numbers)
    else:
        path.write_bytes(numbers.randbytes(20))


def _edited(folder: Folder, numbers: Random, change: Callable[[h5py.File], None]) -> None:
    """Change an artefact by HDF5 itself."""
    path = folder.take(numbers, ".h5")
    try:
        with h5py.File(path, "r+") as file:
            change(file)
        folder.sealed.add(str(path))
    except (OSError, RuntimeError, LookupError, ValueError):
        return  # spoiled before, or without what would be changed


def _attribute(folder: Folder, numbers: Random) -> None:
    values: Mapping[str, tuple] = {
        "kind": ("influence", "", 3, b"\xff\xfe", "ki\x1b[2Jnd"),
        "schema_version": (0, 1, 3, 10**12, -1, "two", [2, 2], 2.5, float("nan")),
        "place": ("", "studies/x.h5", "../../etc/passwd", 3, b"\xff"),
        "place_pattern": ("", "{", "{study}/{study}", "(", 3, "{x}" * 50),
        "settings": ("", "{", "[]", "3", '{"a": NaN}', '{"seed": 99}', b"\xff", 3, "[" * 5000),
        "inputs": (
            "",
            "[]",
            '{"/etc/passwd": "00"}',
            '{"results/../../x": "00"}',
            '{"\\u001b[2J": "0"}',
            '{"a": 3}',
            3,
        ),
        "seed": (-1, "x", 2.5),
        "created": ("", 3),
        "bytes": (0, -1, "x"),
        "sha256": ("", 3, "0" * 64),
        "examples": (0, -1, 10**12, "x"),
    }

    def change(file: h5py.File) -> None:
        name = numbers.choice([name for name in values if name in file.attrs])
        del file.attrs[name]
        if numbers.random() < 0.85:
            file.attrs[name] = numbers.choice(values[name])

    _edited(folder, numbers, change)


def _structure(folder: Folder, numbers: Random) -> None:
    """An array is gone, of another type, empty, or says that it is huge."""

    def change(file: h5py.File) -> None:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        name = numbers.choice(names)
        old = file[name][()]
        del file[name]
        kind = numbers.choice(("gone", "type", "shorter", "huge", "group", "link", "scalar"))
        if kind == "type":
            file[name] = np.zeros(np.shape(old), numbers.choice(("f8", "i4", "S3", "c8")))
        elif kind == "shorter":
            file[name] = np.atleast_1d(old)[:-1]
        elif kind == "huge":
            file.create_dataset(name, shape=(2**36, *np.shape(old)[1:]), dtype="f4", chunks=True)
        elif kind == "group":
            file.create_group(name)
        elif kind == "link":
            file[name] = h5py.SoftLink("/nowhere")
        elif kind == "scalar":
            file[name] = 1

    _edited(folder, numbers, change)
