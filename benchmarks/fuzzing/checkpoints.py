"""Checkpoints: spoiled tensors and spoiled files; what is read is compared with what was saved."""

import os
import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from fuzzing import spoiling
from fuzzing.cases import Case, Group, judged, tried
from fuzzing.children import NotMade, Report

KINDS = ("pt", "pt", "safetensors", "legacy")
State = dict[str, Any]


class Checkpoint:
    """A file of weights on its way.

    Attributes:
        state: the named tensors.
        around: what of the state is saved: itself, or something around it.
        late: what is done to the file.
        things: what was touched.
    """

    def __init__(self, state: State, kind: str):
        self.state, self.kind = state, kind
        self.around: Callable[[State], Any] = lambda state: state
        self.late: list[tuple[Callable[..., None], Random]] = []
        self.things: list[str] = []


class Checkpoints(Group):
    """Weights from elsewhere."""

    name = "checkpoints"

    def __init__(self):
        self.steps = {
            step.__name__: step
            for step in (
                *(
                    _bytes,
                    _bytes,
                    _no_plain_file,
                    _numbers,
                    _dtype,
                    _shape,
                    _left_out,
                    _renamed,
                    _added,
                    _wrapped,
                ),
                *(_odd_object, _code, _member, _header, _layout),
            )
        }

    def prepare(self, folder: Path) -> None:
        """A sound state of a small network."""
        from transferlens.core.settings import ArchitectureSettings, NetworkSettings
        from transferlens.models import architectures, weights

        self.settings = ArchitectureSettings(name="small_resnet", width=8)
        given = NetworkSettings(name="small_resnet", width=8, resolution=28)
        network = architectures.make(given, 10)
        self.state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        torch.save(self.state, folder / "net.pt")
        weights.read(self.settings, str(folder / "net.pt"))

    def play(self, case: Case, report: Report) -> None:
        """Save, spoil, read, and compare."""
        from transferlens.models import weights

        made = Checkpoint(dict(self.state), case.random.choice(KINDS))
        path = Path("net.safetensors" if made.kind == "safetensors" else "net.pt").absolute()
        try:
            for step in case.steps(list(self.steps)):
                self.steps[step.name](made, step.random)
            _save(made, path)
        except Exception as error:  # those of torch, of which there are many
            raise NotMade from error
        for change, numbers in made.late:
            if spoiling.is_small(path):
                change(path, numbers)
        things = [*made.things, path.name]
        read = tried(report, "read weights", lambda: weights.read(self.settings, str(path)), things)
        if Path("ran").exists():
            judged(report, "read weights", ["code in the file was run"])
        elif read.accepted:
            judged(report, "read weights", _otherwise(read.value, made, path))


def _save(made: Checkpoint, path: Path) -> None:
    if made.kind == "safetensors":
        from safetensors.torch import save_file

        plain = {
            k: v.clone() for k, v in made.state.items() if torch.is_tensor(v) and v.layout == torch.strided
        }
        save_file({k: v.contiguous() for k, v in plain.items() if not v.is_quantized}, path)
    else:
        torch.save(made.around(made.state), path, _use_new_zipfile_serialization=made.kind == "pt")


def _otherwise(taken: State, made: Checkpoint, path: Path) -> list[str]:
    """Where what was read is not what was saved, unless the file says so without contradicting itself."""
    bad = [name for name, tensor in taken.items() if not torch.isfinite(tensor).all()]
    if bad:
        return [f"'{bad[0]}' holds numbers that are not finite"]
    expected = {name: tensor for name, tensor in made.state.items() if torch.is_tensor(tensor)}
    if made.late and made.kind == "pt" and (damage := _contradiction(path)):
        return [f"a file that contradicts itself was taken: {damage}"] if _differs(taken, expected) else []
    if made.late and made.kind in ("safetensors", "legacy"):
        return []  # neither holds a checksum
    return _differs(taken, expected)


def _differs(taken: State, expected: State) -> list[str]:
    """Whether the multiset of tensors that was read is within that of those that were saved."""
    known = {_key(tensor) for tensor in expected.values() if tensor.layout == torch.strided}
    zeros = {
        name for name, tensor in taken.items() if not tensor.any()
    }  # a bias or counter that is not there
    lost = [name for name, tensor in taken.items() if name not in zeros and _key(tensor) not in known]
    return [f"'{lost[0]}' is no tensor that was saved"] if lost else []


