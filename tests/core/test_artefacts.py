"""Artefacts: whole or absent, labelled, and refused when damaged."""

import fcntl
import json
import multiprocessing
import os
import shutil
import signal
import time

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from transferlens.core import artefacts, files, labelled, provenance
from transferlens.core.artefacts import Artefact, Field, estimate
from transferlens.core.errors import ArtefactError

TEST = Artefact(
    kind="test",
    path="tests/{target}/{recipe}.h5",
    fields=(
        Field("row", ("row",), str, "name of the row"),
        Field("x", ("row", "column"), np.float64, "a cell", "metres"),
        Field("y", ("row",), np.int32, "to be filled"),
        Field("z", ("row",), bool, "may lack", optional=True),
        *estimate("*/effect", ("row", "column"), "what it adds", "se q", np.float32, units="nats"),
    ),
    groups={"weights": "stacked"},
    attributes={"note": "in words", "count": "of something"},
    choose=("output", "margin"),
)
PLAIN = Artefact("plain", "plain.h5", (Field("x", ("x",), np.float64, "values"),))


@pytest.fixture(autouse=True)
def job():
    """What the artefacts of a test are made from; nothing is left for the next test."""
    provenance.begin({"b": 1, "a": [2]}, seed=7)
    yield
    provenance.begin({})


def write(path, **attributes):
    with artefacts.create(path, TEST) as out:
        out.write("row", ["α", "b"])
        out.write("x", np.arange(6.0).reshape(2, 3))
        out.reserve("y", (2,))[:] = [4, 5]
        for output in ("margin", "p_true"):
            for name in ("effect", "effect_se", "effect_q"):
                out.write(f"{output}/{name}", np.full((2, 3), len(output)))
        out.stack("weights", "layer.weight", {"model": 2}, 4, np.float32)[:] = 1
        out.attribute("note", "größer")
        out.attribute("count", 3)
    with h5py.File(path, "r+") as file:
        file.attrs.update(attributes)
    return path


def test_what_is_written_can_be_read_with_its_labels_and_provenance(tmp_path):
    with artefacts.open(write(tmp_path / "a/b.h5"), TEST) as file:
        assert file["x"][:].tolist() == [[0, 1, 2], [3, 4, 5]]
        assert (file["x"].attrs["meaning"], file["x"].attrs["units"]) == (b"a cell", b"metres")
        assert (file["x"].fletcher32, file["x"].compression) == (True, None)
        assert file["margin/effect_q"].attrs["meaning"] == b"Benjamini-Hochberg q-value of what it adds"
        assert artefacts.names(file["row"]) == ["α", "b"]
        assert artefacts.settings_of(file) == {"a": [2], "b": 1}
        assert (file.attrs["seed"], file.attrs["note"], file.attrs["count"]) == (7, "größer", 3)
        assert "torch" in json.loads(file.attrs["software"])


def test_any_tool_sees_what_the_read_api_sees(tmp_path):
    path = write(tmp_path / "x.h5")
    tree = xr.open_datatree(path, engine="h5netcdf")
    ours = labelled.read(path, TEST, "p_true")
    assert tree["p_true"].to_dataset()["effect"].equals(ours["effect"])
    assert ours["effect"].dims == ("row", "column")
    assert ours.row.values.tolist() == ["α", "b"]
    assert (ours["effect"].values == len("p_true")).all()
    assert tree["weights/layer.weight"].dims == ("model", "size_4")
    assert ours.attrs["note"] == tree.attrs["note"] == "größer"
    tree.close()
    ours.to_netcdf(tmp_path / "again.nc", engine="h5netcdf")
    assert xr.open_dataset(tmp_path / "again.nc", engine="h5netcdf").equals(ours)
    with pytest.raises(ArtefactError, match=r"no output 'margn' .did you mean 'margin'"):
        labelled.read(path, TEST, "margn")


