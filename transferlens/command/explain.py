"""Draw what models see in a folder of images: class maps from checkpoints of one's own, as one figure."""

import argparse
from pathlib import Path

from transferlens.command import options


def main(arguments: argparse.Namespace) -> None:
    from transferlens.data import classnames, photographs
    from transferlens.heatmaps import own_images
    from transferlens.maps import class_maps
    from transferlens.models import command_line

    method, layer = arguments.method, arguments.layer
    checkpoints = own_images.named_checkpoints(arguments.checkpoint)
    network = command_line.network_settings(
        arguments.architecture, arguments.option, arguments.part, arguments.resolution
    )
    class_maps.check(network, [method], layer)
    targets = own_images.read_classes(arguments.classes)
    sources = classnames.known("imagenet").names
    if arguments.source_classes:
        sources = own_images.read_classes(arguments.source_classes)
    models = [
        (title, command_line.load_model(weights, option, network, classes), classes)
        for title, option, weights, classes in (
            ("source model", "--source", arguments.source, sources),
            *((title, "--checkpoint", weights, targets) for title, weights in checkpoints),
            ("from scratch", "--baseline", arguments.baseline, targets),
        )
        if weights
    ]
    names, pixels = own_images.read_folder(arguments.images, network.resolution, arguments.crop_ratio)
    images = photographs.normalised(pixels, *command_line.scaling(network, arguments.mean, arguments.std))
    own_images.draw(
        arguments.out,
        names,
        pixels,
        [own_images.see(title, model, classes, images, method, layer) for title, model, classes in models],
        signed=method in class_maps.SIGNED_METHODS,
        colormap=arguments.colormap,
        shared_scale=arguments.shared_scale,
    )
    print(f"{len(names)} images drawn in {arguments.out}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=Path, required=True, help="folder with images of any format")
    parser.add_argument(
        "--checkpoint",
        required=True,
        action="append",
        metavar="[NAME=]FILE",
        help="state_dict (.pt, .pth, .safetensors) of the model; once for each model to compare, with names",
    )
    options.add_network(parser)
    parser.add_argument(
        "--classes", required=True, help="their classes: a file with one name a line, or a number"
    )
    parser.add_argument("--out", type=Path, required=True, help="the figure, as PNG")
    parser.add_argument(
        "--source", help="also draw the model it was fine-tuned from: a file, or published weights"
    )
    parser.add_argument("--source-classes", help="its classes (default: the 1,000 of ImageNet)")
    parser.add_argument("--baseline", help="also draw a model trained from scratch on the same classes")
    parser.add_argument(
        "--method", default="LayerCAM", help="a method of torchcam; CAM shows evidence against, too"
    )
    parser.add_argument("--layer", help="layer of the backbone, by name (default: its class map layer)")
    parser.add_argument(
        "--colormap", choices=["safe", "jet"], default="safe", help="for everybody's eyes, or the paper's"
    )
    parser.add_argument("--shared-scale", action="store_true", help="one scale for all maps of a column")