def _key(tensor: torch.Tensor) -> tuple:
    number = tensor.float() if tensor.is_floating_point() else tensor
    return tuple(number.shape), number.detach().contiguous().numpy().tobytes()


def _contradiction(path: Path) -> str:
    """What an own reading of the zip archive finds: a checksum, a member twice; '' for nothing."""
    try:
        with zipfile.ZipFile(path) as opened:
            names = opened.namelist()
            if len(set(names)) < len(names):
                return "a member is there twice"
            bad = opened.testzip()
            return f"the checksum of '{bad}'" if bad else ""
    except (zipfile.BadZipFile, OSError, NotImplementedError, EOFError, ValueError, RuntimeError) as error:
        return str(error)


# What goes wrong


def _bytes(made: Checkpoint, numbers: Random) -> None:
    made.late.append((spoiling.spoil_bytes, numbers))


def _no_plain_file(made: Checkpoint, numbers: Random) -> None:
    made.late.append((numbers.choice(list(spoiling.FILES.values())), numbers))


def _a_tensor(made: Checkpoint, numbers: Random) -> str:
    name = numbers.choice([name for name in made.state if torch.is_tensor(made.state[name])] or [""])
    made.things += [name, name.partition(".")[2]]
    return name


def _numbers(made: Checkpoint, numbers: Random) -> None:
    name = _a_tensor(made, numbers)
    if name and made.state[name].is_floating_point() and made.state[name].numel():
        changed = made.state[name].clone()
        changed.view(-1)[numbers.randrange(changed.numel())] = numbers.choice(
            (float("nan"), float("inf"), -float("inf"))
        )
        made.state[name] = changed


def _dtype(made: Checkpoint, numbers: Random) -> None:
    name = _a_tensor(made, numbers)
    if name and made.state[name].layout == torch.strided and not made.state[name].is_quantized:
        kinds = (
            torch.float16,
            torch.bfloat16,
            torch.float64,
            torch.int32,
            torch.bool,
            torch.complex64,
            torch.uint8,
        )
        made.state[name] = made.state[name].to(numbers.choice(kinds))


def _shape(made: Checkpoint, numbers: Random) -> None:
    name = _a_tensor(made, numbers)
    if name:
        tensor = made.state[name]
        shapes = (
            lambda: tensor[:0],
            lambda: tensor.flatten(),
            lambda: tensor[None],
            lambda: tensor.repeat(2, *[1] * (tensor.ndim - 1)),
        )
        with suppress(RuntimeError, IndexError, NotImplementedError):  # a scalar, or spoiled before
            made.state[name] = numbers.choice(shapes)()


def _left_out(made: Checkpoint, numbers: Random) -> None:
    for _ in range(numbers.choice((1, 1, 5, 1000))):
        if made.state:
            del made.state[numbers.choice(list(made.state))]


def _renamed(made: Checkpoint, numbers: Random) -> None:
    if made.state and (name := _a_tensor(made, numbers)):
        others = (
            f"module.{name}",
            name.upper(),
            "",
            "\x1b[2J",
            name + ".",
            "x" * 5000,
            "na\nme",
            f"{name}\0",
        )
        other = numbers.choice(others)
        made.state[other] = made.state.pop(name)
        made.things.append(other)


def _added(made: Checkpoint, numbers: Random) -> None:
    name = numbers.choice(
        ("extra.weight", "fc2.weight", "epoch", "head.weight", "\x1b[31m.weight", "backbone." + "a" * 500)
    )
    made.state[name] = numbers.choice(
        (torch.zeros(3), torch.zeros(0), torch.tensor(1.0), torch.zeros(10, 32))
    )
    made.things.append(name)


