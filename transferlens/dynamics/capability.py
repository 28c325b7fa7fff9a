"""What changes in networks while they are adapted, when, in which layer, because of which source class."""

from collections.abc import Iterator, Mapping

from transferlens.core.artefacts import Artefact
from transferlens.core.blocks import Results, Section
from transferlens.core.capability import Beside, Capability, Trainings, Wildcards
from transferlens.core.run import Run
from transferlens.dynamics import checks, scope
from transferlens.dynamics.activity import steps as activity
from transferlens.dynamics.drift import steps as drift
from transferlens.dynamics.explorer import steps as explorer
from transferlens.dynamics.pictures import steps as pictures
from transferlens.dynamics.settings import DynamicsSettings
from transferlens.dynamics.sizes import sizes_of
from transferlens.dynamics.told import steps as told
from transferlens.dynamics.units import steps as units


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
        checks.check(run)

    def check_networks(self, run: Run) -> None:
        """Refuse layers that the network does not have, and units where no layer has cells."""
        checks.check_networks(run)

    def check_data(self, run: Run) -> None:
        """Refuse data sets with too few images to compare networks on."""
        checks.check_data(run)

    def sections(self, run: Run, results: Results) -> Iterator[Section]:
        """What changed on the way, of every target and recipe that is followed."""
        from transferlens.dynamics import page

        return page.sections(run, results)


CAPABILITY = Dynamics()
