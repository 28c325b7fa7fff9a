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


def drifting(run: Run) -> list[str]:
    """The studies whose models' drift is told by source class."""
    given = asked(run)
    return ["influence"] if given and given.influence else []


def layers(run: Run) -> list[str]:
    """The layers that are looked at, in depth order; the network is tried for its blocks.

    Raises:
        ConfigError: a layer that the network does not have; names the nearest.
    """
    from transferlens.models import contract  # torch takes seconds to import
    from transferlens.models import layers as known

    architecture = NetworkSettings.read(run.architecture_of(population(run)))
    named = asked(run).layers
    if named is None:
        return [*(f"backbone.{path}" for path in contract.find(architecture).parts.blocks), "backbone"]
    network = contract.build(architecture, 2)
    for layer in named:
        known.find(network, layer, "dynamics.layers")
    return named
