"""Class maps of all 1,000 classes from the weights, against torchcam class by class.

ResNet-18 with random weights (the work is the same), images of noise at 224 pixels in batches of 32; maps are
looked at (their maxima are kept) and dropped. torchcam is measured on all images for a few classes, in two
ways: with a forward pass for every class, as its documentation does it (a first class is made before and not
counted), and with one forward pass for all classes, whose graph is kept for the next call. The time of 1,000
classes is extrapolated from these. Seconds are the process's own (CPU): other load hardly changes them. That
maps are the same is checked on a few images.

    python benchmarks/class_maps.py [--images 256] [--classes 2] [--calls 20]
"""

import argparse
import resource
import time
from collections.abc import Callable

import torch
from tables import print_table

from transferlens.core.settings import NetworkSettings
from transferlens.maps import evidence
from transferlens.models import contract

CLASSES, BATCH, SIDE = 1000, 32, 224
METHODS = ("CAM", "GradCAM", "LayerCAM")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--classes", type=int, default=2, help="measured with a forward pass each")
    parser.add_argument(
        "--calls", type=int, default=20, help="classes measured with one forward pass for all"
    )
    given = parser.parse_args()
    torch.manual_seed(0)
    network = contract.build(NetworkSettings(name="resnet18"), CLASSES).eval()
    images = torch.randn(given.images, 3, SIDE, SIDE)
    forward = seconds(lambda: forward_passes(network, images))
    before = peak_megabytes()
    ours = seconds(lambda: from_weights(network, images))
    grown = peak_megabytes() - before
    rows = [
        ("from the weights", f"{ours:.1f}", "all", "1"),
        ("(its forward passes", f"{forward:.1f})", "", ""),
    ]
    for method in METHODS:
        check(network, images[:4], method)
        each = by_class(network, images, method, 1 + given.classes) / given.classes
        rows.append(row(f"torchcam {method}, a forward pass each", each * CLASSES, ours, given.classes))
        calls = one_graph(network, images, method, given.calls) / given.calls
        total = forward + calls * CLASSES
        rows.append(row(f"torchcam {method}, one forward pass", total, ours, given.calls))
    title = (
        f"Maps of {CLASSES:,} classes for {given.images} images, threads: {torch.get_num_threads()}; "
        f"maps from the weights take {grown:.0f} MB beyond the forward pass"
    )
    print_table(title, ["", "CPU seconds", "classes measured", "times the first row"], rows)


def row(name: str, total: float, ours: float, measured: int) -> tuple[str, str, str, str]:
    return name, f"{total:.0f}", str(measured), f"{total / ours:.3g}"


def forward_passes(network, images) -> None:
    with torch.inference_mode():
        for batch in images.split(BATCH):
            network(batch)


def from_weights(network, images) -> torch.Tensor:
    """The largest evidence [images, classes] in the maps of all classes."""
    with torch.inference_mode():
        batches = (evidence.activations(network, batch) for batch in images.split(BATCH))
        return torch.cat([evidence.class_evidence(network, batch).amax((2, 3)) for batch in batches])


def extractor(network, method: str):
    from torchcam import methods

    options = {"fc_layer": "head"} if method == "CAM" else {}
    return getattr(methods, method)(network, "backbone.layer4", **options)


def by_class(network, images, method: str, classes: int) -> float:
    """CPU seconds of a forward pass over all images and a call for each class but the first."""
    with extractor(network, method) as cam:
        for c in range(classes):
            if c == 1:
                started = time.process_time()
            for batch in images.split(BATCH):
                scores = forward(network, batch, method)
                cam(c, scores, normalized=False)[0].amax((1, 2))
    return time.process_time() - started


def one_graph(network, images, method: str, classes: int) -> float:
    """CPU seconds of the calls alone, all on the graph of one forward pass a batch."""
    kept = {} if method == "CAM" else {"retain_graph": True}
    spent = 0.0
    with extractor(network, method) as cam:
        for batch in images.split(BATCH):
            scores = forward(network, batch, method)
            started = time.process_time()
            for c in range(classes):
                cam(c, scores, normalized=False, **kept)[0].amax((1, 2))
            spent += time.process_time() - started
    return spent


def forward(network, batch, method: str) -> torch.Tensor:
    with torch.set_grad_enabled(method != "CAM"):
        return network(batch)


def check(network, images, method: str) -> None:
    """Their maps are the same, or what the method makes of the same weights."""
    with extractor(network, method) as cam:
        (theirs,) = cam(7, forward(network, images, method), normalized=False)
    with torch.no_grad():
        activations = evidence.activations(network, images)
        weights = network.head.weight[7]
        if method != "CAM":
            weights = weights / activations[0, 0].numel()
        if method == "LayerCAM":
            weights = weights.relu()
        ours = torch.einsum("d,ndhw->nhw", weights, activations)
    torch.testing.assert_close(theirs, ours if method == "CAM" else ours.relu(), rtol=0, atol=1e-5)


def seconds(function: Callable[[], object]) -> float:
    """Of the process itself, over all its threads."""
    started = time.process_time()
    function()
    return time.process_time() - started


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
