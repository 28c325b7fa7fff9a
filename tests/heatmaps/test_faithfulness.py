"""Faithfulness against hand-made truth, and against torchcam's own metrics."""

from functools import partial

import numpy as np
import pytest
import scipy
import torch
from torchcam import methods
from torchcam.metrics import ClassificationMetric, DeletionInsertionMetric

from transferlens.core import artefacts, labelled
from transferlens.core.settings import NetworkSettings
from transferlens.heatmaps import faithfulness, faithfulness_report
from transferlens.heatmaps.artefacts import FAITHFULNESS, MEASURES
from transferlens.models import contract
from transferlens.models.network import Network, Parts


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    network = contract.build(NetworkSettings(name="small_resnet", width=8), 3).eval()
    with torch.no_grad():
        network.head.weight *= 40  # so that probabilities differ
    return network, torch.randn(6, 3, 28, 28)


class Corner(torch.nn.Module):
    """How bright the cells of the upper left quarter are, [N, 1, 7, 7]: all that its network sees."""

    def forward(self, images):
        cells = torch.nn.functional.avg_pool2d(images.mean(1, keepdim=True), 4)
        seen = torch.zeros_like(cells)
        seen[..., :4, :4] = cells[..., :4, :4]
        return seen


@pytest.fixture(scope="module")
def scored():
    backbone = torch.nn.Sequential(Corner(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    head = torch.nn.Linear(1, 2)
    with torch.no_grad():
        head.weight[:] = torch.tensor([[8.0], [-8.0]])
        head.bias[:] = torch.tensor([-1.0, 1.0])
    torch.manual_seed(0)
    images = 0.5 + torch.rand(30, 3, 28, 28)
    network = Network(backbone, head, Parts("0", pools=True)).eval()
    return faithfulness.score(network, images, ["CAM", "GradCAM"], None, steps=14, seed=0), images


@pytest.mark.parametrize("steps", [1, 7, 20])
@pytest.mark.parametrize("blurred", [False, True])
def test_areas_are_those_of_torchcam(small, steps, blurred):
    network, images = small
    softmax, classes = partial(torch.softmax, dim=-1), torch.tensor([0, 1, 2, 0, 1, 2])
    away = faithfulness.baselines(images)["blur" if blurred else "mean"]
    with methods.GradCAM(network, "backbone.block3") as extractor:
        metric = DeletionInsertionMetric(
            extractor, softmax, steps=steps, baseline=(lambda _: away) if blurred else None
        )
        metric.update(images.clone(), classes.tolist())
        (maps,) = extractor(classes.tolist(), softmax(network(images)))  # theirs are of probabilities
    found = faithfulness.follow(network, images, maps, classes, away, steps)
    theirs = metric.summary()
    deletion, insertion = found.areas()
    assert deletion.mean() == pytest.approx(theirs["deletion_auc"], abs=1e-5)
    assert insertion.mean() == pytest.approx(theirs["insertion_auc"], abs=1e-5)
    assert deletion.std() > 0.01


def test_drops_are_those_of_torchcam(small):
    network, images = small
    softmax, classes = partial(torch.softmax, dim=-1), torch.tensor([0, 1, 2, 0, 1, 2])
    with methods.GradCAM(network, "backbone.block3") as extractor:
        metric = ClassificationMetric(extractor, softmax)
        metric.update(images.clone(), classes.tolist())
        (maps,) = extractor(classes.tolist(), softmax(network(images)), normalized=False)
    drop, increase = faithfulness.drops(network, images, maps, classes)
    theirs = metric.summary()
    assert drop.mean() == pytest.approx(theirs["avg_drop"], abs=1e-5)
    assert increase.mean() == pytest.approx(theirs["conf_increase"])
    assert 0 < drop.mean() < 1
    assert 0 < increase.mean() < 1


def test_the_map_of_what_a_network_looks_at_beats_random_maps(scored):
    scores, _ = scored
    found = faithfulness.summarise(scores)
    assert scores.methods == ["CAM", "GradCAM", "random", "centre"]
    assert (scores.classes == 0).all()
    for name, (better, _) in MEASURES.items():
        if name.endswith("_mean"):
            sign = -1 if better == "lower" else 1
            low, high = sorted(
                (sign * found.differences[name].low[0], sign * found.differences[name].high[0])
            )
            assert 0 < low < high
            assert found.q[name][0] < 1e-6
            # a quarter of the image decides: the curve is done when it is gone
            assert sign * found.differences[name].value[0] > 0.05
    curve = scores.curves["mean"][0, 0].mean(0)  # deletion by CAM
    np.testing.assert_allclose(curve[scores.fractions > 0.36], curve[-1], atol=1e-5)
    assert curve[0] > curve[-1] + 0.2


def test_differences_are_paired_by_image_and_random_has_none(scored):
    scores, _ = scored
    found = faithfulness.summarise(scores)
    values = scores.values["insertion_mean"]
    change = values[0] - values[2]
    interval = scipy.stats.t.interval(0.95, 29, change.mean(), change.std(ddof=1) / np.sqrt(30))
    np.testing.assert_allclose(
        (found.differences["insertion_mean"].low[0], found.differences["insertion_mean"].high[0]), interval
    )
    assert np.isnan(found.differences["insertion_mean"].value[2])
    p, q = (np.array([d[name] for name in MEASURES]) for d in (found.p, found.q))
    tested = ~np.isnan(p)
    assert tested.sum() == 3 * len(MEASURES)
    np.testing.assert_allclose(q[tested], scipy.stats.false_discovery_control(p[tested]))


def test_an_image_is_followed_as_if_it_were_alone(small):
    network, images = small
    away, maps, classes = torch.zeros_like(images), torch.rand(6, 7, 7), torch.tensor([0, 1, 2, 0, 1, 2])
    whole = faithfulness.follow(network, images, maps, classes, away, 10)
    alone = faithfulness.follow(network, images[2:3], maps[2:3], classes[2:3], away[2:3], 10)
    np.testing.assert_allclose(whole.deletion[2], alone.deletion[0], atol=1e-6)
    np.testing.assert_allclose(whole.insertion[2], alone.insertion[0], atol=1e-6)


def test_a_random_network_is_another_one_and_the_given_one_stays(small):
    network, _ = small
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    random = faithfulness.randomised(network, 0)
    for name, tensor in network.named_parameters():
        assert torch.equal(tensor, before[name])
        if tensor.ndim > 1:
            assert not torch.equal(dict(random.named_parameters())[name], tensor)


def test_likeness_of_maps(scored):
    rng = np.random.default_rng(0)
    one, other = (torch.from_numpy(rng.random((3, 7, 7), dtype=np.float32)) for _ in range(2))
    expected = [scipy.stats.spearmanr(a, b)[0] for a, b in zip(one.flatten(1), other.flatten(1), strict=True)]
    np.testing.assert_allclose(faithfulness.spearman(one, other), expected, atol=1e-12)
    np.testing.assert_allclose(faithfulness.ssim(one, 3 * one + 2, (28, 28)), 1, atol=1e-5)
    assert np.isnan(faithfulness.spearman(one, torch.zeros(3, 7, 7))).all()
    # one window, whole: the definition itself
    a, b = (m[0] - m[0].min() for m in (one, other))
    a, b = (m.numpy().astype(float) / float(m.max()) for m in (a, b))
    top = (2 * a.mean() * b.mean() + 1e-4) * (2 * np.cov(a.ravel(), b.ravel(), ddof=0)[0, 1] + 9e-4)
    bottom = (a.mean() ** 2 + b.mean() ** 2 + 1e-4) * (a.var() + b.var() + 9e-4)
    assert faithfulness.ssim(one, other, (7, 7))[0] == pytest.approx(top / bottom, abs=1e-5)
    scores, _ = scored
    centre = scores.methods.index("centre")
    np.testing.assert_allclose(scores.randomised["spearman"][centre], 1)


def test_the_artefact_holds_what_was_measured(scored, tmp_path):
    scores, _ = scored
    zero = scores.zero.copy()
    zero[1, :4] = True
    scores = faithfulness.Scores(**{**vars(scores), "zero": zero})
    summary = faithfulness.summarise(scores)
    ids = [f"image {i}" for i in range(30)]
    faithfulness_report.write(tmp_path / "f.h5", scores, summary, np.arange(30), ids, ["bright", "dark"], "0")
    faithfulness_report.draw(scores, summary, tmp_path / "f.png")
    table = faithfulness_report.table(scores, summary, "0")
    with artefacts.open(tmp_path / "f.h5", FAITHFULNESS) as file:
        row = artefacts.names(file["measure"]).index("deletion_mean")
        np.testing.assert_array_equal(file["value"][row], scores.values["deletion_mean"])
        assert file["minus_random"][row, 0] == summary.differences["deletion_mean"].value[0]
        assert file["minus_random_q"][row, 0] == summary.q["deletion_mean"][0]
        assert file["randomised_mean_low"].shape == (2, 4)
        assert artefacts.names(file["predicted"]) == ["bright"] * 30
    read = labelled.read(tmp_path / "f.h5", FAITHFULNESS)
    followed = read.probability.sel(baseline="mean", curve="deletion")
    areas = np.trapezoid(followed.astype(float), read.fraction)
    np.testing.assert_allclose(areas, scores.values["deletion_mean"], atol=1e-6)
    cell = table.query("method == 'GradCAM' and measure == 'deletion_mean'")
    assert cell["mean"].item() == pytest.approx(scores.values["deletion_mean"][1].mean())
    assert cell.zero_maps.item() == 4
    assert cell.layer.item() == "0"