def _wrapped(made: Checkpoint, numbers: Random) -> None:
    """The state within something else."""
    ways: tuple[Callable[[State], Any], ...] = (
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: _nested(state, 3),
        lambda state: _nested(state, 400),
        _within_itself,
        lambda state: [state],
        lambda state: {f"part{i}": dict(state) for i in range(30)},
        lambda state: {"model": state, "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}},
    )
    made.around = numbers.choice(ways)


def _nested(state: State, depth: int) -> Any:
    for _ in range(depth):
        state = {"a": state}
    return state


def _within_itself(state: State) -> Any:
    content = dict(state)
    content["self"] = content
    return content


def _odd_object(made: Checkpoint, numbers: Random) -> None:
    """No state at all."""
    objects = (
        *(3, [], {}, None, "text", torch.zeros(3), {1: torch.zeros(2)}, np.zeros(3), {"a": {"b": {}}}),
        {"fc.weight": None},
    )
    other = numbers.choice(objects)
    made.around = lambda _: other


class _Runs:
    """A pickle that runs code when it is loaded."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("ran",)


def _code(made: Checkpoint, numbers: Random) -> None:
    if made.kind != "safetensors":
        if numbers.random() < 0.5:
            made.state["code"] = _Runs()
        else:
            made.late.append(
                (lambda path, _: (spoiling.replace(path), path.write_bytes(pickle.dumps(_Runs()))), numbers)
            )


def _layout(made: Checkpoint, numbers: Random) -> None:
    """Sparse, quantised, on no device, or a view of something huge."""
    name = _a_tensor(made, numbers)
    if not name or not made.state[name].is_floating_point() or made.state[name].layout != torch.strided:
        return
    tensor = made.state[name]
    kinds: tuple[Callable[[], Any], ...] = (
        lambda: tensor.to_sparse(),
        lambda: torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.qint8),
        lambda: torch.empty(tensor.shape, device="meta"),
        lambda: torch.zeros(1).expand(tensor.shape),
        lambda: torch.zeros(1).expand(2**34),
        lambda: torch.nn.Parameter(tensor.clone()),
    )
    made.state[name] = numbers.choice(kinds)()


def _member(made: Checkpoint, numbers: Random) -> None:
    if made.kind == "pt":
        made.late.append((_spoil_members, numbers))


def _spoil_members(path: Path, numbers: Random) -> None:
    """A member of the zip archive that is there twice, gone, of another size, compressed, or another's."""
    try:
        with zipfile.ZipFile(path) as opened:
            members = [(info.filename, opened.read(info)) for info in opened.infolist()]
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError, ValueError):
        return
    i, j = numbers.randrange(len(members)), numbers.randrange(len(members))
    name, data = members[i]
    kind = numbers.choice(("twice", "gone", "short", "long", "swapped", "packed", "bomb"))
    changed = {
        "twice": [*members, (name, spoiling.flipped(data, numbers))],
        "gone": members[:i] + members[i + 1 :],
        "short": [*members[:i], (name, data[: len(data) // 2]), *members[i + 1 :]],
        "long": [*members[:i], (name, data * 2), *members[i + 1 :]],
        "swapped": [*members[:i], (name, members[j][1]), *members[i + 1 :]],
    }.get(kind, members)
    if kind == "bomb":
        changed = [*members, (f"{name}x", bytes(50_000_000))]
    with zipfile.ZipFile(
        path, "w", zipfile.ZIP_STORED if kind in changed else zipfile.ZIP_DEFLATED
    ) as opened:
        for own, content in changed:
            opened.writestr(
                zipfile.ZipInfo(own), content, zipfile.ZIP_DEFLATED if kind in ("packed", "bomb") else None
            )


def _header(made: Checkpoint, numbers: Random) -> None:
    if made.kind == "safetensors":
        made.late.append((_spoil_header, numbers))


def _spoil_header(path: Path, numbers: Random) -> None:
    """A safetensors header that lies: of sizes, offsets, types."""
    import json

    try:
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        if not header:  # emptied before
            return
        name = numbers.choice(list(header))
        entry = header[name]
        kind = numbers.choice(("offsets", "shape", "huge", "dtype", "length", "overlap", "metadata"))
        if kind == "offsets":
            entry["data_offsets"] = [entry["data_offsets"][0], entry["data_offsets"][1] + 4]
        elif kind == "shape":
            entry["shape"] = [2**62, *entry["shape"]]
        elif kind == "huge":
            entry["data_offsets"] = [0, 2**50]
        elif kind == "dtype":
            entry["dtype"] = numbers.choice(("F64", "I32", "F99", "BOOL", "F32"))
        elif kind == "overlap":
            entry["data_offsets"] = [0, entry["data_offsets"][1] - entry["data_offsets"][0]]
        elif kind == "metadata":
            header["__metadata__"] = {"format": "\x1b[2J" * 10}
        text = json.dumps(header).encode()
        size = numbers.choice((2**40, 0, 3)) if kind == "length" else len(text)
        path.write_bytes(size.to_bytes(8, "little") + text + data[8 + length :])
    except (OSError, ValueError, KeyError, TypeError):
        return  # spoiled before
