"""Real images, where the reduced copies of public sets lie beside the repository."""

import numpy as np
import pytest
import torch

from tests.conftest import DATASET, INPUT, TRAINING, changed
from tests.skips import shared_data
from transferlens.core.errors import DataError
from transferlens.data import ffcv_writing, index_making, pipeline, sources
from transferlens.data.pipeline import Pass


def opened(name, file, root, **changes):
    settings = changed(DATASET, path=str(shared_data(file)) if file else None, **changes)
    return settings, sources.open_image_set(name, settings, root, download=False, complete=False)


@pytest.mark.parametrize(
    ("name", "file", "classes", "first"),
    [
        ("tiny-imagenet-200", "tiny-imagenet-200.tar", 200, "goldfish (n01443537)"),
        ("cifar10", "cifar-10.tar", 10, "airplane"),
        ("usps", "usps.h5", 10, "digit 0"),
    ],
)
def test_from_the_file_to_batches_of_the_streaming_loader(tmp_path, name, file, classes, first):
    settings, images = opened(name, file, tmp_path, train_per_class=3, val_per_class=2)
    made, skipped = index_making.make_index(name, images, settings, seed=0)
    assert skipped == []
    assert made.class_names[0] == first
    assert np.bincount(made.train.labels).tolist() == [3] * classes
    path = tmp_path / "train.beton"
    ffcv_writing.write_beton(path, images.train, made.train, settings, workers=2)
    ffcv_writing.write_manifest(path.with_suffix(".h5"), path, len(made.train))
    streaming = changed(INPUT, loading="streaming", resolution=32, crop_ratio=1.0)
    opened_again = pipeline.open_images(path, made.train, streaming, torch.device("cpu"))
    training = changed(TRAINING, crop="random_resized", batch_size=10)
    batch, labels = next(opened_again.training_batches(Pass(np.arange(30), training, 10, 0, 0, 32)))
    assert batch.shape == (10, 3, 32, 32)
    assert set(labels.tolist()) <= set(made.train.labels[:30].tolist())
    pixels = np.concatenate([b.numpy() for b in opened_again._evaluation_bytes(10)])
    side = made.train.sizes[0, 0]
    if side == 32:  # nothing is resized
        np.testing.assert_array_equal(pixels[7], images.train.image(int(made.train.positions[7])))


def test_complete_usps_passes_its_checks(tmp_path):
    settings = changed(DATASET, path=str(shared_data("usps.h5")))
    images = sources.open_image_set("usps", settings, tmp_path, download=False)
    assert (len(images.train.ids), len(images.val.ids)) == (7291, 2007)


def test_the_reduced_copies_are_no_complete_sets(tmp_path):
    settings = changed(DATASET, path=str(shared_data("cifar-10.tar")))
    with pytest.raises(DataError, match="has 10,000 training images, the published set has 50,000"):
        sources.open_image_set("cifar10", settings, tmp_path, download=False)


def test_archives_are_found_by_name_in_the_data_root(tmp_path):
    (tmp_path / "tiny-imagenet-200.tar").symlink_to(shared_data("tiny-imagenet-200.tar"))
    _, images = opened("tiny-imagenet-200", None, tmp_path)
    assert len(images.train.ids) == 20_000
    assert (tmp_path / "tiny-imagenet-200/val").is_dir()


def test_one_image_a_class_is_no_training_set(tmp_path):
    with pytest.raises(DataError, match=r"imagenet/train: no such folder \(there is only val/\)"):
        opened("imagenet", "imagenet-one-per-class.tar", tmp_path)
