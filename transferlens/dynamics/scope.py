"""What a run asks of feature dynamics: the models that are followed, and the data sets they are probed on."""

from transferlens.core.run import Run
from transferlens.core.settings import NetworkSettings
from transferlens.dynamics.settings import DynamicsSettings


def asked(run: Run) -> DynamicsSettings | None:
    """The settings, if anything is followed."""
    return run.section(DynamicsSettings)


def followed(run: Run) -> list[tuple[str, str]]:
    """Every (target, recipe) that is followed."""
    given = asked(run)
    return [(target, recipe) for target in run.targets for recipe in given.recipes] if given else []


def population(run: Run) -> str:
    """The study whose models are adapted."""
    return "pretrained" if asked(run).source == "pretrained" else "reference"


def shards(run: Run) -> list[str]:
    """The shards that hold the models: pairs of a source model and one from scratch, the first repeats."""
    return run.studies[population(run)].shards_of(2 * asked(run).models)


def domains(run: Run, target: str) -> list[str]:
    """The data sets that networks are probed on: the target for adaptation, the source for forgetting."""
    return list(dict.fromkeys([target, run.source]))


def removals(run: Run, target: str, recipe: str) -> str | None:
    """The study of sources without classes whose drift is told: that of this target and recipe, or of the
    target's first recipe that has one; None if there is none, or none is asked for.
    """
    if not asked(run).influence.counterfactual:
        return None
    studies = (f"counterfactual/{target}/{name}" for name in (recipe, *run.targets[target].recipes))
    return next((study for study in studies if study in run.studies), None)


def drifting(run: Run, target: str, recipe: str) -> dict[str, int]:
    """The studies whose models' drift is told, and how many of their first rows."""
    given = asked(run)
    if given is None or given.influence is None:
        return {}
    studies = {"influence": run.studies["influence"].rows}
    if study := removals(run, target, recipe):
        repeats = run.settings.studies.counterfactual.repeats
        studies |= {study: run.studies[study].rows, "reference": 2 * repeats}
    return studies


def layers(run: Run, study: str | None = None) -> list[str]:
    """The layers that are looked at, in depth order; the network is tried for its blocks.

    Args:
        study: whose network; by default that of the models that are followed.

    Raises:
        ConfigError: a layer that the network does not have; names the nearest.
    """
    from transferlens.models import contract  # torch takes seconds to import
    from transferlens.models import layers as known

    architecture = NetworkSettings.read(run.architecture_of(study or population(run)))
    named = asked(run).layers
    if named is None:
        return [*(f"backbone.{path}" for path in contract.find(architecture).parts.blocks), "backbone"]
    network = contract.build(architecture, 2)
    for layer in named:
        known.find(network, layer, "dynamics.layers")
    return named
