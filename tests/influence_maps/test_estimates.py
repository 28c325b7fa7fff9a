"""Influence maps: exact where the truth is known, calibrated where there is none, drawn where they lie."""

import numpy as np
import pytest
from scipy import stats

from transferlens.core import artefacts, labelled
from transferlens.data.artefacts import HALVES
from transferlens.estimation import crossfit, designs, estimators
from transferlens.influence.artefacts import INFLUENCE
from transferlens.influence_maps import estimates, picture, probed
from transferlens.influence_maps.artefacts import INFLUENCE_MAPS
from transferlens.training.artefacts import SUMMARY, TRANSFER_RUNS

MODELS, UNITS, SIDE = 64, 6, (3, 4)
LABELS = np.array([0, 0, 0, 2, 2])  # of three classes, one without probe examples
EXAMPLES = np.array([1, 2, 5, 3, 6])


def planted(seed=0, noise=0.0):
    """Masks, maps and biases to which every unit adds its own fixed amount, in every cell another."""
    rng = np.random.default_rng(seed)
    masks = designs.draw_masks("hadamard", UNITS, 0.5, seed, range(MODELS))
    effects = rng.normal(size=(len(LABELS), UNITS, *SIDE))
    of_bias = rng.normal(size=(UNITS, 3))
    found = 5 + np.einsum("mu,euhw->mehw", masks, effects) + noise * rng.normal(size=(MODELS, 5, *SIDE))
    return masks, found, masks @ of_bias - 3, effects, of_bias


def fill(out, artefact, sizes, **values):
    """Write an artefact: these values, zeros and nameless things elsewhere."""
    for field in artefact.fields:
        shape = tuple(sizes[dim] for dim in field.dims if dim in sizes)
        if field.name in values:
            out.write(field.name, values[field.name])
        elif not field.optional and "*" not in field.name and len(shape) == len(field.dims):
            names = np.array([f"{field.name} {i}" for i in range(int(np.prod(shape)))], dtype=object)
            out.write(field.name, names.reshape(shape) if field.dtype is str else np.zeros(shape, np.int8))


def write(folder, masks, found, bias):
    """The files that influence maps are made of, in two shards; and the influence maps."""
    labels = np.array([1, 0, 0, 2, 1, 0, 2])
    ids = [f"e{i}" for i in range(7)]
    sizes = {"model": MODELS, "unit": UNITS, "example": 7, "target_class": 3, "half": 2}
    sizes |= {"log_quantity": 3, "epoch": 1, "source_class": UNITS}
    names = {"example": ids, "target_class": list("xyz"), "half": HALVES}
    names |= {"example_class": np.array(list("xyz"))[labels], "example_half": ["report"] * 7}
    units = {"mask": masks, "unit": list("abcdef"), "unit_group": [""] * UNITS}
    with artefacts.create(folder / "s.h5", SUMMARY) as out:
        fill(out, SUMMARY, sizes, model=np.arange(MODELS), **names, **units)
    by_class = np.random.default_rng(1).normal(size=(2, 2, 3, UNITS))  # fold, half
    with artefacts.create(folder / "i.h5", INFLUENCE) as out:
        fill(out, INFLUENCE, {**sizes, "relation": 0}, source_class=list("abcdef"), **names)
        out.write("margin/class_effect_by_fold", by_class)
    logits = found.mean((2, 3)) + bias[:, LABELS]
    shards = [folder / "0.h5", folder / "1.h5"]
    for path, rows in zip(shards, (slice(0, 24), slice(24, MODELS)), strict=True):
        with artefacts.create(path, TRANSFER_RUNS) as out:
            of_rows = {"model": np.arange(MODELS)[rows], **units, "mask": masks[rows]}
            fill(
                out,
                TRANSFER_RUNS,
                {**sizes, "model": len(masks[rows])},
                **of_rows,
                **names,
                probe_example=[ids[e] for e in EXAMPLES],
                probe_map=found[rows],
                probe_logit=logits[rows],
            )
            out.stack("head", "bias", {"model": len(masks[rows])}, 3, np.float32)[:] = bias[rows]
    images = np.random.default_rng(2).integers(0, 255, (5, 12, 16, 3)).astype(np.uint8)
    arguments = (folder / "s.h5", folder / "i.h5", images, "least_squares", "margin")
    estimates.write_influence_maps(folder / "m.h5", shards, *arguments)
    return labelled.read(folder / "m.h5", INFLUENCE_MAPS), by_class


