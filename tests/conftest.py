"""Small real inputs shared by the tests."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.skips import pytest_terminal_summary  # noqa: F401 (a hook of pytest)
from transferlens.core.settings import (
    DatasetSettings,
    InputSettings,
    NetworkSettings,
    Section,
    TrainingSettings,
)
from transferlens.core.studies import SUBSET, Rows
from transferlens.data import ffcv_writing, folder, index_making, pipeline

torch.set_num_threads(1)

# Networks in files of users' own.
OWN_NETWORKS = Path(__file__).parent / "models" / "own_networks.py"
SMALL_VIT = Path(__file__).parents[1] / "configs" / "small_vit.py"

ARCHITECTURE = NetworkSettings(name="small_resnet", width=8)
INPUT = InputSettings(
    resolution=28,
    crop_ratio=0.9,
    mean=[0.4, 0.5, 0.6],
    std=[0.2, 0.3, 0.25],
    loading="resident",
    resident_limit_gb=1.0,
)
TRAINING = TrainingSettings(
    epochs=3,
    batch_size=16,
    lr=0.1,
    schedule="triangular",
    lr_peak_epoch=1,
    step_epochs=1,
    gamma=0.1,
    class_weighted=False,
    momentum=0.9,
    weight_decay=5e-4,
    label_smoothing=0,
    precision="float32",
    crop="none",
    padding=2,
    scale=[0.5, 1.0],
    flip=False,
    resize=None,
)
DATASET = DatasetSettings()
CLASSES = ("blobs", "stripes", "waves")


def changed(section: Section, **changes) -> Section:
    """Settings with other values for some keys, checked as they are when read."""
    return type(section)(**{**dict(section), **changes})


def rows_of(masks, seeds=None, first: int = 0, unit_names=CLASSES) -> Rows:
    """Rows of a study with these masks, numbered from `first` on."""
    count = len(masks)
    return Rows(
        np.array(masks, bool),
        first + np.arange(count),
        np.array(seeds if seeds is not None else range(count)),
        [SUBSET] * count,
        np.full(count, -1),
        [""] * count,
        np.zeros(count, np.int64),
        list(unit_names),
        [""] * len(unit_names),
    )


def draw(name: str, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A noisy picture of one of three textures, uint8[height, width, 3]."""
    y, x = np.mgrid[:height, :width]
    phase = rng.uniform(0, 6)
    texture = {
        "blobs": np.cos(x / 2 + phase) * np.cos(y / 2 + phase),
        "stripes": np.cos(x / 1.5 + phase),
        "waves": np.cos(y / 1.5 + phase),
    }[name]
    noisy = 128 + 80 * texture[..., None] + rng.normal(0, 12, (height, width, 3))
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.fixture(autouse=True)
def same_draws():
    """A test that draws from torch's own generator draws the same, whatever ran before."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory):
    """An image folder of three textures, 30 train and 12 val images each, of unequal sizes."""
    root, rng = tmp_path_factory.mktemp("textures"), np.random.default_rng(0)
    for split, count in (("train", 30), ("val", 12)):
        for name in CLASSES:
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                height, width = rng.integers(30, 44, 2)
                picture = Image.fromarray(draw(name, rng, height, width))
                picture.save(root / split / name / f"{i:02d}.png")
    return root


@pytest.fixture(scope="session")
def dataset(image_folder, tmp_path_factory):
    """The folder as an index and as FFCV files in both formats: (index, {format: {split: path}})."""
    images = folder.open_folder(image_folder)
    made, _ = index_making.make_index("textures", images, DATASET, seed=0)
    files = {}
    for storage in ("raw", "jpg"):
        place = tmp_path_factory.mktemp(storage)
        settings = DatasetSettings(format=storage, jpeg_quality=95)
        for split in ("train", "val"):
            path = place / f"{split}.beton"
            ffcv_writing.write_beton(path, getattr(images, split), made.split(split), settings, 1)
            ffcv_writing.write_manifest(path.with_suffix(".h5"), path, len(made.split(split)))
            files.setdefault(storage, {})[split] = path
    return made, files


@pytest.fixture
def textures(dataset):
    """(index, train images, val images), resident."""
    made, files = dataset
    cpu = torch.device("cpu")
    return made, *(pipeline.open_images(files["raw"][s], made.split(s), INPUT, cpu) for s in ("train", "val"))


# Files that take minutes and hold few tests: begun last, one worker would wait for the other.
_FIRST = ("test_slurm.py", "test_recipes.py", "test_own_network.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--large`: with the tests that take minutes."""
    parser.addoption("--large", action="store_true", help="run the tests that are marked large, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Large tests where asked for; files in the order in which workers take them."""
    if not config.getoption("large"):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("large")])
        items[:] = [item for item in items if not item.get_closest_marker("large")]
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (not _is_first(item.path), -tests[item.path], str(item.path)))


def _is_first(path: Path) -> bool:
    return path.parent.name == "workflow" and path.name in _FIRST
