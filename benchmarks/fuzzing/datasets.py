"""Data sets: spoiled, planned, indexed, written for FFCV, and compared with an own reading of them."""

import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from fuzzing import image_sets, set_reading
from fuzzing.cases import Case, Group, import_all, judged, note_provenance, tried
from fuzzing.children import Limits, NotMade, Report, run_script
from fuzzing.image_sets import SIDE, ImageSet
from fuzzing.outcomes import HARMLESS, Outcome, of_job
from fuzzing.set_reading import Picture, Uncertain

_INDEX = "results/data/mine/index.h5"


class DataSets(Group):
    """What a user calls a data set."""

    name = "data"
    limits = Limits(cpu=60, asleep=20)

    def __init__(self):
        self.steps = image_sets.STEPS

    def prepare(self, folder: Path) -> None:
        """Import what indexing and writing do, and try a sound set of every layout."""
        import_all("transferlens.capabilities", "transferlens.data.sources", "transferlens.data.pipeline")
        note_provenance()

    def play(self, case: Case, report: Report) -> None:
        """Make, spoil, pack; plan, index, write, and compare."""
        numbers = case.random
        made = image_sets.make(Path("set").absolute(), numbers.choice(image_sets.KINDS), numbers)
        for step in case.steps(list(self.steps)):
            self.steps[step.name](made, step.random)
        try:
            image_sets.pack(made)
        except (OSError, ValueError, tarfile.TarError, zipfile.BadZipFile) as error:  # no archive takes that
            raise NotMade from error
        things = [*made.things, made.path.name, "mine"]
        planned = tried(report, "plan", lambda: _planned(made, numbers), things)
        if not planned.accepted:
            return
        report.add(Outcome("plan", HARMLESS))
        said = _job(report, planned.value, "dataset", {"dataset": "mine"}, things)
        if said is None:
            return
        wrong = _other_index(made, said)
        judged(report, "job dataset", wrong)
        if not wrong and numbers.random() < 0.5:
            self._written(report, planned.value, made, things)

    def _written(self, report: Report, run: Any, made: ImageSet, things: list[str]) -> None:
        split = "val"
        if _job(report, run, "beton", {"dataset": "mine", "split": split}, things) is not None:
            report.begin("job beton")
            judged(report, "job beton", _other_pixels(made, split))


def _planned(made: ImageSet, numbers: Random) -> Any:
    """The run that has the set as a target, planned."""
    from transferlens.capabilities import run_of

    run = run_of(
        {
            "source": "digits-and-clothes",
            "targets": {"mine": {}},
            "datasets": {"mine": {"path": str(made.path), **made.settings}},
            "data_root": "data",
            "download": False,
        }
    )
    run.check_data()
    return run


def _job(report: Report, run: Any, step: str, wildcards: dict[str, str], things: list[str]) -> str | None:
    """What a job of a run prints; None where it did not end well, which is reported."""
    action = f"job {step}"
    report.begin(action)
    outputs = {name: made.at(**wildcards) for name, made in run.steps[step].outputs.items()}
    words = run.words(step, wildcards, run.inputs(step, wildcards), outputs)
    printed = Path(f"{step}.printed")
    status = run_script(words, {}, printed)
    outcome = of_job(action, status, printed.read_text(errors="replace"), things)
    if status:
        report.add(outcome)
        left = [str(path) for path in Path("results").rglob(".*.tmp")]
        if left:
            report.add(Outcome(action, "SILENT WRONG", f"leaves {left[0]}"))
        return None
    if outcome.kind != HARMLESS:
        report.add(outcome)
    return outcome.text


def _other_index(made: ImageSet, said: str) -> list[str]:
    """What is wrong with the index of a set that was accepted."""
    from transferlens.data.index import read_index

    index, wrong = read_index(_INDEX), []
    names = np.array(index.class_names)
    if len(names) < 2:
        wrong.append(f"a set of {len(names)} classes was taken")
    ids = [*index.train.ids, *index.val.ids]
    if len(set(ids)) < len(ids):
        wrong.append("an id is there twice")
    if made.kind in ("tar", "tar.gz", "zip"):
        return wrong + _of_archive(made)
    try:
        found = set_reading.read(made.kind, made.path)
    except Uncertain:
        return [*wrong, "an own reading cannot make out what was taken"]
    if both := set_reading.in_both(found):
        wrong.append(f"{both[0]} is in train and val")
    elif (alike := set_reading.alike_in_both(_used(found, index))) and str(alike) not in said:
        wrong.append(f"{alike} val images are training images, which nothing tells")
    if not set(made.settings) - {
        "unreadable",
        "format",
        "max_resolution",
        "archive_limit_gb",
        "select_fraction",
        "groups",
    }:
        wrong += _other_counts(found, index, names, skipping=made.settings.get("unreadable") == "skip")
    return wrong


def _used(found: dict[str, list[Picture]], index: Any) -> dict[str, list[Picture]]:
    """The images of an own reading that are in the index, where that says which."""
    splits = {"train": index.train, "val": index.val}
    return {
        split: [found[split][i] for i in splits[split].positions if i < len(found[split])] for split in found
    }


def _other_counts(
    found: dict[str, list[Picture]], index: Any, names: np.ndarray, skipping: bool
) -> list[str]:
    """Where classes have other numbers of images than an own reading finds."""
    wrong = []
    for split, examples in (("train", index.train), ("val", index.val)):
        taken = Counter(names[examples.labels].tolist())
        there = Counter(p.name for p in found[split] if p.pixels is not None or not skipping)
        broken = [p.place for p in found[split] if p.pixels is None]
        if broken and not skipping:
            wrong.append(f"{broken[0]!r} cannot be decoded, and was taken")
        elif sorted(taken.values()) != sorted(there.values()):
            wrong.append(f"{split} has {dict(taken)} where {dict(there)} are")
    return wrong


def _of_archive(made: ImageSet) -> list[str]:
    try:
        repeated = set_reading.repeated_members(made.path)
    except Uncertain:
        return ["an archive that cannot be read to its end was taken"]
    return [f"{repeated[0]!r} is in the archive more than once"] if repeated else []


def _other_pixels(made: ImageSet, split: str) -> list[str]:
    """Where the pixels that FFCV gives are not those of the files."""
    import torch

    from transferlens.core.settings import InputSettings
    from transferlens.data.index import read_index
    from transferlens.data.pipeline import open_images

    try:
        found = set_reading.read(made.kind, made.path)[split]
    except Uncertain:
        return []
    if made.kind in ("tar", "tar.gz", "zip") or made.settings.get("format") == "jpg":
        return []
    examples = read_index(_INDEX).split(split)
    given = InputSettings(resolution=SIDE, crop_ratio=1.0, loading="resident")
    images = open_images(Path(f"results/data/mine/{split}.beton"), examples, given, torch.device("cpu"))
    pixels = images.bytes_of(np.arange(len(examples)))
    wrong = []
    for got, position, size in zip(pixels, examples.positions, examples.sizes, strict=True):
        own = found[position].pixels if position < len(found) else None
        if tuple(size) == (SIDE, SIDE) and own is not None and not np.array_equal(got, own):
            wrong.append(f"pixels of {Path(found[position].place).name!r} are others")
    return wrong[:1]
