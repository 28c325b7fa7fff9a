"""Which images are used, and by whom."""

from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import CLASSES, DATASET, changed
from transferlens.core import labelled
from transferlens.core.errors import ConfigError, DataError
from transferlens.data import folder, index, index_making, sources
from transferlens.data.artefacts import INDEX
from transferlens.data.splits import ImageSet, Split


def image_set(labels=(0, 0, 0, 0, 1, 1, 1, 1), broken=()):
    def image(i):
        if i in broken:
            raise DataError(f"image {i}: cannot be decoded")
        return np.zeros((4 + i, 5, 3), np.uint8)

    split = Split([f"x/{i}" for i in range(len(labels))], np.array(labels), image)
    return ImageSet(["a", "b"], ["", ""], split, split)


def test_a_folder_is_indexed_with_classes_sizes_and_ids(dataset, image_folder):
    made, _ = dataset
    assert made.class_names == list(CLASSES)
    assert len(made.train) == 90
    assert made.train.ids[31] == "train/stripes/01.png"
    assert made.train.labels[31] == 1
    picture = folder.open_folder(image_folder).train.image(31)
    assert tuple(made.train.sizes[31]) == picture.shape[:2]


def test_halves_divide_every_class_and_never_meet(dataset):
    made, _ = dataset
    for c in range(3):
        assert np.bincount(made.val.halves[made.val.labels == c]).tolist() == [6, 6]


def test_choices_depend_on_the_seed_alone():
    settings = changed(DATASET, train_per_class=2)
    first, again, other = (
        index_making.make_index("x", image_set([0, 1] * 20), settings, seed)[0] for seed in (0, 0, 1)
    )
    assert np.bincount(first.train.labels).tolist() == [2, 2]
    assert first.train.ids == again.train.ids != other.train.ids
    assert first.val.halves.tolist() == again.val.halves.tolist() != other.val.halves.tolist()


def test_a_broken_image_stops_or_is_left_out_and_reported():
    with pytest.raises(DataError, match="image 5: cannot be decoded; repair or remove it, or set"):
        index_making.make_index("x", image_set(broken={5}), DATASET, 0)
    made, skipped = index_making.make_index(
        "x", image_set(broken={5}), changed(DATASET, unreadable="skip"), 0
    )
    assert skipped == ["x/5", "x/5"]
    assert "x/5" not in made.train.ids
    assert made.train.sizes[:, 0].tolist() == [4, 5, 6, 7, 8, 10, 11]


def test_a_class_without_images_is_named():
    with pytest.raises(DataError, match="class 'b' has no images in train"):
        index_making.make_index("x", image_set([0, 0, 0]), DATASET, 0)
    with pytest.raises(DataError, match=r"class 'b' has no images in val \(report half\)"):
        index_making.make_index("x", image_set([0, 0, 0, 1]), changed(DATASET, select_fraction=0.6), 0)


def test_labels_may_be_groups_and_the_classes_are_kept():
    images = replace(
        image_set([0, 1, 2] * 8), class_names=["cat", "car", "cow"], class_groups=["a", "t", "a"]
    )
    made, _ = index_making.make_index("x", images, changed(DATASET, labels="groups"), 0)
    assert made.class_names == ["a", "t"]
    assert made.own_classes == ["cat", "car", "cow"]
    assert made.val.labels[:3].tolist() == [0, 1, 0]
    assert made.val.classes[:3].tolist() == [0, 1, 2]
    ungrouped = image_set()
    with pytest.raises(ConfigError, match=r"data set x: class .a. has no group .2 of 2"):
        index_making.make_index("x", ungrouped, changed(DATASET, labels="groups"), 0)


def test_an_index_survives_the_disk(dataset, tmp_path):
    made, _ = dataset
    index_making.write_index(tmp_path / "i.h5", "textures", made, ["train/a.png"])
    read = index.read_index(tmp_path / "i.h5")
    names = ("class_names", "class_groups", "own_classes")
    assert [getattr(read, name) for name in names] == [getattr(made, name) for name in names]
    for split in index.SPLITS:
        assert read.split(split).ids == made.split(split).ids
        for column in ("labels", "halves", "positions", "sizes", "classes"):
            expected = getattr(made.split(split), column)
            np.testing.assert_array_equal(getattr(read.split(split), column), expected)
            assert getattr(read.split(split), column).dtype == expected.dtype
    shown = labelled.read(tmp_path / "i.h5", INDEX)
    assert shown.skipped.values.tolist() == ["train/a.png"]
    assert shown.train_example.values.tolist() == made.train.ids
    assert shown.attrs["data_set"] == "textures"


def test_unknown_data_sets_and_folders_are_named(tmp_path):
    with pytest.raises(DataError, match=r"unknown data set 'optdigit' .did you mean 'optdigits'"):
        sources.describe("optdigit", None)
    (tmp_path / "train/a").mkdir(parents=True)
    (tmp_path / "val/b").mkdir(parents=True)
    with pytest.raises(DataError, match="class 'b' is not in"):
        folder.open_folder(tmp_path)


def test_the_default_images_are_real_and_balanced(tmp_path):
    images = sources.open_image_set("optdigits", DATASET, tmp_path, download=False)
    assert len(images.train.labels) + len(images.val.labels) == 1797
    assert np.bincount(images.train.labels).tolist() == [50] * 10
    assert not set(images.train.ids) & set(images.val.ids)
    source = sources.open_image_set("digits-and-clothes", DATASET, tmp_path, download=False)
    assert np.bincount(source.train.labels).tolist() == [400] * 20
    assert np.bincount(source.val.labels).tolist() == [100] * 20
    assert not set(source.train.ids) & set(source.val.ids)
    assert source.train.image(0).shape == (28, 28, 3)
