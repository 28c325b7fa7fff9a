"""Tiny copies of the publishers' layouts, and of those that torchvision reads: found, divided, labelled."""

import bz2
import hashlib
import json
import pickle
import tarfile

import numpy as np
import pytest
import scipy.io
from PIL import Image
from torchvision import datasets

from transferlens.core.errors import DataError
from transferlens.data import imagenet, places


def picture(path, colour=0):
    """A gray image whose level tells which one it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (colour,) * 3).save(path, quality=95)


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def found(name, root):
    """{split: [(label, gray level of the image)]} of a set, as it is found below the root."""
    place = places.fetch(name, None, root, download=False, limit_gb=1)
    images = place.open()
    assert place.labels() == images.class_names
    levels = {}
    for split_name in ("train", "val"):
        split = getattr(images, split_name)
        assert len(set(split.ids)) == len(split.ids)
        pixels = [split.image(i) for i in range(len(split.ids))]
        assert all(p.shape[2] == 3 and p.dtype == np.uint8 for p in pixels)
        labels = [images.class_names[label] for label in split.labels]
        levels[split_name] = [(label, int(p[0, 0, 0])) for label, p in zip(labels, pixels, strict=True)]
    return levels


def test_tiny_imagenet(tmp_path):
    root = tmp_path / "tiny-imagenet-200"
    for c, wnid in enumerate(("n01443537", "n01629819")):
        picture(root / f"train/{wnid}/images/{wnid}_0.JPEG", 10 * c)
        write(root / f"train/{wnid}/{wnid}_boxes.txt", "x")
    for i in range(2):
        picture(root / f"val/images/val_{i}.JPEG", 100 + i)
    rows = ("val_0.JPEG\tn01629819\t0\t0", "val_1.JPEG\tn01443537\t0\t0")
    write(root / "val/val_annotations.txt", *rows)
    assert found("tiny-imagenet-200", tmp_path) == {
        "train": [("n01443537", 0), ("n01629819", 10)],
        "val": [("n01629819", 100), ("n01443537", 101)],
    }


def test_cub(tmp_path):
    root = tmp_path / "CUB_200_2011"
    files = ["001.Albatross/a.jpg", "002.Auklet/b.jpg", "002.Auklet/c.jpg", "001.Albatross/d.jpg"]
    for i, file in enumerate(files):
        picture(root / "images" / file, 10 * i)
    write(root / "images.txt", *(f"{i} {file}" for i, file in enumerate(files, 1)))
    write(root / "classes.txt", "1 001.Albatross", "2 002.Auklet")
    write(root / "image_class_labels.txt", "1 1", "2 2", "3 2", "4 1")
    write(root / "train_test_split.txt", "1 1", "2 0", "3 1", "4 0")
    assert found("cub-200", tmp_path) == {
        "train": [("001.Albatross", 0), ("002.Auklet", 20)],
        "val": [("002.Auklet", 10), ("001.Albatross", 30)],
    }
    write(root / "train_test_split.txt", "1 1", "2 0", "3 1")
    with pytest.raises(DataError, match="do not agree"):
        found("cub-200", tmp_path)
    for split, label in (("1 2", "1 1"), ("1 1", "1 0"), ("1", "1 1")):
        write(root / "train_test_split.txt", split, "2 0", "3 1", "4 0")
        write(root / "image_class_labels.txt", label, "2 2", "3 2", "4 1")
        with pytest.raises(DataError, match="not a complete copy of cub-200, a list is missing or damaged"):
            found("cub-200", tmp_path)


@pytest.mark.parametrize(
    ("name", "folder", "classes", "count"),
    [
        ("caltech101", "caltech101/101_ObjectCategories", ("BACKGROUND_Google", "Faces_easy", "ant"), 30),
        ("caltech256", "256_ObjectCategories", ("001.ak47", "257.clutter"), 60),
        ("scene15", "scene15/15-Scene", ("bedroom", "kitchen"), 100),
    ],
)
def test_the_first_images_of_a_class_are_for_training(tmp_path, name, folder, classes, count):
    for c in classes:
        for i in range(count + 2):
            picture(tmp_path / folder / c / f"image_{i:04d}.jpg", 2 * i)
    expected = [c for c in classes if c != "BACKGROUND_Google"]
    assert found(name, tmp_path) == {
        "train": [(c, 2 * i) for c in expected for i in range(count)],
        "val": [(c, 2 * i) for c in expected for i in (count, count + 1)],
    }


def test_every_fifth_image_is_for_evaluation(tmp_path):
    for i in range(7):
        picture(tmp_path / f"awa2/Animals_with_Attributes2/JPEGImages/antelope/a_{i}.jpg", i)
        picture(tmp_path / f"PetImages/Cat/{i}.jpg", i)
        picture(tmp_path / f"PetImages/Dog/{i}.jpg", i)
    assert found("awa2", tmp_path)["val"] == [("antelope", 4)]
    (tmp_path / "PetImages/Cat/3.jpg").unlink()  # other images keep their side
    assert found("cats-vs-dogs", tmp_path)["val"] == [("Cat", 0), ("Cat", 5), ("Dog", 0), ("Dog", 5)]


def test_sun397_needs_its_lists(tmp_path):
    root = tmp_path / "SUN397"
    for i, file in enumerate(("a/abbey/sun_1.jpg", "a/abbey/sun_2.jpg", "b/bow/in/sun_3.jpg")):
        picture(root / file, 10 * i)
    write(root / "ClassName.txt", "/a/abbey", "/b/bow/in")
    with pytest.raises(DataError, match=r"Training_01.txt: no such file; .* Partitions.zip"):
        found("sun397", tmp_path)
    write(tmp_path / "Partitions/Training_01.txt", "/a/abbey/sun_2.jpg")
    write(tmp_path / "Partitions/Testing_01.txt", "/b/bow/in/sun_3.jpg", "/a/abbey/sun_1.jpg")
    assert found("sun397", tmp_path) == {
        "train": [("abbey", 10)],
        "val": [("bow/in", 20), ("abbey", 0)],
    }


def test_chestxray14(tmp_path):
    root = tmp_path / "chestxray14"
    findings = ("Effusion|Pneumothorax", "No Finding", "Pneumothorax")
    for i in range(3):
        picture(root / f"images_00{i + 1}/images/{i}.png", 10 * i)
    rows = (f"{i}.png,{finding},0" for i, finding in enumerate(findings))
    write(root / "Data_Entry_2017_v2020.csv", "Image Index,Finding Labels,Follow-up #", *rows)
    write(root / "train_val_list.txt", "1.png", "0.png")
    write(root / "test_list.txt", "2.png")
    assert found("chestxray14", tmp_path) == {
        "train": [("no pneumothorax", 10), ("pneumothorax", 0)],
        "val": [("pneumothorax", 20)],
    }
    (root / "images_002/images/1.png").unlink()
    with pytest.raises(DataError, match=r"lists 1.png, which has no image in images\*/"):
        found("chestxray14", tmp_path)


@pytest.mark.parametrize(
    ("name", "folder", "train", "val"),
    [
        ("hymenoptera", "hymenoptera/hymenoptera_data", "train", "val"),
        ("fruits-360", "fruits-360/fruits-360_100x100/fruits-360", "Training", "Test"),
        ("birdsnap", "birdsnap", "train", "test"),
    ],
)
def test_image_folders_within_wrappers(tmp_path, name, folder, train, val):
    picture(tmp_path / folder / train / "ants/1.jpg", 10)
    picture(tmp_path / folder / val / "ants/2.jpg", 20)
    assert found(name, tmp_path) == {"train": [("ants", 10)], "val": [("ants", 20)]}


def tar_of(path, members):
    """A tar of (name, file) members."""
    with tarfile.open(path, "w") as file:
        for name, member in members:
            file.add(member, name)


def test_imagenets_archives(tmp_path):
    """Training images in a tar a class within a tar; validation images flat, their classes in the devkit."""
    import torch

    root, wnids = tmp_path / "imagenet", ("n01440764", "n01443537")
    for c, wnid in enumerate(wnids):
        picture(tmp_path / f"{wnid}_1.JPEG", 10 * c)
        picture(tmp_path / f"val_{c}.JPEG", 100 + c)
        tar_of(tmp_path / f"{wnid}.tar", [(f"{wnid}_1.JPEG", tmp_path / f"{wnid}_1.JPEG")])
    root.mkdir()
    tar_of(root / imagenet.TRAIN, [(f"{wnid}.tar", tmp_path / f"{wnid}.tar") for wnid in wnids])
    tar_of(root / imagenet.VAL, [(f"val_{c}.JPEG", tmp_path / f"val_{c}.JPEG") for c in range(2)])
    torch.save(({w: (w,) for w in wnids}, [wnids[1], wnids[0]]), root / "meta.bin")
    with pytest.raises(DataError, match=r"img_train.tar: md5 is .* but 1d675b47d978889d74fa0da5fadfb00e"):
        found("imagenet", tmp_path)
    imagenet.prepare(root, {}, limit_gb=1)
    assert found("imagenet", tmp_path) == {
        "train": [("n01440764", 0), ("n01443537", 10)],
        "val": [("n01440764", 101), ("n01443537", 100)],
    }


# Layouts that torchvision reads. Each writes a copy below a folder and returns what must be found in it.


def aircraft(root, _):
    data = root / "fgvc-aircraft-2013b/data"
    write(data / "variants.txt", "707-320", "A300B4")
    write(data / "images_variant_trainval.txt", "0000001 707-320", "0000002 A300B4")
    write(data / "images_variant_test.txt", "0000003 707-320")
    for i in (1, 2, 3):
        picture(data / f"images/000000{i}.jpg", 10 * i)
    return {"train": [("707-320", 10), ("A300B4", 20)], "val": [("707-320", 30)]}


def flowers102(root, monkeypatch):
    folder = root / "flowers-102"
    for i in range(1, 7):
        picture(folder / f"jpg/image_{i:05d}.jpg", 10 * i)
    scipy.io.savemat(folder / "imagelabels.mat", {"labels": [[2, 1, 102, 2, 1, 1]]})
    ids = {"trnid": [[2, 1]], "valid": [[3, 4]], "tstid": [[5, 6]]}
    scipy.io.savemat(folder / "setid.mat", ids)
    files = {"label": "imagelabels.mat", "setid": "setid.mat"}
    known = {key: (file, md5(folder / file)) for key, file in files.items()}
    monkeypatch.setattr(datasets.Flowers102, "_file_dict", known)
    return {
        "train": [("1", 20), ("2", 10), ("102", 30), ("2", 40)],
        "val": [("1", 50), ("1", 60)],
    }


def food101(root, _):
    files = {"train": {"baklava": ["baklava/1"], "apple_pie": ["apple_pie/2"]}}
    files["test"] = {"baklava": ["baklava/3"], "apple_pie": []}
    for split, meta in files.items():
        write(root / f"food-101/meta/{split}.json", json.dumps(meta))
    for i, file in enumerate(("baklava/1", "apple_pie/2", "baklava/3")):
        picture(root / f"food-101/images/{file}.jpg", 10 * i)
    return {"train": [("baby_back_ribs", 0), ("apple_pie", 10)], "val": [("baby_back_ribs", 20)]}


def pets(root, _):
    folder = root / "oxford-iiit-pet"
    write(folder / "annotations/trainval.txt", "Abyssinian_1 1 1 1", "american_bulldog_2 2 2 1")
    write(folder / "annotations/test.txt", "american_bulldog_3 2 2 1")
    for i, name in enumerate(("Abyssinian_1", "american_bulldog_2", "american_bulldog_3")):
        picture(folder / f"images/{name}.jpg", 10 * i)
    return {"train": [("Abyssinian", 0), ("american_bulldog", 10)], "val": [("american_bulldog", 20)]}


def stanford_cars(root, _):
    folder = root / "stanford_cars"
    (folder / "devkit").mkdir(parents=True)
    names = np.array([["AM General Hummer", "Acura RL"]], dtype=object)
    scipy.io.savemat(folder / "devkit/cars_meta.mat", {"class_names": names})
    for split, path in (("train", "devkit/cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        rows = np.array([(f"{i}.jpg", c) for i, c in ((1, 2), (2, 1))], [("fname", "O"), ("class", "O")])
        scipy.io.savemat(folder / path, {"annotations": rows[None]})
        for i in (1, 2):
            picture(folder / f"cars_{split}/{i}.jpg", 10 * i + 100 * (split == "test"))
    return {
        "train": [("Acura RL", 10), ("AM General Hummer", 20)],
        "val": [("Acura RL", 110), ("AM General Hummer", 120)],
    }


def dtd(root, _):
    folder = root / "dtd/dtd"
    for i, split in enumerate(("train", "val", "test")):
        write(folder / f"labels/{split}1.txt", f"banded/{i}.jpg")
        picture(folder / f"images/banded/{i}.jpg", 10 * i)
    return {"train": [("banded", 0), ("banded", 10)], "val": [("banded", 20)]}


def idx_files(folder, prefix, images, labels):
    """A pair of IDX files as MNIST's."""
    folder.mkdir(parents=True, exist_ok=True)
    header = np.array([0x803, *images.shape], ">i4").tobytes()
    (folder / f"{prefix}-images-idx3-ubyte").write_bytes(header + images.tobytes())
    header = np.array([0x801, len(labels)], ">i4").tobytes()
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(header + np.array(labels, np.uint8).tobytes())


