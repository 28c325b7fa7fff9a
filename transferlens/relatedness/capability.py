"""Task-relatedness: what a reference task, turned into a target, promises of linear probes on it."""

from collections.abc import Iterator, Mapping
from typing import Any

from transferlens.core.artefacts import Artefact
from transferlens.core.blocks import Section
from transferlens.core.capability import Beside, Capability, Features, Step, Wildcards
from transferlens.core.run import Run
from transferlens.data.artefacts import INDEX
from transferlens.data.index import SPLITS
from transferlens.relatedness import checks
from transferlens.relatedness.artefacts import (
    ACTUAL,
    CELLS,
    COLUMNS,
    QUANTITIES,
    READING,
    RELATEDNESS,
    SCOPES,
)
from transferlens.relatedness.settings import ReferenceSettings, RelatednessSettings, learned
from transferlens.training.capability import feature_paths

_DECIDES = {
    "mode",
    "transforms",
    "feature_map",
    "label_start",
    "taus",
    "draws",
    "images_per_class",
    "rounds",
    "batch_size",
}
_ROLES = 2  # kinds of models that a study mostly has
_STAGES = 5  # proved inequalities
_FIGURES = {
    "bounds": "bound and loss",
    "models": "bound and loss, model by model",
    "taus": "sweep of tau",
    "classes": "label map and distances",
    "trace": "rounds of learning",
}


def _asked(run: Run) -> RelatednessSettings | None:
    return run.section(RelatednessSettings)


def reference_of(run: Run, name: str) -> ReferenceSettings:
    """A reference task by name."""
    return _asked(run).references[name]


def dataset_of(run: Run, name: str) -> str:
    """The data set of a reference task."""
    return reference_of(run, name).dataset or run.source


def _rows(run: Run, study: str) -> int:
    """How many of the first models of a study are read."""
    most, there = _asked(run).models[study], run.studies[study].rows
    return there if most is None else min(most, there)


def _jobs(run: Run) -> list[Wildcards]:
    given = _asked(run)
    if given is None:
        return []
    return [
        {"target": target, "reference": reference, "study": study}
        for target in run.targets
        for reference, task in given.references.items()
        if task.targets is None or target in task.targets
        for study in given.models
    ]


def _inputs(run: Run, wildcards: Wildcards) -> dict[str, str | list[str]]:
    datasets = {"reference": dataset_of(run, wildcards["reference"]), "target": wildcards["target"]}
    features = {
        f"{side}_{split}": feature_paths(run, wildcards["study"], dataset, split)
        for side, dataset in datasets.items()
        for split in SPLITS
    }
    return {**features, **{f"{side}_index": INDEX.at(dataset=name) for side, name in datasets.items()}}


def _settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    reference = reference_of(run, wildcards["reference"])
    return {
        **_asked(run).model_dump(include=_DECIDES),
        **_published(run),
        "rows": _rows(run, wildcards["study"]),
        "reference_dataset": dataset_of(run, wildcards["reference"]),
        "reference_classes": reference.classes and reference.classes.model_dump(),
        "target_dataset": wildcards["target"],
        "target_classes": None,
        "seed": run.seed,
    }


def _published(run: Run) -> dict[str, Any]:
    """Which published program is followed, where one is."""
    faithful = _asked(run).mode == "faithful"
    return _asked(run).model_dump(include={"scale", "steps"}) if faithful else {"scale": None, "steps": None}


RELATE = Step(
    name="relatedness",
    script="relate_tasks.py",
    title="Relate {reference} to {target} by models of {study}",
    outputs={
        "relatedness": RELATEDNESS,
        "table": Beside("relatedness/{target}/{reference}/{study}.csv"),
    },
    inputs=_inputs,
    settings=_settings,
    made_for=_jobs,
)


def _read_with_influence(run: Run) -> list[Wildcards]:
    """Where the classes of a reference are those whose influences are estimated."""
    influence = run.settings.studies.influence
    if influence is None or influence.units != "classes":
        return []
    return [
        {**wildcards, "recipe": recipe}
        for wildcards in _jobs(run)
        if dataset_of(run, wildcards["reference"]) == run.source
        for recipe in run.targets[wildcards["target"]].recipes
    ]


