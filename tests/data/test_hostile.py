"""What no data set should hold: refused in one line that names it, unopened where it would hang."""

import os
import socket

import numpy as np
import pytest
from PIL import Image

from tests.conftest import DATASET, changed
from transferlens.core import files
from transferlens.core.errors import ConfigError, DataError, TransferlensError
from transferlens.data import (
    ffcv_files,
    ffcv_writing,
    folder,
    image_lists,
    index_making,
    plain_text,
    sources,
    splits,
    tables,
)
from transferlens.heatmaps import own_images
from transferlens.relatedness import own_folders


def make(root, *places, seed=0):
    """Different pictures at `train/a/0.png`, ..."""
    rng = np.random.default_rng(seed)
    for place in places:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(root / place)
    return root


SET = [f"{split}/{name}/{i}.png" for split in ("train", "val") for name in "ab" for i in range(2)]


def index_of(root, **settings):
    """The index of the data set at a path, made as its job does."""
    given = changed(DATASET, path=str(root), **settings)
    images = sources.open_image_set("mine", given, root.parent / "data", download=False)
    return index_making.make_index("mine", images, given, 0)


def refused(root, message, error=DataError, **settings):
    with pytest.raises(error, match=message) as caught:
        index_of(root, **settings)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).isprintable()


def table(path, *rows):
    path.write_text("path,label,split\n" + "".join(f"{row}\n" for row in rows))
    return path


def rows_of(images):
    return [f"{place},{place.split('/')[1]},{place.split('/')[0]}" for place in images]


# One image, two splits


@pytest.mark.parametrize(
    "again", ["./train/a/0.png", "val/../train/a/0.png", "link.png", "linked/0.png", "train//a/0.png"]
)
def test_an_image_in_both_splits_is_refused_by_whatever_path(tmp_path, again):
    make(tmp_path, *SET)
    (tmp_path / "link.png").symlink_to("train/a/0.png")
    (tmp_path / "linked").symlink_to("train/a")
    path = table(tmp_path / "t.csv", *rows_of(SET), f"{again},a,val")
    refused(path, f"'train/a/0.png' and '{again}' are one file")
    listed = {"train": SET[:4], "test": [*SET[4:], again]}
    for name, images in listed.items():
        (tmp_path / f"{name}.txt").write_text("".join(f"{i} {int('/b/' in i)}\n" for i in images))
    refused(tmp_path / "train.txt", "are one file, in two splits or of two classes")


def test_a_file_linked_into_another_class_or_split_is_refused_and_a_second_link_of_its_class_is_not(tmp_path):
    make(tmp_path, *SET)
    (tmp_path / "train/a/copy.png").symlink_to("0.png")
    assert len(index_of(tmp_path)[0].train) == 5
    (tmp_path / "train/b/copy.png").symlink_to("../a/0.png")
    refused(tmp_path, "'train/a/copy.png' and 'train/b/copy.png' are one file")


def test_equal_pixels_in_both_splits_are_told_with_their_number(tmp_path, caplog):
    make(tmp_path, *SET)
    index_of(tmp_path)
    assert not caplog.text
    with Image.open(tmp_path / "train/b/1.png") as image:
        for name in ("2.bmp", "3.png"):
            image.save(tmp_path / "val/b" / name)
    made, _ = index_of(tmp_path)
    assert len(made.val) == 6
    assert "2 of 6 evaluation images have the pixels of a training image ('val/b/2.bmp'" in caplog.text
    assert "those of 'train/b/1.png'" in caplog.text


# What is no image


def pipe(path):
    os.mkfifo(path)


def plug(path):
    there = os.getcwd()
    os.chdir(path.parent)  # names of sockets are short
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(there)