def test_planted_effects_come_back_in_their_cells_and_add_up(tmp_path):
    masks, values, bias, effects, of_bias = planted()
    maps, by_class = write(tmp_path, masks, values, bias)
    np.testing.assert_allclose(maps.map_effect, effects, atol=1e-4)
    with_bias = effects + of_bias.T[LABELS][..., None, None]
    np.testing.assert_allclose(maps.logit_map_effect, with_bias, atol=1e-4)
    np.testing.assert_allclose(maps.logit_effect, with_bias.mean((2, 3)), atol=1e-4)
    of_classes = np.stack([with_bias[:3].mean(0), with_bias[3:].mean(0)])
    np.testing.assert_allclose(maps.class_logit_map_effect, of_classes, atol=1e-4)
    np.testing.assert_allclose(maps.class_logit_effect, of_classes.mean((2, 3)), atol=1e-4)
    np.testing.assert_allclose(maps.class_bias_effect, of_bias.T[[0, 2]], atol=1e-4)
    names = np.array(list("abcdef"))
    chosen = by_class[0, 0][[0, 2]].argmax(1), by_class[0, 0][[0, 2]].argmin(1)
    for i, name in enumerate(("helpful", "harmful")):
        np.testing.assert_array_equal(maps[name], names[chosen[i]])
        shown = of_classes[[0, 1], chosen[i]]
        np.testing.assert_allclose(maps.shown_class_map[i], shown, atol=1e-4)
        np.testing.assert_allclose(maps.shown_class_logit[i], shown.mean((1, 2)), atol=1e-4)
        np.testing.assert_allclose(maps.shown_class_bias[i], of_bias.T[[0, 2], chosen[i]], atol=1e-4)
        np.testing.assert_allclose(maps.shown_example_map[i], with_bias[[0, 3], chosen[i]], atol=1e-4)
    assert maps.attrs["showing_models"] == MODELS // 2
    assert maps.example.values.tolist() == ["e1", "e2", "e5", "e3", "e6"]
    assert maps.example_class.values.tolist() == ["x", "x", "x", "z", "z"]
    assert maps.target_class.values.tolist() == ["x", "z"]


@pytest.mark.parametrize("name", ["least_squares", "ridge", "difference_of_means"])
@pytest.mark.parametrize("design", ["hadamard", "bernoulli"])
def test_maps_add_up_under_every_linear_estimator(name, design):
    rng = np.random.default_rng(4)
    masks = designs.draw_masks(design, UNITS, 0.5, 0, range(MODELS))
    values, bias = rng.normal(size=(MODELS, 5, *SIDE)), rng.normal(size=(MODELS, 5))
    logits = values.mean((2, 3)) + bias
    fitted = estimators.make(name, masks, logits)
    cells = probed.cell_effects(fitted, values).effect.reshape(5, -1, UNITS)
    parts = cells.mean(1) + fitted.effects(bias).effect
    np.testing.assert_allclose(parts, fitted.effects(logits).effect, atol=1e-5)


def test_work_in_blocks_changes_nothing(tmp_path, monkeypatch):
    masks, values, bias, *_ = planted(noise=3.0)
    parts = {}
    for size in (1 << 20, 1):
        folder = tmp_path / str(size)
        folder.mkdir()
        monkeypatch.setattr(estimates, "_BLOCK_BYTES", size)
        maps, _ = write(folder, masks, values, bias)
        names = ("map_effect_se", "logit_map_effect_q", "class_logit_map_effect_q", "permuted_share")
        parts[size] = {name: maps[name].values for name in names}
    for name, whole in parts[1 << 20].items():
        np.testing.assert_allclose(parts[1][name], whole, rtol=1e-5, err_msg=name)
    assert list(estimates._blocks(LABELS, 4)) == [slice(0, 3), slice(3, 5)]
    assert list(estimates._blocks(LABELS, 5)) == [slice(0, 5)]


