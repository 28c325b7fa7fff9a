"""Compare what harmful source classes do under each recipe: influences, and interference."""

from argparse import Namespace

from transferlens.comparison.harm import figure, stored
from transferlens.comparison.harm.artefacts import HARM
from transferlens.core import files, job, labelled
from transferlens.training.reading import read_outputs


def main(arguments: Namespace) -> None:
    recipes = arguments.settings["recipes"]
    summaries = [read_outputs(path, ["correct"]) for path in arguments.summaries]
    by_recipe = dict(zip(recipes, summaries, strict=True))
    stored.write(arguments.harm, by_recipe, arguments.answers, arguments.settings)
    harm = labelled.read(arguments.harm, HARM)
    files.write_csv(arguments.table, stored.table(harm))
    figure.draw(arguments.picture, harm)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("summaries", "of study influence, one a recipe, the plain one first", many=True)
    script.reads("answers", "to composites, of the same recipes", many=True)
    script.writes("harm")
    script.writes("table")
    script.writes("picture")
    script.run(main)
