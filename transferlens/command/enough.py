"""Train more models of the influence study until its influences are known well enough, or to a most.

Looks are planned beforehand, and intervals allow for their number: docs/enough.md.
"""

import argparse
import os
from pathlib import Path

from transferlens.command import options, workflow


def main(arguments: argparse.Namespace) -> None:
    from transferlens.core import files, job
    from transferlens.core.artefacts import RESULTS
    from transferlens.operations.enough import asking, driving, record
    from transferlens.operations.enough.asking import Question

    project, words = workflow.folder_of(arguments), workflow.words_of(arguments)
    asking.refuse_settings(arguments.snakemake)
    given = asking.given_settings(project, [path.resolve() for path in arguments.configfile])
    out = arguments.out and arguments.out.resolve()
    os.chdir(arguments.directory or project)
    run = asking.run_of(given)
    target, recipe = asking.adaptation(run, arguments.target, arguments.recipe)
    wanted = asking.wanted(arguments.reliability, arguments.within, arguments.sign)
    quantities = asking.quantities(run, target, arguments.influence, wanted)
    table = out or Path(RESULTS, "enough", target, f"{recipe}.csv").absolute()
    question = Question(
        target=target,
        recipe=recipe,
        output=asking.output_of(run, arguments.output),
        quantities=quantities,
        wanted=wanted,
        planned=asking.looks(given, run, arguments.most, record.planned(table)),
        estimator=asking.estimator_of(run, quantities),
        settings=asking.settings_digest(run, target, recipe),
    )
    files.refuse_unwritable_file(table)
    log = Path(".snakemake", "enough.log").absolute()
    place = driving.Place(project, [*words, *arguments.snakemake], table, log)
    driving.drive(place, question, job.say)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--most", type=options.positive, required=True, metavar="N", help="models of the study, at most"
    )
    parser.add_argument(
        "--reliability",
        type=float,
        metavar="R",
        help="until the lower end of the interval of the influences' reliability exceeds this",
    )
    parser.add_argument(
        "--influence",
        nargs="+",
        action="append",
        default=[],
        metavar="CLASS",
        help="a source class whose influence is asked for, on the whole target or on the target class that "
        "follows; once for each",
    )
    parser.add_argument(
        "--within", type=float, metavar="WIDTH", help="until each of these is known to +-WIDTH"
    )
    parser.add_argument(
        "--sign", action="store_true", help="until the interval of each of these leaves zero out"
    )
    parser.add_argument("--target", metavar="NAME", help="default: the only one")
    parser.add_argument("--recipe", metavar="NAME", help="default: the target's only one")
    parser.add_argument(
        "--output",
        metavar="NAME",
        help="what influences are on: p_true, margin, ..., or correct, for the share that is right "
        "(default: the report's)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the table of looks, which the same command goes on from (default: "
        "results/enough/TARGET/RECIPE.csv)",
    )
    workflow.add_arguments(parser)
    parser.add_argument(
        "snakemake", nargs="*", metavar="-- WORD", help="further words for Snakemake (-- --profile slurm)"
    )
