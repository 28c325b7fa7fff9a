"""Every metric of similarity: published values, closed forms, invariances, chance, and other libraries."""

import math
import warnings
from functools import partial
from itertools import permutations, product

import numpy as np
import pytest
import rsatoolbox
import torch
from scipy import stats
from scipy.linalg import orthogonal_procrustes
from sklearn.cross_decomposition import CCA

from tests.dynamics.features import golden, independent, orthonormal, rotation
from transferlens.core.errors import ConfigError, DataError
from transferlens.dynamics import similarity
from transferlens.dynamics.similarity import canonical, cka, distances, neighbours, shapes
from transferlens.dynamics.similarity.axes import Rows, Undefined, thin
from transferlens.dynamics.similarity.metrics import (
    MAPPED,
    METRICS,
    REORDERED,
    ROTATED,
    SCALED,
    SHIFTED,
    compare,
)

GOLDEN = {
    "cka_unbiased": 0.513456,
    "cka_linear": 0.557613,
    "cka_rbf": 0.654831,
    "procrustes": 0.736255,
    "cca": 0.731014,
    "cca_r2": 0.545396,
    "svcca": 0.731014,  # ten equal variances: all components are kept
    "pwcca": 0.734668,
    "rsa": 0.492965,
    "rsa_correlation": 0.472439673763,
    "distance_correlation": 0.799246185123,
    "distance_correlation_unbiased": 0.502082583264,
    "jaccard": 0.170124774606,
    "rank": 0.176136126757,
    "rank_jaccard": 0.035133898535,
    "second_order_cosine": 0.823770907124,
    "aligned_cosine": 0.720997377418,
    "whitened_shape": round(1 - 2 * 0.750990 / math.pi, 6),
}


def tensor(values):
    return torch.as_tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("name", METRICS)
def test_published_value(name):
    published = GOLDEN[name]
    rounding = 6e-7 if published == round(published, 6) else 6e-13
    assert METRICS[name](*golden()) == pytest.approx(published, abs=rounding)


def test_published_values_of_what_is_no_metric_of_its_own():
    x, y = golden()
    assert shapes.angle(x, y) == pytest.approx(0.743276, abs=6e-7)
    assert shapes.angle(x, y, whitening=1.0) == pytest.approx(0.750990, abs=6e-7)
    assert shapes.squared_distance(x, y) == pytest.approx(2 - 2 * 0.736255, abs=2e-6)
    uncentred = [Rows(thin(tensor(features)).images) for features in (x, y)]
    assert canonical.mean_squared_correlation(*uncentred) == pytest.approx(0.543124, abs=6e-7)
    five = [neighbours.near(tensor(features), 5) for features in (x, y)]
    assert neighbours.jaccard(*five) == pytest.approx(0.134246031746, abs=1e-12)
    x, y = x - x.mean(0), y - y.mean(0)
    assert METRICS["jaccard"](x, y) == pytest.approx(0.176258935423, abs=1e-12)
    assert METRICS["aligned_cosine"](x, y) == pytest.approx(0.723577648239, abs=1e-12)


# Closed forms


def test_some_of_the_columns_of_an_orthonormal_basis():
    u = orthonormal(50, 8)
    assert METRICS["procrustes"](u, u[:, :3]) == pytest.approx(math.sqrt(3 / 8), abs=1e-12)
    assert METRICS["cka_linear"](u, u[:, :3]) == pytest.approx(math.sqrt(3 / 8), abs=1e-12)
    assert METRICS["cca"](u, u[:, :3]) == pytest.approx(1, abs=1e-12)
    assert shapes.angle(u, u[:, :3], whitening=1.0) == pytest.approx(math.acos(math.sqrt(3 / 8)), abs=1e-12)


def test_columns_of_an_orthonormal_basis_in_other_sizes():
    s = np.array([5, 3, 2, 1, 1, 0.5])
    u = orthonormal(40, 6)
    expected = s.sum() / (math.sqrt(6) * np.linalg.norm(s))
    assert METRICS["procrustes"](u, u * s) == pytest.approx(expected, abs=1e-12)
    assert METRICS["cca_r2"](u, u * s) == pytest.approx(1, abs=1e-12)


def test_svcca_cuts_on_variance_not_on_its_root():
    u = orthonormal(60, 4)
    s = np.array([10, 1, 0.9, 0.8])  # 97.6 % of the variance is in the first, 98.6 % in two, 99.4 % in three
    parts = canonical.leading(thin(tensor(u * s)))
    assert parts.values.tolist() == pytest.approx([10, 1, 0.9])


