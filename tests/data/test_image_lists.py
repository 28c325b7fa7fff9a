"""Image lists: found, read, named, and refused in one line."""

import pytest
from PIL import Image

from tests.conftest import DATASET, changed
from transferlens.core.errors import DataError
from transferlens.data import sources

TRAIN = ["images/a 1.png 0", "images/b.png 1", "", "images/c.png 1"]
TEST = ["images/d.png 1", "images/e.png 0"]


@pytest.fixture
def lists(tmp_path):
    """A set of two classes as image lists: `cars/image_list/train_100.txt`, `train_15.txt` and `test.txt`."""
    (tmp_path / "cars/images").mkdir(parents=True)
    (tmp_path / "cars/image_list").mkdir()
    for level, name in enumerate(("a 1", "b", "c", "d", "e")):
        Image.new("RGB", (8, 8), (level,) * 3).save(tmp_path / f"cars/images/{name}.png")
    for name, lines in (("train_100", TRAIN), ("train_15", TRAIN[:2]), ("test", TEST)):
        write(tmp_path / f"cars/image_list/{name}.txt", *lines)
    return tmp_path / "cars"


def write(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines))


def opened(path, name="mine"):
    return sources.open_image_set(name, changed(DATASET, path=str(path)), path, download=False)


def levels(split):
    """(gray level of the image, label) of every image."""
    return [(int(split.image(i)[0, 0, 0]), int(label)) for i, label in enumerate(split.labels)]


def test_a_folder_of_lists_is_read_whole_and_one_list_as_it_is_named(lists):
    images = opened(lists)
    assert images.class_names == ["0", "1"] == sources.describe("mine", str(lists))[0]
    assert (levels(images.train), levels(images.val)) == ([(0, 0), (1, 1), (2, 1)], [(3, 1), (4, 0)])
    assert list(images.train.ids) == ["images/a 1.png", "images/b.png", "images/c.png"]
    part = opened(lists / "image_list/train_15.txt")
    assert (levels(part.train), levels(part.val)) == ([(0, 0), (1, 1)], levels(images.val))


def test_classes_are_named_by_a_table_beside_or_above_the_lists(lists):
    write(lists / "classes.txt", "sedan", "estate car")
    assert opened(lists).class_names == ["sedan", "estate car"]
    write(lists / "image_list/classes.txt", "n01443537", "other")
    assert opened(lists).class_names == ["goldfish (n01443537)", "other"]


def test_paths_may_be_relative_to_the_lists_themselves(lists):
    (lists / "images").rename(lists / "image_list/images")
    assert levels(opened(lists).train) == [(0, 0), (1, 1), (2, 1)]


def test_numbers_of_a_registered_set_are_its_classes(lists):
    write(lists / "image_list/train_100.txt", *(f"images/{9 - digit} {digit}" for digit in range(10)))
    write(lists / "image_list/test.txt", *(f"images/val {digit} {digit}" for digit in range(10)))
    settings = changed(DATASET, path=str(lists))
    images = sources.open_image_set("mnist", settings, lists, download=False, complete=False)
    assert images.class_names == [f"digit {digit}" for digit in range(10)]
    assert (images.train.ids[0], images.train.labels[0]) == ("images/9", 0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("images/b.png", r"train_100.txt, line 5: found 'images/b.png'; every line is a path, a space"),
        ("images/b.png one", "line 5: found 'images/b.png one'"),
        ("images/b.png -1", "line 5: found 'images/b.png -1'"),
        ("images/b.png 1.0", "line 5: found 'images/b.png 1.0'"),
        ("7", "line 5: found '7'"),
        ("images/b.png 0", r"line 5: 'images/b.png' is listed twice, before in train_100.txt, line 2"),
        ("images/f.png 2", r"line 5: 'images/f.png' has the label 2, but there are 2 classes"),
    ],
)
def test_a_bad_line_is_refused_by_its_number(lists, line, message):
    write(lists / "classes.txt", "sedan", "estate car")
    write(lists / "image_list/train_100.txt", *TRAIN, line)
    with pytest.raises(DataError, match=message) as caught:
        opened(lists)
    assert "\n" not in str(caught.value)


def test_lists_that_do_not_fit_are_refused(lists):
    write(lists / "image_list/test.txt", *TEST, "images/a 1.png 0")
    with pytest.raises(
        DataError, match=r"test.txt, line 3: .* listed twice, before in train_100.txt, line 1"
    ):
        opened(lists)
    write(lists / "image_list/test.txt", "images/d.png 2", "images/e.png 0")
    with pytest.raises(DataError, match=r"test.txt, line 1: .* label 2, but there are 2 classes"):
        opened(lists)
    write(lists / "image_list/train_100.txt", "images/a 1.png 0", "images/b.png 2", "images/c.png 2")
    with pytest.raises(DataError, match="class '1' has no images in train"):
        opened(lists)
    write(lists / "image_list/test.txt")
    with pytest.raises(DataError, match=r"test.txt: lists no images"):
        opened(lists)
    (lists / "image_list/test.txt").unlink()
    with pytest.raises(DataError, match=r"no such list of evaluation images beside train_100.txt"):
        opened(lists)
