"""Influences of source classes on transferability scores, and their agreement with those on accuracy."""

from argparse import Namespace
from dataclasses import replace

from transferlens.core import job, labelled
from transferlens.core.files import write_csv
from transferlens.pictures import figures as pictures
from transferlens.transferability import candidates, class_effects, figures, files
from transferlens.transferability.artefacts import CLASS_EFFECTS


def main(arguments: Namespace) -> None:
    ranked = files.read_ranking(arguments.ranking)
    place = ranked.candidates.of("influence")
    influence = candidates.read_summary(arguments.summary, len(place))
    rankers = [
        replace(ranker, values=ranker.values[place]) for ranker in class_effects.with_effects(ranked.rankers)
    ]
    class_effects.write_effects(
        arguments.influences, rankers, influence, arguments.settings, influence.rows.unit_names
    )
    made = labelled.read(arguments.influences, CLASS_EFFECTS)
    write_csv(arguments.table, class_effects.table(made))
    pictures.save(figures.effects(made), arguments.score_influences)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("ranking", "of the scores, with the scores of every model")
    script.reads("summary", "of study influence")
    script.writes("influences")
    script.writes("table")
    script.writes("score_influences")
    script.run(main)