def test_a_part_of_the_whitening_is_between_none_and_all():
    x, y = golden()
    x = x * np.geomspace(1, 20, 10)
    none, half, all_ = (shapes.angle(x, y, whitening) for whitening in (0.0, 0.5, 1.0))
    assert all_ < half < none


def test_wide_features_by_their_gram_matrix():
    x, y = independent(30, 100)
    y = x @ rotation(100)[:, :80] + 0.3 * y[:, :80]
    norm = [(values - values.mean(0)) / np.linalg.norm(values - values.mean(0)) for values in (x, y)]
    expected = np.linalg.svd(norm[0].T @ norm[1], compute_uv=False).sum()
    assert METRICS["procrustes"](x, y) == pytest.approx(expected, abs=1e-12)
    grams = [shapes.shape_of_gram(tensor(values @ values.T)) for values in (x, y)]
    assert shapes.procrustes(*grams) == pytest.approx(expected, abs=1e-12)


def test_the_gram_route_of_narrow_features_is_the_fidelity_of_two_states():
    x, y = golden()
    grams = [shapes.shape_of_gram(tensor(values @ values.T)) for values in (x, y)]
    assert shapes.procrustes(*grams) == pytest.approx(METRICS["procrustes"](x, y), abs=1e-12)


# What they are blind to

CHANGES = {
    REORDERED: lambda x: x[:, ::-1].copy(),
    SCALED: lambda x: 7.3 * x,
    SHIFTED: lambda x: x + np.linspace(-3, 4, x.shape[1]),
    ROTATED: lambda x: x @ rotation(x.shape[1]),
    MAPPED: lambda x: x @ rotation(x.shape[1]) * np.geomspace(1, 1e-2, x.shape[1]),
}


@pytest.mark.parametrize(("name", "change"), product(METRICS, CHANGES))
def test_what_a_metric_is_blind_to_and_what_it_sees(name, change):
    x, y = golden()
    difference = abs(METRICS[name](CHANGES[change](x), y) - METRICS[name](x, y))
    assert difference < 1e-10 if change in METRICS[name].blind_to else difference > 1e-5


@pytest.mark.parametrize("name", METRICS)
def test_the_same_features_are_exactly_1_and_images_may_come_in_any_common_order(name):
    x, y = golden()
    order = np.random.default_rng(0).permutation(100)
    assert METRICS[name](x, x) == 1
    assert METRICS[name].measure(*[METRICS[name].prepare(tensor(x))] * 2) == pytest.approx(1, abs=1e-7)
    assert METRICS[name](x[order], y[order]) == pytest.approx(METRICS[name](x, y), abs=1e-10)


@pytest.mark.parametrize("name", METRICS)
def test_symmetric_or_not(name):
    x, y = golden()
    y = y[:, :7]
    difference = abs(METRICS[name](x, y) - METRICS[name](y, x))
    assert difference < 1e-10 if METRICS[name].symmetric else difference > 1e-3


@pytest.mark.parametrize("name", METRICS)
def test_prepared_features_in_another_order_are_those_of_the_images_in_that_order(name):
    x, y = golden()
    order = torch.as_tensor(np.random.default_rng(1).permutation(100))
    metric = METRICS[name]
    moved = metric.between(metric.prepare(tensor(x)), metric.prepare(tensor(y)).permuted(order))
    assert moved == pytest.approx(metric(x, y[order.numpy()]), abs=1e-10)


ANGLES = {
    "Procrustes": shapes.angle,
    "half whitened": partial(shapes.angle, whitening=0.5),
    "whitened": partial(shapes.angle, whitening=1.0),
    "biased CKA": lambda x, y: math.acos(cka.linear(x, y)),
}


@pytest.mark.parametrize("angle", ANGLES.values(), ids=ANGLES)
def test_angles_obey_the_triangle_inequality(angle):
    rng = np.random.default_rng(0)
    base = rng.normal(size=(40, 5))
    sides = [base + noise * rng.normal(size=(40, 5)) for noise in (0, 0.1, 0.5, 1, 3)]
    for a, b, c in permutations(sides, 3):
        assert angle(a, c) <= angle(a, b) + angle(b, c) + 1e-12


def test_the_rank_cut_is_relative():
    """An absolute floor under the eigenvalues would undo the whitening of small features."""
    x, y = golden()
    x = x * np.geomspace(1, 10, 10)
    whole = shapes.angle(x, y, whitening=1.0)
    assert shapes.angle(1e-5 * x, y, whitening=1.0) == pytest.approx(whole, abs=1e-10)
    assert shapes.angle(1e-5 * x, 1e4 * y, whitening=0.5) == pytest.approx(
        shapes.angle(x, y, whitening=0.5), abs=1e-10
    )
    assert abs(whole - shapes.angle(x, y)) > 0.01


