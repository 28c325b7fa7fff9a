"""Distraction and overlap against values by hand."""

import numpy as np
import pytest
import torch

from transferlens.core import labelled
from transferlens.core.crossed import CrossedMean
from transferlens.core.settings import NetworkSettings
from transferlens.memories.effect import removal
from transferlens.memories.images import ranking, seen
from transferlens.memories.images.artefacts import PREDICTORS, RANKING
from transferlens.memories.pairs import Pair
from transferlens.memories.seen.examples import SeenMinusUnseen
from transferlens.models import contract
from transferlens.models.network import Network, Parts

# Three source classes and two target classes; the second source class means the first target class.
BINDING = np.array([[0.3, -0.3], [0.1, 0.5], [0.0, 0.2]])
OVERLAP = np.array([[False, False], [True, False], [False, False]])


def test_distraction_by_hand():
    away = ranking.pull(BINDING, OVERLAP)
    np.testing.assert_allclose(away, [[-0.6, 0.6], [-np.inf, -0.4], [0.2, -0.2]], atol=1e-12)
    probabilities = [
        np.array([[0.5, 0.3, 0.2], [0.6, 0.1, 0.3], [0.0, 1.0, 0.0]]),
        np.array([[0.1, 0.3, 0.6], [0.6, 0.1, 0.3], [0.0, 1.0, 0.0]]),
    ]
    found = ranking.distraction(probabilities, np.array([0, 1, 0]), away)
    np.testing.assert_allclose(found.values, [[-0.26, 0.26, 0.0], [0.06, 0.26, 0.0]], atol=1e-12)
    np.testing.assert_allclose(found.se, [0.16, 0.0, 0.0], atol=1e-12)
    assert found.memory.tolist()[:2] == [2, 0]
    assert found.memory[2] != 1  # a class that means the true one is never the memory
    assert np.isnan(ranking.distraction(probabilities[:1], np.array([0, 1, 0]), away).se).all()


def test_agreement_of_maps_by_hand():
    first = np.array([[[2.0, -5.0], [2.0, 0.0]], [[1.0, 2.0], [3.0, 4.0]], [[-1.0, -2.0], [-3.0, -4.0]]])
    second = np.array([[[3.0, 1.0], [0.0, 0.0]], [[2.0, 4.0], [6.0, 8.0]], [[1.0, 2.0], [3.0, 4.0]]])
    np.testing.assert_allclose(seen.intersection(first, second), [0.5, 1.0, 0.0])
    np.testing.assert_allclose(seen.iou(first, second, 0.5), [1 / 3, 1.0, 0.0])
    np.testing.assert_allclose(seen.rank_correlation(first, second)[1:], [1.0, -1.0])
    assert np.isnan(seen.rank_correlation(np.ones((1, 2, 2)), second[:1])[0])


def test_the_ranking_is_by_distraction_times_overlap_and_tells_wrong_from_unsure():
    logits = np.array([[3.0, 1.0], [1.0, 0.5], [0.0, 2.0], [5.0, 0.0], [4.0, 0.0]])
    labels = np.zeros(5, np.int64)
    found = ranking.Distraction(np.array([[0.1, 0.4, 0.2, -0.3, 0.0]]), np.array([0, 1, 1, 0, 2]))
    overlap = np.array([0.5, 0.1, 1.0, 1.0, 1.0])
    agreement = ranking.Agreement(overlap, overlap, overlap)
    first = ranking.Logits(logits, np.zeros((5, 4)), logits)
    ranked = ranking.rank(np.arange(5) + 10, labels, found, first, agreement)
    np.testing.assert_array_equal(ranked.examples, [12, 10, 11, 14, 13])
    np.testing.assert_allclose(ranked.score, [0.2, 0.05, 0.04, 0.0, -0.3])
    np.testing.assert_allclose(ranked.margin, [-2.0, 2.0, 0.5, 4.0, 5.0])
    assert ranked.wrong.tolist() == [True, False, False, False, False]
    assert ranked.low_margin.tolist() == [False, False, True, False, False]
    np.testing.assert_allclose(ranked.p_memory, 0.25)
    np.testing.assert_allclose(ranked.p_true[0], 1 / (1 + np.exp(2)))
    assert ranked.top(2).memory.tolist() == [1, 0]


