"""What images exist: an index of every data set, and its FFCV files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transferlens.core.capability import Beside, Capability, Step, Wildcards
from transferlens.core.errors import ConfigError, DataError
from transferlens.core.run import Run
from transferlens.data import catalogue, sources
from transferlens.data.artefacts import INDEX, MANIFEST
from transferlens.data.groups import require_groups, wordnet_level
from transferlens.data.selection import chosen_classes

# How a data set is found and used; none of it says what it is.
_ELSEWHERE = {"of", "complete", "archive_limit_gb", "metric", "crop_ratio"}
_CHOSEN = {
    "path",
    "classes",
    "groups",
    "labels",
    "train_per_class",
    "train_share",
    "val_per_class",
    "select_fraction",
    "unreadable",
}
# Up to so many images, preparing several data sets side by side is faster than each by several cores.
_IMAGES_WORTH_THREADS = 10_000
_MOST_THREADS = 8
_UNKNOWN_IMAGES = 10**9  # of a set of any size


def images_of(run: Run, dataset: str) -> str:
    """The name of the data set that holds a data set's images."""
    return run.dataset(dataset).of or run.whole(dataset)


def metric_of(run: Run, dataset: str) -> str:
    """What accuracy means on a data set: as set, or as usual on the one that holds its images."""
    return run.dataset(dataset).metric or catalogue.usual_metric(images_of(run, dataset))


def described(run: Run, dataset: str) -> tuple[list[str], list[str]]:
    """(class names, their groups) of a data set, without reading any image."""
    settings = run.dataset(dataset)
    names, groups = sources.describe(
        images_of(run, dataset), settings.path, settings.groups, Path(run.settings.data_root)
    )
    chosen = chosen_classes(f"datasets.{run.whole(dataset)}.classes", names, settings.classes)
    names, groups = [names[c] for c in chosen], [groups[c] for c in chosen]
    if settings.labels == "groups":
        require_groups(f"data set {dataset}", names, groups)
    return names, groups


def reported(run: Run, target: str, known: Mapping[str, int]) -> dict[str, int]:
    """How many examples of a target are only reported on, as `example`, where their number is known."""
    share = 1 - run.dataset(target).select_fraction
    return {"example": round(known["example"] * share)} if "example" in known else {}


def betons(dataset: str, *splits: str) -> dict[str, str]:
    """The FFCV files of a prepared data set by split, and its index. Their manifests come with them."""
    files = {split: f"results/data/{dataset}/{split}.beton" for split in splits}
    return {"index": INDEX.at(dataset=dataset), **files}


def source_files(run: Run, *splits: str) -> dict[str, str]:
    """The same of the source data set, beside files of a target."""
    return {f"source_{name}": path for name, path in betons(run.source, *splits).items()}


def _index_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    dataset = wildcards["dataset"]
    chosen = run.dataset(dataset).model_dump(include=_CHOSEN)
    return {"name": images_of(run, dataset), "seed": run.seed, "dataset": chosen}


def _beton_settings(run: Run, wildcards: Wildcards) -> dict[str, Any]:
    dataset = wildcards["dataset"]
    stored = run.dataset(dataset).model_dump(exclude=_ELSEWHERE)
    return {"name": images_of(run, dataset), "split": wildcards["split"], "dataset": stored}


def _groups_file(run: Run, wildcards: Wildcards) -> dict[str, str]:
    """The table that gives a data set's groups, if there is one: its content is an input."""
    groups = run.dataset(wildcards["dataset"]).groups
    return {"groups": groups} if groups and wordnet_level(groups) is None else {}


def _where(run: Run, wildcards: Wildcards) -> list[str]:
    """Where raw data lies, and how it is checked. Moving data re-runs nothing."""
    settings = run.dataset(wildcards["dataset"])
    given = ["--data-root", run.settings.data_root, "--archive-limit-gb", str(settings.archive_limit_gb)]
    return given + ["--download"] * run.settings.download + ["--incomplete"] * (not settings.complete)


def data_threads(run: Run, wildcards: Wildcards) -> int:
    """Cores that prepare a data set: one if it is known to be small, else as many as there are, up to 8."""
    dataset = wildcards["dataset"]
    facts = catalogue.CATALOGUE.get(images_of(run, dataset))
    if facts is None:
        return _MOST_THREADS
    known, settings = facts.train_images or _UNKNOWN_IMAGES, run.dataset(dataset)
    images = catalogue.limited(known, facts.classes, settings.train_per_class, settings.train_share)
    return 1 if images <= _IMAGES_WORTH_THREADS else _MOST_THREADS


def _datasets(run: Run) -> list[Mapping[str, str]]:
    return [{"dataset": name} for name in run.dataset_names]


DATASET = Step(
    name="dataset",
    script="prepare_dataset.py",
    title="Index data set {dataset}",
    outputs={"index": INDEX},
    inputs=_groups_file,
    settings=_index_settings,
    arguments=_where,
    made_for=_datasets,
)
BETON = Step(
    name="beton",
    script="write_beton.py",
    title="Write FFCV file of {dataset}, {split}",
    outputs={"manifest": MANIFEST, "beton": Beside("data/{dataset}/{split}.beton")},
    inputs=lambda run, wildcards: {"index": INDEX.at(dataset=wildcards["dataset"])},
    settings=_beton_settings,
    arguments=_where,
    made_for=lambda run: [{**w, "split": split} for w in _datasets(run) for split in ("train", "val")],
    shown=False,
)


def prepared_files(run: Run) -> list[str]:
    """The files of all data sets of the run."""
    return [
        made.at(**wildcards)
        for step in (DATASET, BETON)
        for wildcards in step.made_for(run)
        for made in step.outputs.values()
    ]


class Data(Capability):
    """Data sets."""

    name = "data"
    steps = (DATASET, BETON)

    def check_data(self, run: Run) -> None:
        """Refuse unknown data sets, and groups that do not fit; a target's images may still be missing."""
        for name in run.settings.datasets:
            settings = run.dataset(name)
            sources.check_name(settings.of or name, settings.path)
            if settings.classes or settings.groups or settings.labels == "groups":
                described(run, name)
        for name in dict.fromkeys([run.source, *run.targets]):
            _check_classes(run, name)
        for target in run.targets:
            _check_metric(run, target)


def _check_classes(run: Run, dataset: str) -> None:
    """Refuse a source or a target of fewer than two labels, where they are known before images are read."""
    path = run.dataset(dataset).path
    if path is not None and Path(path).is_file():
        return  # an archive takes long to list: the job that reads it tells
    try:
        names, groups = described(run, dataset)
    except DataError:
        if path is None:
            return  # it is not there yet
        raise
    labels = groups if run.dataset(dataset).labels == "groups" else names
    if len(set(labels)) < 2:
        found = f"only one label, '{labels[0]}'" if labels else "no classes"
        raise ConfigError(
            f"data set {dataset}: has {found}; a task has two or more, so add some, or choose others in "
            f"datasets.{dataset}"
        )


def _check_metric(run: Run, target: str) -> None:
    """Refuse the area under the ROC curve on a target of other than two classes."""
    if metric_of(run, target) != "auroc":
        return
    names, groups = described(run, target)
    labels = len(set(groups)) if run.dataset(target).labels == "groups" else len(names)
    if labels != 2:
        raise ConfigError(
            f"config: datasets.{target}.metric is 'auroc', which is for two classes, but {target} has "
            f"{labels}; use global or per_class"
        )


CAPABILITY = Data()
