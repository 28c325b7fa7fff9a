"""Draw what models see in a folder of images: class maps from checkpoints of one's own, as one figure."""

import argparse
from pathlib import Path

from transferlens.core import job
from transferlens.data import classnames
from transferlens.heatmaps import own_images
from transferlens.maps import class_maps


def main(arguments: argparse.Namespace) -> None:
    method, layer = arguments.method, arguments.layer
    checkpoints = own_images.named_checkpoints(arguments.checkpoint)
    network = own_images.network_settings(
        arguments.architecture, arguments.option, arguments.part, arguments.resolution
    )
    class_maps.check(network, [method], layer)
    targets = own_images.read_classes(arguments.classes)
    sources = classnames.known("imagenet").names
    if arguments.source_classes:
        sources = own_images.read_classes(arguments.source_classes)
    models = [
        (title, own_images.load_model(weights, option, network, classes), classes)
        for title, option, weights, classes in (
            ("source model", "--source", arguments.source, sources),
            *((title, "--checkpoint", weights, targets) for title, weights in checkpoints),
            ("from scratch", "--baseline", arguments.baseline, targets),
        )
        if weights
    ]
    names, pixels = own_images.read_folder(arguments.images, network.resolution, arguments.crop_ratio)
    images = own_images.normalised(pixels, *own_images.scaling(network, arguments.mean, arguments.std))
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


def share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return value


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no positive whole number")
    return int(text)


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True, help="folder with images of any format")
    parser.add_argument(
        "--checkpoint",
        required=True,
        action="append",
        metavar="[NAME=]FILE",
        help="state_dict (.pt, .pth, .safetensors) of the model; once for each model to compare, with names",
    )
    parser.add_argument(
        "--architecture", required=True, help="resnet18, vit_b_16, timm/<name>, ..., or my_net.py:make_net"
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
        "--mean", type=float, nargs=3, metavar=("R", "G", "B"), help="default: as published, else ImageNet's"
    )
    parser.add_argument(
        "--std", type=float, nargs=3, metavar=("R", "G", "B"), help="default: as published, else ImageNet's"
    )
    parser.add_argument(
        "--resolution", type=positive, help="side of the input in pixels (default: as published, else 224)"
    )
    parser.add_argument(
        "--crop-ratio", type=share, default=0.875, help="share of the shorter side that is seen"
    )
    parser.add_argument(
        "--colormap", choices=["safe", "jet"], default="safe", help="for everybody's eyes, or the paper's"
    )
    parser.add_argument("--shared-scale", action="store_true", help="one scale for all maps of a column")
    parser.set_defaults(log=None)
    return parser


if __name__ == "__main__":
    job.run(main, options().parse_args())
