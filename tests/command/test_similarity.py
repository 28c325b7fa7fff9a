"""Two checkpoints, or two arrays, from the command line: the numbers are those of the library."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from transferlens.command.main import parser_of
from transferlens.core.errors import ConfigError, DataError
from transferlens.core.settings import NetworkSettings
from transferlens.data.photographs import normalised
from transferlens.dynamics.similarity import compare, compare_networks
from transferlens.models import contract

SIDE = 16


def similarity(**given):
    several = {key: value if isinstance(value, list) else [value] for key, value in given.items()}
    words = [word for key, values in several.items() for word in (f"--{key}", *map(str, values))]
    arguments = parser_of("similarity").parse_args(words)
    arguments.work(arguments)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Arrays, twelve photographs that fill the square, two networks, and one of them without its head."""
    root, rng = tmp_path_factory.mktemp("similar"), np.random.default_rng(0)
    x = rng.normal(size=(30, 4))
    np.save(root / "x.npy", x)
    np.savez(root / "y.npz", twin=2 * x, short=x[:9])
    (root / "photos").mkdir()
    for i in range(12):
        pixels = rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "photos" / f"{i:02}.png")
    for seed in (0, 1):
        torch.manual_seed(seed)
        state = network().state_dict()
        torch.save(state, root / f"{seed}.pt")
    headless = {name: tensor for name, tensor in state.items() if not name.startswith("head.")}
    torch.save(headless, root / "headless.pt")
    return root


def network():
    return contract.build(NetworkSettings(name="small_resnet", width=8, resolution=SIDE), 3)


def of_networks(place, out, **changed):
    given = {"architecture": "small_resnet", "option": "width=8", "resolution": SIDE, "crop-ratio": 1}
    files = {"first": place / "0.pt", "second": place / "1.pt", "images": place / "photos", "out": out}
    similarity(**{**given, **files, "batch": 4, **changed})


def test_networks_are_compared_as_by_the_library(place, tmp_path, capsys):
    of_networks(place, tmp_path / "new" / "t.csv")
    table = pd.read_csv(tmp_path / "new" / "t.csv")
    pixels = np.stack([np.array(Image.open(place / "photos" / f"{i:02}.png")) for i in range(12)])
    # Shuffled, as images of a class may lie together.
    loader = normalised(
        pixels[np.random.default_rng(0).permutation(12)], (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    ).split(4)
    networks = [network().eval() for _ in range(2)]
    for seed, each in enumerate(networks):
        each.load_state_dict(torch.load(place / f"{seed}.pt"))
    expected = compare_networks(*networks, loader).frame()
    pd.testing.assert_frame_equal(table, expected, rtol=1e-6)
    printed = capsys.readouterr().out
    assert "12 images in 3 batches" in printed
    assert "3 batches: intervals are rough" in printed
    row = expected[(expected["first"] == "head") & (expected["second"] == "head")].iloc[0]
    assert f"{row.value:.3f}  {row.low:.3f} to {row.high:.3f}" in printed


def test_without_a_head_of_one_those_of_both_are_left_out(place, tmp_path):
    of_networks(place, tmp_path / "t.csv", second=place / "headless.pt")
    table = pd.read_csv(tmp_path / "t.csv")
    assert set(table["first"]) == set(table["second"])
    assert "head" not in set(table["first"])


def test_arrays_are_compared_as_by_the_library(place, tmp_path, capsys):
    metrics = ["procrustes", "jaccard"]
    twin = f"{place}/y.npz:twin"
    similarity(first=place / "x.npy", second=twin, metrics=metrics, seed=3, out=tmp_path / "t.csv")
    table = pd.read_csv(tmp_path / "t.csv", index_col="metric", keep_default_na=False)
    x = np.load(place / "x.npy")
    pd.testing.assert_frame_equal(table, compare(x, 2 * x, metrics, seed=3))
    assert "Procrustes       1.000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "kind", "message"),
    [
        ({"second": "{}/1.pt"}, ConfigError, "one is an array and one is not"),
        ({"second": "{}/y.npz"}, DataError, "holds 2 matrices.*name one after a colon"),
        ({"second": "{}/y.npz:short"}, DataError, "features of 30 and 9 images"),
        ({"metrics": "procruste"}, ConfigError, "did you mean 'procrustes'"),
        ({"images": "{}/photos"}, ConfigError, "--images: is for networks"),
        ({"first": "{}/0.pt", "second": "{}/1.pt"}, ConfigError, "--architecture: is missing"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(place, tmp_path, changed, kind, message):
    given = {"first": "{}/x.npy", "second": "{}/x.npy"} | changed
    with pytest.raises(kind, match=message) as caught:
        similarity(out=tmp_path / "t.csv", **{key: text.format(place) for key, text in given.items()})
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
