"""The examples shown are the ones most surely hurt, and their maps are drawn as they are."""

import numpy as np
import pytest
import torch
from scipy import stats

from transferlens.core import artefacts, labelled, provenance
from transferlens.core.settings import NetworkSettings
from transferlens.estimation.estimators import Effects
from transferlens.heatmaps import hurt_examples, page
from transferlens.heatmaps.artefacts import HEATMAPS, ROLES
from transferlens.models import contract
from transferlens.pictures import figures


def test_the_surest_harm_comes_first():
    rng = np.random.default_rng(0)
    effect, se = rng.normal(0, 0.1, (40, 6)), np.full((40, 6), 0.1)
    halves = np.arange(40) % 2
    effect[7, 3] = -2.0  # report half, sure
    effect[9, 2], se[9, 2] = -5.0, 3.0  # larger, but hardly known
    effect[8, 1] = -9.0  # select half: must not be shown
    others = Effects(np.full((40, 6), -0.3), np.full((40, 6), 0.15), 48.0)
    found = hurt_examples.most_hurt(Effects(effect, se, 48.0), others, halves, count=5)
    assert found.examples[0] == 7
    assert found.source_units[0] == 3
    # What is told of them is what other models say, tested among the five that are told.
    np.testing.assert_allclose(found.effect, -0.3)
    np.testing.assert_allclose(found.q, 2 * stats.t.sf(2, 48))
    alone = hurt_examples.most_hurt(Effects(effect, se, 48.0), None, halves, count=5)
    assert alone.examples.tolist() == found.examples.tolist()
    assert np.isnan([alone.effect, alone.se, alone.q]).all()
    assert 9 not in found.examples
    assert (found.examples % 2 == 1).all()
    assert len(set(found.examples)) == 5


def hurt(count):
    numbers = np.linspace(0.1, 0.9, count)
    return hurt_examples.HurtExamples(np.arange(count), np.arange(count) % 2, -numbers, numbers / 9, numbers)


def explained(method, labels):
    torch.manual_seed(0)
    network = contract.build(NetworkSettings(name="small_resnet", width=8), 3).eval()
    source_head = torch.nn.Linear(network.head.in_features, 4)
    images = torch.randn(4, 3, 28, 28)
    groups = np.array([0, 1, 0, 1])
    found = hurt_examples.explain(network, source_head, images, labels, hurt(4), groups, method, None)
    return found, network(images).detach().numpy(), source_head(network.backbone(images)).detach().numpy()


def test_roles_are_of_the_classes_they_name():
    labels = np.array([0, 1, 2, 0])
    found, logits, source_logits = explained("CAM", labels)
    best, second = np.argsort(-logits, 1)[:, :2].T
    rival = np.where(best == labels, second, labels)
    assert 0 < (best == labels).sum() < 4
    np.testing.assert_array_equal(found.predicted, best)
    np.testing.assert_array_equal(found.rival, rival)
    rows = np.arange(4)
    expected = {
        "true": logits[rows, labels],
        "predicted": logits[rows, best],
        "contrast": logits[rows, best] - logits[rows, rival],
        # of a group's classes (0 and 2, 1 and 3) the one with the highest logit
        "harmful": np.maximum(source_logits[rows, [0, 1, 0, 1]], source_logits[rows, [2, 3, 2, 3]]),
    }
    assert set(found.maps) == set(ROLES)
    for role, values in expected.items():
        np.testing.assert_allclose(found.maps[role].logits, values, atol=1e-5)


@pytest.mark.parametrize(("method", "colormap"), [("CAM", "safe"), ("LayerCAM", "jet")])
def test_a_gallery_says_class_probability_and_raw_maximum(tmp_path, monkeypatch, method, colormap):
    monkeypatch.setattr(provenance, "current", provenance.Provenance({"colormap": colormap}))
    labels = np.array([0, 1, 2, 0])
    found, *_ = explained(method, labels)
    maps = found.maps["harmful"].maps
    maps[3] = 0  # a zero map
    pixels = np.zeros((4, 28, 28, 3), dtype=np.uint8)
    names = [f"picture {i}" for i in range(4)]
    hurt_examples.write_heatmaps(
        tmp_path / "h.h5",
        hurt(4),
        found,
        labels,
        pixels,
        names,
        ["s", "t"],
        ["a", "b", "c"],
        method,
        "",
    )
    drawn_figures, save = [], figures.save
    monkeypatch.setattr(
        figures, "save", lambda figure, path: drawn_figures.append(figure) or save(figure, path)
    )
    hurt_examples.draw_gallery(tmp_path / "h.h5", tmp_path / "h.png", colormap)
    (figure,) = drawn_figures
    titles = np.array([axis.get_title() for axis in figure.axes]).reshape(4, 5)
    assert (
        titles[0, 4]
        == f"harmful source: s\np {found.maps['harmful'].probabilities[0]:.2f}, raw max {maps[0].max():.2g}"
    )
    assert "no positive evidence" in titles[3, 4]
    assert f"rather than {'abc'[found.rival[1]]}\nΔp +" in titles[1, 3]
    drawn = [len(axis.images) for axis in figure.axes]
    assert drawn[-1] == 1  # of a zero map only the image
    said = figure.get_suptitle()
    if colormap == "jet":
        assert "cannot be compared" in said
    else:
        target = max(np.abs(found.maps[r].maps).max() for r in ("true", "predicted", "contrast"))
        assert said.startswith(f"target head: blue −{target:.3g} to red +{target:.3g}; source head:")
        scales = [
            figure.axes[5 * row + column].images[-1].get_clim()[1] for row in (0, 1) for column in (1, 2, 3)
        ]
        np.testing.assert_allclose(scales, target)
    with artefacts.open(tmp_path / "h.h5", HEATMAPS) as file:
        harmful_role = artefacts.names(file["role"]).index("harmful")
        assert file["zero"][harmful_role].tolist() == [False, False, False, True]
        assert file["raw_max"][harmful_role, 3] == 0
        assert artefacts.names(file["rival"]) == ["abc"[c] for c in found.rival]
        assert artefacts.names(file["harmful"]) == ["s", "t", "s", "t"]
    told = page.map_colours(labelled.read(tmp_path / "h.h5", HEATMAPS))
    assert ("cannot be compared" if colormap == "jet" else "red is evidence for the class") in told
