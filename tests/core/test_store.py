"""Artefacts: whole or absent, labelled, and refused when damaged."""

import fcntl
import json
import multiprocessing
import os
import signal
import time

import h5py
import numpy as np
import pandas as pd
import pytest

from transferlens.core import store
from transferlens.core.errors import ArtefactError


def write(path, **attributes):
    with store.create(path, "test", config={"b": 1, "a": [2]}, seed=7, inputs=[]) as out:
        out.array("x", np.arange(6.0).reshape(2, 3), ["rows", "columns"], "a cell", "metres")
        out.strings("names", ["α", "b"], ["rows"], "name of the row")
        out.empty("y", (2,), np.int32, ["rows"], "to be filled")[:] = [4, 5]
    with h5py.File(path, "r+") as file:
        file.attrs.update(attributes)
    return path


def test_what_is_written_can_be_read_with_its_labels_and_provenance(tmp_path):
    with store.open(write(tmp_path / "a/b.h5"), "test") as file:
        assert file["x"][:].tolist() == [[0, 1, 2], [3, 4, 5]]
        assert [d.label for d in file["x"].dims] == ["rows", "columns"]
        assert (file["x"].attrs["meaning"], file["x"].attrs["units"]) == ("a cell", "metres")
        assert (file["x"].fletcher32, file["x"].compression) == (True, "lzf")
        assert store.strings(file["names"]) == ["α", "b"]
        assert store.settings(file) == {"a": [2], "b": 1}
        assert file.attrs["seed"] == 7
        assert "torch" in json.loads(file.attrs["software"])


def test_inputs_are_recorded_by_content(tmp_path):
    (tmp_path / "input").write_bytes(b"abc")
    with store.create(tmp_path / "x.h5", "test", config={}, inputs=[tmp_path / "input"]):
        pass
    with store.open(tmp_path / "x.h5", "test") as file:
        recorded = json.loads(file.attrs["inputs"])
    # SHA-256 of "abc", from the standard.
    assert recorded[str(tmp_path / "input")].startswith("ba7816bf8f01cfea")


def test_an_error_while_writing_leaves_nothing_and_the_old_file_stays(tmp_path):
    path = write(tmp_path / "x.h5")
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), store.create(path, "test", config={}):
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["x.h5"]
    assert path.read_bytes() == before


def test_what_a_killed_job_left_is_cleaned_by_the_next(tmp_path):
    (tmp_path / ".x.h5.999.tmp").write_bytes(b"half")
    write(tmp_path / "x.h5")
    assert [p.name for p in tmp_path.iterdir()] == ["x.h5"]


def test_dimensions_must_be_named(tmp_path):
    with pytest.raises(ValueError, match="2 axes"), store.create(tmp_path / "x", "t", config={}) as out:
        out.array("x", np.ones((2, 2)), ["rows"], "a cell")


def flip_a_byte(path):
    with h5py.File(path) as file:
        chunk = file["x"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + 3] ^= 0xFF
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "damaged"),
        (flip_a_byte, "damaged"),
        (lambda p: p.write_bytes(b"no HDF5"), "damaged or not an HDF5 file"),
        (lambda p: p.unlink(), "no such file; run snakemake"),
        (lambda p: write(p, schema_version=store.SCHEMA_VERSION + 1), "newer Transferlens"),
        (lambda p: write(p, kind="other"), "holds 'other' where 'test' was expected"),
    ],
)
def test_a_damaged_or_foreign_file_is_named(tmp_path, damage, message):
    path = write(tmp_path / "x.h5")
    damage(path)
    with pytest.raises(ArtefactError, match=message) as caught, store.open(path, "test") as file:
        file["x"][:]
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError, match="cannot be written"):
        write(tmp_path / "file" / "x.h5")


def read_both(damaged, whole, name):
    with store.open(damaged, "test") as one, store.open(whole, "test") as other:
        return other["group/values"][:], one[name][:]


def test_damage_is_blamed_on_the_file_that_has_it(tmp_path):
    """With two files open, a flipped byte anywhere names the damaged one, never the other."""
    whole, damaged = tmp_path / "whole.h5", tmp_path / "damaged.h5"
    for path in (whole, damaged):
        with store.create(path, "test", config={}) as out:
            out.array("group/values", np.arange(3000.0), ["x"], "test")
            out.strings("names", ["a", "bé"], ["x"], "test")
    with h5py.File(damaged) as file:
        header = h5py.h5o.get_info(file["group/values"].id).addr
        chunk = file["names"].id.get_chunk_info(0).byte_offset
    original = damaged.read_bytes()
    for offset, name in ((header + 12, "group/values"), (chunk + 1, "names")):
        damaged.write_bytes(original[:offset] + bytes([original[offset] ^ 255]) + original[offset + 1 :])
        with pytest.raises(ArtefactError, match=r"damaged\.h5: damaged"):
            read_both(damaged, whole, name)


def test_a_missing_array_of_a_whole_file_is_a_mistake_of_the_reader(tmp_path):
    with store.create(tmp_path / "x.h5", "test", config={}):
        pass
    with pytest.raises(KeyError), store.open(tmp_path / "x.h5", "test") as file:
        file["nothing"]


@pytest.mark.parametrize("names", [[], [""], ["a", "", "ünï"]])
def test_names_come_back(tmp_path, names):
    with store.create(tmp_path / "x.h5", "test", config={}) as out:
        out.strings("names", names, ["x"], "test")
    with store.open(tmp_path / "x.h5", "test") as file:
        assert store.strings(file["names"]) == names


def write_for_ever(folder):
    for i in range(10**9):
        with store.create(folder / "x.h5", "test", config={}) as out:
            out.array("x", np.full(60_000, i), ["x"], "test")
        with store.replace_file(folder / "x.csv") as temporary:
            temporary.write_text(f"{i}\n" * 60_000)


def test_a_writer_killed_at_any_moment_leaves_whole_files_or_none(tmp_path):
    context, rng, left_overs = multiprocessing.get_context("fork"), np.random.default_rng(0), 0
    for _ in range(25):
        child = context.Process(target=write_for_ever, args=(tmp_path,))
        child.start()
        time.sleep(rng.uniform(0, 0.06))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        left_overs += len(list(tmp_path.glob(".*.tmp")))
        if (tmp_path / "x.h5").exists():
            with store.open(tmp_path / "x.h5", "test") as file:
                values = file["x"][:]
            assert (len(values), len(set(values))) == (60_000, 1)
        if (tmp_path / "x.csv").exists():
            lines = (tmp_path / "x.csv").read_text().splitlines()
            assert (len(lines), len(set(lines))) == (60_000, 1)
    assert left_overs  # some were killed while they wrote
    write(tmp_path / "x.h5")
    store.write_csv(tmp_path / "x.csv", pd.DataFrame({"x": [1]}))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.csv", "x.h5"]


def test_no_lock_is_asked_for(tmp_path):
    """Some file systems refuse every lock; here another process holds the only one."""
    path = write(tmp_path / "x.h5")
    holder = os.open(path, os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with pytest.raises(OSError, match="lock"):
        h5py.File(path)
    with store.open(path, "test") as file:
        assert file["x"].shape == (2, 3)
    with store.create(path, "test", config={}) as out:
        out.array("x", np.zeros(2), ["x"], "test")
    os.close(holder)