def levels(*values):
    return np.stack([np.full((28, 28), v, np.uint8) for v in values])


def mnist(root, _, folder="MNIST", names=("7", "0")):
    raw = root / folder / "raw"
    idx_files(raw, "train", levels(10, 20), [7, 0])
    idx_files(raw, "t10k", levels(30), [7])
    return {"train": [(names[0], 10), (names[1], 20)], "val": [(names[0], 30)]}


def fashion_mnist(root, monkeypatch):
    return mnist(root, monkeypatch, "FashionMNIST", ("Sneaker", "T-shirt/top"))


def kmnist(root, monkeypatch):
    return mnist(root, monkeypatch, "KMNIST", ("ya", "o"))


def emnist_letters(root, _):
    raw = root / "EMNIST/raw"
    idx_files(raw, "emnist-letters-train", levels(10, 20), [1, 26])
    idx_files(raw, "emnist-letters-test", levels(30), [2])
    return {"train": [("a", 10), ("z", 20)], "val": [("b", 30)]}


def usps(root, _):
    for name, rows in (("usps.bz2", ((1, 7), (0.0, 10))), ("usps.t.bz2", ((1, 1),))):
        lines = (f"{label} " + " ".join(f"{i}:{gray}" for i in range(1, 257)) for gray, label in rows)
        (root / name).write_bytes(bz2.compress("\n".join(lines).encode()))
    return {"train": [("6", 255), ("9", 127)], "val": [("0", 255)]}


