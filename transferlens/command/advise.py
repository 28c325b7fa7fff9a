"""Which recipe for a folder of images and a checkpoint? Tries some within a budget, and recommends one."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from transferlens.command import options
from transferlens.operations import project
from transferlens.operations.recommend import recipes

if TYPE_CHECKING:
    from transferlens.operations.recommend.composing import Question


def main(arguments: argparse.Namespace) -> None:
    from transferlens.core.files import replace_file
    from transferlens.models import command_line
    from transferlens.operations.recommend import frozen, kept, planning, running, telling
    from transferlens.operations.recommend.pricing import Costs
    from transferlens.relatedness.own_folders import Look
    from transferlens.training import device

    project.require_own()
    out, place = arguments.out.resolve(), device.pick()
    kept.refuse_inside(out, [arguments.target, *arguments.keep])
    question = question_of(arguments)
    network, has_head = command_line.load_encoder(question.weights, "--weights", question.network)
    with kept.alone(out):
        _say(*planning.described(question))
        plan = planning.plan(out, question, arguments.hours, arguments.cores, place)
        _say(*planning.words(plan, question))
        look = Look(question.network.resolution, question.crop_ratio, question.mean, question.std)
        seen = (question.target, question.kept[0])
        _say("First, the network as it is: probe and scores.")
        rows = frozen.rows(out, network.to(place), has_head, seen, look, question.seed)
        run = planning.run_in(out)
        costs = Costs(run, planning.data_of(question), plan.prices)
        progress = running.Progress(out, costs.jobs, list(map(costs.seconds, costs.jobs)), arguments.cores)
        running.run(out, arguments.cores, progress, _say)
        page = telling.text(telling.Told(out, run, plan, question.target, question.kept, rows))
        with replace_file(out / telling.FILE) as temporary:
            temporary.write_text(page, encoding="utf-8")
    _say("", page, "", f"This page: {out / telling.FILE}")


def question_of(arguments: argparse.Namespace) -> "Question":
    """What the command line asks; folders are read, and refused where they are no task."""
    from transferlens.models import command_line
    from transferlens.models.packages import is_name
    from transferlens.operations.recommend import images
    from transferlens.operations.recommend.composing import Question

    names = recipes.ordered(arguments.recipes)
    network = command_line.network_settings(
        arguments.architecture, arguments.option, arguments.part, arguments.resolution
    )
    target = images.read_target(arguments.target, arguments.test_share, arguments.seed)
    keep = images.read_kept(arguments.keep, arguments.test_share, arguments.seed, target.name)
    mean, std = command_line.scaling(network, arguments.mean, arguments.std)
    return Question(
        network=command_line.anywhere(network),
        weights=arguments.weights if is_name(arguments.weights) else str(Path(arguments.weights).resolve()),
        mean=mean,
        std=std,
        crop_ratio=arguments.crop_ratio,
        target=target,
        kept=keep,
        names=names,
        **{key: getattr(arguments, key) for key in ("trials", "models", "epochs", "flip", "seed")},
    )


def _say(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)


def hours(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def models(text: str) -> int:
    value = options.positive(text)
    if value < 2:
        raise argparse.ArgumentTypeError("two models are the fewest that an interval can be made of")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    whole = options.positive
    parser.add_argument(
        "--target",
        type=Path,
        required=True,
        metavar="FOLDER",
        help=f"your images: {options.FOLDERS}",
    )
    options.add_weights(parser)
    options.add_network(parser)
    parser.add_argument(
        "--keep",
        type=Path,
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="images of tasks that should not be forgotten, the source's own first (default: handwritten "
        "digits, for another task)",
    )
    parser.add_argument("--hours", type=hours, default=2.0, help="that it should take (default: 2)")
    parser.add_argument("--cores", type=whole, default=os.cpu_count(), help="jobs at a time (default: all)")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="for all that is made")
    parser.add_argument(
        "--recipes",
        nargs="+",
        metavar="NAME",
        help=f"to try, in the order of their priority (default: {' '.join(recipes.ORDER)})",
    )
    parser.add_argument(
        "--trials",
        type=options.number(int, "trials"),
        default=12,
        help="of each recipe, at most (default: 12)",
    )
    parser.add_argument("--models", type=models, default=5, help="that report, of each (default: 5)")
    parser.add_argument(
        "--epochs", type=whole, help="of recipes as written (default: for 300 steps, from 5 to 30)"
    )
    parser.add_argument(
        "--no-flip", dest="flip", action="store_false", help="images must not be mirrored (digits, signs)"
    )
    options.add_choice(parser, seeded="of everything")