def test_repeated_columns_add_no_dimension():
    x, y = golden()
    twice = np.hstack([x, x @ rotation(10)])
    for name in ("cca", "cca_r2", "whitened_shape"):
        assert METRICS[name](twice, y) == pytest.approx(METRICS[name](x, y), abs=1e-10)


def test_columns_are_centred_not_rows():
    x, y = golden()
    rows = y + np.random.default_rng(0).normal(size=(100, 1)) * 3
    for name in ("procrustes", "cca", "pwcca", "rsa"):
        assert METRICS[name](x, y + np.arange(10.0)) == pytest.approx(METRICS[name](x, y), abs=1e-10)
        assert abs(METRICS[name](x, rows) - METRICS[name](x, y)) > 0.01


# Chance

LEVELS = {
    "jaccard": (0.056, 0.011, 0.003),
    "rank": (0.070, 0.017, 0.006),
    "second_order_cosine": (0.70, 0.993, 0.990),
    "distance_correlation": (0.52, 0.90, 0.71),
    "distance_correlation_unbiased": (0, 0, 0),
    "aligned_cosine": (0.25, 0.76, 0.42),
}


@pytest.mark.parametrize(("column", "n", "d"), [(0, 100, 10), (1, 500, 512), (2, 2000, 512)])
def test_levels_of_unrelated_features(column, n, d):
    x, y = independent(n, d)
    width = 0.02 if n == 100 else 0.005
    for name, levels in LEVELS.items():
        assert METRICS[name](x, y) == pytest.approx(levels[column], abs=width), name


@pytest.mark.parametrize(("n", "d", "level"), [(64, 512, 0.97), (2048, 512, 0.41)])
def test_level_of_procrustes(n, d, level):
    assert METRICS["procrustes"](*independent(n, d)) == pytest.approx(level, abs=0.006)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if not metric.biased])
def test_unbiased_metrics_are_0_in_the_mean_for_unrelated_features(name):
    values = [METRICS[name](*independent(24, 20, seed)) for seed in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(200)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.biased])
def test_biased_metrics_are_above_0_for_unrelated_features(name):
    values = [METRICS[name](*independent(24, 20, seed)) for seed in range(30)]
    assert np.mean(values) > 5 * np.std(values) / math.sqrt(30)


PERMUTED = {
    "jaccard": (0.0547, 0.066),
    "rank": (0.0664, 0.092),
    "second_order_cosine": (0.7008, 0.708),
    "distance_correlation": (0.522, 0.537),
    "distance_correlation_unbiased": (-0.002, 0.020),
    "aligned_cosine": (0.2515, 0.284),
}


def test_published_levels_of_permuted_images():
    table = compare(*golden(), list(PERMUTED), permutations=200)
    for name, (mean, p95) in PERMUTED.items():
        assert table.null_mean[name] == pytest.approx(mean, abs=0.004), name
        assert table.null_p95[name] == pytest.approx(p95, abs=0.012), name


def test_exact_chance_of_jaccard():
    for n, chance in {100: 0.0557022, 500: 0.0106434, 2000: 0.0026388}.items():
        assert neighbours.jaccard_chance(n) == pytest.approx(chance, abs=6e-8)
    assert neighbours.jaccard_chance(11) == pytest.approx(1)


# Other libraries, other routes


def test_rsa_of_rsatoolbox():
    x, y = golden()
    rdms = [rsatoolbox.rdm.calc_rdm(rsatoolbox.data.Dataset(values), method="euclidean") for values in (x, y)]
    spearman = rsatoolbox.rdm.compare(*rdms, method="spearman")[0, 0]
    assert METRICS["rsa"](x, y) == pytest.approx(spearman, abs=1e-12)
    rdms = [rsatoolbox.rdm.calc_rdm(rsatoolbox.data.Dataset(v), method="correlation") for v in (x, y)]
    spearman = rsatoolbox.rdm.compare(*rdms, method="spearman")[0, 0]
    assert METRICS["rsa_correlation"](x, y) == pytest.approx(spearman, abs=1e-12)


def test_images_that_are_twice_in_the_set_are_at_no_distance():
    x = np.repeat(golden()[0] + 50, 2, axis=0)
    apart = distances.squared_distances(tensor(x - x.mean(0)))
    i = torch.arange(0, 200, 2)
    assert (apart[i, i + 1] == 0).all()
    assert int((apart == 0).sum()) == 400


