"""FFCV files and the two ways of loading them."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.conftest import INPUT, TRAINING, changed
from transferlens.core.errors import ArtefactError
from transferlens.core.settings import ResizeSettings
from transferlens.data import ffcv_files, ffcv_writing, folder, pipeline
from transferlens.data.pipeline import Pass

CPU = torch.device("cpu")
CROPS = ("none", "translate", "random_resized")


def open_split(dataset, split, loading, storage="raw"):
    made, files = dataset
    settings = changed(INPUT, loading=loading)
    return pipeline.open_images(files[storage][split], made.split(split), settings, CPU)


@pytest.mark.parametrize("storage", ["raw", "jpg"])
def test_both_ways_give_the_same_evaluation_images(dataset, storage):
    resident, streaming = (
        torch.cat(list(open_split(dataset, "val", loading, storage).evaluation_batches(7)))
        for loading in ("resident", "streaming")
    )
    assert resident.shape == (36, 3, 28, 28)
    assert torch.equal(resident, streaming)


def test_smaller_images_are_enlarged_smoothly_if_asked_for_in_both_ways(dataset):
    """At twice the side of the largest image, FFCV's own way repeats its pixels."""
    made, files = dataset
    side, seen = 2 * int(made_sides(files["raw"]["val"]).max()), {}
    for enlarging in ("area", "bicubic"):
        for loading in ("resident", "streaming"):
            settings = changed(INPUT, resolution=side, crop_ratio=1.0, loading=loading, enlarging=enlarging)
            images = pipeline.open_images(files["raw"]["val"], made.val, settings, CPU)
            seen[enlarging, loading] = images.bytes_of(np.arange(36))
    assert ffcv_files.largest_crop(files["raw"]["val"], 1.0) == made_sides(files["raw"]["val"]).max()
    for enlarging in ("area", "bicubic"):
        np.testing.assert_array_equal(seen[enlarging, "resident"], seen[enlarging, "streaming"])
    of_largest = int(made_sides(files["raw"]["val"]).argmax())
    repeated = {
        enlarging: (np.diff(seen[enlarging, "resident"][of_largest].astype(int), axis=1) == 0).mean()
        for enlarging in ("area", "bicubic")
    }
    assert repeated["area"] > 0.4
    assert repeated["bicubic"] < 0.2


def made_sides(beton):
    """The shorter side of every image."""
    with ffcv_files.imported():
        from ffcv.reader import Reader

    images = Reader(str(beton)).metadata["f0"]
    return np.minimum(images["height"], images["width"]).astype(int)


def test_raw_files_hold_the_very_pixels(dataset, image_folder):
    """A central crop as large as the image's shorter side needs no resizing of square images."""
    _, files = dataset
    picture = folder.open_folder(image_folder).val.image(4)
    side = min(picture.shape[:2])
    decoded = ffcv_files.decode_all(files["raw"]["val"], side, 1.0, workers=1)[4].numpy()
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    np.testing.assert_array_equal(decoded, picture[top : top + side, left : left + side])


def test_jpeg_files_are_close_to_the_pixels(dataset):
    _, files = dataset
    raw, jpg = (ffcv_files.decode_all(files[s]["val"], 28, 1.0, workers=1).float() for s in ("raw", "jpg"))
    assert 0 < (raw - jpg).abs().mean() < 6


def one_pass(images, training, positions, seed=1, epoch=0):
    batches = images.training_batches(Pass(positions, training, training.batch_size, epoch, seed, 28))
    pairs = [(x.clone(), y.clone()) for x, y in batches]
    return torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs])


@pytest.mark.parametrize("loading", ["resident", "streaming"])
@pytest.mark.parametrize("crop", CROPS)
def test_a_pass_depends_on_seed_and_epoch_alone(dataset, loading, crop):
    training = changed(TRAINING, crop=crop, flip=True)
    positions = np.arange(0, 60)
    images = open_split(dataset, "train", loading)
    first = one_pass(images, training, positions)
    again = one_pass(open_split(dataset, "train", loading), training, positions)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    for other in ({"seed": 2}, {"epoch": 1}):
        assert not torch.equal(first[0], one_pass(images, training, positions, **other)[0])


@pytest.mark.parametrize("loading", ["resident", "streaming"])
def test_views_are_the_same_images_in_the_same_order_augmented_otherwise(dataset, loading):
    """Read side by side, in turn: each is what it is when read alone."""
    training = changed(TRAINING, crop="random_resized", flip=True)
    images = open_split(dataset, "train", loading)
    given = np.arange(60), training, 16, 0, 1, 28

    def passes(views):
        iterators = [images.training_batches(Pass(*given, view=view)) for view in views]
        for batches in zip(*iterators, strict=True):
            yield [(pixels.clone(), labels.clone()) for pixels, labels in batches]

    together, alone = list(passes([0, 1, 2])), list(passes([1]))
    assert len(together) == 3
    for views, ((pixels, labels),) in zip(together, alone, strict=True):
        assert torch.equal(views[1][0], pixels)
        assert all(torch.equal(view[1], labels) for view in views)
        assert not torch.equal(views[0][0], views[1][0])
        assert not torch.equal(views[1][0], views[2][0])
    plain = one_pass(images, training, np.arange(60))
    assert torch.equal(torch.cat([views[0][0] for views in together]), plain[0])


