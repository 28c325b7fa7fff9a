"""What the page says of the run as a whole: its data sets and studies, and where the numbers come from."""

import json
from collections.abc import Iterator

import numpy as np

from transferlens.core import artefacts
from transferlens.core.artefacts import Artefact
from transferlens.core.blocks import Block, Column, Details, Results, Section, Subject, Table
from transferlens.core.run import Run
from transferlens.core.studies import MASKS
from transferlens.training.artefacts import TRAINING_RECORDS, TRANSFER_RUNS

_RUN = Subject("What was run", "run", "What was run")
_PROVENANCE = Subject("Provenance", "provenance", "Provenance")
_SETTINGS = {"source training": TRAINING_RECORDS, "transfer": TRANSFER_RUNS, "masks": MASKS}
_DATASETS_HEAD = (
    Column("data set"),
    *(Column(name, number=True) for name in ("classes", "train", "val: select", "val: report")),
)
_STUDIES_HEAD = (
    Column("study"),
    Column("models", number=True),
    Column("classes (or other units) seen", number=True),
    Column("mean source accuracy", number=True),
)


def lead(run: Run) -> str:
    """The line under the page's title."""
    return (
        f"What a model fine-tuned from {run.source} still carries from its source classes, whether it "
        "helps or hurts, and where in the image it shows."
    )


def sections(run: Run, results: Results) -> Iterator[Section]:
    """What was run, and provenance."""
    datasets = tuple(_dataset_row(results, name) for name in run.dataset_names)
    studies = tuple(_study_row(results, name) for name in run.studies)
    blocks: tuple[Block, ...] = (Table(_DATASETS_HEAD, datasets), Table(_STUDIES_HEAD, studies))
    yield Section("", "run", blocks, _RUN, warnings=tuple(_skipped(results, run.dataset_names)))
    yield Section("", "provenance", _provenance(run, results), _PROVENANCE)


def _dataset_row(results: Results, name: str) -> tuple[str, ...]:
    index = results.dataset(name)
    report = int(index.val.halves.sum())
    counts = (len(index.class_names), len(index.train), len(index.val) - report, report)
    return name, *map(str, counts)


def _study_row(results: Results, name: str) -> tuple[str, ...]:
    """Models, units seen and source accuracy of a study."""
    models = results.source_models(name, partial=True)
    seen = models["mask"].sum("unit").values
    classes = f"{seen.min()} to {seen.max()}" if np.ptp(seen) else f"{seen.min()}"
    return name, str(models.sizes["model"]), classes, f"{float(models.accuracy.mean(skipna=True)):.3f}"


def _skipped(results: Results, names: list[str]) -> Iterator[str]:
    for name in names:
        if skipped := results.dataset_index(name).sizes["skipped"]:
            yield f"{skipped} images of {name} could not be decoded and were left out."


def _provenance(run: Run, results: Results) -> tuple[Block, ...]:
    """Software, device and the settings that decided the numbers, as the first trained models record them."""
    study, target, recipe = next(iter(run.transfers))
    wildcards = {"study": study, "target": target, "recipe": recipe, "shard": "0000"}
    settings, attributes = {}, {}
    for name, artefact in _SETTINGS.items():
        with artefacts.open(_place(results, artefact, wildcards), artefact) as file:
            settings[name] = artefacts.settings_of(file)
            attributes = attributes or dict(file.attrs)
    rows = (
        ("Transferlens", attributes["transferlens_version"]),
        ("commit", attributes["git_commit"] or "not a git checkout"),
        ("device", attributes["device"]),
        ("first models trained", attributes["created"]),
        *json.loads(attributes["software"]).items(),
    )
    return Table((), rows), Details("Settings", json.dumps(settings, indent=2, sort_keys=True))


def _place(results: Results, artefact: Artefact, wildcards: dict[str, str]) -> str:
    return f"{results.folder}/{artefact.path.format(**wildcards)}"