class Batches:
    """Images of a split, four at a time."""

    def __init__(self, count):
        self.images = torch.randn(count, 3, 28, 28)

    def evaluation_batches(self, batch_size):
        yield from self.images.split(4)


def network(pools, classes):
    torch.manual_seed(0)
    if pools:
        return contract.build(NetworkSettings(name="small_resnet", width=8), classes).eval()
    layers = [
        torch.nn.Conv2d(3, 8, 5, stride=4),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(288, 16),
    ]
    backbone = torch.nn.Sequential(*layers, torch.nn.ReLU())
    return Network(backbone, torch.nn.Linear(16, classes), Parts("1", pools=False)).eval()


@pytest.mark.parametrize("pools", [True, False])
def test_agreement_of_report_half_examples_is_that_of_each_alone(pools):
    """Also where maps need gradients."""
    model, images = network(pools, 3), Batches(6)
    head = torch.nn.Linear(model.head.in_features, 5)
    examples, predicted, memory = np.array([1, 3, 4]), np.array([0, 2, 1]), np.array([4, 0, 3])
    found = ranking.map_agreement(model, head, images, examples, predicted, memory)
    here = seen.see(model, images.images[4:5])
    maps = [here.maps(h, torch.tensor([c])).numpy() for h, c in ((model.head, 1), (head, 3))]
    assert found.overlap.shape == (3,)
    assert 0 < found.overlap[2] < 1
    np.testing.assert_allclose(found.overlap[2], seen.intersection(*maps)[0], atol=1e-4)
    if not pools:
        assert min(m.min() for m in maps) == 0


def test_a_ranking_survives_the_disk_as_a_table(tmp_path):
    logits = np.array([[0.0, 2.0], [1.0, 0.0], [0.0, 3.0]])
    first = ranking.Logits(logits, np.zeros((3, 3)), logits)
    found = ranking.Distraction(np.array([[0.3, 0.2, 0.1]]), np.array([2, 0, 0]))
    same = ranking.Agreement(*np.ones((3, 3)))
    ranked = ranking.rank(np.array([0, 2, 3]), np.zeros(3, np.int64), found, first, same)
    tested = removal.Tested(np.array([1.0, 0.5]), np.array([0.1, 0.2]), np.array([0.01, 0.04]))
    told = ranking.Failures(
        {name: CrossedMean(0.5, 0.1, 3, 0.2, 0.8, 1, 2) for name in PREDICTORS},
        CrossedMean(0.01, 0.02, 3, -0.05, 0.07, 0.6, 2),
    )
    seen_effect = SeenMinusUnseen(np.array([5.0, 1.5, np.nan]), *np.array([[4, 1, np.nan], [6, 2, np.nan]]))
    ranking.write_ranking(
        tmp_path / "r.h5", ranked, list("abcd"), ["x", "y", "z"], ["cat", "dog"], "CAM",
        {"removal": tested, "ablation": tested}, seen_effect, told,
    )  # fmt: skip
    table = ranking.table(tmp_path / "r.h5")
    assert table.example.tolist() == ["a", "c", "d"]
    assert table.predicted.tolist() == ["dog", "cat", "dog"]
    assert table.memory.tolist() == ["z", "x", "x"]
    np.testing.assert_allclose(table.removal_effect_q, [0.02, 0.04, np.nan])
    np.testing.assert_allclose(table.seen_effect, [5.0, 1.5, np.nan])
    stored = labelled.read(tmp_path / "r.h5", RANKING)
    np.testing.assert_allclose(stored.seen_effect_high, [6, 2, np.nan])
    assert stored.position.values.tolist() == [0, 2, 3]
    assert stored.failures_auc_high.sel(predictor="true name") == 0.8
    assert (stored.added_auc, stored.added_auc_p) == (0.01, 0.6)


def test_logits_of_a_pair_are_those_of_its_heads():
    pair, images, examples = Pair(*(network(True, n) for n in (5, 3, 3))), Batches(9), np.array([8, 2, 5])
    found = ranking.pair_logits(pair, 2.0, images, examples)
    batch = images.images[examples]
    with torch.no_grad():
        features = pair.fine_tuned.backbone(batch)
        np.testing.assert_allclose(found.memory * 2, pair.source_head(features), atol=1e-4)
        np.testing.assert_allclose(found.target, pair.fine_tuned(batch), atol=1e-4)
        np.testing.assert_allclose(found.scratch, pair.scratch(batch), atol=1e-4)
