"""Influences from masks and outputs of one's own: against textbooks' least squares, and the workflow's."""

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from scipy import stats

import transferlens
from tests.summaries import subset_rows, write_summary
from transferlens.core import labelled
from transferlens.core.errors import ConfigError, DataError
from transferlens.data.index import Index
from transferlens.estimation import designs
from transferlens.influence import estimate, own, own_files
from transferlens.influence.artefacts import INFLUENCE, OWN_INFLUENCE
from transferlens.influence.own import estimate_influence

MODELS, UNITS, OUTPUTS = 260, 5, 7
PARTS = ("", "_se", "_low", "_high", "_p")


@pytest.fixture(scope="module")
def data():
    """Random masks, and outputs that add what each seen unit is worth, each on a scale of its own."""
    rng = np.random.default_rng(0)
    masks = rng.random((MODELS, UNITS)) < 0.5
    worth = rng.normal(size=(UNITS, OUTPUTS))
    outputs = masks @ worth + rng.normal(size=(MODELS, OUTPUTS))
    return masks, outputs * 10.0 ** np.arange(-3, 4) + 1e5 * np.arange(OUTPUTS)


def least_squares(masks, y):
    """Coefficients with HC2 errors in float64, by the book."""
    x = np.column_stack([np.ones(len(masks)), masks])
    bread = np.linalg.inv(x.T @ x)
    coefficients = bread @ x.T @ y
    residual, leverage = y - x @ coefficients, np.einsum("ij,jk,ik->i", x, bread, x)
    covariance = bread @ (x.T * residual**2 / (1 - leverage)) @ x @ bread
    return coefficients[1:], np.sqrt(np.diag(covariance))[1:]


def welch(with_unit, without):
    return stats.ttest_ind(with_unit, without, equal_var=False)


def test_least_squares_is_that_of_the_book_whatever_the_scale_of_an_output(data):
    masks, outputs = data
    found = estimate_influence(masks, outputs)
    df = MODELS - UNITS - 1
    for j in range(OUTPUTS):
        effect, se = least_squares(masks, outputs[:, j])
        np.testing.assert_allclose(found.effect[j], effect, rtol=1e-4, atol=1e-4 * se.mean())
        np.testing.assert_allclose(found.effect_se[j], se, rtol=1e-4)
        reach = stats.t.ppf(0.975, df) * se
        np.testing.assert_allclose(found.effect_high[j], effect + reach, rtol=1e-3, atol=1e-3 * se.mean())
        p = 2 * stats.t.sf(np.abs(effect / se), df)
        np.testing.assert_allclose(found.effect_p[j], p, rtol=2e-3, atol=1e-8)
        np.testing.assert_allclose(found.effect_q[j], stats.false_discovery_control(p), rtol=2e-3, atol=1e-8)


def test_the_papers_estimator_is_welchs_test(data):
    masks, outputs = data
    found = estimate_influence(masks, outputs, estimator="difference_of_means")
    for c in range(UNITS):
        seen, y = masks[:, c], outputs[:, 2]
        expected = y[seen].mean() - y[~seen].mean()
        test = welch(y[seen], y[~seen])
        interval = test.confidence_interval()
        np.testing.assert_allclose(
            [found[f"effect{part}"][2, c] for part in ("", "_low", "_high", "_p")],
            [expected, interval.low, interval.high, test.pvalue],
            rtol=1e-3,
        )


def test_means_of_groups_are_formed_model_by_model(data):
    masks, outputs = data
    groups = list("abacbbc")
    found = estimate_influence(masks, outputs[:, :3], groups=groups[:3], output_names=["x", "y", "z"])
    means = np.stack([outputs[:, [0, 2]].mean(1), outputs[:, 1], outputs[:, :3].mean(1)], axis=1)
    alone = estimate_influence(masks, means)
    assert found.output_group.values.tolist() == ["a", "b"]
    for part in PARTS:
        np.testing.assert_allclose(
            found[f"group_effect{part}"], alone[f"effect{part}"][:2], rtol=1e-3, atol=1e-8
        )
        np.testing.assert_allclose(
            found[f"overall_effect{part}"], alone[f"effect{part}"][2], rtol=1e-3, atol=1e-8
        )
    together = stats.false_discovery_control(found.group_effect_p.values.ravel())
    np.testing.assert_allclose(found.group_effect_q.values.ravel(), together)