NO_IMAGES = {
    "pipe": (pipe, "it is a pipe, not a file"),
    "socket": (plug, "it is a socket, not a file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a file"),
    "folder": (lambda path: path.mkdir(), "it is a folder, not a file"),
    "dangling": (lambda path: path.symlink_to("nowhere"), "No such file"),
    "circle": (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
}


def test_what_is_no_file_is_refused_or_left_out_by_name(tmp_path):
    make(tmp_path, *SET)
    for name, (place, reason) in NO_IMAGES.items():
        place(tmp_path / f"train/a/{name}.png")
        with pytest.raises(DataError, match=reason):
            splits.decode(tmp_path / f"train/a/{name}.png", "x")
    refused(tmp_path, r"train/a/circle.png \(image 2 of train\): cannot be decoded")
    made, skipped = index_of(tmp_path, unreadable="skip")
    assert skipped == [f"train/a/{name}.png" for name in sorted(NO_IMAGES)]
    assert len(made.train) == 4


@pytest.mark.parametrize("name", ["x", "t.csv", "t.txt", "t.h5", "t.tar", "t.zip"])
def test_a_path_of_a_data_set_is_never_a_pipe(tmp_path, name):
    os.mkfifo(tmp_path / name)
    refused(tmp_path / name, "a pipe, socket or device, no folder or file; it is datasets.mine.path")


@pytest.mark.parametrize(
    "read",
    [
        tables.class_names,
        image_lists.class_names,
        lambda path: list(plain_text.rows(path, ["a"], "a table", DataError)),
        files.plain,
    ],
)
def test_text_is_never_read_from_a_pipe(tmp_path, read):
    os.mkfifo(tmp_path / "x")
    with pytest.raises((DataError, OSError), match="it is a pipe, not a file"):
        read(tmp_path / "x")


def test_folders_that_lead_in_a_circle_or_cannot_be_read_are_no_traceback(tmp_path, monkeypatch):
    make(tmp_path, *SET)
    (tmp_path / "train/c").symlink_to("c")
    assert folder.class_names(tmp_path) == ["a", "b"]

    def scandir(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", scandir)
    refused(tmp_path, r"train: cannot be read \(Permission denied\); make it readable")


# Names


@pytest.mark.parametrize("name", [b"\xff.png", b"a\nb.png", b"\x1b[2J.png", "\u2028.png".encode()])
def test_names_that_no_line_can_show_are_refused(tmp_path, name):
    make(tmp_path, *SET)
    os.link(tmp_path / SET[0], os.path.join(os.fsencode(tmp_path / "val/b"), name))
    refused(tmp_path, r"the name 'val/b/.*\\.*' holds a control character, or bytes that are not UTF-8")


def test_so_are_those_of_classes_when_a_study_is_planned(tmp_path):
    make(tmp_path, *SET)
    os.rename(tmp_path / "train/a", os.path.join(os.fsencode(tmp_path / "train"), b"\xffa"))
    with pytest.raises(DataError, match=r"the name '\\udcffa' holds a control character"):
        sources.describe("mine", str(tmp_path))


# Pictures


def test_bombs_are_refused_before_they_are_unpacked_and_odd_pictures_are_taken(tmp_path):
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))))
    with pytest.raises(DataError, match="10000000000 pixels"):
        splits.decode(bomb, "x")
    (tmp_path / "flat.pgm").write_bytes(b"P5 5 0 255\n")
    with pytest.raises(DataError, match="cannot be decoded"):
        splits.decode(tmp_path / "flat.pgm", "x")
    Image.new("RGB", (1, 1)).save(tmp_path / "one.png")
    assert splits.decode(tmp_path / "one.png", "x").shape == (1, 1, 3)
    with pytest.raises(DataError, match=r"of shape \(2, 0, 5\)"):
        splits.array_split(np.zeros((2, 0, 5), np.uint8), [0, 1], "train")


def test_images_that_leave_no_crop_are_met_before_cplusplus_aborts(tmp_path):
    make(tmp_path, *SET)
    Image.new("RGB", (3000, 1)).save(tmp_path / "train/a/9.png")
    refused(tmp_path, r"'train/a/9.png' has 3000 x 1 pixels, too few for a crop; repair or remove it")
    made, skipped = index_of(tmp_path, unreadable="skip")
    assert skipped == ["train/a/9.png"]
    images = folder.open_folder(tmp_path)
    ffcv_writing.write_beton(tmp_path / "x.beton", images.train, made.train, DATASET, 1)
    with pytest.raises(DataError, match=r"a crop_ratio of 0.1 leaves no pixel of image 0, .* has 8;"):
        ffcv_files.decode_all(tmp_path / "x.beton", 8, 0.1, 1)


def test_other_folders_of_images_are_no_trap_either(tmp_path, caplog):
    make(tmp_path, "a.png", "b$\\frac{.png")
    os.mkfifo(tmp_path / "pipe.png")
    os.link(tmp_path / "a.png", os.path.join(os.fsencode(tmp_path), b"\xff.png"))
    names, _ = own_images.read_folder(tmp_path, 8, 0.875)
    assert names == ["a.png", "b$\\frac{.png"]
    assert "pipe.png (image): cannot be decoded (it is a pipe, not a file); left out" in caplog.text
    assert "the name '\\udcff.png' holds a control character" in caplog.text
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: has no class folders; a task needs two or more"):
        own_folders.read(tmp_path / "empty", own_folders.Choice(100, 0.3, 0))


