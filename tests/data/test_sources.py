"""Data sets by name: found or described, named, checked, and refused with one line."""

import csv
import shutil
import tarfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from tests.conftest import CLASSES, DATASET, changed, draw
from tests.skips import needed_data
from transferlens.core.errors import DataError
from transferlens.data import classnames, folder, sources
from transferlens.data.catalogue import CATALOGUE
from transferlens.data.groups import read_groups

KNOWN = [name for name in CATALOGUE if classnames.known(name)]


def opened(path, root, name="mine", **options):
    settings = changed(DATASET, path=str(path) if path else None)
    return sources.open_image_set(name, settings, root, download=False, **options)


def make_folder(root, classes, train=3, val=2):
    for split, count in (("train", train), ("val", val)):
        for name in classes:
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (8, 8), (i, 0, 0)).save(root / split / name / f"{i}.png")
    return root


def pack(path, folder):
    with tarfile.open(path, "w") as file:
        for entry in sorted(folder.iterdir()):
            file.add(entry, entry.name)
    return path


@pytest.mark.parametrize("name", KNOWN)
def test_tables_of_classes_fit_the_catalogue(name):
    classes = classnames.known(name)
    assert len(classes.names) == CATALOGUE[name].classes
    assert len(set(classes.names)) == len(set(classes.labels)) == len(classes.names)
    assert len({bool(group) for group in classes.groups}) == 1


def test_imagenets_classes_have_one_name_in_every_set():
    imagenet, tiny = classnames.known("imagenet"), classnames.known("tiny-imagenet-200")
    assert imagenet.labels == sorted(imagenet.labels)
    assert set(tiny.names) < set(imagenet.names)
    assert "goldfish (n01443537)" in tiny.names
    assert classnames.readable("n01443537") == "goldfish (n01443537)"
    assert classnames.readable("n99999999") == "n99999999"


def test_a_users_wordnet_folders_share_imagenets_classes(tmp_path):
    images = opened(make_folder(tmp_path / "x", ["n01443537", "other"]), tmp_path)
    assert images.class_names == ["goldfish (n01443537)", "other"]
    table = tmp_path / "groups.csv"
    table.write_text("class,group\nn01443537,fish\nother,rest\n")
    assert read_groups(table, images.class_names) == ["fish", "rest"]


def test_known_sets_come_in_the_publishers_order_with_their_names(tmp_path):
    labels = [str(digit) for digit in range(10)]
    root = make_folder(tmp_path / "mnist", [label for label in labels if label != "0"] + ["digit 0"])
    images = opened(None, tmp_path, "mnist", complete=False)
    assert images.class_names == [f"digit {digit}" for digit in range(10)]
    at = {images.train.ids[i]: images.train.labels[i] for i in range(30)}
    assert at["train/7/0.png"] == 7
    assert at["train/digit 0/0.png"] == 0
    shutil.rmtree(root / "train/7")
    with pytest.raises(DataError, match="class '7' is not in"):
        opened(None, tmp_path, "mnist", complete=False)
    shutil.rmtree(root / "val/7")
    with pytest.raises(DataError, match=r"mnist has 9 of its 10 classes; '7' is missing"):
        opened(None, tmp_path, "mnist", complete=False)
    make_folder(tmp_path / "mnist/more", ["ten"])
    shutil.move(tmp_path / "mnist/more/train/ten", root / "train/ten")
    with pytest.raises(DataError, match="has a class 'ten', which is none of its 10"):
        opened(None, tmp_path, "mnist", complete=False)


def test_numbers_of_known_classes_are_their_places(tmp_path):
    make_folder(tmp_path / "cifar10", [str(i) for i in range(10)])
    images = opened(None, tmp_path, "cifar10", complete=False)
    assert images.class_names[:2] == ["airplane", "automobile"]
    assert images.train.labels[images.train.ids.index("train/1/0.png")] == 1


def test_incomplete_copies_are_refused_unless_that_is_meant(tmp_path):
    make_folder(tmp_path / "cifar10", classnames.known("cifar10").labels)
    message = r"cifar10 has 30 training images, the published set has 50,000; .*cifar10.complete: false"
    with pytest.raises(DataError, match=message):
        opened(None, tmp_path, "cifar10")
    assert len(opened(None, tmp_path, "cifar10", complete=False).val.ids) == 20
    make_folder(tmp_path / "sun397", ["abbey", "airfield"])
    with pytest.raises(DataError, match="sun397 has 2 classes, the published set has 397"):
        opened(None, tmp_path, "sun397", complete=False)


def test_classes_that_only_look_different_are_refused(tmp_path):
    for names in (["Tabby cat", "tabby_cat"], ["n01443537", "goldfish (n01443537)"]):
        root = make_folder(tmp_path / names[0], names)
        with pytest.raises(DataError, match="which are the same but for case, spaces or a WordNet id"):
            opened(root, tmp_path)


