"""A disk that is full: one line that names the file, nothing half-written, no hanging and no crash."""

import ctypes
import gc
import multiprocessing
import os
import resource
import signal
import sys
import traceback
from functools import partial

import h5py
import numpy as np
import pandas as pd
import pytest

from tests.conftest import DATASET
from transferlens.core import artefacts, files
from transferlens.core.artefacts import Artefact, Field
from transferlens.core.errors import ArtefactError
from transferlens.data import ffcv_writing
from transferlens.data.index import Examples
from transferlens.data.splits import Split
from transferlens.pictures import figures
from transferlens.report import frame

TEST = Artefact(
    "test",
    "x.h5",
    (
        Field("name", ("name",), str, "a name"),
        Field("rows", ("row", "column"), np.float64, "noise"),
        Field("last", ("column",), np.float64, "the last one"),
    ),
)


def artefact(folder):
    rng = np.random.default_rng(0)
    with artefacts.create(folder / "x.h5", TEST) as out:
        out.write("name", [f"name {i}" for i in range(3000)])
        out.reserve("rows", (60, 1000), chunks=(1, 1000))
        for i in range(60):
            out.file["rows"][i] = rng.random(1000)
        out.write("last", np.arange(1000.0))


def beton(folder):
    rng, images = np.random.default_rng(0), 300
    pixels = rng.integers(0, 255, (240, 240, 3), dtype=np.uint8)
    zeros = np.zeros(images, np.int64)
    split = Split([str(i) for i in range(images)], zeros, lambda i: pixels)
    sizes = np.full((images, 2), 240)
    examples = Examples(split.ids, zeros, zeros.astype(np.int8), np.arange(images), sizes, zeros)
    ffcv_writing.write_beton(folder / "x.beton", split, examples, DATASET, workers=2)


def table(folder):
    files.write_csv(folder / "x.csv", pd.DataFrame({"x": np.arange(200_000)}))


def picture(folder, name="x.svg"):
    figure = figures.figure(6.4, 4.8)
    figure.subplots().plot(np.random.default_rng(0).random(4000))
    figures.save(figure, folder / name)


def page(folder):
    frame.write_page(folder / "x.html", "A page", "word " * 9999, [])


def in_a_child(write, folder, limit):
    """Write with files of at most `limit` bytes, as the kernel enforces it: (exit status, all it printed)."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            write(folder)
            status = 0
        except ArtefactError as error:
            os.write(1, f"{error}\n".encode())
            status = 1
        except BaseException:
            traceback.print_exc()
            status = 2
        gc.collect()
        sys.stderr.flush()
        # HDF5 closes what is open; what other libraries do at exit need not bear a fork.
        ctypes.CDLL(h5py.h5.__file__).H5close()
        os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as output:
        text = output.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


@pytest.mark.parametrize(
    ("write", "name", "shares"),
    [
        (artefact, "x.h5", np.arange(0, 1, 0.12)),
        (beton, "x.beton", [0.1, 0.5, 0.999]),
        (table, "x.csv", [0.5]),
        (picture, "x.svg", [0.5]),
        (partial(picture, name="x.png"), "x.png", [0.5]),
        (page, "x.html", [0.5]),
    ],
)
def test_a_full_disk_is_named_and_leaves_nothing(tmp_path, write, name, shares):
    assert in_a_child(write, tmp_path, resource.RLIM_INFINITY) == (0, "")
    whole = (tmp_path / name).stat().st_size
    for share in shares:
        for path in tmp_path.iterdir():
            path.unlink()
        status, text = in_a_child(write, tmp_path, int(share * whole))
        cause = "cannot be written ([Errno 27] File too large); free space there and run again"
        assert (status, text) == (1, f"{tmp_path / name}: {cause}\n")
        assert not list(tmp_path.iterdir())


def test_a_killed_process_of_the_ffcv_writer_ends_it(tmp_path):
    """FFCV itself waits for ever."""

    def image(i):
        os.kill(os.getpid(), signal.SIGKILL)

    zeros = np.zeros(3, np.int64)
    split = Split(list("abc"), zeros, image)
    examples = Examples(split.ids, zeros, zeros.astype(np.int8), np.arange(3), np.full((3, 2), 9), zeros)
    with pytest.raises(ArtefactError, match="a process that writes images was ended by signal 9"):
        ffcv_writing.write_beton(tmp_path / "x.beton", split, examples, DATASET, workers=1)
    assert not list(tmp_path.iterdir())


def test_processes_that_were_there_before_are_left_alone(tmp_path):
    other = multiprocessing.get_context("fork").Process(target=signal.pause)
    other.start()
    beton(tmp_path)
    assert other.is_alive()
    other.kill()
    other.join()