def stl10(root, monkeypatch):
    folder = root / "stl10_binary"
    folder.mkdir()
    for split, values in (("train", (10, 20)), ("test", (30,))):
        pixels = np.stack([np.full((3, 96, 96), v, np.uint8) for v in values])
        (folder / f"{split}_X.bin").write_bytes(pixels.tobytes())
        (folder / f"{split}_y.bin").write_bytes(np.arange(1, len(values) + 1, dtype=np.uint8).tobytes())
        known = [[f"{split}_{part}.bin", md5(folder / f"{split}_{part}.bin")] for part in "Xy"]
        monkeypatch.setattr(datasets.STL10, f"{split}_list", known)
    return {"train": [("airplane", 10), ("bird", 20)], "val": [("airplane", 30)]}


def cifar10(root, monkeypatch, name="cifar10"):
    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    folder = root / kind.base_folder
    folder.mkdir()
    key = "labels" if name == "cifar10" else "fine_labels"
    for split, values in (("train", (10, 20)), ("test", (30,))):
        pixels = np.stack([np.full(3072, v, np.uint8) for v in values])
        content = {"data": pixels, key: [1, 0][: len(values)]}
        (folder / split).write_bytes(pickle.dumps(content))
        monkeypatch.setattr(kind, f"{split}_list", [[split, md5(folder / split)]])
    (folder / "meta").write_bytes(pickle.dumps({kind.meta["key"]: ["a", "b"]}))
    meta = {**kind.meta, "filename": "meta", "md5": md5(folder / "meta")}
    monkeypatch.setattr(kind, "meta", meta)
    names = ("automobile", "airplane") if name == "cifar10" else ("aquarium_fish", "apple")
    return {"train": [(names[0], 10), (names[1], 20)], "val": [(names[0], 30)]}


