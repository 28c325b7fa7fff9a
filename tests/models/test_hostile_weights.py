"""Files of weights from anybody: refused in one line, in bounded memory, with no code run."""

import argparse
import collections
import json
import os
import resource
import shutil
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from transferlens.core.errors import ArtefactError, ConfigError
from transferlens.core.settings import NetworkSettings
from transferlens.models import contract, weights
from transferlens.training import resumption

SETTINGS = NetworkSettings(name="small_resnet", width=8, resolution=16)
PROTO, STOP = b"\x80\x02", b"."


@pytest.fixture(scope="module")
def state():
    """A small network's own, with a head of three outputs."""
    from transferlens.models import architectures

    torch.manual_seed(0)
    return architectures.make(SETTINGS, 3).state_dict()


def refused(path):
    """The one line that refuses a file."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(ConfigError) as error:
        weights.read(SETTINGS, str(path))
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    assert "weights_only" not in message
    assert "safe_globals" not in message
    assert ";" in message
    return message


def saved(content, path, **options):
    torch.save(content, path, **options)
    return path


def repacked(path, pickled=None, **member):
    """The same file with another pickle in it, or members that are stored otherwise."""
    other = path.with_name("repacked.pt")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(other, "w") as new:
        for info in old.infolist():
            own = pickled if pickled is not None and info.filename.endswith("/data.pkl") else old.read(info)
            new.writestr(info.filename, own, **member)
    return other


def test_a_flipped_bit_in_a_tensor_is_no_other_network(state, tmp_path):
    path = saved(state, tmp_path / "w.pt")
    weights.read(SETTINGS, str(path))
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
        content = archive.read(largest)
    place = path.read_bytes().index(content) + len(content) // 2
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))
    torch.load(path)  # which does not notice
    assert f"('{largest.filename}' in it differs from its checksum)" in refused(path)


def test_what_a_killed_job_kept_is_compared_with_its_checksums(tmp_path):
    progress = resumption.Progress(tmp_path / "runs.h5", 0, "one")
    progress.save("model-0-state", {"network": torch.arange(1000.0)})
    path = progress.folder / "model-0-state.pt"
    content = bytearray(path.read_bytes())
    content[content.index(torch.arange(1000.0).numpy().tobytes()) + 2000] ^= 4
    path.write_bytes(content)
    with pytest.raises(ArtefactError, match=r"model-0-state.pt: .* differs from its checksum\); .* rm -r "):
        progress.load("model-0-state")


def test_files_that_are_none_or_cut_off(state, tmp_path):
    empty = tmp_path / "empty.pt"
    empty.touch()
    assert "is empty" in refused(empty)
    folder = tmp_path / "folder.pt"
    folder.mkdir()
    assert "is a folder, a pipe or a device" in refused(folder)
    os.mkfifo(tmp_path / "pipe.pt")
    assert "is a folder, a pipe or a device" in refused(tmp_path / "pipe.pt")
    for name in ("sparse.pt", "sparse.safetensors"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(1 << 42)
        assert "4,398,046,511,104 bytes, far more than the network explains" in refused(tmp_path / name)
    for name, write in (("cut.pt", torch.save), ("cut.safetensors", save_file)):
        write(state, tmp_path / name)
        os.truncate(tmp_path / name, (tmp_path / name).stat().st_size // 2)
        refused(tmp_path / name)
    for name in ("text.pt", "text.safetensors"):
        (tmp_path / name).write_text("a text, no network\n" * 100)
        assert "holds no readable weights" in refused(tmp_path / name)


def test_zip_files_of_another_hand(state, tmp_path):
    path = saved(state, tmp_path / "w.pt")
    weights.read(SETTINGS, str(repacked(path)))
    assert "compressed, which torch.save does not do" in refused(
        repacked(path, compress_type=zipfile.ZIP_DEFLATED)
    )
    twice = shutil.copy(path, tmp_path / "twice.pt")
    with zipfile.ZipFile(twice, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("w/data.pkl", b"")
    assert "('w/data.pkl' twice" in refused(twice).replace("it holds ", "")
    torch.serialization.set_crc32_options(False)
    try:
        weights.read(SETTINGS, str(saved(state, tmp_path / "without.pt")))
    finally:
        torch.serialization.set_crc32_options(True)
    program = tmp_path / "program.pt"
    torch.jit.script(nn.Linear(2, 2)).save(program)
    refused(program)


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_pickles_that_want_more_than_tensors(state, tmp_path):
    path = saved(state, tmp_path / "w.pt")
    proof = tmp_path / "proof"
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        message = refused(saved({"state_dict": state, "more": Evil(proof)}, tmp_path / "evil.pt", **options))
        assert "system, which is no tensor, and no code in it is run" in message
    assert not proof.exists()
    huge = PROTO + b"cbuiltins\nbytearray\n\x8a\x06" + (1 << 42).to_bytes(6, "little") + b"\x85R" + STOP
    assert "it asks for more memory than it has numbers" in refused(repacked(path, huge))
    huge = huge.replace(b"builtins\nbytearray", b"torch\nFloatTensor")
    assert "it asks for more memory than it has numbers" in refused(repacked(path, huge))


def test_sets_that_hold_themselves_or_each_other_many_times(state, tmp_path):
    inner = {}
    for _ in range(100):
        inner = {"a": inner, "b": inner}
    ring = {"state_dict": state, "laughs": inner}
    ring["ring"] = ring
    weights.read(SETTINGS, str(saved(ring, tmp_path / "ring.pt")))
    deep = PROTO + b"}" + b"X\x01\x00\x00\x00a}" * 100_000 + b"s" * 100_000 + STOP
    assert "holds no state of named tensors" in refused(repacked(tmp_path / "ring.pt", deep))


def expanded(tensor):
    return torch.zeros(1).expand(1 << 40, tensor.shape[-1])


@pytest.mark.parametrize(
    ("name", "change", "found"),
    [
        ("stem.0.weight", lambda t: t * float("nan"), "NaN or infinite"),
        ("fc.bias", lambda t: t / 0, "3 numbers that are NaN or infinite"),
        ("stem.0.weight", lambda t: t.double() * 1e300, "NaN or infinite"),
        ("stem.0.weight", lambda t: t + 1j, "numbers of torch.complex64, and the network torch.float32"),
        ("stem.0.weight", lambda t: (t * 100).to(torch.int8), "numbers of torch.int8"),
        ("fc.weight", lambda t: t.long(), "numbers of torch.int64"),
        ("stem.0.weight", lambda t: t.to_sparse(), "is sparse"),
        ("stem.0.weight", lambda t: t.to("meta"), "holds no numbers"),
        ("stem.0.weight", lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), "is quantised"),
        ("fc.weight", expanded, "far more than the network explains"),
        ("stem.0.weight", lambda t: t[..., :1], "needs"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_a_network_cannot_take(state, tmp_path, name, change, found):
    assert name in state
    path = saved({**state, name: change(state[name])}, tmp_path / "w.pt")
    message = refused(path)
    assert f"tensor '{name}'" in message
    assert found in message


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_taken(state, tmp_path, dtype):
    given = {name: t.to(dtype) for name, t in state.items()}  # counters, too, as averages have them
    made = weights.read(SETTINGS, str(saved(given, tmp_path / "w.pt", _use_new_zipfile_serialization=False)))
    assert {t.dtype for n, t in made.items() if not n.endswith("tracked")} == {torch.float32}
    weights.load(contract.build(SETTINGS, 3), made, "w.pt")


def header_of(state):
    """The header of a safetensors file, and its content."""
    file = Path(state)
    content = file.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def lying(path, header, content, size=None):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if size is None else size) + text + content)
    return path


def test_headers_of_safetensors_that_lie(state, tmp_path):
    save_file(state, tmp_path / "w.safetensors")
    header, content = header_of(tmp_path / "w.safetensors")
    path = tmp_path / "lying.safetensors"
    weights.read(SETTINGS, str(lying(path, header, content)))
    name, other = [n for n in header if n != "__metadata__"][:2]
    for changes in (
        {name: {**header[name], "data_offsets": [0, 1 << 40]}},
        {name: {**header[name], "data_offsets": header[other]["data_offsets"]}},
        {name: {**header[name], "shape": [1 << 40]}},
        {name: {**header[name], "dtype": "F1"}},
        {name: {**header[name], "data_offsets": [-8, 8]}},
    ):
        assert "holds no readable weights" in refused(lying(path, header | changes, content))
    for size in (1 << 63, 1 << 40, 0):
        assert "holds no readable weights" in refused(lying(path, header, content, size))
    assert "holds no readable weights" in refused(lying(path, header, content + b"more"))


def test_published_training_states_are_still_read(state, tmp_path):
    beside = {
        "args": argparse.Namespace(lr=0.1),
        "scheduler": {"milestones": collections.Counter([30, 60])},
        "optimizer": {"state": {0: {"step": 3, "momentum_buffer": state["stem.0.weight"]}}},
        "tags": {"a", "b"},
        "raw": b"bytes",
        "size": torch.Size([3]),
    }
    path = saved({"state_dict": state, **beside}, tmp_path / "w.pt")
    assert torch.equal(weights.read(SETTINGS, str(path))["head.bias"], state["fc.bias"])
