"""Agreement of influence, interference, binding and weights: what is planted is found, and nothing else."""

import numpy as np
import pytest
from scipy import stats

from tests.memories.written import write_artefact
from transferlens.core import artefacts, labelled
from transferlens.memories.agreement import figure, measures
from transferlens.memories.agreement.artefacts import AGREEMENT, QUADRANTS
from transferlens.memories.agreement.measures import Cells, Resampling
from transferlens.memories.artefacts import INTERFERENCE, PROBES
from transferlens.memories.images.artefacts import RANKING

C, K = 12, 4


def resampling(seed=0, bootstrap=200, permutations=199):
    return Resampling(bootstrap, permutations, np.random.default_rng(seed))


def of_classes(rng, shape=(C, K)):
    """A measure whose cells of one source class are alike, as those of one target class are."""
    return rng.normal(size=shape) + 2 * rng.normal(size=(shape[0], 1)) + 2 * rng.normal(size=(1, shape[1]))


def test_the_correlation_is_spearmans_over_the_cells_known_in_both():
    rng = np.random.default_rng(0)
    a, b = of_classes(rng), of_classes(rng)
    a[0, 1], b[3], b[5, 2] = np.nan, np.nan, np.nan
    known = np.isfinite(a) & np.isfinite(b)
    found = measures.rank_correlation(a, b, resampling())
    assert found.value == pytest.approx(stats.spearmanr(a[known], b[known]).statistic)
    assert found.n == known.sum() == C * K - 6
    assert found.low < found.value < found.high


def test_perfect_agreement_and_its_opposite_are_certain():
    a = of_classes(np.random.default_rng(1))
    for sign in (1, -1):
        found = measures.rank_correlation(a, sign * np.exp(a), resampling())
        assert found.value == pytest.approx(sign)
        assert found.p == pytest.approx(2 / 200)
        assert abs(found.null_mean) < 0.5
    found = measures.precision_at(3, a, np.exp(a), resampling())
    assert (found.value, found.p) == (1, pytest.approx(2 / 200))
    assert measures.precision_at(3, a, -a, resampling()).value == 0


def test_p_values_of_independent_measures_are_uniform():
    """Source classes and target classes have levels of their own: cells are no independent draws."""
    found = {"correlation": [], "precision": [], "examples": []}
    for seed in range(150):
        rng = np.random.default_rng(seed)
        a, b = of_classes(rng), of_classes(rng)
        b[:, 0] = a[:, 0] = np.nan  # an overlap
        again = resampling(seed, bootstrap=1, permutations=99)
        found["correlation"].append(measures.rank_correlation(a, b, again).p)
        memory, scores = rng.integers(0, C, 60), rng.normal(size=(60, C)) + 2 * rng.normal(size=C)
        found["examples"].append(measures.chosen_scores(memory, scores, again).p)
        # Finer than the few values that a precision of twelve classes has.
        a, b = of_classes(rng, (40, K)), of_classes(rng, (40, K))
        found["precision"].append(measures.precision_at(10, a, b, again).p)
    for name, p in found.items():
        assert np.mean(np.array(p) <= 0.05) < 0.1, name
        if name != "precision":  # ties make it conservative
            assert stats.kstest(p, "uniform").pvalue > 0.01, name


def test_intervals_of_the_correlation_are_over_source_classes():
    """Twenty target classes that all say the same of a source class tell no more than one of them."""
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(30, 1)), rng.normal(size=(30, 1))
    one, twenty = (measures.rank_correlation(np.tile(a, n), np.tile(b, n), resampling()) for n in (1, 20))
    assert twenty.high - twenty.low == pytest.approx(one.high - one.low, rel=0.2)


def test_precision_at_k_by_hand():
    a = np.array([[5.0, 1], [4, 2], [3, 3], [2, 4], [1, np.nan]])
    b = np.array([[9.0, 1], [0, 2], [8, 3], [7, 4], [6, 0]])
    # Target class 0: the two worst are 0, 1 and 0, 2; class 1: 3, 2 in both.
    assert measures.precision_at(2, a, b, resampling()).value == pytest.approx((1 / 2 + 1) / 2)
    # With more than four known classes there is target class 0 alone: 0, 1, 2, 3 and 0, 2, 3, 4.
    found = measures.precision_at(4, a, b, resampling())
    assert (found.value, found.n) == (3 / 4, 5)
    assert measures.precision_at(5, a, b, resampling()).n == 0


def test_the_pull_is_towards_the_strongest_other_class():
    tie = np.array([[0.5, 0.2, -0.1], [0.3, 0.3, 0]])
    expected = [[-0.3, 0.3, 0.6], [0, 0, 0.3]]
    np.testing.assert_allclose(measures.pull(tie), expected, atol=1e-12)


