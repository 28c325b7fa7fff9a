"""Take steps of a recipe by its chosen settings and of the plain recipe, by turns: what they cost."""

from argparse import Namespace

from transferlens.comparison.measures import cost
from transferlens.comparison.tuning import choice
from transferlens.core import job
from transferlens.training import device
from transferlens.training.recipes import kinds


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    written, plain = (kinds.read(settings[name], name) for name in ("recipe", "plain"))
    (source, *_) = arguments.sources
    subject = cost.Subject(
        source,
        settings["row"],
        arguments.index,
        arguments.train,
        settings["architecture"],
        settings["input"],
        device.pick(),
    )
    recipe = choice.chosen({"choice": arguments.choice}, written)
    cost.write_cost(arguments.cost, subject, recipe, plain)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("sources", "shard of the source model", many=True)
    script.reads("choice", "of settings of the recipe")
    script.reads("index", "of the target")
    script.reads("train")
    script.writes("cost")
    script.run(main)
