"""What changes in networks while they are adapted, when, in which layer, because of which source class."""

from collections.abc import Iterator, Mapping

from transferlens.core.artefacts import Artefact
from transferlens.core.blocks import Results, Section
from transferlens.core.capability import Beside, Capability, Trainings, Wildcards
from transferlens.core.errors import ConfigError
from transferlens.core.run import Run
from transferlens.core.settings import NetworkSettings
from transferlens.dynamics import scope
from transferlens.dynamics.activity import steps as activity
from transferlens.dynamics.drift import steps as drift
from transferlens.dynamics.explorer import steps as explorer
from transferlens.dynamics.pictures import steps as pictures
from transferlens.dynamics.settings import DynamicsSettings
from transferlens.dynamics.sizes import sizes_of
from transferlens.dynamics.told import steps as told
from transferlens.dynamics.units import steps as units
from transferlens.training import moments
from transferlens.training.capability import PretrainedStudy, ReferenceStudy
from transferlens.training.recipes import kinds


class Dynamics(Capability):
    """Networks while they are adapted."""

    name = "dynamics"
    settings = (DynamicsSettings,)
    steps = (*activity.STEPS, *told.STEPS, *units.STEPS, *drift.STEPS, *pictures.STEPS, *explorer.STEPS)

    def trainings(self, run: Run) -> Iterator[Trainings]:
        """Every model that is followed is adapted once more, and so is every one whose drift is told."""
        for target, recipe in scope.followed(run):
            models = 2 * scope.asked(run).models
            yield Trainings("trajectories", scope.population(run), target, recipe, models)
            for study, rows in scope.drifting(run, target, recipe).items():
                moments_told = 2 + len(scope.asked(run).influence.steps.epochs)
                yield Trainings("drift", study, target, recipe, rows, evaluations=moments_told)

    def sizes(
        self, run: Run, made: Artefact | Beside, wildcards: Wildcards, known: Mapping[str, int]
    ) -> dict[str, int]:
        """Sizes of what is kept along the way, and told of it."""
        return sizes_of(run, made, wildcards, known)

    def check(self, run: Run) -> None:
        """Refuse recipes, models and epochs that are not there."""
        given = scope.asked(run)
        if given is None:
            return
        _check_models(run, given)
        for name in given.recipes:
            run.require_recipe(name, "dynamics.recipes")
        if given.influence and "influence" not in run.studies:
            raise ConfigError(
                "config: dynamics.influence needs models that saw random source classes, but "
                "studies.influence is null; set it, or set dynamics.influence: null"
            )
        for target, name in scope.followed(run):
            recipe = kinds.read(run.recipe(target, name), f"recipes.{name}")
            moments.check(given.steps, recipe, "dynamics.steps", name)
            if given.influence:
                moments.check(given.influence.steps, recipe, "dynamics.influence.steps", name)

    def check_networks(self, run: Run) -> None:
        """Refuse layers that the network does not have, and units where no layer has cells."""
        if given := scope.asked(run):
            layers = scope.layers(run)
            if given.units:
                _check_cells(NetworkSettings.read(run.architecture_of(scope.population(run))), layers)

    def sections(self, run: Run, results: Results) -> Iterator[Section]:
        """What changed on the way, of every target and recipe that is followed."""
        from transferlens.dynamics import page

        return page.sections(run, results)


def _check_models(run: Run, given: DynamicsSettings) -> None:
    """Refuse more models than their study has."""
    section = PretrainedStudy if given.source == "pretrained" else ReferenceStudy
    study = run.section(section)
    if study is None:
        raise ConfigError(
            f"config: dynamics.source is '{given.source}', but {section.key} is null; set it, or set "
            "dynamics: null"
        )
    if study.repeats < given.models:
        raise ConfigError(
            f"config: dynamics.models is {given.models}, but {section.key}.repeats is {study.repeats}; "
            "raise the latter, or ask for fewer"
        )


def _check_cells(architecture: NetworkSettings, layers: list[str]) -> None:
    """Refuse layers of which none has maps; the network is tried."""
    import torch

    from transferlens.dynamics.units import watching
    from transferlens.models import contract

    side = architecture.resolution
    watching.cells_of(contract.build(architecture, 2).eval(), layers, torch.zeros(1, 3, side, side))


CAPABILITY = Dynamics()
