"""What a run asks of memories: the adapted models that are studied, and the recipes that remedies make."""

from transferlens.core.run import Run
from transferlens.memories.settings import MemorySettings


def studied(run: Run) -> list[tuple[str, str]]:
    """Every (target, recipe) that is studied, without remedies."""
    given = run.section(MemorySettings)
    return [(target, recipe) for target in run.targets for recipe in given.recipes] if given else []


def base_recipes(run: Run) -> dict[str, str]:
    """The recipe that a remedy is made of, by the recipe that it makes."""
    given = run.section(MemorySettings)
    if given is None:
        return {}
    return {remedied(base, remedy): base for base in given.recipes for remedy in given.remedies}


def remedied(base: str, remedy: str) -> str:
    """The name of the recipe that a remedy makes; no name in the configuration has a '+'."""
    return f"{base}+{remedy}"


def with_remedies(run: Run) -> list[tuple[str, str]]:
    """Every (target, recipe) that is studied, and those that remedies make of it."""
    made = [(target, recipe) for target in run.targets for recipe in base_recipes(run)]
    return studied(run) + made


def uses_pretrained(run: Run) -> bool:
    """Whether fine-tunings of given weights take the place of those of full-source models."""
    given = run.section(MemorySettings)
    return given is not None and given.source == "pretrained"


def population(run: Run) -> str:
    """The study whose pairs are compared."""
    return "pretrained" if uses_pretrained(run) else "reference"


def models(run: Run) -> int:
    """Pairs of models that report: the first repeats of their study."""
    return run.section(MemorySettings).models


def choosing(run: Run, recipe: str) -> int:
    """Pairs of models that choose: the next repeats. None choose for a remedy, which is tried on what its
    recipe was reported on.
    """
    if recipe in base_recipes(run):
        return 0
    return run.section(MemorySettings).choosing


def pairs(run: Run, recipe: str) -> int:
    """Pairs of models of a recipe, those that report and those that choose."""
    return models(run) + choosing(run, recipe)


def without_study(target: str, recipe: str) -> str:
    """The study whose models lack a source class: those that distract most from a target."""
    return f"without/{target}/{recipe}"


def tables(run: Run) -> list[str]:
    """What is compared beside the study of memories itself, each a table and a picture."""
    given = run.section(MemorySettings)
    return ["agreement"] * ("influence" in run.studies) + ["remedies"] * bool(given.remedies)


def tested(run: Run) -> list[tuple[str, str]]:
    """Every (target, recipe) whose source classes are left out, one by one, to test what was found."""
    given = run.section(MemorySettings)
    return studied(run) if given and given.without else []
