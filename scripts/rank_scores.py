"""Rank what orders source models, scores and static rankers, against their accuracy after transfer."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from transferlens.core import job, labelled
from transferlens.core.files import write_csv
from transferlens.pictures import figures as pictures
from transferlens.transferability import candidates, ceiling, figures, files
from transferlens.transferability.artefacts import RANKING
from transferlens.transferability.candidates import Candidates, Ranker, Study, Transferred


def main(arguments: Namespace) -> None:
    known = [Study(**study) for study in arguments.settings["studies"]]
    transferred = [
        candidates.read_summary(path, study.models)
        for study, path in zip(known, arguments.summaries, strict=True)
    ]
    gathered = candidates.gather(known, transferred)
    others, rankers = _rankers(arguments, known, transferred, gathered)
    files.write_ranking(
        arguments.ranking,
        (gathered, rankers),
        _ceilings(arguments, known, transferred),
        others,
        arguments.summaries[0],
        arguments.settings["seed"],
    )
    _show(arguments)


def _rankers(
    arguments: Namespace, known: list[Study], transferred: list[Transferred], gathered: Candidates
) -> tuple[list[str], list[Ranker]]:
    """The other targets that candidates are transferred to, and all that orders candidates."""
    scores, parameters = candidates.read_scores(known, arguments.scores, transferred)
    elsewhere = _named(arguments.settings["elsewhere"], arguments.elsewhere)
    others, accuracies = candidates.accuracies_elsewhere(gathered, known, elsewhere)
    bounds = candidates.bounds(gathered, _named(arguments.settings["bounds"], arguments.bounds))
    return others, [*scores, *bounds, *candidates.static_rankers(transferred, parameters, accuracies)]


def _named(names: Sequence[Sequence[str]], paths: Sequence[Path] | None) -> list[tuple[str, str, Path]]:
    """Files with the two names of each."""
    return [(one, other, path) for (one, other), path in zip(names, paths or [], strict=True)]


def _ceilings(
    arguments: Namespace, known: list[Study], transferred: list[Transferred]
) -> list[ceiling.Ceiling]:
    """How noisy accuracies are, where models of study influence are candidates."""
    of = {study.study: one for study, one in zip(known, transferred, strict=True)}
    if "influence" not in of:
        return []
    models = len(of["influence"].rows)
    again = candidates.read_summary(arguments.repeated, models) if arguments.repeated else None
    return ceiling.ceilings(of["influence"], again, of.get("reference"))


def _show(arguments: Namespace) -> None:
    """Tables and pictures."""
    made = labelled.read(arguments.ranking, RANKING)
    write_csv(arguments.table, files.table(made))
    write_csv(arguments.candidates, files.candidate_table(made))
    drawn = figures.ranking(made)
    pictures.save(drawn, arguments.transferability)
    pictures.save(drawn, arguments.transferability_png)
    pictures.save(figures.scatter(made), arguments.score_scatter)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("scores", "of all studies' models, shard by shard", many=True)
    script.reads("summaries", "of each study", many=True)
    script.reads("elsewhere", "of candidates on other targets", many=True, required=False)
    script.reads("bounds", "of candidates, from reference tasks", many=True, required=False)
    script.reads("repeated", "summary of models of equal masks and other seeds", required=False)
    script.writes("ranking")
    script.writes("table")
    script.writes("candidates")
    script.writes("transferability")
    script.writes("transferability_png")
    script.writes("score_scatter")
    script.run(main)
