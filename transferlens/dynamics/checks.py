"""What must hold of a run before networks are followed."""

from transferlens.core.errors import ConfigError, DataError
from transferlens.core.run import Run
from transferlens.core.settings import NetworkSettings
from transferlens.data.capability import described
from transferlens.dynamics import scope
from transferlens.dynamics.settings import DynamicsSettings
from transferlens.training import moments
from transferlens.training.capability import PretrainedStudy, ReferenceStudy
from transferlens.training.recipes import kinds


def check(run: Run) -> None:
    """Refuse recipes, models and epochs that are not there.

    Raises:
        ConfigError: one line, before anything runs.
    """
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


def check_networks(run: Run) -> None:
    """Refuse layers that the network does not have or that give nothing, and units where no layer has cells.

    Raises:
        ConfigError: one line, before anything runs.
    """
    if given := scope.asked(run):
        names = scope.layers(run)
        if given.layers or given.units:
            _try(NetworkSettings.read(run.architecture_of(scope.population(run))), names, bool(given.units))


def _try(architecture: NetworkSettings, names: list[str], units: bool) -> None:
    """Pass an image through the network, and look at its layers."""
    import torch  # takes seconds to import

    from transferlens.dynamics.units import watching
    from transferlens.models import contract, layers

    network = contract.build(architecture, 2).eval()
    image = torch.zeros(1, 3, architecture.resolution, architecture.resolution)
    seen: set[str] = set()
    with layers.observed(network, names, lambda name, *_: seen.add(name)), torch.inference_mode():
        network(image)
    if silent := [name for name in names if name not in seen]:
        raise ConfigError(
            f"config: dynamics.layers names '{silent[0]}', which is never called as a whole, so that it "
            "gives nothing; name the layers inside it"
        )
    if units:
        watching.cells_of(network, names, image)


def check_data(run: Run) -> None:
    """Refuse data sets with too few images; jobs refuse those whose number is not known before.

    Raises:
        ConfigError: one line, before anything runs.
    """
    for target, _ in scope.followed(run):
        for dataset in scope.domains(run, target):
            _check_images(run, dataset)


def _check_images(run: Run, dataset: str) -> None:
    """Refuse a data set whose settings leave less than two batches of a probe."""
    batch, each = scope.asked(run).probe.batch, run.dataset(dataset).val_per_class
    try:
        classes = len(described(run, dataset)[0])
    except DataError:
        return
    if each is not None and classes * each < 2 * batch:
        raise ConfigError(
            f"config: dynamics.probe.batch is {batch}, but datasets.{dataset} has {classes * each} "
            f"evaluation images at most ({classes} classes, val_per_class {each}), less than two batches; "
            "lower the batch, or raise val_per_class"
        )
