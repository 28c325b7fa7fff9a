"""What a run compares: the recipes, as they are tuned; the models that choose, and those that report."""

from functools import cache
from typing import NamedTuple

from transferlens.comparison.settings import ComparisonSettings
from transferlens.core.errors import DataError
from transferlens.core.imports import resolve
from transferlens.core.run import Run
from transferlens.core.settings import NetworkSettings
from transferlens.data.capability import described
from transferlens.training.recipes.kinds import KINDS
from transferlens.training.recipes.settings.base import Task

TUNED, SCRATCH = "+tuned", "+scratch"


class Contestant(NamedTuple):
    """A recipe as it is compared.

    Attributes:
        name: of the tuned recipe, which no user can write: `full+tuned`; from scratch `full+scratch`.
        base: the recipe that it is made of.
        from_scratch: whether models from scratch are adapted by it, those of the source being the others.
    """

    name: str
    base: str
    from_scratch: bool = False


def asked(run: Run) -> ComparisonSettings | None:
    """The settings, if anything is compared."""
    return run.section(ComparisonSettings)


def targets(run: Run) -> list[str]:
    """The targets that recipes are compared on, each followed by its parts with fewer images."""
    if asked(run) is None:
        return []
    parts = {whole: [name for name, (of, _) in run.sizes.items() if of == whole] for whole in run.targets}
    return [name for whole in run.targets for name in (whole, *parts[whole])]


def recipes(run: Run) -> list[str]:
    """The recipes that are to be compared, the plain one first."""
    given = asked(run)
    names = list(run.settings.recipes) if given.recipes is None else given.recipes
    return [given.plain, *(name for name in names if name != given.plain)]


def contestants(run: Run, target: str) -> list[Contestant]:
    """What is compared on a target: the plain recipe first, models from scratch last."""
    possible = [name for name in recipes(run) if not left_out(run, target, name)]
    plain = asked(run).plain
    scratch = [Contestant(plain + SCRATCH, plain, from_scratch=True)] * (plain in possible)
    return [*(Contestant(name + TUNED, name) for name in possible), *scratch]


def every(run: Run) -> list[tuple[str, Contestant]]:
    """All (target, contestant) of the run."""
    return [(target, one) for target in targets(run) for one in contestants(run, target)]


def contestant(run: Run, target: str, name: str) -> Contestant:
    """The one of a name."""
    return next(one for one in contestants(run, target) if one.name == name)


def population(run: Run) -> str:
    """The study whose models are adapted."""
    return "pretrained" if asked(run).source == "pretrained" else "reference"


def influenced(run: Run) -> list[tuple[str, Contestant]]:
    """(target, contestant) of which the models of study `influence` are adapted, too; none on targets that
    cannot have the plain recipe.
    """
    given = asked(run)
    if given is None or not given.influences or "influence" not in run.studies:
        return []
    wanted = [name for name in run.targets if not left_out(run, name, given.plain)]
    return [(target, one) for target, one in every(run) if target in wanted and _influences(given, one)]


def _influences(given: ComparisonSettings, one: Contestant) -> bool:
    return one.base in given.influences and not one.from_scratch


@cache  # a run lives as long as its process
def left_out(run: Run, target: str, recipe: str) -> str:
    """Why a recipe is not to be had on a target or with the run's network, in words; '' if it is."""
    settings = run.recipe_section(run.recipe(target, recipe), "")
    kind = KINDS[settings.kind]
    try:
        task = Task(*(len(described(run, dataset)[0]) for dataset in (run.source, target)))
    except DataError:  # classes are not known yet: jobs find out
        task = None
    reason = kind.check(settings, task) if task else ""
    if reason or not kind.needs:
        return reason
    from transferlens.models import contract  # torch takes seconds to import

    architecture = NetworkSettings.read(run.architecture_of(population(run)))
    return resolve(kind.path).refuses(settings, contract.build(architecture, 2))