@pytest.mark.parametrize("estimator", ["least_squares", "difference_of_means", "ridge"])
@pytest.mark.parametrize("design", ["hadamard", "bernoulli"])
def test_masks_and_outputs_of_a_study_give_the_influences_of_the_workflow(tmp_path, design, estimator):
    names = ["cat", "dog"]
    masks = designs.draw_masks(design, UNITS, 0.5, 0, range(MODELS))
    labels, halves = np.arange(12) % 2, np.arange(12) // 2 % 2
    margin = np.random.default_rng(1).normal(size=(MODELS, 12)).astype(np.float16)
    rows = subset_rows(masks, list("abcde"), [""] * UNITS)
    summary, path = tmp_path / "summary.h5", tmp_path / "influence.h5"
    write_summary(summary, rows, labels, halves, names, margin=margin, prediction=labels + 0 * margin)
    target = Index(names, ["", ""], None, None, names)
    estimate.write_influence(path, INFLUENCE, summary, target, ["margin"], estimator)
    theirs = labelled.read(path, INFLUENCE)
    groups = [f"{half} {label}" for half, label in zip(halves, labels, strict=True)]
    given, _ = own_files.read_own(f"{summary}:mask", f"{summary}:margin")
    assert given.unit_names == list("abcde")
    assert given.output_names == theirs.example.values.tolist()
    ours = estimate_influence(given.masks, given.outputs, groups=groups, estimator=estimator)
    np.testing.assert_allclose(ours.effect, theirs.effect, atol=1e-5)
    np.testing.assert_allclose(ours.effect_se, theirs.effect_se, rtol=1e-4)
    for half in range(2):
        for label in range(2):
            cell = ours.sel(output_group=f"{half} {label}")
            for part in ("", "_se", "_low", "_high"):
                expected = theirs[f"class_effect{part}"][half, label]
                np.testing.assert_allclose(cell[f"group_effect{part}"], expected, atol=1e-5)


def written(folder, masks, outputs, kind):
    """The two in files of a kind, as `read_own` is told of them."""
    if kind == "npy":
        for name, values in (("m", masks), ("y", outputs)):
            np.save(folder / f"{name}.npy", values)
        return str(folder / "m.npy"), str(folder / "y.npy")
    if kind == "npz":
        np.savez(folder / "both.npz", m=masks, y=outputs)
        return f"{folder}/both.npz:m", f"{folder}/both.npz:y"
    if kind == "h5":
        with h5py.File(folder / "both.h5", "w") as file:
            file["runs/m"] = masks
            file.create_dataset("runs/y", data=outputs, chunks=(MODELS, 2))
        return f"{folder}/both.h5:runs/m", f"{folder}/both.h5:runs/y"
    for name, values, heading in (("m", masks.astype(int), "unit"), ("y", outputs, "output")):
        lines = [f"model,{','.join(f'{heading} {i}' for i in range(values.shape[1]))}"]
        lines += [f"run{i},{','.join(map(repr, row.tolist()))}" for i, row in enumerate(values)]
        (folder / f"{name}.csv").write_text("\n".join(lines))
    return str(folder / "m.csv"), str(folder / "y.csv")


@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "h5"])
def test_files_of_every_kind_and_blocks_of_every_size_give_the_same(tmp_path, data, kind, monkeypatch):
    masks, outputs = data
    expected = estimate_influence(masks, outputs, estimator="ridge")
    monkeypatch.setattr(own, "_BLOCK_BYTES", 8 * MODELS * 3)  # three outputs at a time
    given, made_from = own_files.read_own(*written(tmp_path, masks, outputs, kind))
    assert len(own._blocks(given)) > 2
    assert {len(digest) for digest in made_from.values()} == {64}
    own.write_influence(tmp_path / "influence.h5", given, "ridge", made_from)
    found = labelled.read(tmp_path / "influence.h5", OWN_INFLUENCE)
    assert found.output.values.tolist() == expected.output.values.tolist()
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-9, err_msg=name)
    own_files.write_table(tmp_path / "influence.csv", tmp_path / "influence.h5")
    lines = (tmp_path / "influence.csv").read_text().splitlines()
    assert len(lines) == 1 + UNITS * (1 + OUTPUTS)
    last = lines[-1].split(",")
    assert last[:3] == ["output", f"output {OUTPUTS - 1}", f"unit {UNITS - 1}"]
    assert float(last[3]) == pytest.approx(found.effect.values[-1, -1], rel=1e-5)


def test_a_single_number_a_model_and_one_that_never_varies(data):
    masks, outputs = data
    found = estimate_influence(masks.astype(int), outputs[:, 3])
    np.testing.assert_allclose(found.effect[0], found.overall_effect, rtol=1e-5)
    still = estimate_influence(masks, np.full(MODELS, 0.1))
    assert not still.effect.any()
    assert (still.effect_p == 1).all()


