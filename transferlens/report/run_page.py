"""What the page says of the run as a whole: its data sets and studies, and where the numbers come from."""

import json
from collections.abc import Iterator

import numpy as np

from transferlens.core import store
from transferlens.core.blocks import (
    Block,
    Column,
    Details,
    Results,
    RunFacts,
    Section,
    Subject,
    Table,
)

_RUN = Subject("What was run", "run", "What was run")
_PROVENANCE = Subject("Provenance", "provenance", "Provenance")
_RECORDS, _TRANSFERS, _MASKS = "training records", "transfer runs", "masks"  # kinds of artefacts
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


def lead(run: RunFacts) -> str:
    """The line under the page's title."""
    return (
        f"What a model fine-tuned from {run['source']} still carries from its source classes, whether it "
        "helps or hurts, and where in the image it shows."
    )


def sections(run: RunFacts, results: Results) -> Iterator[Section]:
    """What was run, and provenance."""
    datasets = tuple(_dataset_row(results, name) for name in run["datasets"])
    studies = tuple(_study_row(results, name) for name in run["studies"])
    blocks: tuple[Block, ...] = (Table(_DATASETS_HEAD, datasets), Table(_STUDIES_HEAD, studies))
    yield Section("", "run", blocks, _RUN, warnings=tuple(_skipped(results, run["datasets"])))
    yield Section("", "provenance", _provenance(results, *run["adaptations"][0]), _PROVENANCE)


def _dataset_row(results: Results, name: str) -> tuple[str, ...]:
    index = results.dataset(name)
    report = int(index.val.halves.sum())
    counts = (len(index.class_names), len(index.train), len(index.val) - report, report)
    return name, *map(str, counts)


def _study_row(results: Results, name: str) -> tuple[str, ...]:
    """Models, units seen and source accuracy of a study."""
    models = results.source_models(name)
    seen = models.masks.sum("unit").values
    classes = f"{seen.min()} to {seen.max()}" if np.ptp(seen) else f"{seen.min()}"
    return name, str(models.sizes["model"]), classes, f"{float(models.accuracy.mean(skipna=True)):.3f}"


def _skipped(results: Results, names: list[str]) -> Iterator[str]:
    for name in names:
        with store.open(results.folder / "data" / name / "index.h5", "dataset index") as file:
            if file.attrs["images_skipped"]:
                skipped = file.attrs["images_skipped"]
                yield f"{skipped} images of {name} could not be decoded and were left out."


def _provenance(results: Results, target: str, recipe: str) -> tuple[Block, ...]:
    """Software, device and the settings that decided the numbers."""
    attributes = results.influence(target, recipe).attrs
    records = "studies/influence/training/0000.h5"
    settings = {
        "source training": results.settings(records, _RECORDS),
        "transfer": results.settings(f"studies/influence/transfer/{target}/{recipe}/0000.h5", _TRANSFERS),
        "masks": results.settings("studies/influence/masks/0000.h5", _MASKS),
    }
    with store.open(results.folder / records, _RECORDS) as file:
        device = file.attrs["device"]
    rows = (
        ("Transferlens", attributes["transferlens_version"]),
        ("commit", attributes["git_commit"] or "not a git checkout"),
        ("device", device),
        ("influences estimated", attributes["created"]),
        *attributes["software"].items(),
    )
    return Table((), rows), Details("Settings", json.dumps(settings, indent=2, sort_keys=True))