def test_inputs_are_recorded_by_content(tmp_path):
    (tmp_path / "input").write_bytes(b"abc")
    provenance.begin({}, [tmp_path / "input"])
    write(tmp_path / "x.h5")
    with artefacts.open(tmp_path / "x.h5", TEST) as file:
        recorded = artefacts.inputs_of(file)
    # SHA-256 of "abc", from the standard.
    assert recorded[str(tmp_path / "input")].startswith("ba7816bf8f01cfea")


@pytest.mark.parametrize("moved", ["tests/b/full.h5", "tests/a/fixed.h5"])
def test_a_whole_file_of_another_place_is_refused_by_name(tmp_path, moved):
    path = write(tmp_path / "results/tests/a/full.h5")
    here = tmp_path / "results" / moved
    here.parent.mkdir(exist_ok=True)
    shutil.copy(path, here)
    with pytest.raises(ArtefactError, match=r"was made as tests/a/full\.h5, and copied here") as caught:
        labelled.read(here, TEST)
    assert str(here) in str(caught.value)
    shutil.copy(path, tmp_path / "mine.h5")  # for oneself, anywhere
    assert labelled.read(tmp_path / "mine.h5", TEST).sizes["row"] == 2
    shutil.copytree(tmp_path / "results", tmp_path / "elsewhere")
    assert labelled.read(tmp_path / "elsewhere/tests/a/full.h5", TEST).sizes["row"] == 2


def test_inputs_that_do_not_belong_together_are_refused(tmp_path):
    first, second, third = (tmp_path / f"{name}.h5" for name in ("first", "second", "third"))
    write(first)
    provenance.begin({}, [first])
    write(second)
    provenance.begin({"other": 1})
    write(first)
    provenance.begin({}, [first, second])
    with pytest.raises(ArtefactError, match=r"second\.h5: made from another .*first\.h5 than is there now"):
        write(third)
    assert not third.exists()
    provenance.begin({}, [second])
    write(third)


UNEQUAL = Artefact(
    "unequal", "x.h5", tuple(Field(name, ("column",), np.int32, "a number") for name in ("first", "second"))
)


def write_unequal(out):
    out.write("first", [1, 2])
    out.write("second", [1, 2, 3])


def test_what_is_not_declared_is_refused(tmp_path):
    path = tmp_path / "x.h5"
    with pytest.raises(KeyError, match="no field 'w' is declared"), artefacts.create(path, TEST) as out:
        out.write("w", [1])
    with pytest.raises(KeyError, match="no attribute 'w'"), artefacts.create(path, TEST) as out:
        out.attribute("w", 1)
    with pytest.raises(ValueError, match="field 'y' was not written"), artefacts.create(path, TEST) as out:
        out.write("x", np.ones((2, 2)))
    with pytest.raises(ValueError, match="3 along 'column', but 2"), artefacts.create(path, UNEQUAL) as out:
        write_unequal(out)
    assert not path.exists()


def test_an_error_while_writing_leaves_nothing_and_the_old_file_stays(tmp_path):
    path = write(tmp_path / "x.h5")
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), artefacts.create(path, TEST):
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["x.h5"]
    assert path.read_bytes() == before


def test_what_a_killed_job_left_is_cleaned_by_the_next(tmp_path):
    (tmp_path / ".x.h5.999.tmp").write_bytes(b"half")
    write(tmp_path / "x.h5")
    assert [p.name for p in tmp_path.iterdir()] == ["x.h5"]


def test_dimensions_must_be_named(tmp_path):
    with pytest.raises(ValueError, match="2 axes"), artefacts.create(tmp_path / "x", PLAIN) as out:
        out.write("x", np.ones((2, 2)))


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
        (lambda p: write(p, schema_version=artefacts.SCHEMA_VERSION + 1), "newer Transferlens"),
        (lambda p: write(p, schema_version=1), "written by Transferlens 0.1.*mv results"),
        (lambda p: write(p, kind="other"), "holds 'other' where 'test' was expected"),
    ],
)
def test_a_damaged_or_foreign_file_is_named(tmp_path, damage, message):
    path = write(tmp_path / "x.h5")
    damage(path)
    with pytest.raises(ArtefactError, match=message) as caught, artefacts.open(path, TEST) as file:
        file["x"][:]
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError, match="cannot be written"):
        write(tmp_path / "file" / "x.h5")


