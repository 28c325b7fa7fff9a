"""What a run asks of transferability: which studies' models are candidates for a target and recipe."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from transferlens.core.artefacts import Artefact
from transferlens.core.errors import ConfigError, nearest
from transferlens.core.run import Run
from transferlens.core.settings import NetworkSettings
from transferlens.transferability.settings import FAMILIES, TransferabilitySettings, family

# Minus the bound of a reference task, where the run has one: kind of its artefact.
_BOUND = "task relatedness"


def scores(run: Run) -> list[str]:
    """The scores that are asked for; none where nothing is."""
    from transferlens.scores.registry import SCORES

    given = run.section(TransferabilitySettings)
    if given is None:
        return []
    return list(SCORES) if given.scores == "all" else given.scores


def needs_source(run: Run) -> bool:
    """Whether any score looks at source images."""
    from transferlens.scores.measuring import find

    return any("source" in find(name).needs for name in scores(run))


def studies(run: Run, target: str, recipe: str) -> list[str]:
    """The studies whose models are candidates, in the order of the run; none where nothing is asked."""
    given = run.section(TransferabilitySettings)
    if given is None:
        return []
    wanted = given.studies or FAMILIES
    return [
        name
        for name in run.studies
        if family(name) in wanted and (family(name) != "counterfactual" or name == _without(target, recipe))
    ]


def _without(target: str, recipe: str) -> str:
    """The study of models that lack what influences on the target by the recipe choose."""
    return f"counterfactual/{target}/{recipe}"


def studies_of_target(run: Run, target: str) -> list[str]:
    """The studies whose models are candidates for a target by any of its recipes."""
    by_recipe = (studies(run, target, recipe) for recipe in run.targets[target].recipes)
    return list(dict.fromkeys(name for names in by_recipe for name in names))


def models(run: Run, study: str) -> int:
    """How many first rows of a study are candidates."""
    most = run.section(TransferabilitySettings).models
    rows = run.studies[study].rows
    return rows if most is None else min(most, rows)


def shards(run: Run, study: str) -> list[str]:
    """The shards that hold the candidates of a study."""
    return run.studies[study].shards_of(models(run, study))


def network(run: Run, study: str) -> str:
    """The network of a study's models, in words."""
    return NetworkSettings.read(run.architecture_of(study)).described()


def recipe_elsewhere(run: Run, target: str, recipe: str) -> str:
    """By which recipe another target tells of candidates: the same one if it has it, else its first."""
    recipes = run.targets[target].recipes
    return recipe if recipe in recipes else recipes[0]


def others(run: Run, target: str, recipe: str) -> list[tuple[str, str]]:
    """(target, recipe) of every other target."""
    return [(other, recipe_elsewhere(run, other, recipe)) for other in run.targets if other != target]


@dataclass(frozen=True)
class Bounds:
    """A file of bounds of a study's models on a target, from one reference task."""

    reference: str
    study: str
    path: str


def bounds(run: Run, target: str, recipe: str) -> Iterator[Bounds]:
    """The bounds that the run computes of candidates, whichever capability does."""
    artefact = next((made for made in run.artefacts if made.kind == _BOUND), None)
    if artefact is None:
        return
    known = studies(run, target, recipe)
    for wildcards in _jobs(run, artefact):
        if wildcards["target"] == target and wildcards["study"] in known:
            yield Bounds(wildcards["reference"], wildcards["study"], artefact.at(**wildcards))


def _jobs(run: Run, artefact: Artefact) -> list[Any]:
    """The wildcards of every file of a kind that the run makes."""
    step = next(step for step in run.steps.values() if artefact in step.artefacts)
    return run.jobs_of(step.name)


def check_studies(run: Run, wanted: list[str]) -> None:
    """Refuse studies that there are not.

    Raises:
        ConfigError: naming the nearest kind, or the key that makes the study.
    """
    for name in wanted:
        if name not in FAMILIES:
            raise ConfigError(
                f"config: transferability.studies names '{name}', whose models are no candidates"
                + nearest(name, list(FAMILIES))
            )
        if name not in {family(study) for study in run.studies}:
            raise ConfigError(
                f"config: transferability.studies names '{name}', which this run does not have; set "
                f"{'encoders' if name == 'encoders' else f'studies.{name}'}, or leave it out there"
            )
