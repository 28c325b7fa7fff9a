"""Compare two networks layer by layer on the same images, or two arrays of features of the same images.

Files of weights (.pt, .pth, .safetensors) or published weights take --architecture and --images, arrays
(.npy, .npz) take neither.
"""

import argparse
from pathlib import Path

from transferlens.command import options
from transferlens.core import files
from transferlens.core.errors import ConfigError

_ARRAYS = (".npy", ".npz")
_FEWEST = 4  # images of a batch


def main(arguments: argparse.Namespace) -> None:
    are_arrays = [_is_array(text) for text in (arguments.first, arguments.second)]
    if any(are_arrays) and not all(are_arrays):
        raise ConfigError(
            f"--first {arguments.first}, --second {arguments.second}: one is an array and one is not; give "
            "two arrays of features, or weights of two networks"
        )
    files.refuse_unwritable_file(arguments.out)
    (_compare_arrays if all(are_arrays) else _compare_networks)(arguments)


def _is_array(text: str) -> bool:
    """A file of an array, or one array in it: `features.npz:NAME`."""
    return Path(text.rpartition(":")[0] or text).suffix.lower() in _ARRAYS or text.lower().endswith(_ARRAYS)


def _compare_arrays(arguments: argparse.Namespace) -> None:
    from transferlens.dynamics.similarity import compare, own
    from transferlens.dynamics.similarity.metrics import chosen
    from transferlens.influence.own_files import read_matrix

    for key in ("architecture", "images", "layers"):
        if getattr(arguments, key):
            raise ConfigError(f"--{key}: is for networks, and two arrays are given; leave it out")
    chosen(arguments.metrics)
    first, second = (read_matrix(text).values for text in (arguments.first, arguments.second))
    compared = compare(first, second, arguments.metrics, arguments.permutations, arguments.seed)
    files.write_csv(arguments.out, compared.reset_index())
    print(own.text_of_features(compared))


def _compare_networks(arguments: argparse.Namespace) -> None:
    import torch

    from transferlens.dynamics.similarity import compare_networks, own
    from transferlens.models import command_line

    for key in ("architecture", "images"):
        if not getattr(arguments, key):
            raise ConfigError(f"--{key}: is missing; two networks take --architecture and --images")
    if arguments.metrics:
        raise ConfigError("--metrics: are of two arrays; layers of networks are compared by unbiased CKA")
    settings = command_line.network_settings(
        arguments.architecture, arguments.option, arguments.part, arguments.resolution
    )
    mean, std = command_line.scaling(settings, arguments.mean, arguments.std)
    side, ratio = settings.resolution, arguments.crop_ratio
    images = own.batches(arguments.images, arguments.batch, side, ratio, mean, std, arguments.seed)
    loaded = [
        command_line.load_encoder(weights, f"--{which}", settings)
        for which, weights in (("first", arguments.first), ("second", arguments.second))
    ]
    place = "cuda" if torch.cuda.is_available() else "cpu"
    # Where one has no head of its own, what stands in its place says nothing of it.
    have_heads = all(has_head for _, has_head in loaded)
    networks = [(network if have_heads else network.backbone).to(place) for network, _ in loaded]
    found = compare_networks(*networks, images, arguments.layers)
    files.write_csv(arguments.out, found.frame())
    print(own.text_of_networks(found))


def batch_size(text: str) -> int:
    value = options.positive(text)
    if value < _FEWEST:
        raise argparse.ArgumentTypeError(f"unbiased estimates take {_FEWEST} images or more")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for which in ("first", "second"):
        parser.add_argument(
            f"--{which}",
            required=True,
            metavar="FILE",
            help="weights of a network, or features [images, features]; an array of several in a file: "
            "features.npz:NAME",
        )
    parser.add_argument("--out", type=Path, required=True, help="the table, as CSV")
    networks = parser.add_argument_group("of two networks")
    networks.add_argument("--images", type=Path, metavar="FOLDER", help="that both see, of any format")
    options.add_network(networks, required=False)
    networks.add_argument("--layers", nargs="+", metavar="NAME", help="(default: all that compute something)")
    networks.add_argument(
        "--batch",
        type=batch_size,
        default=16,
        metavar="N",
        help="images at a time; 16 batches or more make good intervals (default: 16)",
    )
    arrays = parser.add_argument_group("of two arrays")
    arrays.add_argument(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help="which (default: all, which the table names)",
    )
    arrays.add_argument(
        "--permutations",
        type=options.positive,
        default=20,
        metavar="N",
        help="of the images, for what chance gives (default: 20)",
    )
    parser.add_argument(
        "--seed",
        type=options.number(int, "seed"),
        default=0,
        help="of the order in which networks see images, and of the permutations (default: 0)",
    )
