"""Which tensors of a file are those of a network, whatever wrapper and prefix they stand under.

Nothing goes by the name of a project: a prefix is what stands before a name that the network has, and the one
under which most tensors have the network's names and shapes is taken.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from transferlens.core.errors import ConfigError, nearest
from transferlens.core.settings import ArchitectureSettings, NetworkSettings
from transferlens.models import architectures, contract
from transferlens.models.heads import Heads
from transferlens.models.weight_files import Content

# Of two copies of a network that fit alike, the one that their publishers' own evaluation takes.
_PREFERRED = (
    ("base_encoder", "momentum_encoder"),  # MoCo v3, main_lincls.py
    ("encoder_q", "encoder_k"),  # MoCo v1 and v2, main_lincls.py
    ("teacher", "student"),  # DINO, eval_linear.py (--checkpoint_key)
    ("online_encoder", "target_encoder"),  # BYOL
)
_COUNTER = "num_batches_tracked"  # decides nothing in a network that is evaluated, and old files have none


@dataclass(frozen=True)
class Names:
    """A network's tensors as its publishers name them.

    Attributes:
        title: what the network is called.
        backbone: shapes by name.
        heads: paths of the linear layers that give logits; `Heads`.
        head: shapes by name, of which the first number (of outputs) is free.
        dtypes: of all tensors by name.
    """

    title: str
    backbone: dict[str, torch.Size]
    heads: Heads
    head: dict[str, torch.Size]
    dtypes: dict[str, torch.dtype]

    @property
    def bytes(self) -> int:
        """Of all numbers, as the network holds them."""
        sizes = {**self.backbone, **self.head}
        return sum(shape.numel() * self.dtypes[name].itemsize for name, shape in sizes.items())

    @property
    def of_weight(self) -> list[str]:
        """Names of the backbone's tensors that decide what it computes."""
        return [name for name in self.backbone if not name.endswith(_COUNTER)]

    def under_head(self, name: str) -> bool:
        """Whether a tensor stands where the head is, or below."""
        return any(name.startswith(f"{path}.") for path in self.heads.paths)


def names_of(settings: ArchitectureSettings) -> Names:
    """The names of a network, which is built for it on the CPU.

    Raises:
        ConfigError, SetupError: as `contract.find`.
    """
    given = NetworkSettings.model_validate(settings.model_dump())
    heads = contract.find(given).heads
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        state = architectures.make(given, 1000).state_dict()
    of_head = {f"{path}.{kind}" for path in heads.paths for kind in ("weight", "bias")}
    shapes = {name: tensor.shape for name, tensor in state.items()}
    return Names(
        given.title,
        {name: shape for name, shape in shapes.items() if name not in of_head},
        heads,
        {name: shape for name, shape in shapes.items() if name in of_head},
        {name: tensor.dtype for name, tensor in state.items()},
    )


@dataclass(frozen=True, eq=False)
class Copy:
    """Tensors of a file under one wrapper and prefix, one of which may be a network's.

    Attributes:
        wrapper: as of `Content`.
        prefix: before the network's names in it; '' or with a dot at its end.
        whole: all tensors of the wrapper.
        fits: how many have (a name of the backbone, also its shape, a name and the shape of the head).
    """

    wrapper: str
    prefix: str
    whole: Mapping[str, torch.Tensor]
    fits: tuple[int, int, int]

    @property
    def place(self) -> str:
        """Wrapper and prefix, joined by dots."""
        return ".".join(part for part in (self.wrapper, self.prefix.removesuffix(".")) if part)

    @cached_property
    def tensors(self) -> dict[str, torch.Tensor]:
        """The tensors under the prefix, by their names without it."""
        return {
            name.removeprefix(self.prefix): tensor
            for name, tensor in self.whole.items()
            if name.startswith(self.prefix)
        }