@pytest.mark.parametrize("loading", ["resident", "streaming"])
def test_a_pass_takes_each_wanted_image_once_with_its_label(dataset, loading):
    """Without augmentation every training image is recognised among the evaluation images."""
    images = open_split(dataset, "train", loading)
    everything = torch.cat(list(images.evaluation_batches(50)))
    positions = np.arange(10, 74)
    batch, labels = one_pass(images, TRAINING, positions)
    distances = torch.cdist(
        batch.flatten(1), everything.flatten(1), compute_mode="donot_use_mm_for_euclid_dist"
    )
    found = distances.argmin(1).numpy()
    assert distances.min(1).values.max() < 1e-2
    assert sorted(found) == positions.tolist()  # 64 images are four whole batches
    np.testing.assert_array_equal(labels.numpy(), images.examples.labels[found])
    assert found.tolist() != positions.tolist()


def test_random_crops_do_not_depend_on_the_number_of_workers(dataset):
    _, files = dataset
    batches = []
    for workers in (1, 2):
        loader = ffcv_files.random_crop_loader(files["raw"]["train"], 20, (0.3, 1.0), 16, workers)
        loader.restart(np.arange(40), 5, 16)
        batches.append(torch.cat([x.clone() for x, _ in loader]))
    assert torch.equal(*batches)


def test_progressive_resizing_changes_the_decoded_size(dataset):
    training = changed(
        TRAINING, crop="random_resized", resize=ResizeSettings(low=20, high=32, start=0, end=2)
    )
    for loading in ("resident", "streaming"):
        images = open_split(dataset, "train", loading)
        for side in (20, 32, 20):
            batch, _ = next(images.training_batches(Pass(np.arange(32), training, 16, 0, 0, side)))
            assert batch.shape == (16, 3, side, side)


def test_auto_chooses_by_size(dataset):
    assert isinstance(open_split(dataset, "val", "auto"), pipeline.ResidentImages)
    made, files = dataset
    tight = changed(INPUT, loading="auto", resident_limit_gb=1e-6)
    images = pipeline.open_images(files["raw"]["val"], made.val, tight, CPU)
    assert isinstance(images, pipeline.StreamingImages)


def test_a_truncated_file_is_refused(dataset, tmp_path):
    made, files = dataset
    for suffix in (".beton", ".h5"):
        source = files["raw"]["val"].with_suffix(suffix)
        (tmp_path / f"val{suffix}").write_bytes(source.read_bytes())
    os.truncate(tmp_path / "val.beton", 1000)
    with pytest.raises(ArtefactError, match=r"val\.beton: truncated or damaged \(1000 bytes"):
        pipeline.open_images(tmp_path / "val.beton", made.val, INPUT, CPU)


def test_files_of_two_data_sets_swapped_together_are_refused(dataset, tmp_path):
    """Each is whole and fits its manifest, and both have as many images."""
    made, files = dataset
    places = [tmp_path / f"data/{name}" for name in ("one", "two")]
    for place in places:
        place.mkdir(parents=True)
        (place / "val.beton").write_bytes(files["raw"]["val"].read_bytes())
        ffcv_writing.write_manifest(place / "val.h5", place / "val.beton", len(made.val))
        assert len(pipeline.open_images(place / "val.beton", made.val, INPUT, CPU)) == 36
    places[0].rename(tmp_path / "data/three")
    places[1].rename(places[0])
    with pytest.raises(ArtefactError, match=r"one/val\.h5: was made as data/two/val\.h5, and copied here"):
        pipeline.open_images(places[0] / "val.beton", made.val, INPUT, CPU)


def test_a_file_with_another_number_of_images_than_the_index_is_refused(dataset):
    made, files = dataset
    with pytest.raises(ArtefactError, match=r"val\.beton: holds 36 images where the index names 90"):
        pipeline.open_images(files["raw"]["val"], made.train, INPUT, CPU)


def run_python(code, path):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("library", "package"),
    [("libturbojpeg.so.0", "libturbojpeg0-dev"), ("libopencv_imgproc.so.406", "libopencv-dev")],
)
def test_a_missing_system_library_is_named_with_its_package(tmp_path, library, package):
    (tmp_path / "ffcv").mkdir()
    message = f"{library}: cannot open shared object file: No such file or directory"
    (tmp_path / "ffcv/__init__.py").write_text(f"raise ImportError({message!r})")
    done = run_python("from transferlens.data import ffcv_files\nwith ffcv_files.imported(): pass", tmp_path)
    assert f"apt-get install {package}" in done.stderr


def test_importing_ffcv_leaves_torchs_threads_alone(tmp_path):
    code = (
        "import torch; torch.set_num_threads(2)\n"
        "from transferlens.data import ffcv_files\n"
        "with ffcv_files.imported(): pass\n"
        "import numba.typed; assert numba.typed.Dict is not dict\n"
        "print(torch.get_num_threads())"
    )
    assert run_python(code, tmp_path).stdout.strip() == "2"