def test_rsa_of_features_with_tied_distances():
    x, y = (np.random.default_rng(seed).integers(0, 2, (40, 6)).astype(float) for seed in (0, 1))
    i, j = np.triu_indices(40, 1)
    tied = [((v[i] - v[j]) ** 2).sum(1) for v in (x, y)]
    turned = x @ rotation(6)  # distances that were tied now differ by rounding
    assert METRICS["rsa"](turned, y) == pytest.approx(stats.spearmanr(*tied)[0], abs=1e-12)


def test_distance_correlations_of_dcor():
    import dcor  # compiles for ten seconds

    x, y = golden()
    assert METRICS["distance_correlation"](x, y) == pytest.approx(dcor.distance_correlation(x, y), abs=1e-12)
    unbiased = dcor.u_distance_correlation_sqr(x, y)
    assert METRICS["distance_correlation_unbiased"](x, y) == pytest.approx(unbiased, abs=1e-12)


def test_procrustes_of_scipy():
    x, y = (values - values.mean(0) for values in golden())
    _, nuclear = orthogonal_procrustes(x / np.linalg.norm(x), y / np.linalg.norm(y))
    assert METRICS["procrustes"](x, y) == pytest.approx(nuclear, abs=1e-12)


def test_canonical_correlations_by_qr_and_by_sklearn():
    x, y = (values - values.mean(0) for values in golden())
    found = np.linalg.svd(np.linalg.qr(x)[0].T @ np.linalg.qr(y)[0], compute_uv=False)
    assert METRICS["cca"](x, y) == pytest.approx(found.mean(), abs=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        a, b = CCA(n_components=2, max_iter=5000, tol=1e-12).fit_transform(x[:, :3], y[:, :3])
    spans = [canonical.span(tensor(values[:, :3])) for values in (x, y)]
    sklearns = [np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(2)]
    assert canonical.correlations(*spans)[:2].tolist() == pytest.approx(sklearns, abs=1e-6)


def test_pwcca_by_its_definition():
    x, y = golden()
    u, _, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    v = np.linalg.svd(y - y.mean(0), full_matrices=False)[0]
    turn, rho, _ = np.linalg.svd(u.T @ v)
    weights = np.array([np.abs((u @ turn)[:, i] @ (x - x.mean(0))).sum() for i in range(10)])
    assert METRICS["pwcca"](x, y) == pytest.approx(weights @ rho / weights.sum(), abs=1e-12)


def looped(x, y, k):
    """Jaccard, rank similarity and second-order cosine, image by image from their definitions."""
    units = [v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-300) for v in (x, y)]
    far = [1 - u @ u.T for u in units]
    near = []
    for distance in far:
        distance = distance.copy()
        np.fill_diagonal(distance, np.inf)
        near.append(np.argsort(distance.round(12), axis=1, kind="stable")[:, :k])
    jaccard, rank, second = [], [], []
    for i in range(len(x)):
        a, b = near[0][i].tolist(), near[1][i].tolist()
        shared = set(a) & set(b)
        jaccard.append(len(shared) / len(set(a) | set(b)))
        places = [(a.index(j) + 1, b.index(j) + 1) for j in shared]
        agreed = sum(2 / ((1 + abs(r - s)) * (r + s)) for r, s in places)
        rank.append(agreed / sum(1 / q for q in range(1, len(shared) + 1)) if shared else 0)
        both = sorted(set(a) | set(b))
        p, q = far[0][i, both], far[1][i, both]
        second.append(p @ q / np.linalg.norm(p) / np.linalg.norm(q))
    return np.mean(jaccard), np.mean(rank), np.mean(np.array(jaccard) * rank), np.mean(second)


def test_neighbours_image_by_image(monkeypatch):
    monkeypatch.setattr(neighbours, "_CELLS", 90)  # two images at a time
    x, y = golden()
    x, y = x[:45].copy(), y[:45]
    x[7] = x[3]
    sides = [neighbours.near(tensor(values), 4) for values in (x, y)]
    found = [f(*sides) for f in (neighbours.jaccard, neighbours.rank_similarity, neighbours.rank_jaccard)]
    assert [*found, neighbours.second_order_cosine(*sides)] == pytest.approx(looped(x, y, 4), abs=1e-12)


def test_images_without_a_direction_are_near_to_each_other_alone():
    x = np.abs(golden()[0][:30])
    x[[4, 9, 17]] = 0
    side = neighbours.near(tensor(x), 2)
    assert {tuple(sorted(side.rows[i].tolist())) for i in (4, 9, 17)} == {(9, 17), (4, 17), (4, 9)}
    others = [i for i in range(30) if i not in (4, 9, 17)]
    assert not np.isin(side.rows[others].numpy(), [4, 9, 17]).any()


