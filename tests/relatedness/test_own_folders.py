"""Two folders and a network become a table; what is wrong with either is one line."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from transferlens.command.main import parser_of
from transferlens.core.errors import ArtefactError, ConfigError, DataError, TransferlensError
from transferlens.core.settings import NetworkSettings
from transferlens.models import contract
from transferlens.relatedness import own_folders, own_table
from transferlens.scores.registry import SCORES

CHOICE = own_folders.Choice(most=100, test_share=0.25, seed=0)


def scores(given):
    arguments = parser_of("scores").parse_args(given)
    arguments.work(arguments)


def paint(folder, images, colour, rng):
    folder.mkdir(parents=True)
    for i in range(images):
        pixels = np.clip(colour + rng.normal(0, 40, (24, 30, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A divided folder of two classes, one of three that is not, and a network's weights with a head of 4."""
    root, rng = tmp_path_factory.mktemp("folders"), np.random.default_rng(0)
    for split, images in (("train", 12), ("val", 6)):
        paint(root / "divided" / split / "dark", images, 60, rng)
        paint(root / "divided" / split / "light", images, 200, rng)
    for name, colour in (("a", (220, 60, 60)), ("b", (60, 220, 60)), ("c", (60, 60, 220))):
        paint(root / "plain" / name, 16, colour, rng)
    torch.manual_seed(0)
    network = contract.build(NetworkSettings(name="small_resnet", resolution=16, width=8), 4)
    torch.save(network.state_dict(), root / "weights.pt")
    torch.save(network.backbone.state_dict(prefix="backbone."), root / "headless.pt")
    return root


def arguments(folders, out, **changed):
    given = {
        "reference": folders / "divided",
        "target": folders / "plain",
        "weights": folders / "weights.pt",
        "architecture": "small_resnet",
        "option": "width=8",
        "resolution": 16,
        "out": out,
        **changed,
    }
    return [text for key, value in given.items() for text in (f"--{key.replace('_', '-')}", str(value))]


def run(folders, out, *more, **changed):
    scores([*arguments(folders, out, **changed), *more])
    with out.open(encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def test_one_command_gives_the_table(folders, tmp_path, capsys):
    rows = run(folders, tmp_path / "new" / "table.csv")
    printed = capsys.readouterr().out
    assert "Target: plain, 3 classes, 33 training and 15 test images." in printed
    assert {row["part"] for row in rows.values()} == {"probe", "bound", "score"}
    assert [name for name, row in rows.items() if row["part"] == "score"] == list(SCORES)
    for row in rows.values():
        assert row["title"] in printed
        assert row["value"] or row["note"], row
        assert row["low"] or row["note"], row
        if row["low"]:
            assert float(row["low"]) <= float(row["value"]) <= float(row["high"])
    assert float(rows["log_classes"]["value"]) == pytest.approx(np.log(3))
    assert float(rows["accuracy"]["value"]) > 0.9  # three colours
    assert float(rows["transformed_loss"]["value"]) <= float(rows["bound"]["value"])
    terms = ("reference_loss", "label_mismatch", "lipschitz", "wasserstein", "prior_gap", "bound")
    loss, mismatch, lipschitz, distance, gap, bound = (float(rows[term]["value"]) for term in terms)
    assert bound == pytest.approx(loss + mismatch + lipschitz * distance + gap)


def test_weights_without_a_head_leave_out_what_needs_one(folders, tmp_path):
    rows = run(folders, tmp_path / "t.csv", "--scores", "leep", "hscore", weights=folders / "headless.pt")
    assert rows["leep"]["value"] == ""
    assert "source head" in rows["leep"]["note"]
    assert float(rows["hscore"]["value"]) > 0


@pytest.mark.parametrize("most", [100, 5])
def test_the_division_is_by_class_and_seeded(folders, most):
    choice = CHOICE._replace(most=most)
    found = own_folders.read(folders / "plain", choice)
    np.testing.assert_array_equal(np.bincount(found.train.labels), [min(12, most)] * 3)
    np.testing.assert_array_equal(np.bincount(found.test.labels), [min(4, most)] * 3)
    assert not set(found.train.ids) & set(found.test.ids)
    assert found.train.image(3).shape == (24, 30, 3)
    assert list(own_folders.read(folders / "plain", choice).test.ids) == list(found.test.ids)
    other = own_folders.read(folders / "plain", choice._replace(seed=1))
    assert list(other.test.ids) != list(found.test.ids)


def test_features_are_those_of_each_image(folders):
    network = contract.build(NetworkSettings(name="small_resnet", resolution=16, width=8), 4).eval()
    look = own_folders.Look(16, 1.0, (0.5,) * 3, (0.5,) * 3)
    seen = own_folders.see(own_folders.read(folders / "plain", CHOICE), network, look)
    assert seen.train.shape == (36, network.head.in_features)
    last = own_folders.read(folders / "plain", CHOICE).train.image(35)
    square = own_folders.central_square(last, 16, 1.0)
    with torch.no_grad():
        alone = network.backbone(own_folders.normalised(square[None], look.mean, look.std))
    np.testing.assert_allclose(seen.train[35], alone[0].numpy(), rtol=1e-4, atol=1e-5)


def empty_class(folders, tmp_path):
    (tmp_path / "one" / "train" / "a").mkdir(parents=True)
    (tmp_path / "one" / "train" / "b").mkdir()
    (tmp_path / "one" / "val").mkdir()
    return tmp_path / "one"


BAD = [
    (lambda f, t: {"target": t / "none"}, DataError, "no such folder"),
    (lambda f, t: {"target": f / "divided" / "train" / "dark"}, DataError, "has no class folders"),
    (lambda f, t: {"reference": empty_class(f, t)}, DataError, "class 'a' has no training image"),
    (lambda f, t: {"weights": t / "none.pt"}, ConfigError, "no file"),
    (lambda f, t: {"architecture": "small_resnt"}, ConfigError, "did you mean"),
    (lambda f, t: {"scores": "logmee"}, ConfigError, "did you mean 'logme'"),
    (lambda f, t: {"out": t}, ArtefactError, "cannot be written"),
]


@pytest.mark.parametrize("bad", range(len(BAD)))
def test_what_is_wrong_is_one_line(folders, tmp_path, bad):
    change, kind, message = BAD[bad]
    given = {"out": tmp_path / "t.csv", **change(folders, tmp_path)}
    with pytest.raises(TransferlensError, match=message) as error:
        scores(arguments(folders, **given))
    assert isinstance(error.value, kind)
    assert "\n" not in str(error.value)


def test_what_has_no_value_is_empty_in_the_file(tmp_path):
    rows = [own_table.Row("score", "x", "X", float("nan"), note="why")]
    own_table.write(tmp_path / "t.csv", rows)
    assert (tmp_path / "t.csv").read_text().splitlines()[1] == "score,x,X,,,,,why"
