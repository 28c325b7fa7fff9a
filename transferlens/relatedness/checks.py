"""What of relatedness a run cannot ask for."""

from transferlens.core.errors import ConfigError, DataError, nearest
from transferlens.core.run import Run
from transferlens.data.capability import described
from transferlens.data.selection import chosen_classes
from transferlens.relatedness.settings import ReferenceSettings, RelatednessSettings


def chosen(reference: ReferenceSettings) -> int:
    """How many classes a selection asks for."""
    asked = reference.classes
    return len(asked.names) if asked.names else asked.first or asked.random


def check(run: Run, given: RelatednessSettings) -> None:
    """Refuse what the configuration alone shows to be wrong.

    Raises:
        ConfigError: a study or target that there is not (with the nearest one), or a reference of one class.
    """
    for study in given.models:
        if study not in run.studies:
            raise ConfigError(
                f"config: relatedness.models names '{study}', which is no study of this run"
                + nearest(study, list(run.studies))
            )
    for name, reference in given.references.items():
        if reference.classes and chosen(reference) == 1:
            raise ConfigError(
                f"config: relatedness.references.{name}.classes is one class; a task needs two or more"
            )
        for target in reference.targets or ():
            if target not in run.targets:
                raise ConfigError(
                    f"config: relatedness.references.{name}.targets names '{target}', which is no target of "
                    "this run" + nearest(target, list(run.targets))
                )


def check_data(run: Run, given: RelatednessSettings) -> None:
    """Refuse what the classes of the data sets show to be wrong, as far as they are known without images.

    Raises:
        ConfigError: a class that a data set does not have, a task of one class, or, in mode faithful, another
            number of reference classes than of target classes.
    """
    for target in run.targets:
        if known := _labels(run, target):
            _require_several(f"targets.{target}", len(known))
    for name, reference in given.references.items():
        known, where = _labels(run, reference.dataset or run.source), f"relatedness.references.{name}"
        if not known:
            continue
        classes = len(chosen_classes(f"{where}.classes", known, reference.classes))
        _require_several(where, classes)
        for target in reference.targets or run.targets:
            wanted = len(_labels(run, target)) or classes
            if given.mode == "faithful" and classes != wanted:
                raise ConfigError(
                    f"config: {where} has {classes} classes and {target} {wanted}; the published algorithm "
                    f"takes as many of both: set its classes to {{random: {wanted}}} and its targets to "
                    f"[{target}], or relatedness.mode to rigorous"
                )


def _labels(run: Run, dataset: str) -> list[str]:
    """What the labels of a data set stand for: its classes, or the groups of them; none where these are not
    known before its images are there.
    """
    try:
        names, groups = described(run, dataset)
    except DataError:
        return []
    return sorted(set(groups)) if run.dataset(dataset).labels == "groups" else names


def _require_several(where: str, classes: int) -> None:
    if classes < 2:
        raise ConfigError(f"config: {where} has {classes} class; relatedness needs tasks of two or more")
