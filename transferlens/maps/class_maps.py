"""Class activation maps of any class by any of torchcam's methods, at a layer that is always given.

torchcam's own choice of layer is unsafe for small inputs. Maps are taken before its per-image normalisation,
which makes weak maps look as hot as strong ones. `CAM` of networks that pool comes from the weights alone
(`maps.evidence`), for all other methods torchcam is asked.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from transferlens.core.errors import ConfigError, nearest
from transferlens.core.settings import NetworkSettings
from transferlens.maps import evidence
from transferlens.models import contract, grids
from transferlens.models import layers as hooks
from transferlens.models.network import Network

SIGNED_METHODS = ("CAM",)
# Scores of the image under masks made of the layer's channels: no gradient is needed.
SCORE_METHODS = ("ScoreCAM", "SSCAM", "ISCAM")
METHODS = (
    *SIGNED_METHODS,
    *SCORE_METHODS,
    "GradCAM",
    "GradCAMpp",
    "SmoothGradCAMpp",
    "XGradCAM",
    "LayerCAM",
    "LeGrad",
    "RefineCAM",
    "FinerCAM",
)
# Methods that forward many variants of an image, or draw noise: one image at a time, each with that noise.
_ONE_BY_ONE = (*SCORE_METHODS, "SmoothGradCAMpp")
_IMAGES_AT_ONCE = 32


@dataclass(frozen=True)
class ClassMaps:
    """Evidence maps for one class an image, or for one class rather than a rival.

    Attributes:
        maps: float32[images, height, width] at the layer's own resolution, as the method defines them. Of
            `CAM` signed, and the mean plus a constant of the class (`evidence.offsets`) is the logit; of the
            others non-negative.
        logits, probabilities: float32[images], of that class; minus those of the rival, if there is one.
    """

    maps: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray

    @property
    def zero(self) -> np.ndarray:
        """bool[images]: the method finds nothing at all; there is nothing to draw."""
        return ~self.maps.any((1, 2))


def class_maps(
    network: Network,
    images: torch.Tensor,
    classes: list[int],
    method: str,
    layer: str | None = None,
    rivals: list[int] | None = None,
) -> ClassMaps:
    """Maps of class `classes[i]` for image i of float32[N, 3, H, W], the same in a batch as one by one.

    Args:
        layer: of the backbone, by name; None for the architecture's own.
        rivals: for each image another class that the map is contrasted with: evidence for the one rather
            than for the other.

    Raises:
        ConfigError: a method or layer that this network does not allow (see `find_layers`), or a backbone
            that gives a method no gradients.
    """
    classes = [int(c) for c in classes]  # torchcam refuses the integers of NumPy and torch
    rivals = None if rivals is None else [int(c) for c in rivals]
    with _undisturbed(network, images):
        layers = find_layers(network, method, layer, images[:1])
        size = 1 if method in _ONE_BY_ONE else _IMAGES_AT_ONCE
        parts = []
        for start in range(0, len(images), size):
            part = slice(start, start + size)
            against = None if rivals is None else rivals[part]
            # A copy, as tensors made in inference mode cannot take part in gradients.
            arguments = network, images[part].detach().clone(), classes[part], against
            if method == "CAM":
                parts.append(_from_weights(*arguments))
            else:
                parts.append(_from_torchcam(*arguments, method, layers))
    maps, logits = (torch.cat(tensors).detach() for tensors in zip(*parts, strict=True))
    logits, probabilities = _of_classes(logits.double(), classes, rivals)
    return ClassMaps(maps.float().cpu().numpy(), logits, probabilities)


def _of_classes(logits: torch.Tensor, classes: list[int], rivals: list[int] | None):
    """float32[N] logits and probabilities of the classes, minus those of their rivals."""
    rows = torch.arange(len(classes))
    for values in (logits, logits.softmax(1)):
        own = values[rows, classes]
        yield (own if rivals is None else own - values[rows, rivals]).float().cpu().numpy()


@contextmanager
def _undisturbed(network: nn.Module, images: torch.Tensor) -> Iterator[None]:
    """Evaluation mode, float32 and gradients, whatever the caller is in the middle of."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast(images.device.type, enabled=False),
        ):
            yield
    finally:
        for module, training in modes:
            module.training = training