@pytest.mark.parametrize("kind", [xr.DataArray, pd.DataFrame, torch.from_numpy, np.ndarray.tolist])
def test_whatever_holds_numbers_will_do(data, kind):
    masks, outputs = data
    outputs = np.ascontiguousarray(outputs[:, :4])
    expected, found = (estimate_influence(m, y) for m, y in ((masks, outputs), (kind(masks), kind(outputs))))
    np.testing.assert_allclose(found.effect, expected.effect, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.overall_effect, expected.overall_effect, rtol=1e-3, atol=1e-6)


def test_the_library_offers_it():
    assert transferlens.estimate_influence is estimate_influence


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda m, y: (m[:-1], y), DataError, "outputs: 260 models, but masks has 259"),
        (lambda m, y: (m * 0.5, y), DataError, r"masks: holds 0.5 \(row \d, column \d, from 0\)"),
        (lambda m, y: (m[:, 0], y), DataError, r"masks: shape \(260,\)"),
        (lambda m, y: (m, y[:, :0]), DataError, r"outputs: shape \(260, 0\)"),
        (lambda m, y: (m, y.astype(str)), DataError, "outputs: shape .* of type <U"),
        (lambda m, y: (m, np.where(y == y[4, 2], np.nan, y)), DataError, "'output 2' of the model in row 4"),
        (lambda m, y: (m | (np.arange(UNITS) == 3), y), DataError, "influence of 'unit 3' cannot be"),
        (lambda m, y: (m[:7], y[:7]), DataError, "masks: .* models .*raise the number of models"),
        (lambda m, y: (m[:, [0, 0, 1]], y), DataError, "masks: .* do not tell 3 units apart"),
    ],
)
def test_bad_input_is_one_line(data, change, kind, message):
    masks, outputs = change(*data)
    with pytest.raises(kind, match=message) as caught:
        estimate_influence(masks, outputs)
    assert "\n" not in str(caught.value)
    assert "studies" not in str(caught.value)


def test_names_that_do_not_fit(data):
    masks, outputs = data
    for names, message in (
        ({"unit_names": ["a"]}, "masks: 5 columns, but 1 unit names"),
        ({"output_names": list("abcdefa")}, "outputs: output name 'a' stands there twice"),
        ({"groups": ["a"]}, "groups: 1 for 7 outputs"),
    ):
        with pytest.raises(DataError, match=message):
            estimate_influence(masks, outputs, **names)
    with pytest.raises(ConfigError, match=r"no estimator 'rigde' \(did you mean 'ridge'\?\)"):
        estimate_influence(masks, outputs, estimator="rigde")


def test_files_that_are_not_what_was_said(tmp_path, data):
    masks, y = written(tmp_path, *data, "csv")
    both = written(tmp_path, *data, "h5")[0].rpartition(":")[0]
    (tmp_path / "broken.h5").write_bytes(b"nothing")
    (tmp_path / "words.csv").write_text("a,b\n1,x\n")
    (tmp_path / "twice.csv").write_text("a,a\n1,0\n")
    for named, message in (
        (f"{tmp_path}/none.npy", "none.npy: no such file"),
        (f"{tmp_path}/table.xlsx", r"table.xlsx: of no known kind; give .npy"),
        (f"{tmp_path}/broken.h5", "broken.h5: cannot be read"),
        (f"{both}:runs/z", "both.h5: holds no matrix 'runs/z'"),
        (both, r"both.h5: holds 2 matrices \(known: runs/m, runs/y\); name one after a colon"),
        (f"{tmp_path}/words.csv", "words.csv: column 'b' holds other than numbers"),
        (f"{tmp_path}/twice.csv", "twice.csv: column 'a' stands there twice"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            own_files.read_own(masks, named)
        assert "\n" not in str(caught.value)
    lines = (tmp_path / "y.csv").read_text().splitlines()
    (tmp_path / "y.csv").write_text("\n".join([lines[0], lines[2], lines[1], *lines[3:]]))
    with pytest.raises(DataError, match=r"y.csv: row 0 \(from 0\) is of model 'run1', but of 'run0' in"):
        own_files.read_own(masks, y)


def test_tables_with_holes_are_no_tables(tmp_path):
    masks, outputs = np.eye(4), np.ones((4, 2))
    with pytest.raises(DataError, match="outputs: has masked cells; give a number in each"):
        own.check(masks, np.ma.masked_array(outputs, outputs > 0))
    with pytest.raises(DataError, match="masks: rows of different lengths"):
        own.check([[1, 0], [1]], outputs)
    np.savez(tmp_path / "a.npz", a=outputs)
    cut = (tmp_path / "a.npz").read_bytes()[:100]
    for name, content in (("cut.npz", cut), ("long.csv", b"a" * 200_000), ("nul.csv", b"a,b\n1,\0\n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            own_files.read_matrix(str(tmp_path / name))
