"""ImageNet's official archives (ILSVRC 2012), unpacked into an image folder."""

from collections.abc import Mapping
from pathlib import Path

from transferlens.core.errors import DataError
from transferlens.data import archive

TRAIN, VAL, DEVKIT = (
    "ILSVRC2012_img_train.tar",
    "ILSVRC2012_img_val.tar",
    "ILSVRC2012_devkit_t12.tar.gz",
)


def prepare(folder: Path, checksums: Mapping[str, str], limit_gb: float) -> None:
    """Unpack the archives in `folder` into `train/<wnid>/*` and `val/<wnid>/*` there, where still missing.

    Args:
        folder: where the archives lie.
        checksums: their published checksums, by file name.
        limit_gb: gigabytes that each may hold.

    Raises:
        DataError: an archive that is damaged or unsafe, or a validation archive without the devkit.
    """
    if (folder / TRAIN).is_file() and not (folder / "train").is_dir():
        archive.check(folder / TRAIN, checksums.get(TRAIN))
        with archive.whole(folder / "train") as temporary:
            _unpack_classes(folder / TRAIN, temporary, limit_gb)
    if (folder / VAL).is_file() and not (folder / "val").is_dir():
        wnids = _validation_classes(folder, checksums)
        archive.check(folder / VAL, checksums.get(VAL))
        with archive.whole(folder / "val") as temporary:
            archive.unpack(folder / VAL, temporary, limit_gb)
            _sort_into_classes(folder / VAL, temporary, wnids)


def _unpack_classes(path: Path, folder: Path, limit_gb: float) -> None:
    """The training archive holds one tar a class; these are unpacked as they stream by."""
    with archive.explained(path, folder), archive.open_tar(path) as outer:
        for member in outer:
            wnid = member.name.removesuffix(".tar")
            archive.check_new(path, wnid, folder)
            (folder / wnid).mkdir()
            with archive.open_tar(fileobj=outer.extractfile(member)) as inner:
                archive.unpack_tar(path, inner, folder / wnid, limit_gb)


def _validation_classes(folder: Path, checksums: Mapping[str, str]) -> list[str]:
    """The WordNet id of every validation image, in the order of the images."""
    from torchvision.datasets import imagenet

    if not (folder / imagenet.META_FILE).is_file():
        if not (folder / DEVKIT).is_file():
            raise DataError(f"{folder / DEVKIT}: no such file; {VAL} has no labels without it")
        archive.check(folder / DEVKIT, checksums.get(DEVKIT))
        imagenet.parse_devkit_archive(str(folder))
    return imagenet.load_meta_file(str(folder))[1]


def _sort_into_classes(path: Path, folder: Path, wnids: list[str]) -> None:
    images = sorted(file.name for file in folder.iterdir())
    if len(images) != len(wnids):
        raise DataError(f"{path}: holds {len(images)} images, but the devkit has {len(wnids)} labels")
    for wnid in set(wnids):
        (folder / wnid).mkdir()
    for image, wnid in zip(images, wnids, strict=True):
        (folder / image).rename(folder / wnid / image)