def test_harmful_classes_and_standings_by_hand():
    effect = np.array([[-0.5, -0.9, -0.6, 0.2], [-0.1, -0.1, 0, 0]])
    se = np.array([[0.1, 0.4, 0.1, 0.1], [0.1, 0.1, 0, 0.1]])
    nothing = np.zeros(effect.shape, bool)
    assert measures.harmful_classes(effect, se, nothing).tolist() == [2, -1]  # -.9 is not certain
    nothing[0, 2] = True
    assert measures.harmful_classes(effect, se, nothing).tolist() == [0, -1]
    np.testing.assert_allclose(
        measures.standings(np.array([[3.0, 1, 1, np.nan, 9]])), [[2 / 3, 1 / 6, 1 / 6, 0.5, 1]]
    )


QUADRANT_CASES = [
    # influence, its q, interference, its q, quadrant
    (0.3, 0.01, 0.2, 0.01, "helps, distracts"),
    (-0.3, 0.01, 0.2, 0.01, "hurts, distracts"),
    (-0.3, 0.20, 0.2, 0.01, "distracts"),
    (0.3, 0.01, 0.2, 0.20, "helps"),
    (0.3, 0.01, -0.2, 0.01, "helps"),  # what it does where it is seen is no distraction
    (-0.3, 0.01, 0.2, 0.20, "hurts unseen"),
    (0.3, 0.20, -0.2, 0.01, "neutral"),
    (0.3, 0.01, np.nan, np.nan, ""),
    (-0.3, 0.01, 0.9, np.nan, "untested"),
]


@pytest.fixture
def cells():
    """One source class for each case, and two target classes; the second means the same as all of them."""
    influence, influence_q, interference, q = np.array([case[:4] for case in QUADRANT_CASES]).T[:, :, None]
    both = np.ones((1, 2))
    tables = [
        {"effect": e * both, "low": e * both - 0.1, "high": e * both + 0.1, "q": q_ * both}
        for e, q_ in ((influence, influence_q), (interference, q))
    ]
    tables[1]["n"] = np.full((9, 2), 30)
    names = [f"c{i}" for i in range(9)]
    tie = np.random.default_rng(0).normal(size=(9, 2))
    overlap = np.zeros((9, 2), bool)
    overlap[:, 1] = True
    return Cells(names, ["y", "z"], *tables, tie, tie / 2, overlap)


def test_quadrants_by_hand(cells):
    found = measures.quadrants(cells)
    names = [name for name, _ in QUADRANTS.values()]
    assert [names[i] if i >= 0 else "" for i in found[:, 0]] == [case[4] for case in QUADRANT_CASES]
    assert (found[:, 1] == -1).all()
    table = measures.table(cells).set_index("source_class")
    assert table.quadrant.to_dict() == {f"c{i}": c[4] for i, c in enumerate(QUADRANT_CASES) if c[4]}
    assert table.reading["c5"].endswith("a conflict of representations")
    assert table.influence_low["c1"] == pytest.approx(-0.4)
    assert (table.target_class == "y").all()


SETTINGS = {"target": "t", "recipe": "full", "influence_recipe": "fixed", "output": "p_true"}


def write(path, cells):
    with artefacts.create(path, AGREEMENT) as out:
        measures.write_cells(out, cells)
        measures.write_comparisons(out, cells, resampling())
    return labelled.read(path, AGREEMENT)


