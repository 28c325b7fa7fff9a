"""A folder of images and checkpoints become the figure; what is wrong with either is one line."""

import argparse
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from tests.conftest import draw
from transferlens.command import options
from transferlens.command.main import parser_of
from transferlens.core.errors import ConfigError, DataError, TransferlensError
from transferlens.core.settings import NetworkSettings
from transferlens.data import photographs
from transferlens.heatmaps import own_images
from transferlens.models import command_line


def explain(given):
    arguments = parser_of("explain").parse_args(given)
    arguments.work(arguments)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder as people have it: formats, modes and sizes mixed, something that is no image, a folder."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    picture = Image.fromarray(draw("waves", rng, 80, 120))
    picture.save(root / "b.png")
    picture.convert("L").save(root / "a.gif")
    picture.convert("CMYK").resize((300, 90)).save(root / "d.jpg")
    picture.convert("RGBA").save(root / "c.webp")
    (root / "notes.txt").write_text("no image")
    (root / "broken.png").write_bytes((root / "b.png").read_bytes()[:200])
    (root / "more").mkdir()
    return root


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A folder with a fine-tuned, a scratch and a source model of resnet18, as torchvision names them."""
    root = tmp_path_factory.mktemp("checkpoints")
    for seed, (name, classes) in enumerate({"tuned": 2, "scratch": 2, "source": 5}.items()):
        torch.manual_seed(seed)
        state = torchvision.models.resnet18(num_classes=classes).state_dict()
        torch.save({"model_state_dict": state}, root / f"{name}.pt")
    (root / "names.txt").write_text("cat\ndog\n\n")
    return root


def arguments(photos, checkpoints, out, **changed):
    given = {
        "images": photos,
        "checkpoint": checkpoints / "tuned.pt",
        "architecture": "resnet18",
        "classes": checkpoints / "names.txt",
        "out": out,
        "resolution": 64,
        **changed,
    }
    several = {key: value if isinstance(value, list) else [value] for key, value in given.items()}
    return [
        text
        for key, values in several.items()
        for value in values
        for text in (f"--{key.replace('_', '-')}", str(value))
    ]


def test_one_command_draws_the_figure(photos, checkpoints, tmp_path, capsys, caplog):
    models = {
        "source": checkpoints / "source.pt",
        "source_classes": 5,
        "baseline": checkpoints / "scratch.pt",
    }
    given = arguments(photos, checkpoints, tmp_path / "f.png", colormap="jet", **models)
    explain(given)
    assert "notes.txt (image): cannot be decoded" in caplog.text
    assert "broken.png (image): cannot be decoded" in caplog.text
    assert capsys.readouterr().out.strip() == f"4 images drawn in {tmp_path / 'f.png'}"
    with Image.open(tmp_path / "f.png") as figure:
        assert figure.width > 2 * figure.height  # two images, each with three maps, in a row


def test_several_checkpoints_stand_side_by_side(photos, checkpoints, tmp_path, monkeypatch):
    """A column each, called by its name, in the order given; each shows what its own weights say."""
    drawn = {}
    monkeypatch.setattr(
        own_images, "draw", lambda path, names, pixels, columns, **_: drawn.update(columns=columns)
    )
    models = [f"first={checkpoints / 'tuned.pt'}", f"a second={checkpoints / 'scratch.pt'}"]
    given = arguments(photos, checkpoints, tmp_path / "f.png", checkpoint=models)
    explain([*given, "--baseline", str(checkpoints / "scratch.pt")])
    first, second, baseline = drawn["columns"]
    assert [column.title for column in drawn["columns"]] == ["first", "a second", "from scratch"]
    np.testing.assert_array_equal(second.maps.maps, baseline.maps.maps)
    assert not np.array_equal(first.maps.maps, second.maps.maps)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["a/w.pt"], [("fine-tuned", "a/w.pt")]),
        (["mine=a/w.pt"], [("mine", "a/w.pt")]),
        (["a/w.pt", "b/v.pt"], [("w", "a/w.pt"), ("v", "b/v.pt")]),
    ],
)
def test_checkpoints_are_called_by_their_names(given, named):
    assert own_images.named_checkpoints(given) == named


def test_a_file_whose_name_has_an_equals_sign_is_a_file(tmp_path):
    (tmp_path / "lr=0.1.pt").touch()
    assert own_images.named_checkpoints([f"{tmp_path}/lr=0.1.pt"]) == [
        ("fine-tuned", f"{tmp_path}/lr=0.1.pt")
    ]
    named = own_images.named_checkpoints([f"low=rate={tmp_path}/w.pt"])
    assert named == [("low=rate", f"{tmp_path}/w.pt")]


def test_images_are_read_in_order_whatever_they_are(photos):
    names, pixels = own_images.read_folder(photos, 32, 0.875)
    assert names == ["a.gif", "b.png", "c.webp", "d.jpg"]
    assert pixels.shape == (4, 32, 32, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels[1].astype(int), pixels[2].astype(int), atol=60)  # webp loses some


def test_the_crop_is_central_and_upright():
    """Of 40 x 80 pixels the middle 20 x 20 remain at ratio 0.5; the camera's rotation is undone."""
    image = np.zeros((40, 80, 3), np.uint8)
    image[10:30, 30:50] = 200
    np.testing.assert_array_equal(photographs.central_square(image, 20, 0.5), np.full((20, 20, 3), 200))
    half = Image.fromarray(np.vstack([np.full((8, 16, 3), 255), np.zeros((8, 16, 3))]).astype(np.uint8))
    half.getexif()[0x0112] = 3  # upside down
    assert photographs.central_square(half, 16, 1.0)[0].max() == 0