def _of_relation(wildcards: Wildcards) -> dict[str, str]:
    """The wildcards of the bounds that a reading is of."""
    return {name: wildcards[name] for name in RELATEDNESS.wildcards}


READ = Step(
    name="relatedness_reading",
    script="read_relatedness.py",
    title="Compare relatedness of {reference} to {target} with influences ({study}, {recipe})",
    outputs={
        "reading": READING,
        "table": Beside("relatedness_influence/{target}/{recipe}/{reference}/{study}.csv"),
    },
    inputs=lambda run, w: {
        "relatedness": RELATEDNESS.at(**_of_relation(w)),
        "influence": run.file("influence", target=w["target"], recipe=w["recipe"]),
    },
    settings=lambda run, w: {
        "output": run.settings.report.output,
        "study": w["study"],
        "seed": run.seed,
    },
    made_for=_read_with_influence,
)


def _figures() -> dict[str, Beside]:
    folder = "report/relatedness/{target}/{reference}/{study}"
    labels = {name: f"{{{name}}}" for name in RELATEDNESS.wildcards}
    return {
        name: Beside(
            f"{folder}/{name}.svg", "Task-relatedness", "relatedness.rst", {**labels, "figure": figure}
        )
        for name, figure in _FIGURES.items()
    }


DRAW = Step(
    name="relatedness_figures",
    script="draw_relatedness.py",
    title="Draw the relatedness of {reference} to {target} ({study})",
    outputs=_figures(),
    inputs=lambda run, w: {"relatedness": RELATEDNESS.at(**w)},
    made_for=_jobs,
)


class Relatedness(Capability):
    """Bounds of the loss of linear probes."""

    name = "relatedness"
    settings = (RelatednessSettings,)
    steps = (RELATE, READ, DRAW)

    def datasets(self, run: Run) -> Iterator[str]:
        """The data sets of the references."""
        for name in _asked(run).references if _asked(run) else ():
            yield dataset_of(run, name)

    def features(self, run: Run) -> Iterator[Features]:
        """Of every reference and target, both splits."""
        given = _asked(run)
        if given is None:
            return
        datasets = dict.fromkeys([*self.datasets(run), *run.targets])
        for study in given.models:
            for dataset in datasets:
                for split in SPLITS:
                    yield Features(study, dataset, split, _rows(run, study))

    def sizes(
        self, run: Run, made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]
    ) -> dict[str, int]:
        """Sizes of all combinations that are tried."""
        given = _asked(run)
        if given is None or made not in (RELATEDNESS, READING):
            return {}
        classes = _reference_size(run, wildcards["reference"], known)
        if made is READING:
            return {
                "measure": 3,
                "scope": len(SCOPES),
                "cells": len(CELLS),
                **({"source_class": classes} if classes else {}),
            }
        return {
            "model": _rows(run, wildcards["study"]),
            "tau": len(given.taus),
            "transform": len(given.transforms),
            "draw": given.draws,
            **({"reference_class": classes} if classes else {}),
            "model_role": _ROLES,
            "quantity": len(QUANTITIES),
            "actual": len(ACTUAL),
            "column": len(COLUMNS),
            "round": given.rounds + 1,
            "trace_transform": len(learned(given.transforms)),
            "stage": _STAGES,
        }

    def check(self, run: Run) -> None:
        """Refuse studies and targets that there are not, and single classes."""
        if given := _asked(run):
            checks.check(run, given)

    def check_data(self, run: Run) -> None:
        """Refuse classes that data sets do not have, and numbers of them that do not go together."""
        if given := _asked(run):
            checks.check_data(run, given)

    def sections(self, run: Run, results: Any) -> Iterator[Section]:
        """Bounds beside losses, target by target."""
        from transferlens.relatedness import page

        return page.sections(run, results)


def _reference_size(run: Run, name: str, known: Mapping[str, int]) -> int | None:
    """The number of classes of a reference, where it is known without its images."""
    reference = reference_of(run, name)
    if reference.classes:
        return checks.chosen(reference)
    return known.get("source_class") if dataset_of(run, name) == run.source else None


CAPABILITY = Relatedness()