def test_an_empty_class_folder_is_named_before_anything_is_decoded(tmp_path):
    root = make_folder(tmp_path / "x", ["a", "b"])
    for file in (root / "val/b").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"class 'b' has no images in val \(.*/x\)"):
        opened(root, tmp_path)


def test_nothing_found_says_where_it_was_looked_for_and_what_to_do(tmp_path):
    with pytest.raises(DataError) as raised:
        opened(None, tmp_path / "nowhere", "food101")
    message = str(raised.value)
    for part in (
        "(no such folder)",
        "food101/train/<class>/*",
        "food101.tar (",
        "/food-101.tar.gz",
        "set download: true",
        "https://data.vision.ee.ethz.ch",
        "datasets.food101.path",
    ):
        assert part in message
    assert "\n" not in message
    with pytest.raises(DataError, match="get it from https://cvml"):
        opened(None, tmp_path, "awa2")


def test_every_registered_set_can_be_planned_without_data(tmp_path):
    for name, facts in CATALOGUE.items():
        if facts.classes is None:
            with pytest.raises(DataError, match="its classes differ between releases"):
                sources.describe(name, data_root=tmp_path)
        else:
            assert len(set(sources.describe(name, data_root=tmp_path)[0])) == facts.classes


def test_names_on_disk_are_described_without_unpacking(tmp_path):
    make_folder(tmp_path / "x", ["a", "n01443537"])
    pack(tmp_path / "fruits-360.tar", tmp_path / "x")
    names = ["a", "goldfish (n01443537)"]
    assert sources.describe("fruits-360", data_root=tmp_path)[0] == names
    assert sources.describe("mine", str(tmp_path / "fruits-360.tar"), data_root=tmp_path)[0] == names
    assert sources.describe("mine", str(tmp_path / "x"), data_root=tmp_path)[0] == names
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fruits-360.tar", "x"]


def test_an_archive_is_unpacked_once_and_not_mixed_with_another(tmp_path):
    make_folder(tmp_path / "x", ["a", "b"])
    path = pack(tmp_path / "x.tar", tmp_path / "x")
    first = opened(path, tmp_path / "root")
    assert first.train.ids == folder.open_folder(tmp_path / "x").train.ids
    assert first.train.image(1).tolist() == np.full((8, 8, 3), [1, 0, 0]).tolist()
    unpacked = (tmp_path / "root/mine").stat().st_mtime_ns
    path.touch()  # the same content is recognised
    opened(path, tmp_path / "root")
    assert (tmp_path / "root/mine").stat().st_mtime_ns == unpacked
    make_folder(tmp_path / "y", ["a", "c"])
    pack(path, tmp_path / "y")
    with pytest.raises(DataError, match=r"was unpacked from an archive with sha256 .* delete the folder"):
        opened(path, tmp_path / "root")
    (tmp_path / "root/mine/.unpacked-from.json").unlink()
    with pytest.raises(DataError, match="was not unpacked from"):
        opened(path, tmp_path / "root")


def test_a_copy_with_one_split_is_refused(tmp_path):
    make_folder(tmp_path / "x", ["a", "b"])
    shutil.rmtree(tmp_path / "x/train")
    path = pack(tmp_path / "x.tar", tmp_path / "x")
    with pytest.raises(DataError, match=r"train: no such folder \(there is only val/\)"):
        opened(path, tmp_path)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "x.rar").write_bytes(b"")
    with pytest.raises(DataError, match=r"x.rar: a data set is a folder, or a file that ends in .csv"):
        opened(tmp_path / "x.rar", tmp_path)


def table_of(root, path, change=None):
    """A table of an image folder's files; `change` edits one row."""
    images = folder.open_folder(root)
    rows = [
        [f"{root.name}/{split.ids[i]}", images.class_names[split.labels[i]], name]
        for name, split in (("train", images.train), ("val", images.val))
        for i in range(len(split.ids))
    ]
    if change:
        change(rows)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["path", "label", "split"], *rows])
    return path


def test_a_table_gives_the_same_images_as_its_folder(image_folder, tmp_path):
    root = tmp_path / "images"
    root.symlink_to(image_folder)
    images = opened(table_of(root, tmp_path / "table.csv"), tmp_path)
    expected = folder.open_folder(image_folder)
    assert images.class_names == list(CLASSES)
    for split in ("train", "val"):
        found, wanted = getattr(images, split), getattr(expected, split)
        np.testing.assert_array_equal(found.labels, wanted.labels)
        np.testing.assert_array_equal(found.image(5), wanted.image(5))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["a.png", "blobs", "test"], "line 128: path 'a.png', label 'blobs', split 'test'; every row needs"),
        (["a.png", "", "train"], "label '', split 'train'; every row needs"),
        (["images/train/blobs/00.png", "waves", "val"], "'images/train/blobs/00.png' is listed twice"),
        (["a.png", " Blobs", "train"], "the classes ' Blobs' and 'blobs', which are the same"),
    ],
)
def test_bad_tables_are_named(image_folder, tmp_path, row, message):
    (tmp_path / "images").symlink_to(image_folder)
    path = table_of(tmp_path / "images", tmp_path / "table.csv", lambda rows: rows.append(row))
    with pytest.raises(DataError, match=message) as raised:
        opened(path, tmp_path)
    assert str(path) in str(raised.value)