def test_the_artefact_counts_quadrants_and_is_drawn(cells, tmp_path):
    stored = write(tmp_path / "a.h5", cells)
    assert stored.quadrant_count.values.tolist() == [1, 1, 1, 2, 1, 1, 1]
    assert (stored.pair_first.values[0], stored.pair_second.values[0]) == ("harm", "interference")
    known = [0, 1, 2, 3, 4, 5, 6, 8]  # of the other one the interference is not known
    expected = stats.spearmanr(
        -cells.influence["effect"][known, 0], cells.interference["effect"][known, 0]
    ).statistic
    assert stored.correlation.sel(pair="harm, interference") == pytest.approx(expected)
    assert stored.precision.sel(pair="harm, interference", k=10).isnull()  # ten of seven
    harm = stored.measures.sel(measure="harm", target_class="y")
    np.testing.assert_array_equal(harm, -cells.influence["effect"][:, 0])
    figure.draw(tmp_path / "a.h5", tmp_path / "a.png", SETTINGS)
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_influences_of_groups_are_not_compared(tmp_path, cells):
    sizes = {"model": 2, "half": 2, "source_class": 9, "target_class": 2, "tried_class": 2}
    names = {"target_class": cells.target_classes}
    probes = write_artefact(
        tmp_path / "p.h5", PROBES, sizes, source_class=cells.source_classes, overlap=cells.overlap,
        binding=np.stack([cells.binding, 2 * cells.binding]), **names,
        coupling=np.stack([[cells.coupling * k, cells.coupling * np.nan] for k in (1, 3)]),
    )  # fmt: skip
    tables = {
        f"interference{'' if key == 'effect' else f'_{key}'}": np.stack([0 * values, values])[:, [6, 2]]
        for key, values in cells.interference.items()
    }
    tables["interference_n"] = np.full((2, 2, 2), 30)
    tried = [cells.source_classes[c] for c in (6, 2)]
    interference = write_artefact(
        tmp_path / "i.h5", INTERFERENCE, sizes, tried_class=tried, **names, **tables
    )
    groups = (["g1", "g2"], {"effect": np.zeros((2, 2))})
    found = measures.read_cells(probes, interference, groups)
    np.testing.assert_allclose(found.binding, cells.binding)  # of the select half: by other models
    np.testing.assert_allclose(found.coupling, 2 * cells.coupling)  # mean over models
    np.testing.assert_allclose(found.interference["effect"][[6, 2]], cells.interference["effect"][[6, 2]])
    assert np.isfinite(found.interference["effect"]).sum() == 4
    assert "harm" not in found.measures()
    stored = write(tmp_path / "a.h5", found)
    assert "groups" in stored.attrs["skipped"]
    assert "harm" not in stored.pair_first
    figure.draw(tmp_path / "a.h5", tmp_path / "a.png", SETTINGS)
    same = measures.read_cells(probes, interference, (cells.source_classes, cells.influence))
    assert "harm" in same.measures()


def test_memories_of_examples_are_read_as_positions(tmp_path):
    path = write_artefact(
        tmp_path / "r.h5", RANKING, {"example": 2, "predictor": 3}, position=[9, 4], memory=["c5", "c0"],
        true=["z", "y"],
    )  # fmt: skip
    found = measures.read_memories(path, [f"c{i}" for i in range(8)], ["y", "z"])
    assert [values.tolist() for values in found] == [[9, 4], [5, 0], [1, 0]]


def test_examples_whose_memory_harms_them_are_found_in_both_directions():
    rng = np.random.default_rng(3)
    examples, memory = 300, rng.integers(0, C, 300)
    labels = rng.integers(0, K, examples)
    effect = rng.normal(0, 0.01, (examples, C))
    effect[np.arange(examples), memory] -= 1
    tie = rng.normal(size=(C, K))
    cells = Cells([], [], None, {"effect": np.zeros((C, K))}, tie, tie, np.zeros((C, K), bool))
    se = np.full(effect.shape, 0.1)
    planted = measures.compare_examples(cells, memory, labels, effect, se, resampling())
    assert planted["match"].value == planted["harm_of_memory"].value == 1
    assert planted["match"].p == planted["harm_of_memory"].p == pytest.approx(2 / 200)
    assert planted["match"].null_mean == pytest.approx(1 / C, abs=0.03)
    assert planted["harm_of_memory"].null_mean == pytest.approx(0.5, abs=0.05)
    elsewhere = measures.compare_examples(cells, (memory + 1) % C, labels, effect, se, resampling())
    assert elsewhere["match"].value == 0
    strongest = measures.pull(tie).argmax(0)[labels]
    effect = np.where(np.arange(C) == strongest[:, None], -1.0, 0)
    pulled = measures.compare_examples(cells, memory, labels, effect, se, resampling())
    assert pulled["pull_of_harmful"].value == 1


def test_the_artefact_is_labelled(cells, tmp_path):
    path = tmp_path / "memories/t/full/agreement.h5"
    with artefacts.create(path, AGREEMENT) as out:
        measures.write_cells(out, cells)
        measures.write_comparisons(out, cells, resampling())
        measures.write_examples(out, {"match": measures.Agreement(0.5, 0.4, 0.6, 0.1, 0.01, 20)})
    found = labelled.read(path, AGREEMENT)
    assert found.quadrant.sel(source_class="c1", target_class="y") == "hurts, distracts"
    assert found.quadrant.sel(source_class="c7", target_class="y") == ""
    assert found.influence_q.sel(source_class="c2", target_class="y") == 0.2
    assert found.pair.values[found.pair_shares_models.values].tolist() == ["binding, coupling"]
    assert found.correlation.sel(pair="binding, coupling") == pytest.approx(1)
    assert found.correlation_p.sel(pair="binding, coupling").isnull()
    assert found.correlation_p.sel(pair="harm, interference").notnull()
    assert found.agreement_null_mean.sel(statistic="match") == 0.1
    figure.draw(path, tmp_path / "a.png", SETTINGS)
    assert (tmp_path / "a.png").stat().st_size > 10_000
