"""Which recipe, on this target: every one tuned alike, and compared on what matters."""

from collections.abc import Iterator, Mapping
from typing import Any

from transferlens.comparison import scope
from transferlens.comparison.compared import steps as compared
from transferlens.comparison.harm import steps as harm
from transferlens.comparison.measures import checks
from transferlens.comparison.measures import steps as measures
from transferlens.comparison.settings import ComparisonSettings
from transferlens.comparison.sizes import sizes_of
from transferlens.comparison.tuning import held_out, space
from transferlens.comparison.tuning import steps as tuning
from transferlens.comparison.tuning.artefacts import CHOICE
from transferlens.core.artefacts import Artefact
from transferlens.core.capability import Beside, Capability, Trainings, Transfer, Wildcards
from transferlens.core.errors import ConfigError
from transferlens.core.run import Run
from transferlens.training.capability import PretrainedStudy, ReferenceStudy
from transferlens.training.recipes import kinds


class Comparison(Capability):
    """Recipes tuned alike, and compared."""

    name = "comparison"
    settings = (ComparisonSettings,)
    steps = (*tuning.STEPS, *measures.STEPS, *harm.STEPS, *compared.STEPS)

    def recipes(self, run: Run) -> Mapping[str, Mapping[str, Any]]:
        """Each recipe that is compared, as it is tuned; the plain one from scratch, too."""
        given, known = scope.asked(run), run.settings.recipes
        if given is None:
            return {}
        tuned = {name + scope.TUNED: known[name] for name in scope.recipes(run) if name in known}
        return {**tuned, given.plain + scope.SCRATCH: known.get(given.plain, {})}

    def recipe_inputs(self, run: Run, target: str, recipe: str) -> Mapping[str, str]:
        """What was chosen."""
        return {"choice": CHOICE.at(target=target, recipe=recipe)} if _is_tuned(recipe) else {}

    def recipe_settings(self, run: Run, target: str, recipe: str) -> Mapping[str, Any]:
        """The function that reads it."""
        reader = "transferlens.comparison.tuning.choice:chosen"
        return {"chosen": reader} if _is_tuned(recipe) else {}

    def datasets(self, run: Run) -> list[str]:
        """Those on which forgetting is measured."""
        return scope.asked(run).others if scope.asked(run) else []

    def transfers(self, run: Run) -> Iterator[Transfer]:
        """The models that report, by every recipe as it is tuned; those that influences are told of."""
        for target, one in scope.every(run):
            rows = 2 * scope.asked(run).models
            yield Transfer(scope.population(run), target, one.name, rows=rows, keeps_networks=True)
        for target, one in scope.influenced(run):
            yield Transfer("influence", target, one.name, keeps_networks=True)

    def trainings(self, run: Run) -> Iterator[Trainings]:
        """Trials, and the published protocol."""
        for target, one in scope.every(run):
            given, of = scope.asked(run), (scope.population(run), target, one.name)
            trials, recipe = given.trials * given.choosing, kinds.read(run.recipe(target, one.name))
            epochs = space.epochs(recipe, given.search, run.seed, given.trials)
            yield Trainings("trials", *of, trials, 1 - given.held_out, epochs)
            if given.published:
                evaluations = tuning.evaluations(run, target, one.name)
                yield Trainings("published protocol", *of, given.models, evaluations=evaluations)

    def sizes(
        self, run: Run, made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]
    ) -> dict[str, int]:
        """Sizes of trials, measures and comparisons."""
        return sizes_of(run, made, wildcards, known)

    def check(self, run: Run) -> None:
        """Refuse models, recipes and influences that are not there."""
        if given := scope.asked(run):
            for name in scope.recipes(run):
                run.require_recipe(name, "comparison.recipes" if name != given.plain else "comparison.plain")
            _check_influences(run, given)
            _check_models(run, given)
            _check_trials(run, given)

    def check_networks(self, run: Run) -> None:
        """Refuse a plain recipe that cannot be had: all others are compared with it."""
        for target in scope.targets(run):
            plain = scope.asked(run).plain
            if reason := scope.left_out(run, target, plain):
                raise ConfigError(
                    f"config: comparison.plain is '{plain}', which cannot be had on {target} ({reason}); "
                    "name another recipe"
                )

    def check_data(self, run: Run) -> None:
        """Refuse targets with too few images to hold any out, and data sets on which no probe can be had."""
        held_out.check(run)
        checks.check(run)

    def sections(self, run: Run, results: Any) -> Iterator[Any]:
        """What was chosen, how recipes compare, and what is recommended, target by target."""
        from transferlens.comparison import page

        return page.sections(run, results)


def _is_tuned(recipe: str) -> bool:
    return recipe.endswith((scope.TUNED, scope.SCRATCH))


def _check_trials(run: Run, given: ComparisonSettings) -> None:
    """Refuse recipes whose trials cannot hold together."""
    for target in run.targets:
        for name in scope.recipes(run):
            recipe = kinds.read(run.recipe(target, name), f"recipes.{name}")
            space.check(f"recipes.{name} on {target}", recipe, given.search, run.seed, given.trials)


def _check_influences(run: Run, given: ComparisonSettings) -> None:
    """Refuse recipes that are not compared, influences without the plain recipe, and without their study."""
    for name in given.influences:
        if name not in scope.recipes(run):
            raise ConfigError(
                f"config: comparison.influences names '{name}', which is not among the recipes that are "
                "compared (comparison.recipes)"
            )
    if given.influences and given.plain not in given.influences:
        raise ConfigError(
            f"config: comparison.influences is {given.influences}, without the plain recipe '{given.plain}', "
            "under which harmful classes are chosen; add it"
        )
    if given.influences and "influence" not in run.studies:
        raise ConfigError(
            "config: comparison.influences needs models that saw random source classes, but "
            "studies.influence is null; set it, or set comparison.influences: []"
        )


def _check_models(run: Run, given: ComparisonSettings) -> None:
    """Refuse more models than their study has."""
    section = PretrainedStudy if given.source == "pretrained" else ReferenceStudy
    study, needed = run.section(section), given.models + given.choosing
    if study is None:
        raise ConfigError(
            f"config: comparison.source is '{given.source}', but {section.key} is null; set it, or set "
            "comparison: null"
        )
    if study.repeats < needed:
        raise ConfigError(
            f"config: comparison.models is {given.models} and comparison.choosing {given.choosing}, "
            f"different models, but {section.key}.repeats is {study.repeats}; raise the latter to "
            f"{needed}, or ask for fewer"
        )


CAPABILITY = Comparison()