def _from_weights(
    network: Network, images: torch.Tensor, classes: list[int], rivals: list[int] | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Signed maps [N, h, w] and all logits [N, C]."""
    with torch.no_grad():
        activations, features = evidence.with_activations(network, images)
        maps = [evidence.class_evidence(network, activations, torch.tensor(classes))]
        if rivals is not None:
            maps.append(-evidence.class_evidence(network, activations, torch.tensor(rivals)))
        return sum(maps), network.head(features)


def _from_torchcam(
    network: Network,
    images: torch.Tensor,
    classes: list[int],
    rivals: list[int] | None,
    method: str,
    layers: list[str],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps [N, h, w] as torchcam's method defines them, not normalised, and all logits [N, C]."""
    arguments: dict = {}
    if rivals is None or method == "FinerCAM":
        arguments["class_idx"] = classes
    else:
        arguments["targets"] = [partial(_contrast, *pair) for pair in zip(classes, rivals, strict=True)]
    if rivals is not None and method == "FinerCAM":
        arguments["comparison_idx"] = [[rival] for rival in rivals]
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[]))
        torch.manual_seed(0)
        if method == "LeGrad":
            extractor = stack.enter_context(_legrad(network, layers))
        else:
            seen = stack.enter_context(_as_maps(network, layers, method))
            extractor = stack.enter_context(_extractor(network, method, seen, rivals is not None))
        # A gradient reaches the layer through the image even where all parameters are frozen.
        logits = network(images.requires_grad_(True))
        (maps,) = extractor(scores=logits, normalized=False, **arguments)
    return maps, logits


def _contrast(own: int, rival: int, logits: torch.Tensor) -> torch.Tensor:
    return logits[own] - logits[rival]


def _extractor(network: Network, method: str, names: list[str], contrast: bool):
    """torchcam's extractor with its hooks on these modules."""
    from torchcam import methods

    options = {"gamma": 1.0} if method == "FinerCAM" and contrast else {}
    return getattr(methods, method)(network, names if len(names) > 1 else names[0], **options)


def _legrad(network: Network, layers: list[str]):
    """torchcam's extractor of attention gradients, which knows the tokens of torchvision's transformers."""
    from torchcam import methods

    norm = network.backbone.encoder.ln
    names = [f"backbone.{layer}" for layer in layers]
    return methods.LeGrad(network, names, score_projection=lambda tokens: network.head(norm(tokens.mean(1))))


_MAPS = "class_map_{}"


@contextmanager
def _as_maps(network: Network, layers: list[str], method: str) -> Iterator[list[str]]:
    """Pass what the layers give, as maps [N, C, h, w], through modules of their own; yields their names.

    So any layer can be looked at that holds cells, channels first or last or as tokens; and activations that
    work in place change it no more.
    """
    prefix = network.parts.prefix_tokens
    names = {layer: _MAPS.format(i) for i, layer in enumerate(layers)}
    for name in names.values():
        network.add_module(name, nn.Identity())

    def look(layer: str, output: torch.Tensor) -> torch.Tensor:
        if method not in SCORE_METHODS and not output.requires_grad:
            raise ConfigError(
                f"heatmaps.method: {method} follows gradients, and this backbone computes none (it runs "
                "under no_grad): use ScoreCAM, or CAM for a network that pools"
            )
        maps = network.get_submodule(names[layer])(grids.to_maps(output, prefix))
        return grids.from_maps(maps.clone(), output, prefix)

    try:
        with hooks.hooked(network.backbone, layers, look):
            yield list(names.values())
    finally:
        for name in names.values():
            delattr(network, name)