def cifar100(root, monkeypatch):
    return cifar10(root, monkeypatch, "cifar100")


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


TORCHVISION = [aircraft, flowers102, food101, pets, stanford_cars, dtd, mnist, fashion_mnist, kmnist]
TORCHVISION += [emnist_letters, usps, stl10, cifar10, cifar100]


@pytest.mark.parametrize("layout", TORCHVISION, ids=lambda f: f.__name__)
def test_what_torchvision_reads(tmp_path, monkeypatch, layout):
    name = layout.__name__.replace("_", "-")
    expected = layout(tmp_path, monkeypatch)
    assert found(name, tmp_path) == expected


def test_letters_stand_upright(tmp_path):
    stroke = np.zeros((2, 28, 28), np.uint8)
    stroke[:, 3] = 255  # NIST stores rows as columns
    for split in ("train", "test"):
        idx_files(tmp_path / "EMNIST/raw", f"emnist-letters-{split}", stroke, [1, 2])
    image = places.fetch("emnist-letters", None, tmp_path, False, 1).open().train.image(0)
    assert image[:, 3].min() == 255
    assert image[:, 4].max() == 0


def test_a_damaged_file_of_torchvisions_is_named(tmp_path):
    """CIFAR-10's published checksums: which file, expected and found."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(b"half")
    with pytest.raises(DataError, match=r"data_batch_1: md5 is .*, but c99cafc152244af753f735de768cd75f is"):
        found("cifar10", tmp_path)
    (folder / "data_batch_1").unlink()
    with pytest.raises(DataError, match=r"data_batch_1: no such file, so CIFAR-10 is half-downloaded"):
        found("cifar10", tmp_path)


def test_a_half_unpacked_set_of_torchvisions_is_named(tmp_path):
    (tmp_path / "food-101/images").mkdir(parents=True)
    with pytest.raises(DataError, match=r"food-101: not a complete copy of Food-101"):
        found("food101", tmp_path)


def test_publishers_archives_are_checked_and_unpacked_where_torchvision_would(tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    expected = food101(copy, monkeypatch)
    root = tmp_path / "root"
    root.mkdir()
    with tarfile.open(root / "food-101.tar.gz", "w:gz") as file:
        file.add(copy / "food-101", "food-101")
    with pytest.raises(
        DataError, match=r"food-101.tar.gz: md5 is .* but 85eeb15f3717b99a5da872d97d918f87 is"
    ):
        found("food101", root)
    facts = places.CATALOGUE["food101"]
    monkeypatch.setitem(facts.archives, "food-101.tar.gz", f"md5:{md5(root / 'food-101.tar.gz')}")
    assert found("food101", root) == expected
    assert (root / "food-101/meta/train.json").is_file()


def test_caltech_101_comes_in_an_archive_within_an_archive(tmp_path, monkeypatch):
    import zipfile

    for i in range(31):
        picture(tmp_path / f"x/101_ObjectCategories/Faces_easy/{i:02d}.jpg", i)
    with tarfile.open(tmp_path / "inner.tar.gz", "w:gz") as file:
        file.add(tmp_path / "x/101_ObjectCategories", "101_ObjectCategories")
    packed = tmp_path / "root/caltech101/caltech-101.zip"
    packed.parent.mkdir(parents=True)
    with zipfile.ZipFile(packed, "w") as file:
        file.write(tmp_path / "inner.tar.gz", "caltech-101/101_ObjectCategories.tar.gz")
    facts = places.CATALOGUE["caltech101"]
    monkeypatch.setitem(facts.archives, "caltech101/caltech-101.zip", f"md5:{md5(packed)}")
    assert found("caltech101", tmp_path / "root")["val"] == [("Faces_easy", 30)]