def read_both(damaged, whole, name):
    with artefacts.open(damaged, TEST) as one, artefacts.open(whole, TEST) as other:
        return other["margin/effect"][:], one[name][:]


def test_damage_is_blamed_on_the_file_that_has_it(tmp_path):
    """With two files open, a flipped byte anywhere names the damaged one, never the other."""
    whole, damaged = write(tmp_path / "whole.h5"), write(tmp_path / "damaged.h5")
    with h5py.File(damaged) as file:
        header = h5py.h5o.get_info(file["margin/effect"].id).addr
        chunk = file["row"].id.get_chunk_info(0).byte_offset
    original = damaged.read_bytes()
    for offset, name in ((header + 12, "margin/effect"), (chunk + 1, "row")):
        damaged.write_bytes(original[:offset] + bytes([original[offset] ^ 255]) + original[offset + 1 :])
        with pytest.raises(ArtefactError, match=r"damaged\.h5: damaged"):
            read_both(damaged, whole, name)


def test_a_changed_letter_in_the_settings_is_damage(tmp_path):
    """Text of fixed length lies in a header that has a checksum."""
    provenance.begin({"estimator": "ridge"})
    path = write(tmp_path / "x.h5")
    content = path.read_bytes()
    assert content.count(b"ridge") == 1
    path.write_bytes(content.replace(b"ridge", b"lasso"))
    with pytest.raises(ArtefactError, match="damaged"), artefacts.open(path, TEST) as file:
        artefacts.settings_of(file)


def test_a_missing_array_of_a_whole_file_is_a_mistake_of_the_reader(tmp_path):
    write(tmp_path / "x.h5")
    with pytest.raises(KeyError), artefacts.open(tmp_path / "x.h5", TEST) as file:
        file["nothing"]


@pytest.mark.parametrize("names", [[], [""], ["a", "", "ünï"]])
def test_names_come_back(tmp_path, names):
    named = Artefact("named", "named.h5", (Field("name", ("name",), str, "a name"),))
    with artefacts.create(tmp_path / "x.h5", named) as out:
        out.write("name", names)
    with artefacts.open(tmp_path / "x.h5", named) as file:
        assert artefacts.names(file["name"]) == names
    assert labelled.read(tmp_path / "x.h5", named).name.values.tolist() == names


def write_for_ever(folder):
    for i in range(10**9):
        with artefacts.create(folder / "x.h5", PLAIN) as out:
            out.write("x", np.full(60_000, i))
        with files.replace_file(folder / "x.csv") as temporary:
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
            with artefacts.open(tmp_path / "x.h5", PLAIN) as file:
                values = file["x"][:]
            assert (len(values), len(set(values))) == (60_000, 1)
        if (tmp_path / "x.csv").exists():
            lines = (tmp_path / "x.csv").read_text().splitlines()
            assert (len(lines), len(set(lines))) == (60_000, 1)
    assert left_overs  # some were killed while they wrote
    write(tmp_path / "x.h5")
    files.write_csv(tmp_path / "x.csv", pd.DataFrame({"x": [1]}))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.csv", "x.h5"]


def test_no_lock_is_asked_for(tmp_path):
    """Some file systems refuse every lock; here another process holds the only one."""
    path = write(tmp_path / "x.h5")
    holder = os.open(path, os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with pytest.raises(OSError, match="lock"):
        h5py.File(path)
    with artefacts.open(path, TEST) as file:
        assert file["x"].shape == (2, 3)
    write(path)
    os.close(holder)
