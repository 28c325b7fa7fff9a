"""Compare recipes on a target: the table of recipes by measures, what is recommended, and its picture."""

from argparse import Namespace

from transferlens.comparison.compared import answers, figures, stored
from transferlens.comparison.compared.artefacts import COMPARISON
from transferlens.core import files, job, labelled
from transferlens.data.index import read_index
from transferlens.pictures.figures import save

_READ = ("summaries", "measures", "costs", "before", "after")


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    compared = answers.read({name: getattr(arguments, name) for name in _READ}, settings)
    published = arguments.published or [None] * len(arguments.choices)
    tuned = [stored.read_tuned(*pair) for pair in zip(arguments.choices, published, strict=True)]
    images = len(read_index(arguments.index).train)
    stored.write(arguments.comparison, compared, tuned, {**settings, "train_images": images})
    made = labelled.read(arguments.comparison, COMPARISON)
    files.write_csv(arguments.table, stored.table(made))
    save(figures.pareto(made), arguments.picture)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("index", "of the target")
    script.reads("summaries", "one a contestant, as settings name them", many=True)
    script.reads("choices", "likewise", many=True)
    script.reads("measures", "likewise", many=True)
    script.reads("costs", "of those that saw the source", many=True)
    script.reads("published", "of all contestants; none where it is not asked for", many=True, required=False)
    script.reads("before", "of the data sets that are probed", many=True)
    script.reads("after", "of those that saw the source, each on all of these", many=True)
    script.writes("comparison")
    script.writes("table")
    script.writes("picture")
    script.run(main)