def test_a_column_names_what_the_model_finds_most_probable(checkpoints):
    settings = NetworkSettings(name="resnet18", resolution=64)
    network = command_line.load_model(str(checkpoints / "tuned.pt"), "w", settings, ["cat", "dog"])
    images = torch.randn(3, 3, 64, 64)
    column = own_images.see("fine-tuned", network, ["cat", "dog"], images, "CAM")
    with torch.no_grad():
        logits = network(images)
    assert column.classes == [["cat", "dog"][i] for i in logits.argmax(1)]
    np.testing.assert_allclose(column.maps.probabilities, logits.softmax(1).max(1).values, atol=1e-5)
    bias = network.head.bias.detach()[logits.argmax(1)].numpy()
    np.testing.assert_allclose(column.maps.maps.mean((1, 2)) + bias, logits.max(1).values, atol=1e-4)


OWN = """
import torch
from torch import nn


def make_net(classes, width=4):
    maps = nn.Sequential(nn.Conv2d(3, width, 5, 4, 2), nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1))
    return nn.Sequential(maps, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))
"""


def test_a_network_in_a_file_of_ones_own(photos, checkpoints, tmp_path, monkeypatch):
    """With an option, its head named, and ImageNet's scaling, as no weights of it were published."""
    monkeypatch.chdir(tmp_path)
    Path("my_net.py").write_text(OWN)
    spec = importlib.util.spec_from_file_location("my_net", "my_net.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.save(module.make_net(2, width=6).state_dict(), "w.pt")
    changed = {"architecture": "my_net.py:make_net", "option": "width=6", "part": "head=3"}
    given = arguments(photos, checkpoints, "f.png", checkpoint="w.pt", method="CAM", **changed)
    explain(given)
    with Image.open("f.png") as figure:
        assert figure.width > figure.height
    settings = command_line.network_settings("my_net.py:make_net", ["width=6"], ["head=3"], None)
    assert (settings.resolution, settings.options, settings.parts.head) == (224, {"width": 6}, "3")
    assert command_line.scaling(settings, None, [1, 1, 1]) == ([0.485, 0.456, 0.406], [1, 1, 1])


def test_a_transformer_is_seen_at_the_size_it_is_built_for(photos, checkpoints, tmp_path):
    timm = pytest.importorskip("timm")
    name, option = "vit_tiny_patch16_224", "img_size=64"
    torch.manual_seed(0)
    torch.save(timm.create_model(name, num_classes=2, img_size=64).state_dict(), tmp_path / "w.pt")
    given = arguments(photos, checkpoints, tmp_path / "f.png", architecture=f"timm/{name}", option=option)
    at = given.index("--checkpoint") + 1
    given[at] = str(tmp_path / "w.pt")
    explain(given)
    assert (tmp_path / "f.png").exists()
    settings = command_line.network_settings(f"timm/{name}", [option], [], None)
    assert settings.resolution == 64
    assert command_line.scaling(settings, None, None) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    with pytest.raises(ConfigError, match="as its features are read from a token of their own"):
        explain([*given, "--method", "CAM"])


@pytest.mark.parametrize(
    ("changed", "kind", "message"),
    [
        ({"images": "no/such/place"}, DataError, "no/such/place: no such folder"),
        ({"checkpoint": "none.pth"}, ConfigError, "--checkpoint: no file 'none.pth'"),
        ({"checkpoint": "resnet18.ckpt"}, ConfigError, "'resnet18.ckpt' is no file, and resnet18 has no"),
        (
            {"checkpoint": ["a=x.pt", "a=y.pt"]},
            ConfigError,
            "two models are called 'a'; name each: NAME=FILE",
        ),
        ({"checkpoint": "mine="}, ConfigError, "'mine=' names no file; write mine=FILE"),
        ({"checkpoint": ["x.pt"] * 9}, ConfigError, "9 models are given, and a figure takes 8"),
        ({"architecture": "resnet19"}, ConfigError, r"is 'resnet19' \(did you mean 'resnet18'"),
        ({"architecture": "resnet34"}, ConfigError, r"tuned.pt: of .* missing.*another network\?"),
        ({"architecture": "googlenet"}, ConfigError, r"tuned.pt: .*another network"),
        ({"classes": 3}, ConfigError, "tuned.pt: its head has 2 classes, but 3 are named"),
        ({"classes": "none.txt"}, DataError, "classes 'none.txt': neither a number nor a readable text"),
        ({"layer": "layer5"}, ConfigError, r"no layer 'layer5' \(did you mean 'layer"),
        ({"method": "LayerCan"}, ConfigError, r"'LayerCan' \(did you mean 'LayerCAM'"),
        ({"option": "width"}, ConfigError, "--option: 'width' is not understood; write KEY=VALUE"),
        ({"option": "resolution=32"}, ConfigError, "--option: 'resolution' is no option .* --resolution"),
        ({"option": "norm_layers=1"}, ConfigError, r"'norm_layers' \(did you mean 'norm_layer'"),
        ({"option": "num_classes=1"}, ConfigError, "the number of classes is that of the data; leave it out"),
        ({"part": "heads=fc"}, ConfigError, r"unknown key '.*parts.heads' \(did you mean 'head'"),
        ({"part": "head=fcs"}, ConfigError, r"no linear layer 'fcs' \(did you mean 'fc'"),
        ({"part": "blocks=layer1"}, ConfigError, "blocks' is 'layer1' .*must be of type array"),
        ({"architecture": "none.py:make_net"}, ConfigError, "architecture.file: there is no file 'none.py'"),
        (
            {"architecture": "vgg11", "method": "CAM"},
            ConfigError,
            "CAM needs class maps that add up to logits, and those of vgg11 do not, as .* use GradCAM",
        ),
        ({"architecture": "vit_b_16"}, ConfigError, "vit_b_16 cannot take images of 64 px .*image_size"),
    ],
)
def test_bad_input_is_one_line(photos, checkpoints, tmp_path, changed, kind, message):
    given = arguments(photos, checkpoints, tmp_path / "f.png", **changed)
    with pytest.raises(kind, match=message) as caught:
        explain(given)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "f.png").exists()


def test_a_folder_without_images_and_one_with_too_many(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="holds no readable image"):
        own_images.read_folder(tmp_path, 32, 0.875)
    for i in range(3):
        Image.new("RGB", (20, 20)).save(tmp_path / f"{i}.png")
    monkeypatch.setattr(own_images, "MOST_IMAGES", 2)
    with pytest.raises(TransferlensError, match="more than 2 images"):
        own_images.read_folder(tmp_path, 32, 0.875)


def test_numbers_that_no_memory_holds_are_refused_on_the_command_line():
    with pytest.raises(DataError, match="classes '999999999999': no head has more than 1,000,000"):
        own_images.read_classes("999999999999")
    for kind, key, text in (
        (int, "resolution", "1000000"),
        (int, "seed", "-1"),
        (float, "mean", "123.7"),
        (float, "std", "nan"),
        (float, "taus", "inf"),
    ):
        with pytest.raises(argparse.ArgumentTypeError, match=f"'?{text}'? is not from .*: "):
            options.number(kind, key)(text)
    assert options.number(int, "resolution")("64") == 64
    with pytest.raises(ConfigError, match="'resolution' is 160000; it can be at most 4,096"):
        command_line.network_settings("vit_b_16", ["image_size=160000"], [], None)
