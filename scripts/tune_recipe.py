"""Try settings of a recipe: train by each on a part of a target's training images, tell it on the rest."""

from argparse import Namespace

from transferlens.comparison.settings import SearchSettings
from transferlens.comparison.tuning import space, trials
from transferlens.comparison.tuning.held_out import held_out, require_images
from transferlens.core import job
from transferlens.core.settings import InputSettings, NetworkSettings
from transferlens.data import index, pipeline
from transferlens.training import device, resumption, transfer
from transferlens.training.recipes import kinds as recipes


def main(arguments: Namespace) -> None:
    settings, place = arguments.settings, device.pick()
    target = index.read_index(arguments.index)
    labels, names = target.train.labels, target.class_names
    require_images(settings["target"], labels, names)
    recipe = recipes.read(settings["recipe"], "recipe")
    search, seed = SearchSettings.read(settings["search"], "search"), settings["seed"]
    images = pipeline.open_images(arguments.train, target.train, InputSettings.read(settings["input"]), place)
    trials.try_settings(
        arguments.trials,
        transfer.starts(arguments.sources, NetworkSettings.read(settings["architecture"]), settings["rows"]),
        settings["rows"],
        trials.Ground(images, held_out(labels, settings["held_out"], seed), names),
        {number: space.trial(recipe, search, seed, number) for number in range(*settings["trials"])},
        space.parameters(recipe, search),
        resumption.progress(
            arguments.trials,
            arguments.resume_minutes,
            "tune_recipe.py",
            [*recipes.KINDS[recipe.kind].code, recipes.KINDS[recipe.kind].searched],
        ),
    )


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("sources", "shards of source models", many=True)
    script.reads("index", "of the target data set")
    script.reads("train")
    script.takes("resume_minutes", type=float, help="between two times that a run in progress is kept")
    script.writes("trials")
    script.run(main)