def choose(
    contents: Sequence[Content], names: Names, prefix: str | None, origin: str, cure: str
) -> Copy | None:
    """The copy of a network that a file holds, or what comes closest to one; None where no name is known.

    Args:
        prefix: where the user says it is: some parts of its place.
        origin: what the weights are called, in messages.
        cure: what chooses among several.

    Raises:
        ConfigError: several fit alike and completely, but differ; or nothing is where the user says.
    """
    copies = [copy for content in contents for copy in _copies(content, names)]
    if prefix is not None:
        copies = _at(prefix, copies, names, origin)
    best = max((copy.fits[:2] for copy in copies), default=(0, 0))
    alike = sorted((copy for copy in copies if copy.fits[:2] == best), key=_plainest)
    if not alike or best[1] < len(names.of_weight):
        return alike[0] if alike else None
    alike = _without_equals(alike, names)
    left = [copy for copy in alike if not any(_preferred(other, copy) for other in alike)]
    if len(left) > 1:
        places = " and ".join(f"'{copy.place}'" for copy in left)
        raise ConfigError(f"{origin}: copies of {names.title} that differ stand under {places}; {cure}")
    return left[0]


def _plainest(copy: Copy) -> tuple[int, int, str]:
    """The order among copies with the same backbone: those with a head first, then those less deep."""
    return -copy.fits[2], len(copy.place), copy.place


def _copies(content: Content, names: Names) -> Iterator[Copy]:
    """Every prefix under which tensors have names of the network (whose parts may begin with underscores)."""
    plain = {_without_underscores(name): tensor for name, tensor in content.tensors.items()}
    for whole in [content.tensors, *([plain] if plain.keys() != content.tensors.keys() else [])]:
        fitting, heads, named = Counter[str](), Counter[str](), Counter[str]()
        for name, tensor in whole.items():
            for prefix, own in _ways_to_cut(name):
                if own in names.head:
                    heads[prefix] += tensor.shape[1:] == names.head[own][1:]
                elif own in names.backbone and not own.endswith(_COUNTER):
                    named[prefix] += 1
                    fitting[prefix] += tensor.shape == names.backbone[own]
        for prefix in {**named, **heads}:
            yield Copy(content.wrapper, prefix, whole, (named[prefix], fitting[prefix], heads[prefix]))


def _ways_to_cut(name: str) -> Iterator[tuple[str, str]]:
    """(prefix, rest) at every dot: `a.b.c` is `a.b.c`, `b.c` after `a.`, and `c` after `a.b.`."""
    parts = name.split(".")
    for i in range(len(parts)):
        rest = ".".join(parts[i:])
        yield name[: len(name) - len(rest)], rest


def _without_underscores(name: str) -> str:
    """`_blocks.0._bn1.weight` as `blocks.0.bn1.weight`."""
    return ".".join(part.removeprefix("_") for part in name.split("."))


def _at(prefix: str, copies: list[Copy], names: Names, origin: str) -> list[Copy]:
    """The copies whose place has the parts that the user says, one after the other."""
    wanted = prefix.strip(".")
    found = [copy for copy in copies if f".{wanted}." in f".{copy.place}."]
    if not found:
        half = [copy.place for copy in copies if copy.fits[0] > len(names.of_weight) / 2]
        known = nearest(prefix, half) if half else ""
        raise ConfigError(f"{origin}: nothing of {names.title} stands under '{prefix}'{known}")
    return found


def _without_equals(copies: list[Copy], names: Names) -> list[Copy]:
    """Copies that differ: of several with the same tensors, the first (one module under two names, say)."""
    kept: list[Copy] = []
    for copy in copies:
        if not any(_equal(copy, other, names) for other in kept):
            kept.append(copy)
    return kept


def _equal(copy: Copy, other: Copy, names: Names) -> bool:
    """Whether two copies have the same backbone, and the same head if both have one."""
    heads = [name for name in names.head if name in copy.tensors and name in other.tensors]
    return all(torch.equal(copy.tensors[name], other.tensors[name]) for name in [*names.of_weight, *heads])


def _preferred(copy: Copy, other: Copy) -> bool:
    """Whether a copy is the one of a known pair that is evaluated, and another its counterpart."""
    own, others = (
        [part for part in one.place.split(".") if part != "module"]  # of DataParallel, on either one only
        for one in (copy, other)
    )
    return any(
        worse in others and own == [better if part == worse else part for part in others]
        for better, worse in _PREFERRED
    )
