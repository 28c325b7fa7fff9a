"""Weights from elsewhere as a state with this house's names, whole or refused in one line."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from transferlens.core import job
from transferlens.core.errors import ConfigError, nearest, shown
from transferlens.core.settings import ArchitectureSettings
from transferlens.models import matching, packages, published, weight_files
from transferlens.models.heads import TAPPED, one_head
from transferlens.models.matching import Copy, Names
from transferlens.models.weight_files import Content

State = dict[str, torch.Tensor]

# Parts of training that encoders are published with, by the first part of their names (MoCo, SimCLR, SwAV,
# BYOL, DINO, VICReg, MAE, CLIP); and what begins so (MAE's `decoder_blocks`).
_TRAINING_ONLY = {
    *(
        "head",
        "heads",
        "fc",
        "classifier",
        "linear",
        "mlp",
        "proj",
        "projector",
        "projection",
        "projection_head",
    ),
    *("predictor", "prediction_head", "prototypes", "queue", "queue_ptr", "mask_token", "contrastive_head"),
}
_TRAINING_BEGINS = ("decoder",)
_AUXILIARY = r"aux\d?|aux_\w+|AuxLogits"  # heads on the way (GoogLeNet, Inception), which its options drop
# The last parts of names of what is counted or follows from a network's shape, not learned.
_NOT_LEARNED = ("num_batches_tracked", "attn_mask", "relative_position_index", "total_ops", "total_params")


def read(
    settings: ArchitectureSettings,
    weights: str,
    named: str = "studies.pretrained.weights",
    *,
    head: bool = True,
    prefix: str | None = None,
    download: bool = False,
) -> State:
    """Weights of a network as a state with this house's names: `backbone.*`, `head.weight`, `head.bias`.

    What was mapped and what was left out is logged, where names are others than the network's.

    Args:
        weights: the name of published weights, or the path of a .pt, .pth or .safetensors file.
        named: the setting that named the weights, for messages; the setting `prefix` beside it chooses a
            copy.
        head: whether the head is wanted; otherwise only the backbone is read, and parts of training
            (projections, predictors) may stand beside it.
        prefix: where in a file the network is, if copies of it stand under several (see `Copy.place`); some
            parts of it are enough.
        download: whether published weights may be downloaded.

    Returns:
        Float tensors as float32. The head has as many outputs as the weights have; of several heads whose
        outputs are averaged it is one that gives the mean, and zeros stand for the bias of a network whose
        head has none.

    Raises:
        ConfigError: no such weights; weights of another network, or tensors that are missing, left over or
            of another shape; no head; several copies.
        SetupError: a package that is not installed.
    """
    names = matching.names_of(settings)
    contents = _contents(settings, weights, named, download, names.bytes)
    section = named.rpartition(".")[0]
    cure = f"choose one by {section}.prefix" if section else "keep the wanted one alone in the file"
    copy = matching.choose(contents, names, prefix, weights, cure)
    if copy is None or not any(copy.fits):
        raise _another_network(weights, names, contents)
    _check_backbone(copy, names, weights)
    found = _head(copy, names, weights) if head else None
    _check_rest(copy, names, weights, found)
    if head and found is None:
        raise _headless(copy, names, weights)
    _say(copy, names, weights, found, contents)
    state = {_backbone(names) + name: _of(copy, names, name, weights) for name in names.backbone}
    return state | {f"head.{kind}": tensor for kind, tensor in (found or {}).items()}


def check(
    settings: ArchitectureSettings, weights: str, named: str, *, head: bool = True, prefix: str | None = None
) -> int:
    """Refuse weights that will not do before anything runs: a file is read, a published name only looked up.

    Args:
        weights, named, head, prefix: as of `read`.

    Returns:
        How many outputs their head has; 0 where none is wanted, or published ones have none.

    Raises:
        ConfigError, SetupError: as `read`.
    """
    if packages.is_name(weights):
        published.check(settings, weights, named)
        return published.outputs(settings, weights) if head else 0
    state = read(settings, weights, named, head=head, prefix=prefix)
    return len(state["head.bias"]) if head else 0


def _backbone(names: Names) -> str:
    """What stands before the names of a backbone in this house."""
    return "backbone." if names.heads.last else f"backbone.{TAPPED}."


def _contents(
    settings: ArchitectureSettings, weights: str, named: str, download: bool, network: int
) -> list[Content]:
    """Args: network: its bytes."""
    if packages.is_name(weights):
        return [Content("", published.state(settings, weights, named, download))]
    if not os.path.exists(weights):
        raise ConfigError(
            f"{named}: no file '{weights}'; give the path of one, or the name of published weights"
        )
    return weight_files.read(Path(weights), network)


def _of(copy: Copy, names: Names, name: str, weights: str) -> torch.Tensor:
    """A tensor of the backbone; a counter that old files do not have is 0."""
    if name not in copy.tensors:
        return torch.zeros(names.backbone[name], dtype=names.dtypes[name])
    if name.rpartition(".")[2] in _NOT_LEARNED:  # counters that were averaged, masks of minus infinity
        return copy.tensors[name]
    told = f"{weights}: tensor {shown(name)}{_under(copy)}"
    return weight_files.numbers(copy.tensors[name], names.dtypes[name], told)


# Refusals


def _another_network(weights: str, names: Names, contents: Sequence[Content]) -> ConfigError:
    largest = max(contents, key=lambda content: len(content.tensors)).tensors
    return ConfigError(
        f"{weights}: holds the weights of another network than {names.title}, none of whose tensors "
        f"({_listed([*names.of_weight, *names.head])}) is in it; it has {_listed(largest)}"
    )


def _check_backbone(copy: Copy, names: Names, weights: str) -> None:
    """Refuse a copy of which tensors are missing or of another shape."""
    missing = [name for name in names.of_weight if name not in copy.tensors]
    if missing:
        surplus = [name for name in copy.tensors if name not in names.backbone and name not in names.head]
        instead = f"; it has {_listed(surplus)} instead" if surplus else ""
        raise ConfigError(
            f"{weights}: of {len(names.of_weight)} tensors of {names.title}'s backbone {len(missing)} are "
            f"missing{_under(copy)}: {_listed(missing)}{instead}; are they weights of another network?"
        )
    for name in names.of_weight:
        found, needed = copy.tensors[name].shape, names.backbone[name]
        if found != needed:
            raise ConfigError(
                f"{weights}: tensor '{name}'{_under(copy)} is {tuple(found)}, and {names.title} needs "
                f"{tuple(needed)}; {_cure_of_shape(name)}"
            )


def _cure_of_shape(name: str) -> str:
    if "pos" in name.rpartition(".")[2] or "position" in name:
        return (
            "these are positions in a picture of another size: set input.resolution to the one that the "
            "weights expect, or the network's own size by its option (architecture.img_size, image_size)"
        )
    return "correct the architecture or its options, if they are not weights of another network"


def _check_rest(copy: Copy, names: Names, weights: str, head: State | None) -> None:
    """Refuse what stands beside the network's own tensors under the prefix, unless it may be left out.

    Args:
        head: the one that was found; None if it is not wanted, or there is none.

    Raises:
        ConfigError: parts of training beside a head, or tensors of a network that has more.
    """
    rest = _rest(copy, names, head)
    training = [name for name in rest if names.under_head(name) or _is_of_training(name)]
    unknown = [name for name in rest if name not in training and not _is_known(name)]
    if unknown:
        raise ConfigError(
            f"{weights}: holds {len(unknown)} tensors{_under(copy)} that {names.title} has not: "
            f"{_listed(unknown)}; are they weights of another network (a deeper one)?"
        )
    if training and head is not None:
        raise ConfigError(
            f"{weights}: holds parts of its training{_under(copy)} beside the head of {names.title}: "
            f"{_listed(training)}; remove them, or ask for a head of its own (head: probe)"
        )


def _rest(copy: Copy, names: Names, head: State | None) -> list[str]:
    """What stands under the prefix and is not read."""
    taken = {*names.backbone, *(names.head if head is not None else ())}
    return [name for name in copy.tensors if name not in taken]


def _is_of_training(name: str) -> bool:
    first = name.partition(".")[0]
    return first in _TRAINING_ONLY or first.startswith(_TRAINING_BEGINS)


def _is_known(name: str) -> bool:
    """Whether a tensor is of an auxiliary head, or nothing that is learned."""
    first, last = name.partition(".")[0], name.rpartition(".")[2]
    return bool(re.fullmatch(_AUXILIARY, first)) or last in _NOT_LEARNED


def _headless(copy: Copy, names: Names, weights: str) -> ConfigError:
    instead = [name for name in copy.tensors if names.under_head(name)]
    place = f" (in its place stand {_listed(instead)})" if instead else ""
    return ConfigError(
        f"{weights}: a backbone without a head{place}, so that nothing can be said of source classes "
        "(memories, heatmaps); set `head: probe` to fit one on the source's training images"
    )


def _under(copy: Copy) -> str:
    return f" under '{copy.place}'" if copy.place else ""


def _listed(names: Sequence[str] | Mapping[str, torch.Tensor]) -> str:
    """The first three names, and how many more there are."""
    first = ", ".join(map(shown, list(names)[:3]))
    return first + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _say(copy: Copy, names: Names, weights: str, head: State | None, contents: Sequence[Content]) -> None:
    """Log where the network was found, and what of the file is not used."""
    if copy.place:
        job.log.info("%s: the tensors of %s stand under '%s'", weights, names.title, copy.place)
    own_head = _own_head_names(copy, names) if head is not None else ()
    elsewhere = [name for name in copy.whole if not name.startswith(copy.prefix) and name not in own_head]
    others = [f"{c.wrapper}.{name}" for c in contents if c.wrapper != copy.wrapper for name in c.tensors]
    if unused := [*_rest(copy, names, head), *elsewhere, *others]:
        job.log.info("%s: not used: %s", weights, _listed(unused))


# Heads


def _head(copy: Copy, names: Names, weights: str) -> State | None:
    """Weight [outputs, features] and bias [outputs] of the head; None if there is none."""
    present = [name for name in names.head if name in copy.tensors]
    if not present:
        return _own_head(copy, names, weights)
    for name, shape in names.head.items():
        found = copy.tensors.get(name)
        if found is None:
            raise ConfigError(
                f"{weights}: tensor '{name}' of the head is missing{_under(copy)}; save all of it"
            )
        if found.ndim != len(shape) or found.shape[1:] != shape[1:]:
            raise ConfigError(
                f"{weights}: tensor '{name}'{_under(copy)} is {tuple(found.shape)}, and {names.title} needs "
                f"{('outputs', *shape[1:])}"
            )
    if len({len(copy.tensors[name]) for name in names.head}) > 1:
        raise ConfigError(
            f"{weights}: the heads {_listed(names.heads.paths)} have different numbers of outputs; save "
            "weights and biases of one head each"
        )
    merged = one_head([_linear(copy, path, weights) for path in names.heads.paths])
    return {"weight": merged.weight.detach(), "bias": merged.bias.detach()}


def _linear(copy: Copy, path: str, weights: str) -> nn.Linear:
    weight, bias = (_of_head(copy.tensors, f"{path}.{kind}", weights) for kind in ("weight", "bias"))
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    with torch.no_grad():
        linear.weight.copy_(weight)
        if bias is not None:
            linear.bias.copy_(bias)
    return linear


def _of_head(tensors: Mapping[str, torch.Tensor], name: str, weights: str) -> torch.Tensor | None:
    """A tensor of the head; None where there is none."""
    if name not in tensors:
        return None
    return weight_files.numbers(tensors[name], torch.float32, f"{weights}: tensor {shown(name)}")


def _own_head(copy: Copy, names: Names, weights: str) -> State | None:
    """The head of a state that this house saved: `head.*` beside `backbone.*`."""
    own = [name for name in _own_head_names(copy, names) if name in copy.whole]
    found = {name: _of_head(copy.whole, name, weights) for name in own}
    for kind in ("weight", "bias") if found else ():
        if not any(name.endswith(f"head.{kind}") for name in found):
            raise ConfigError(f"{weights}: tensor 'head.{kind}' is missing")
    return {name.rpartition(".")[2]: tensor for name, tensor in found.items()} or None


def _own_head_names(copy: Copy, names: Names) -> tuple[str, ...]:
    """Where a state that this house saved has its head."""
    if not copy.prefix.endswith(_backbone(names)):
        return ()
    before = copy.prefix.removesuffix(_backbone(names))
    return f"{before}head.weight", f"{before}head.bias"


# Into a network


def load(module: nn.Module, state: Mapping[str, torch.Tensor], origin: str) -> None:
    """Load a state strictly.

    Raises:
        ConfigError: a missing, surplus or misshapen tensor, by name.
    """
    own = module.state_dict()
    for name in state:
        if name not in own:
            raise ConfigError(f"{origin}: unexpected tensor {shown(name)}" + nearest(name, list(own)))
    for name, tensor in own.items():
        if name not in state:
            raise ConfigError(f"{origin}: tensor '{name}' is missing")
        if tensor.shape != state[name].shape:
            raise ConfigError(
                f"{origin}: tensor '{name}' is {tuple(state[name].shape)}, this architecture with these "
                f"source classes needs {tuple(tensor.shape)}"
            )
    module.load_state_dict(dict(state))
