"""Pictures of every kind: made RGB, or refused with one line."""

import numpy as np
import pytest
from PIL import Image

from tests.conftest import DATASET, changed, draw
from transferlens.core.errors import DataError
from transferlens.data import folder, index_making
from transferlens.data.splits import decode

RGB = draw("blobs", np.random.default_rng(0), 20, 24)
GRAY = RGB[:, :, 0]


def saved(path, picture, **options):
    picture.save(path, **options)
    return path


@pytest.mark.parametrize(
    ("name", "mode"), [("a.png", "L"), ("a.png", "LA"), ("a.png", "1"), ("a.tif", "L"), ("a.gif", "L")]
)
def test_gray_pictures_have_three_equal_channels(tmp_path, name, mode):
    picture = Image.fromarray(GRAY).convert(mode)
    pixels = decode(saved(tmp_path / name, picture), "x")
    assert pixels.shape == (20, 24, 3)
    np.testing.assert_array_equal(pixels, np.repeat(np.asarray(picture.convert("L"))[..., None], 3, 2))


def test_transparency_and_palettes_leave_the_colours(tmp_path):
    opaque = decode(saved(tmp_path / "a.png", Image.fromarray(RGB)), "x")
    transparent = Image.fromarray(np.dstack([RGB, GRAY]))
    np.testing.assert_array_equal(opaque, RGB)
    np.testing.assert_array_equal(decode(saved(tmp_path / "b.png", transparent), "x"), RGB)
    palette = Image.fromarray(RGB).quantize(16)
    np.testing.assert_array_equal(
        decode(saved(tmp_path / "c.png", palette), "x"), np.asarray(palette.convert("RGB"))
    )


def test_sixteen_bits_become_the_eight_upper_ones(tmp_path):
    wide = (GRAY.astype(np.uint16) * 257).astype(np.uint16)
    pixels = decode(saved(tmp_path / "a.png", Image.fromarray(wide)), "x")
    np.testing.assert_array_equal(pixels[:, :, 1], GRAY)


def test_cmyk_pictures_look_as_they_did_in_rgb(tmp_path):
    smooth = Image.new("RGB", (24, 20), (200, 40, 90))
    pixels = decode(saved(tmp_path / "a.jpg", smooth.convert("CMYK"), quality=95), "x")
    assert np.abs(pixels.astype(int) - np.asarray(smooth).astype(int)).max() < 6


def test_the_first_frame_of_an_animation_counts(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for name in ("a.gif", "a.png", "a.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
        assert decode(tmp_path / name, "x")[0, 0].tolist() == [255, 0, 0]


def broken(path, kind):
    if kind == "truncated":
        saved(path, Image.fromarray(np.tile(RGB, (8, 8, 1))))
        path.write_bytes(path.read_bytes()[:1500])
    elif kind == "float":
        saved(path.with_suffix(".tif"), Image.fromarray(GRAY.astype(np.float32))).rename(path)
    else:
        path.write_bytes({"empty": b"", "text": b"<html>404</html>"}[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("truncated", "truncated"),
        ("empty", "the file is empty"),
        ("text", "cannot identify image file"),
        ("float", "floating-point pixels"),
    ],
)
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_broken_pictures_are_named_or_left_out(tmp_path, kind, reason, suffix):
    for place in ("train/a", "train/b", "val/a", "val/b"):
        (tmp_path / place).mkdir(parents=True)
        for i in range(3):
            saved(tmp_path / place / f"{i}.png", Image.fromarray(RGB))
    path = broken(tmp_path / "train/a" / f"3.{suffix}", kind)
    images = folder.open_folder(tmp_path)
    with pytest.raises(DataError) as raised:
        index_making.make_index("x", images, DATASET, 0)
    message = str(raised.value)
    assert str(path) in message
    assert "(image 3 of train): cannot be decoded" in message
    assert reason in message
    assert "\n" not in message
    made, skipped = index_making.make_index("x", images, changed(DATASET, unreadable="skip"), 0)
    assert skipped == [f"train/a/3.{suffix}"]
    assert len(made.train) == 6