# Sets that are no task


def test_sets_of_one_class_or_none_are_refused_with_the_cure(tmp_path):
    refused(
        make(tmp_path / "one", *[place for place in SET if "/a/" in place]), "has only the class 'a'; a task"
    )
    refused(table(tmp_path / "t.csv"), "has no images; a task has two classes or more, so add some")
    make(tmp_path / "two", *SET)
    refused(tmp_path / "two", "has only the class 'a'", classes={"first": 1})
    for i in range(2):
        (tmp_path / f"two/train/b/{i}.png").write_bytes(b"")
    message = r"class 'b' has no images in train but undecodable ones \(2 were left out\); add images"
    refused(tmp_path / "two", message, unreadable="skip")


# Tables and lists


BAD_TABLES = {
    "nul": (b"path,label,split\na\x00.png,a,train\n", r"line 2: the name 'a\\x00.png' holds a control"),
    "line in a cell": (b'path,label,split\n"a\nb",a,train\n', r"line 3: the name 'a\\nb' holds"),
    "wide": (b"path,label,split\na,b.png,a,train\n", "line 2: has more cells than the heading; put a name"),
    "narrow": (b"path,label,split\na.png\n", "line 2: path 'a.png', label '', split ''; every row needs"),
    "huge": (b"path,label,split\n" + b"a" * 140_000 + b",a,train\n", "cannot be read .*field larger than"),
    "twice": (b"path,label,label,split\na,b,c,train\n", "column 'label' stands there twice"),
    "bytes": (b"path,label,split\n\xff.png,a,train\n", "cannot be read as a table of images .*utf-8"),
    "wide characters": ("path,label,split\n".encode("utf-16"), "cannot be read as a table of images .*utf-8"),
    "zeros": (
        bytes(1 << 21),
        "cannot be read as a table of images .a line of more than 1,048,576 characters",
    ),
    "empty": (b"", "column 'path' is missing; needs path, label, split; has none"),
}


@pytest.mark.parametrize("kind", BAD_TABLES)
def test_bad_tables_are_refused_in_one_line(tmp_path, kind):
    content, message = BAD_TABLES[kind]
    (tmp_path / "t.csv").write_bytes(content)
    refused(tmp_path / "t.csv", message)


def test_marks_of_bytes_and_missing_cells_at_the_end_are_taken(tmp_path):
    make(tmp_path, *SET)
    text = "path,label,split,note\n" + "".join(f"{row}\n" for row in rows_of(SET))
    (tmp_path / "t.csv").write_text(text, encoding="utf-8-sig")
    assert len(index_of(tmp_path / "t.csv")[0].val) == 4
    (tmp_path / "groups.csv").write_text("class,group\na,x\nb,y\n", encoding="utf-8-sig")
    made, _ = index_of(tmp_path / "t.csv", groups=str(tmp_path / "groups.csv"))
    assert made.class_groups == ["x", "y"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class,group\na\n", "class 'a' must have one group, once"),
        ("class,group\n,x\n", "unknown class ''"),
        ("class,group\na,x\x00\n", r"line 2: the name 'x\\x00' holds a control character"),
        ("class,group\na,b,c\n", "has more cells than the heading"),
        ("class,group\n" + "a" * 140_000, "cannot be read as a table of groups .*field larger"),
    ],
)
def test_bad_tables_of_groups_are_refused_in_one_line(tmp_path, text, message):
    make(tmp_path, *SET)
    (tmp_path / "groups.csv").write_text(text)
    refused(tmp_path, message, ConfigError, groups=str(tmp_path / "groups.csv"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "x.png 999999999",
            "line 5: the label 999999999 says that there are 1000000000 classes, but the list",
        ),
        ("x.png " + "9" * 5000, "line 5: found"),
        ("x\x00.png 1", r"the name 'x\\x00.png' holds a control character"),
        ("x" * (1 << 20), "cannot be read as a list of images .a line of more than 1,048,576"),
    ],
)
def test_bad_lists_are_refused_before_anything_is_made_of_them(tmp_path, line, message):
    make(tmp_path, *SET)
    for name, images in (("train", SET[:4]), ("test", SET[4:])):
        (tmp_path / f"{name}.txt").write_text("".join(f"{i} {int('/b/' in i)}\n" for i in images))
    with (tmp_path / "train.txt").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(TransferlensError, match=message):
        index_of(tmp_path / "train.txt")