def find_layers(network: Network, method: str, layer: str | None, images: torch.Tensor) -> list[str]:
    """The layers of the backbone that a method reads for a choice of `layer` (None: the architecture's own).

    `RefineCAM` needs a second one: the last layer before it whose map has more cells.

    Args:
        images: float32[N, 3, H, W] of the size in question.

    Raises:
        ConfigError: an unknown method or layer, a layer without a map, or a method that cannot read it.
    """
    if method not in METHODS:
        raise ConfigError(f"heatmaps.method is '{method}'" + nearest(method, list(METHODS)))
    chosen = layer or network.class_map_layer
    if chosen is None:
        raise ConfigError(
            "heatmaps: nothing in this network has a height and a width, so that it has no class maps"
        )
    module = hooks.find(network.backbone, chosen, "heatmaps.layer")
    if method == "CAM":
        _require_pooled(network, chosen)
    elif method == "LeGrad":
        _require_attention(network, module, chosen)
    else:
        shapes = _map_shapes(network, images)
        if chosen not in shapes:
            raise ConfigError(
                f"heatmaps.layer: '{chosen}' gives no map of two or more cells for images of "
                f"{images.shape[-1]} pixels" + nearest(chosen, list(shapes))
            )
        if method == "RefineCAM":
            return [_finer(shapes, chosen), chosen]
    return [chosen]


def _require_pooled(network: Network, layer: str) -> None:
    if not network.pools:
        raise ConfigError(
            "heatmaps.method: CAM needs a network whose features are means over the cells of a map, and this "
            "one's are not (snakemake network says why): use GradCAM or LayerCAM"
        )
    if layer != network.class_map_layer:
        raise ConfigError(
            f"heatmaps.layer: CAM is the evidence at the layer that is pooled, '{network.class_map_layer}', "
            f"not at '{layer}': set it to null, or use LayerCAM"
        )


def _require_attention(network: Network, module: nn.Module, layer: str) -> None:
    from torchvision.models import VisionTransformer

    attends = isinstance(getattr(module, "self_attention", None), nn.MultiheadAttention)
    if not attends or not isinstance(network.backbone, VisionTransformer):
        raise ConfigError(
            f"heatmaps.method: LeGrad follows the attention of a vision transformer's block, and '{layer}' "
            "is none: use GradCAM or LayerCAM"
        )


def _map_shapes(network: Network, images: torch.Tensor) -> dict[str, tuple[int, int]]:
    """(height, width) of the output of every layer that gives maps, in the order in which they finish."""
    shapes: dict[str, tuple[int, int]] = {}

    def note(layer: str, output: object) -> None:
        if not torch.is_tensor(output) or len(output) != len(images):
            return
        cells = grids.cells_of(output.shape, network.parts.prefix_tokens)
        shapes.pop(layer, None)
        if cells and cells[0] * cells[1] > 1:
            shapes[layer] = cells

    every_layer = [name for name, _ in network.backbone.named_modules() if name]
    with hooks.hooked(network.backbone, every_layer, note), torch.no_grad():
        network.backbone(images)
    return shapes


def _finer(shapes: dict[str, tuple[int, int]], layer: str) -> str:
    """The last layer before `layer` whose map has more cells."""
    before = list(shapes)[: list(shapes).index(layer)]
    finer = [name for name in before if np.prod(shapes[name]) > np.prod(shapes[layer])]
    if not finer:
        raise ConfigError(
            f"heatmaps.layer: RefineCAM joins a layer with a finer one before it, and there is none before "
            f"'{layer}': name a later one, or set it to null"
        )
    return finer[-1]


def check(settings: NetworkSettings, methods: list[str], layer: str | None) -> None:
    """Refuse, before any work, methods and a layer that a network does not allow.

    Raises:
        ConfigError: as `find_layers`, with the reason.
    """
    network, reason = contract.build(settings, 2).eval(), contract.find(settings).no_evidence
    if network.class_map_layer is None and layer is None:
        raise ConfigError(f"heatmaps: {settings.title} has no class maps, as {reason}: set heatmaps: null")
    if "CAM" in methods and reason:
        raise ConfigError(
            "heatmaps.method: CAM needs class maps that add up to logits, and those of "
            f"{settings.title} do not, as {reason}: use GradCAM or LayerCAM"
        )
    for method in methods:
        find_layers(network, method, layer, torch.zeros(1, 3, settings.resolution, settings.resolution))
