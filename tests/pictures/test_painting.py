"""One place makes figures: equal data give equal files, and matplotlib loads only when something is drawn."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from transferlens.pictures import figures


def chart():
    figure = figures.figure(3, 2)
    figure.subplots().plot([1, 3, 2], label="curve")
    return figure


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_equal_data_give_an_equal_file_without_date_or_software(tmp_path, kind):
    for name in ("one", "two"):
        figures.save(chart(), tmp_path / f"{name}.{kind}", dpi=100)
    content = (tmp_path / f"one.{kind}").read_bytes()
    assert content == (tmp_path / f"two.{kind}").read_bytes()
    assert b"<dc:date>" not in content
    assert b"Software" not in content
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"one.{kind}", f"two.{kind}"]


def test_the_suffix_decides_the_kind_and_others_are_refused(tmp_path):
    figures.save(chart(), tmp_path / "x.png", dpi=100)
    assert Image.open(tmp_path / "x.png").size == (300, 200)
    figures.save(chart(), tmp_path / "x.svg")
    assert "<svg" in (tmp_path / "x.svg").read_text()
    with pytest.raises(KeyError):
        figures.save(chart(), tmp_path / "x.pdf")


def test_a_message_fills_its_figure_with_words(tmp_path):
    figures.save(figures.message("Nothing to draw: too few images."), tmp_path / "x.png")
    pixels = np.asarray(Image.open(tmp_path / "x.png").convert("L"))
    assert (pixels < 128).any()
    assert (pixels[:, :3] == 255).all()


@pytest.mark.parametrize(
    "room",
    [
        "analyses.failures",
        "analyses.leakage",
        "analyses.small_targets",
        "analyses.subpopulations",
        "counterfactual.figures",
        "heatmaps.faithfulness_report",
        "heatmaps.hurt_examples",
        "influence.figures",
        "influence_maps.picture",
        "memories.agreement.figure",
        "memories.effect.interference",
        "memories.gallery.html",
        "memories.images.drawing",
        "memories.remedies.figure",
        "pictures.overlays",
    ],
)
def test_importing_a_room_with_pictures_does_not_load_matplotlib(room):
    code = f"import sys, transferlens.{room}; print('matplotlib' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "False"