def test_aligned_cosine_of_features_of_other_widths_and_of_empty_images():
    x = np.random.default_rng(0).normal(size=(30, 6))
    wide = np.hstack([x, np.zeros((30, 3))]) @ rotation(9)
    assert METRICS["aligned_cosine"](x, wide) == pytest.approx(1, abs=1e-12)
    empty = x.copy()
    empty[4] = 0
    assert METRICS["aligned_cosine"](empty, 2 * x) == pytest.approx(1, abs=1e-12)


# Bad input


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7e5])
def test_constant_layers_are_undefined_and_say_why(value):
    table = compare(np.full((40, 3), value), independent(40, 3)[0], permutations=2)
    assert table[["value", "null_mean", "null_p95", "excess"]].isna().all(axis=None)
    assert table.note.str.startswith("undefined: ").all()
    assert all(math.isnan(metric(np.full((40, 3), value), np.eye(40)[:, :3])) for metric in METRICS.values())


def test_why_some_metrics_are_undefined():
    x, y = independent(40, 3)
    with pytest.raises(Undefined, match="one value in all features: 1"):
        distances.correlation_ranks(tensor(np.vstack([x[:39], np.ones(3)])))
    with pytest.raises(Undefined, match="equally far apart"):
        distances.u_centred_distances(tensor(np.eye(6)))
    with pytest.raises(Undefined, match="one direction"):
        neighbours.near(tensor(np.arange(1, 21)[:, None] * [0.1, 0.7]))
    with pytest.raises(Undefined, match="constant"):
        distances.centred_gaussian(tensor(np.eye(20)[:, :2]), tau=0.5)
    table = compare(x[:9], y[:9], ["jaccard", "procrustes"])
    assert table.note.tolist() == ["undefined: 10 neighbours need more than 10 images", ""]
    assert math.isnan(table.value["jaccard"])


def test_too_few_images_for_the_dimensions():
    x, y = independent(49, 10)
    noted = set(compare(x, y[:, :3], permutations=1).note.loc[lambda note: note != ""].index)
    assert noted == {"whitened_shape", "cca", "cca_r2", "svcca", "pwcca"}
    assert METRICS["cca"].warning(50, 10) == ""
    expected = "49 images are too few for 10 dimensions: mean CCA needs 50"
    assert METRICS["cca"].warning(49, 10) == expected


def test_other_rows_are_refused():
    x, y = independent(40, 3)
    for metric in METRICS.values():
        with pytest.raises(DataError, match="40 and 39 images"):
            metric(x, y[:39])
    with pytest.raises(DataError, match="at least 4"):
        compare(x[:3], y[:3])
    with pytest.raises(DataError, match="NaN"):
        compare(np.full((8, 2), np.nan), x[:8])
    with pytest.raises(DataError, match="images, features"):
        compare(np.zeros((8, 2, 2)), x[:8])
    with pytest.raises(ConfigError, match="did you mean 'procrustes'"):
        compare(x, y, ["procrustean"])
    with pytest.raises(ConfigError, match="at least 1"):
        compare(x, y, permutations=0)


def test_compare_takes_tensors_and_gives_the_same_table_each_time():
    x, y = golden()
    table = compare(torch.as_tensor(x), torch.as_tensor(y).float(), ["cca", "jaccard"])
    again = compare(x, y.astype(np.float32), ["cca", "jaccard"])
    assert table.equals(again)
    assert table.equals(similarity.compare(x, y.astype(np.float32), ["cca", "jaccard"], seed=0))
    assert not table.equals(compare(x, y, ["cca", "jaccard"], seed=1))
    value, null = table.value["cca"], table.null_mean["cca"]
    assert table.excess["cca"] == pytest.approx((value - null) / (1 - null))


def test_cka_is_that_of_its_module():
    assert METRICS["cka_rbf"](*golden()) == pytest.approx(cka.rbf(*golden()), abs=1e-12)


def test_features_that_are_no_real_numbers_are_refused():
    x = np.random.default_rng(0).normal(size=(12, 5))
    tensor = torch.tensor(x)
    quantised = torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.qint8)
    others = [tensor.to_sparse(), tensor.to("meta"), quantised, np.ma.masked_array(x, x > 0)]
    for bad in [x + 1j, x.astype(object), x.astype(str), None, [[1.0], [1.0, 2.0]], x[:, :0], *others]:
        with pytest.raises(DataError, match=r"similarity: .*give .*\[images, features\]"):
            similarity.compare(bad, x, ["procrustes"], 2)
    for kind in (">f8", np.longdouble, np.float32):
        assert similarity.compare(x.astype(kind), x, ["procrustes"], 2)["value"].iloc[0] > 0.999