def test_a_table_without_its_columns_is_named(tmp_path):
    (tmp_path / "t.csv").write_text("file,class\na,b\n")
    with pytest.raises(DataError, match=r"column 'path' is missing; needs path, label, split; has file"):
        opened(tmp_path / "t.csv", tmp_path)


def hdf5_of(path, images, labels, names=("images", "labels"), val="val", **extra):
    with h5py.File(path, "w") as file:
        for split in ("train", val):
            file[f"{split}/{names[0]}"], file[f"{split}/{names[1]}"] = images, labels
        for key, values in extra.items():
            file[key] = values
    return path


RGB = np.stack([draw("waves", np.random.default_rng(i), 16, 16) for i in range(4)])
GRAY = RGB[..., 0]


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (RGB, RGB),
        ((RGB / 255).astype(np.float32), RGB),
        (GRAY, np.repeat(GRAY[..., None], 3, 3)),
        (GRAY[..., None], np.repeat(GRAY[..., None], 3, 3)),
        (GRAY.reshape(4, 256) / 255, np.repeat(GRAY[..., None], 3, 3)),
    ],
    ids=["colour", "float", "gray", "one channel", "flat"],
)
def test_hdf5_images_of_every_shape(tmp_path, images, expected):
    path = hdf5_of(tmp_path / "x.h5", images, [3, 5, 3, 5], ("data", "target"), "test")
    found = opened(path, tmp_path)
    assert found.class_names == ["3", "5"]
    assert found.val.labels.tolist() == [0, 1, 0, 1]
    assert found.val.ids[1] == "test/1"
    np.testing.assert_array_equal(np.stack([found.train.image(i) for i in range(4)]), expected)


def test_hdf5_labels_may_be_names(tmp_path):
    found = opened(hdf5_of(tmp_path / "x.h5", RGB, ["dog", "cat", "dog", "dog"]), tmp_path)
    assert found.class_names == ["cat", "dog"]
    assert found.train.labels.tolist() == [1, 0, 1, 1]
    path = hdf5_of(tmp_path / "y.h5", RGB, [1, 0, 1, 1], class_names=["cat", "dog"])
    assert opened(path, tmp_path).class_names == ["cat", "dog"]


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (RGB.astype(np.int32), [0, 1, 0, 1], r"images are int32 of shape \(4, 16, 16, 3\)"),
        (RGB[:3], [0, 1, 0, 1], "has 3 images but 4 labels"),
        (RGB, [0, 0.5, 0, 1], "labels must be one integer or one string an image"),
    ],
)
def test_bad_hdf5_files_are_named(tmp_path, images, labels, message):
    with pytest.raises(DataError, match=message):
        opened(hdf5_of(tmp_path / "x.h5", images, labels), tmp_path)


def test_floating_point_pixels_out_of_range_are_named(tmp_path):
    path = hdf5_of(tmp_path / "x.h5", RGB.astype(np.float32), [0, 1, 0, 1])
    with pytest.raises(DataError, match=r"images \(image 2\): pixels from .*; floating-point images must be"):
        opened(path, tmp_path).train.image(2)
    (tmp_path / "y.h5").write_bytes(b"half")
    with pytest.raises(DataError, match=r"y.h5: cannot be read as HDF5"):
        opened(tmp_path / "y.h5", tmp_path)
    with h5py.File(tmp_path / "z.h5", "w") as file:
        file["training/images"] = RGB
    with pytest.raises(DataError, match=r"has no group train; it has \['training'\]"):
        opened(tmp_path / "z.h5", tmp_path)


def test_debians_fashion_mnist_is_found(tmp_path):
    packaged = Path("/usr/share/datasets/fashion-mnist")
    needed_data(packaged, "Debian's package dataset-fashion-mnist is not installed")
    images = opened(None, tmp_path, "fashion-mnist")
    assert images.class_names[:2] == ["T-shirt", "trouser"]
    assert (len(images.train.ids), len(images.val.ids)) == (60_000, 10_000)
    assert images.train.image(0).shape == (28, 28, 3)


def test_the_page_on_data_lists_every_set():
    page = (Path(__file__).parents[2] / "docs/data.md").read_text()
    for name, facts in CATALOGUE.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        if facts.train_images:
            assert f"| {facts.train_images:,} / {facts.val_images:,} |" in row
        assert facts.split in row
