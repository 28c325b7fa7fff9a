"""HDF5 files that say one thing and hold another: refused before anything is made of what they say."""

import os
import resource
from contextlib import contextmanager

import h5py
import numpy as np
import pytest

from tests.conftest import DATASET, changed
from transferlens.core.errors import DataError
from transferlens.data import hdf5, sources

PIXELS = np.arange(4 * 4 * 4, dtype=np.uint8).reshape(4, 4, 4)
LABELS = np.array([0, 1, 0, 1])


def opened(path):
    return sources.open_image_set("mine", changed(DATASET, path=str(path)), path.parent, download=False)


@contextmanager
def little_memory(more=1 << 30):
    """At most so many bytes more than now, so that a bomb ends the test and not the machine."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + more, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def put(group, name, value):
    """A dataset in place of another; a function makes its own."""
    if name in group:
        del group[name]
    if callable(value):
        value(group, name)
    else:
        group[name] = value


def declared(shape, dtype, **options):
    return lambda group, name: group.create_dataset(name, shape, dtype, **options)


def outside(group, name):
    group.create_dataset(name, (4,), "u1", external=[("/dev/zero", 0, 4)])


def virtual(group, name):
    layout = h5py.VirtualLayout((4,), "i8")
    layout[:] = h5py.VirtualSource("nowhere.h5", "labels", (4,))
    group.create_virtual_dataset(name, layout)


def half_written(group, name):
    group.create_dataset(name, (4, 4, 4), "u1", chunks=(2, 4, 4))[:2] = 1


def ragged(group, name):
    dataset = group.create_dataset(name, (4,), h5py.vlen_dtype(np.uint8))
    for i in range(4):
        dataset[i] = np.zeros(i + 1, np.uint8)


BAD_LABELS = {
    "scalar": (3, "is no array"),
    "empty": (h5py.Empty("i8"), "is no array"),
    "compound": (np.zeros(4, [("a", "i8"), ("b", "i8")]), "labels must be one integer or one string"),
    "one-hot": (np.eye(4, dtype=int), "labels must be one integer or one string"),
    "fraction": ([0, 0.5, 1, 0], "labels must be one integer or one string"),
    "nan": ([0, np.nan, 1, 0], "labels must be one integer or one string"),
    "infinite": ([0, np.inf, 1, 0], "labels must be one integer or one string"),
    "too large": (np.array([0, 2**64 - 1, 1, 0], np.uint64), "labels must be one integer or one string"),
    "complex": (np.array([0, 1j, 0, 1]), "labels must be one integer or one string"),
    "ragged": (ragged, "labels must be one integer or one string"),
    "references": (
        lambda g, n: put(g, n, np.array([g.ref] * 4, h5py.ref_dtype)),
        "labels must be one integer",
    ),
    "huge": (declared((10**12,), "i8", chunks=(10**6,)), "0 of 1,000,000 chunks were written"),
    "huge, whole": (declared((10**12,), "i8"), "0 of 8,000,000,000,000 bytes were written"),
    "elsewhere": (outside, "its values lie in other files; store them in x.h5 itself"),
    "virtual": (virtual, "its values lie in other files"),
    "external": (lambda g, n: put(g, n, h5py.ExternalLink("pipe", "/x")), "labels is a link to another file"),
    "dangling": (lambda g, n: put(g, n, h5py.SoftLink("/nowhere")), "has no labels or target or targets"),
    "circle": (lambda g, n: put(g, n, h5py.SoftLink("/train/labels")), "x.h5.*: "),
    "group": (lambda g, n: g.create_group(n), "has no labels or target"),
    "bytes": (np.array([b"\xff"] * 4), "cannot be read as HDF5 .*utf-8"),
    "controls": (["a\x1b", "b", "a\x1b", "b"], r"the name 'a\\x1b' holds a control character"),
}
BAD_IMAGES = {
    "scalar": (np.uint8(3), "is no array"),
    "ragged": (ragged, "images are object of shape"),
    "compound": (np.zeros((4, 2, 2), [("a", "u1")]), "they must be uint8, or floats"),
    "no height": (np.zeros((4, 0, 5), np.uint8), r"images are uint8 of shape \(4, 0, 5\)"),
    "huge": (declared((4, 10**6, 10**6), "u1", chunks=(1, 1000, 1000)), "0 of 4,000,000 chunks were written"),
    "large": (declared((4, 1, 1), "u1", maxshape=(4, None, None)), "0 of 1 chunks were written"),
    "half": (half_written, "1 of 2 chunks were written; write it anew"),
    "never": (declared((4, 4, 4), "u1"), "0 of 64 bytes were written"),
}


@pytest.mark.parametrize(
    ("name", "kind"), [("labels", kind) for kind in BAD_LABELS] + [("images", kind) for kind in BAD_IMAGES]
)
def test_bad_labels_and_images_are_refused_in_one_line(tmp_path, name, kind):
    value, message = {"labels": BAD_LABELS, "images": BAD_IMAGES}[name][kind]
    os.mkfifo(tmp_path / "pipe")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for split in ("train", "val"):
            put(file.create_group(split), "images", PIXELS)
            put(file[split], "labels", LABELS)
        put(file["train"], name, value)
    with little_memory(), pytest.raises(DataError, match=message) as caught:
        opened(tmp_path / "x.h5")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b"], "labels must be 0 to 1, places in class_names"),
        ("a", "is no array"),
        (np.arange(3), "must be a list of names, but is int64"),
        ([["a", "b", "c"]], "must be a list of names"),
    ],
)
def test_bad_names_of_classes_are_refused(tmp_path, names, message):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for split, labels in (("train", [0, 1, 0, 1]), ("val", [0, 1, -1, 1])):
            file[f"{split}/images"], file[f"{split}/labels"] = PIXELS, labels
        file["class_names"] = names
    with pytest.raises(DataError, match=message):
        opened(tmp_path / "x.h5")


def test_labels_of_minus_one_and_one_are_two_classes(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for split in ("train", "val"):
            file[f"{split}/images"] = PIXELS
            file.create_dataset(f"{split}/labels", data=[-1.0, 1, 1, -1], chunks=(3,), compression="gzip")
    images = opened(tmp_path / "x.h5")
    assert images.class_names == ["-1", "1"]
    assert images.train.labels.tolist() == [0, 1, 1, 0]


def test_damage_within_a_file_is_one_line(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for split in ("train", "val"):
            file[f"{split}/images"] = PIXELS
            file.create_dataset(f"{split}/labels", data=LABELS, chunks=(4,), fletcher32=True)
        place = file["train/labels"].id.get_chunk_info(0).byte_offset
    with (tmp_path / "x.h5").open("r+b") as raw:
        raw.seek(place)
        raw.write(b"\xff")
    with pytest.raises(DataError, match=r"x.h5: cannot be read as HDF5 \(.*"):
        opened(tmp_path / "x.h5")


def test_strings_that_hdf5_reads_for_ever_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "mine.h5"
    with h5py.File(path, "w") as file:
        for split in ("train", "val"):
            file[f"{split}/images"], file[f"{split}/labels"] = PIXELS, ["a", "b", "a", "b"]
    content = bytearray(path.read_bytes())
    size = content.index(b"GCOL") + 24  # of the first string in HDF5's heap: it steps on by nothing
    content[size : size + 8] = bytes(8)
    path.write_bytes(content)
    monkeypatch.setattr(hdf5, "_MOST_SECONDS", 1)
    with pytest.raises(DataError, match=r"mine.h5/train/labels: its strings are damaged"):
        opened(path)
