"""Relate two folders of images by a network: probe, bound and transferability scores, without any study."""

import argparse
from pathlib import Path

from transferlens.command import options
from transferlens.core import files
from transferlens.scores.registry import SCORES


def main(arguments: argparse.Namespace) -> None:
    import torch

    from transferlens.models import command_line
    from transferlens.relatedness import own_folders, own_table
    from transferlens.relatedness.bound import Options
    from transferlens.scores.measuring import find

    for name in arguments.scores:
        find(name)
    files.refuse_unwritable_file(arguments.out)
    choice = own_folders.Choice(arguments.images, arguments.test_share, arguments.seed)
    folders = [own_folders.read(root, choice) for root in (arguments.reference, arguments.target)]
    settings = command_line.network_settings(
        arguments.architecture, arguments.option, arguments.part, arguments.resolution
    )
    network, has_head = command_line.load_encoder(arguments.weights, "--weights", settings)
    network.to("cuda" if torch.cuda.is_available() else "cpu")
    scaling = command_line.scaling(settings, arguments.mean, arguments.std)
    look = own_folders.Look(settings.resolution, arguments.crop_ratio, *scaling)
    reference, target = (own_folders.see(folder, network, look) for folder in folders)
    logits = own_folders.logits_of(target.train, network) if has_head else None
    how = Options(arguments.transform, arguments.feature_map, arguments.label_start)
    asked = own_table.Asked(arguments.tau, how, arguments.scores, arguments.seed)
    rows = own_table.rows(reference, target, logits, asked)
    own_table.write(arguments.out, rows)
    print(own_table.text(rows, reference, target))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for name, what in (("reference", "reference task"), ("target", "target task")):
        parser.add_argument(
            f"--{name}",
            type=Path,
            required=True,
            metavar="FOLDER",
            help=f"images of the {what}: {options.FOLDERS}",
        )
    options.add_weights(parser)
    options.add_network(parser)
    parser.add_argument("--out", type=Path, required=True, help="the table, as CSV")
    parser.add_argument(
        "--images", type=options.positive, default=100, help="of a class in either split, at most"
    )
    options.add_choice(parser, seeded="of the choice of images, and of all else")
    parser.add_argument(
        "--scores",
        nargs="+",
        default=list(SCORES),
        metavar="NAME",
        help=f"which of them (default: all): {', '.join(SCORES)}",
    )
    parser.add_argument(
        "--tau",
        type=options.number(float, "taus"),
        default=0.2,
        help="Lipschitz constant that heads are held to",
    )
    parser.add_argument("--transform", choices=["FixedAll", "LearnedA", "LearnedAll"], default="LearnedAll")
    parser.add_argument("--feature-map", choices=["identity", "orthogonal", "affine"], default="orthogonal")
    parser.add_argument("--label-start", choices=["random", "hungarian", "uniform"], default="hungarian")
