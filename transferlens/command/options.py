"""What several commands take, declared once, and the kinds of numbers that a command line holds.

Nothing here loads torch: `--help` and wrong words are answered at once.
"""

import argparse
from collections.abc import Callable

from transferlens.core import limits
from transferlens.core.errors import shown

FOLDERS = "train/<class>/* and val/<class>/*, or <class>/*"  # how images of a task lie


def add_network(parser: argparse._ActionsContainer, required: bool = True) -> None:
    """The arguments that name a network and how images enter it, of a parser or a group of one."""
    parser.add_argument(
        "--architecture",
        required=required,
        help="resnet18, vit_b_16, timm/<name>, ..., or my_net.py:make_net",
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of it (image_size=64); once for each",
    )
    parser.add_argument(
        "--part",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="where it keeps its head, class_map_layer, prefix_tokens or blocks, if what is found is wrong",
    )
    for name in ("mean", "std"):
        parser.add_argument(
            f"--{name}",
            type=number(float, name),
            nargs=3,
            metavar=("R", "G", "B"),
            help="default: as published, else ImageNet's",
        )
    parser.add_argument(
        "--resolution",
        type=number(int, "resolution"),
        help="side of the input in pixels (default: as published, else 224)",
    )
    parser.add_argument(
        "--crop-ratio",
        type=number(float, "crop_ratio"),
        default=0.875,
        help="share of the shorter side that is seen",
    )


def add_weights(parser: argparse.ArgumentParser) -> None:
    """The weights of one network."""
    parser.add_argument(
        "--weights", required=True, help="of the network: a file (.pt, .pth, .safetensors), or published ones"
    )


def add_choice(parser: argparse.ArgumentParser, seeded: str) -> None:
    """How images of folders are chosen: the share to test with, and the seed, of what is said."""
    parser.add_argument(
        "--test-share",
        type=share,
        default=0.3,
        help="share of the images of each class to test with, where a folder is not divided",
    )
    parser.add_argument("--seed", type=number(int, "seed"), default=0, help=seeded)


def number(kind: type, key: str) -> Callable[[str], float]:
    """What reads a number of a command line: one that a key of this name in a configuration can have."""
    limit = limits.limit_of("", key, whole=kind is int)

    def number(text: str) -> float:
        value = kind(text)
        if not limit.low <= value <= limit.high:
            bounds = f"from {limit.low:,} to {limit.high:,}"
            raise argparse.ArgumentTypeError(f"{shown(text)} is not {bounds}: {limit.reason}")
        return value

    return number


def share(text: str) -> float:
    """A number above 0 and at most 1."""
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return value


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no positive whole number")
    return int(text)