def test_q_values_are_over_the_source_classes_and_cells_of_an_example(tmp_path):
    masks, values, bias, *_ = planted(noise=3.0)
    maps, _ = write(tmp_path, masks, values, bias)
    effect, se, q = (maps[f"logit_map_effect{part}"][1].values.astype(float) for part in ("", "_se", "_q"))
    p = 2 * stats.t.sf(np.abs(effect / se), MODELS // 2 - UNITS)
    np.testing.assert_allclose(q, stats.false_discovery_control(p.ravel()).reshape(q.shape), rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "design"), [("least_squares", "hadamard"), ("difference_of_means", "bernoulli")]
)
def test_cells_without_an_effect_have_uniform_p_values(name, design):
    """Masks that have nothing to do with maps whose cells are correlated and unequally noisy."""
    masks = designs.draw_masks(design, 8, 0.5, 1, range(256))
    rng = np.random.default_rng(0)
    p = []
    for _ in range(300):
        shared = rng.normal(size=(256, 1, 1, 1))
        values = (shared + rng.normal(size=(256, 1, *SIDE))) * np.linspace(0.1, 10, 12).reshape(SIDE)
        values[:, 0] += rng.normal(size=(256, 1, 1)) * 4  # a bias in every cell
        found = probed.cell_effects(estimators.make(name, masks, values[:, 0, 0]), values).p()
        p.append(found[rng.integers(12), rng.integers(8)])  # one cell of each: they are not independent
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_permuted_masks_find_nothing_where_the_right_ones_do(tmp_path):
    masks, values, bias, *_ = planted(noise=1.0)
    maps, _ = write(tmp_path, masks, values, bias)
    assert maps.attrs["share"] > 0.5
    assert abs(maps.permuted_share.mean() - 0.05) < 0.02


def test_permutations_keep_pairs():
    masks = designs.draw_masks("complementary", UNITS, 0.5, 0, range(MODELS))
    orders = estimates.permutations(masks, 3)
    assert len({tuple(order) for order in orders}) == 3
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(MODELS))
        np.testing.assert_array_equal(order[0::2] + 1, order[1::2])
    (single,) = estimates.permutations(designs.draw_masks("bernoulli", UNITS, 0.5, 0, range(MODELS)), 1)
    np.testing.assert_array_equal(np.sort(single), np.arange(MODELS))
    assert (np.diff(single)[0::2] != 1).any()


def test_the_picture_outlines_cells_and_is_drawn(tmp_path):
    chosen = np.zeros((3, 4), bool)
    chosen[0, 1:3] = True  # two cells at the upper border: six edges around them
    lines = picture.outline(chosen)
    assert len(lines) == 6
    assert lines.min(axis=(0, 1)).tolist() == [1, 0]
    assert lines.max(axis=(0, 1)).tolist() == [3, 1]
    masks, values, bias, *_ = planted(noise=1.0)
    write(tmp_path, masks, values, bias)
    picture.draw(tmp_path / "m.h5", tmp_path / "m.png", 2)
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_shown_knows_nothing_of_the_models_that_chose(tmp_path):
    """Noise in the choosing models changes no number that is shown."""
    masks, values, bias, *_ = planted(noise=1.0)
    first, _ = write(tmp_path, masks, values, bias)
    choosing = crossfit.divide(masks, "least_squares").of_model == 0
    values[choosing] += np.random.default_rng(5).normal(size=values[choosing].shape)
    again, _ = write(tmp_path, masks, values, bias)
    for name in ("shown_class_map", "shown_class_map_se", "shown_example_logit"):
        np.testing.assert_array_equal(again[name], first[name])
    assert not np.array_equal(again.class_map_effect, first.class_map_effect)
