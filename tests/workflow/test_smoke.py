"""The whole DAG on real images: what it says is checked, not merely that it exists."""

import json
import re
import subprocess
import sys

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.workflow.conftest import SMALLEST, arrays, assert_same_arrays, snakemake
from transferlens import open_results
from transferlens.capabilities import CAPABILITIES
from transferlens.core import artefacts, labelled

pytestmark = pytest.mark.workflow


REMOVALS = "counterfactual/optdigits/fixed"


@pytest.fixture(scope="module")
def results(smoke):
    return open_results(smoke / "results")


def difference(masks, outputs):
    """Mean of outputs [models, ...] of the models that saw a class minus the others': [classes, ...]."""
    return np.stack([outputs[seen].mean(0) - outputs[~seen].mean(0) for seen in masks.T])


def test_influences_equal_a_plain_computation_from_the_summary(results):
    summary = results.summary("influence", "optdigits", "fixed")
    influence = results.influence("optdigits", "fixed", "margin")
    expected = difference(summary["mask"].values, summary.margin.values.astype(float))
    np.testing.assert_allclose(influence.effect.values, expected.T, atol=1e-3)


def test_aggregates_are_over_the_examples_of_their_half(results):
    summary = results.summary("influence", "optdigits", "fixed")
    influence = results.influence("optdigits", "fixed", "margin")
    chosen = (summary.example_half == "report") & (summary.example_class == "digit 4")
    per_model = summary.margin.values.astype(float)[:, chosen.values].mean(1)
    found = influence.class_effect.sel(half="report", target_class="digit 4")
    np.testing.assert_allclose(found, difference(summary["mask"].values, per_model), atol=1e-3)


def test_masks_come_in_complementary_pairs(results):
    masks = results.summary("influence", "optdigits", "fixed")["mask"].values
    np.testing.assert_array_equal(masks[0::2], ~masks[1::2])
    repeated = results.summary("repeated", "optdigits", "fixed")
    np.testing.assert_array_equal(repeated["mask"], masks[: repeated.sizes["model"]])


def test_scores_lie_below_their_ceiling_and_know_every_estimator(results):
    scores = results.scores("optdigits", "fixed")
    assert set(scores.estimator.values) == {"least_squares", "difference_of_means", "ridge", "lasso"}
    assert scores.models.values.tolist() == [6, 12, 24, 36, 48]
    whole = scores.sel(models=48)
    assert np.isnan(whole.score.sel(estimator="least_squares"))  # 56 models are needed
    others = whole.sel(estimator=["difference_of_means", "ridge", "lasso"])
    assert (others.score < float(scores.ceiling_high)).all()
    fitted_again = whole.sel(estimator=["difference_of_means", "ridge"])
    assert (fitted_again.score_low < fitted_again.score_high).all()


def test_folds_are_estimated_from_half_of_the_models_each(results):
    influence = results.influence("optdigits", "fixed", "p_true")
    assert (influence.fold_estimator, influence.folds_missing) == ("difference_of_means", "")
    # Differences of means of equal numbers of pairs average to that of all.
    for name in ("effect", "class_effect", "overall_effect"):
        by_fold = influence[f"{name}_by_fold"]
        np.testing.assert_allclose(by_fold.mean("fold"), influence[name], atol=1e-5)
    assert (influence.fold_df == 11).all()


def test_rivals_stand_beside_the_influences(results):
    rivals = results.influence_rivals("optdigits", "fixed")
    assert rivals.predictor.values[0].startswith("influences")
    np.testing.assert_allclose(rivals.label_mapping.sum("source_class"), 1)
    np.testing.assert_allclose(rivals.label_probability.sum("source_class"), 1, atol=1e-5)
    told = rivals.sel(cells="all")
    assert (told.correlation_low < told.correlation_high).all()


def test_variance_components_are_those_of_models_transferred_again(results):
    first, again = (results.summary("reference", "optdigits", f"fixed{end}") for end in ("", "+reseeded"))
    assert (first.training_seed == again.training_seed).all()
    assert (first.margin != again.margin).any("example").all()
    found = results.variance_components("optdigits", "fixed").sel(output="p_true")
    accuracy = results.variance_components("optdigits", "fixed").sel(output="correct", quantity="full source")
    assert float(accuracy["mean"]) == pytest.approx(
        float(first.accuracy.sel(half="report")[first.role == "full"].mean())
    )
    report = first.p_true.values[:, first.example_half.values == "report"].astype(float).mean(1)
    gain = report[first.role == "full"].mean() - report[first.role == "scratch"].mean()
    assert float(found["mean"].sel(quantity="gain")) == pytest.approx(gain)
    assert found.attrs["repeats_missing"].startswith("3 repeats")


def test_single_removals_are_set_against_their_predictions(results):
    found = results.counterfactual("optdigits", "fixed")
    influence = results.influence("optdigits", "fixed", "p_true").sel(half="report")
    for name in found.removed_class.values:
        predicted = float(found.single_predicted.sel(removed_class=name))
        by_other_draws = influence.overall_effect_by_fold.isel(fold=1).sel(source_class=name)
        assert predicted == pytest.approx(-float(by_other_draws), abs=1e-6)
    before = results.summary("reference", "optdigits", "fixed")
    after = results.summary(REMOVALS, "optdigits", "fixed")
    report = (before.example_half == "report").values
    (row,) = np.flatnonzero((after.removed_by == "single") & (after.removed == 0) & (after["repeat"] == 1))
    (full,) = np.flatnonzero((before.role == "full") & (before["repeat"] == 1))
    change = after.p_true.values[row, report].mean() - before.p_true.values[full, report].mean()
    assert float(found.single_change[0, 1]) == pytest.approx(change, abs=1e-6)


def test_handpicked_models_see_the_classes_picked(results):
    models = results.summary(REMOVALS, "optdigits", "fixed")
    for mask in models["mask"].values[models.removed_by == "handpicked"]:
        assert set(models.unit.values[mask]) == {f"digit {d}" for d in range(10)}


def test_target_images_alone_are_to_memory_studies_what_they_are_to_transfers(results):
    runs = results.transfer_runs("reference", "optdigits", "full", "0000")
    tried = results.composites("optdigits", "full")
    for model, role in (("fine_tuned", "full"), ("scratch", "scratch")):
        for half, repeats in (("report", (0, 1)), ("select", (2,))):
            rows = np.flatnonzero((runs.role == role) & np.isin(runs["repeat"], repeats))
            composites = np.flatnonzero(tried.composite_half == half)
            expected = runs.p_true.values[rows][:, tried.overlay.values[composites]]
            alone = tried.alone_p_true.sel(role=model).values[: len(repeats), composites]
            np.testing.assert_allclose(alone, expected, atol=1e-5)


def test_memories_count_only_pairs_that_do_not_overlap(results):
    found = results.memories("optdigits", "full")
    assert int(found.overlap.sum()) == 10
    assert found.interference.where(found.overlap).isnull().all()
    assert int(found.interference_n.where(found.overlap).sum()) == 0
    assert int(found.interference_n.max()) <= 10
    estimated = found.interference.notnull()
    assert ((found.interference_n >= 5) == estimated).all()
    assert int(estimated.any(["half", "target_class"]).sum()) == 10
    right = found.accuracy_after.sel(half="report").mean("model") > 0
    assert (found.retained[right] > 0).all()


def test_a_remedy_is_compared_with_models_without_it(results):
    found = results.memory_remedies("optdigits", "full")
    np.testing.assert_allclose(found.change, found.after - found.before, atol=1e-12)
    assert ((found.change_low <= found.change_high) & (found.change_p > 0)).all()
    (used,) = json.loads(found.attrs["classes"]).values()
    assert len(used) == 3
    assert not any(name.startswith("digit") for name in used)  # these mean the same as target classes
    assert {"inside", "interference", "retention"} <= {*found.remedy.values, *found.measure.values}
    assert sum(name.startswith("without ") for name in found.remedy.values) == 1


def test_outputs_agree_with_each_other(results):
    summary = results.summary("reference", "optdigits", "fixed")
    probability, margin = summary.p_true.values, summary.margin.values
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-margin.astype(float))), atol=1e-6)
    assert (summary.raw_margin.values[summary.correct.values] >= 0).all()
    for half in ("select", "report"):
        rows = (summary.example_half == half).values
        expected = summary.correct.values[:, rows].mean(1)
        np.testing.assert_allclose(summary.accuracy.sel(half=half), expected)


def test_counterfactual_models_miss_exactly_the_ranked_classes(results):
    influence = results.influence("optdigits", "fixed", "p_true")
    ranked = influence.overall_effect.sel(half="select").to_series().sort_values()
    models = results.summary(REMOVALS, "optdigits", "fixed")
    for order, k, mask in zip(*(models[n].values for n in ("removed_by", "removed", "mask")), strict=True):
        removed = set(models.unit.values[~mask])
        if order in ("top", "bottom", "random"):
            assert len(removed) == int(k)
        if order == "bottom":
            assert removed == set(ranked.index[: int(k)])
        if order == "top":
            assert removed == set(ranked.index[-int(k) :])


def test_repeats_are_paired_with_full_source_models(results):
    reference, removal = (results.masks(study, "0000") for study in ("reference", REMOVALS))
    full = reference.isel(model=reference.role == "full")
    seeds = dict(zip(full["repeat"].values, full.training_seed.values, strict=True))
    assert [seeds[r] for r in removal["repeat"].values] == removal.training_seed.values.tolist()


def test_source_models_learn_their_classes_and_only_those(results):
    models = results.source_models("influence")
    seen, accuracy = models["mask"].values, models.class_accuracy.values
    assert accuracy[seen].mean() > 0.3
    assert accuracy[~seen].mean() < 0.02


def test_related_sources_help_on_real_images(results):
    """Even this small run shows that having the same digit in the source helps that digit."""
    influence = results.influence("optdigits", "fixed", "p_true").sel(half="report")
    assert float(influence.relation_value_low.sel(relation="same")) > 0


def test_heatmaps_explain_their_logits(results, smoke):
    maps = results.heatmaps("optdigits", "fixed")
    path = smoke / "results/studies/reference/transfer/optdigits/fixed/0000.h5"
    head = xr.open_datatree(path, engine="h5netcdf")["head"]["bias"].values[0]
    names = results.influence("optdigits", "fixed").target_class.values.tolist()
    bias = head[[names.index(n) for n in maps.true.values]]
    mean = maps.class_map.sel(role="true").mean(("map_y", "map_x"))
    np.testing.assert_allclose(mean + bias, maps.logit.sel(role="true"), atol=1e-3)
    contrast = maps.sel(role="contrast")
    rivals = head[[names.index(n) for n in maps.rival.values]]
    biases = head[[names.index(n) for n in maps.predicted.values]] - rivals
    np.testing.assert_allclose(
        contrast.class_map.mean(("map_y", "map_x")) + biases, contrast.logit, atol=1e-3
    )
    ids = set(maps.example.values)
    influence = results.influence("optdigits", "fixed")
    assert ids <= set(influence.example.values[influence.example_half.values == "report"])


def test_faithfulness_is_measured_on_the_report_half(results, smoke):
    found = results.faithfulness("optdigits", "fixed")
    assert found.map_method.values.tolist() == ["CAM", "LayerCAM", "random", "centre"]
    influence = results.influence("optdigits", "fixed")
    report = influence.example.values[influence.example_half.values == "report"]
    assert len(found.image) == 20
    assert set(found.image.values) <= set(report)
    change = found.value.sel(map_method="CAM") - found.value.sel(map_method="random")
    np.testing.assert_allclose(change.mean("image"), found.minus_random.sel(map_method="CAM"), atol=1e-12)
    table = pd.read_csv(smoke / "results/faithfulness/optdigits/fixed.csv")
    row = table.query("method == 'CAM' and measure == 'insertion_blur'")
    area = np.trapezoid(
        found.probability.sel(baseline="blur", curve="insertion", map_method="CAM").values.astype(float),
        found.fraction,
    ).mean()
    assert row["mean"].item() == pytest.approx(area, abs=1e-6)


def test_influence_maps_add_up_to_the_influence_on_the_logit(results, smoke):
    """The map's mean plus the bias part is the same estimator's influence on the networks' own logits."""
    found = results.influence_maps("optdigits", "fixed")
    cells = ("map_y", "map_x")
    assert float(np.abs(found.logit_effect).max()) > 0.1
    for prefix, axis in (("", "example"), ("class_", "target_class")):
        logit, bias = found[f"{prefix}logit_effect"], found[f"{prefix}bias_effect"]
        parts = found[f"{prefix}map_effect"].mean(cells) + bias
        np.testing.assert_allclose(parts, logit, atol=1e-4)
        np.testing.assert_allclose(found[f"{prefix}logit_map_effect"].mean(cells), logit, atol=1e-4)
        assert found[f"{prefix}logit_map_effect_q"].dims[0] == axis
    shards = sorted(smoke.glob("results/studies/influence/transfer/optdigits/fixed/*.h5"))
    logits = np.concatenate([h5py.File(path)["probe_logit"][:] for path in shards]).astype(float)
    masks = results.summary("influence", "optdigits", "fixed", outputs=[])["mask"].values
    np.testing.assert_allclose(found.logit_effect, difference(masks, logits).T, atol=1e-4)


def test_influence_maps_show_what_one_fold_chose_on_the_select_half(results):
    found = results.influence_maps("optdigits", "fixed")
    influence = results.influence("optdigits", "fixed", "p_true")
    assert set(found.example.values) <= set(influence.example.values[influence.example_half == "report"])
    assert found.example_class.to_series().value_counts().tolist() == [2] * 10
    choosing = influence.class_effect_by_fold.sel(fold=0, half="select")
    select = choosing.sel(target_class=found.target_class.values)
    assert (found.helpful == select.idxmax("source_class")).all()
    assert (found.harmful == select.idxmin("source_class")).all()
    assert 0.02 < float(found.permuted_share.mean()) < 0.1


def test_models_that_saw_a_class_are_compared_with_those_that_did_not(results):
    found = results.seen_and_unseen("optdigits", "full")
    models = results.summary("without/optdigits/full", "optdigits", "full")
    assert models.removed_by.values.tolist() == ["distracting", "random"] * 2
    assert models["repeat"].values.tolist() == [0, 0, 1, 1]
    assert found.kind.values.tolist() == ["distracting", "others"]
    assert int(found.repeats) == 2
    for name, kind in zip(found.left_out.values, ("distracting", "random"), strict=True):
        rows = np.flatnonzero(models.removed_by == kind)
        assert models.unit.values[~models["mask"].values[rows[0]]].tolist() == [name]
    # A source head never names a class that it was not trained on.
    assert (found.class_unseen.sel(measure="retention") == 0).all()
    difference = found.class_seen - found.class_unseen
    np.testing.assert_allclose(difference, found.class_effect, atol=1e-9)
    ranked = results.ranked_examples("optdigits", "full")
    own = np.isin(ranked.memory, found.left_out)
    assert (ranked.seen_effect.notnull().values == own).all()


def test_agreement_leaves_out_pairs_of_one_meaning(results):
    found = results.memory_agreement("optdigits", "full")
    assert labelled.settings(found)["influence_recipe"] == "fixed"
    assert int(found.quadrant_count.sum()) == int((found.quadrant != "").sum())
    assert not (found.quadrant != "").values[found.overlap.values].any()


def test_page_is_self_contained_and_says_what_the_tables_say(smoke):
    page = (smoke / "results/report/index.html").read_text()
    links = re.findall(r"""(?:src|href)\s*=\s*["'](?!data:|#)([^"']*)""", page)
    # Pages of their own: the gallery, and the one of feature dynamics.
    assert sorted(links) == ["../dynamics/optdigits/quick/dynamics.html", "optdigits/full/memories.html"]
    for link in links:
        other = (smoke / "results/report" / link).read_text()
        assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", other)
    assert not re.search(r"url\((?!['\"]?(?:#|data:))", page)
    assert page.count("<svg") == 5 + 4 + 1 + 10  # four of bounds, one of scores, ten of feature dynamics
    # Heatmaps, how faithful they are, influence maps, two analyses; five of memories; two of scores; strips.
    assert page.count('<img src="data:image/png;base64,') == 5 + 5 + 2 + 1
    folder = smoke / "results/report/optdigits/fixed"
    checks = pd.concat(pd.read_csv(folder / f"{name}_checks.csv") for name in ("counterfactual", "influence"))
    assert len(checks) == 3
    for row in checks.itertuples():
        assert f"{row.value:+.3g}" in page
    assert page.count(">holds<") == checks.holds.sum()


def test_tables_hold_what_the_artefacts_hold(smoke, results):
    table = pd.read_csv(smoke / "results/report/optdigits/fixed/class_influence.csv")
    influence = results.influence("optdigits", "fixed", "p_true")
    row = table.query("half == 'report' and target_class == 'digit 2' and source_class == 'dress'")
    cell = influence.sel(half="report", target_class="digit 2", source_class="dress")
    assert row.effect.item() == pytest.approx(float(cell.class_effect))
    assert row.q.item() == pytest.approx(float(cell.class_effect_q))


def test_any_tool_sees_what_the_read_api_sees(smoke, results, tmp_path):
    """Of every artefact the same names, dimensions, coordinates and values; netCDF can be written of it."""
    kinds = [artefact for c in CAPABILITIES for step in c.steps for artefact in step.artefacts]
    met = set()
    for path in sorted((smoke / "results").rglob("*.h5")):
        inside = path.relative_to(smoke / "results").as_posix()
        with artefacts.open(path) as file:
            said = file.attrs["kind"]
        (kind,) = {k for k in kinds if k.kind == said and k.pattern.fullmatch(inside)}
        wildcards = {k: v for k, v in kind.pattern.search(inside).groupdict().items() if k != "place"}
        ours = getattr(results, kind.method)(**wildcards)
        with xr.open_datatree(path, engine="h5netcdf") as tree:
            theirs = tree.to_dataset()
            if kind.choose:  # one of the groups beside what lies at the root
                theirs = xr.merge([theirs, tree[kind.choose[1]].to_dataset(inherit=False)], join="exact")
            xr.testing.assert_equal(ours, theirs)
            assert {n: v.attrs for n, v in ours.variables.items()} == {
                n: v.attrs for n, v in theirs.variables.items()
            }
        if kind not in met:
            met.add(kind)
            ours.to_netcdf(tmp_path / "again.nc", engine="h5netcdf")
            xr.testing.assert_equal(xr.load_dataset(tmp_path / "again.nc", engine="h5netcdf"), ours)
    assert len(met) >= 22


def test_every_array_is_labelled_checked_and_compressed(smoke):
    for path in (smoke / "results").rglob("*.h5"):
        with h5py.File(path) as file:
            assert {"kind", "settings", "inputs", "software", "created", "seed", "place"} <= set(file.attrs)
            assert file.attrs["place"].decode() == path.relative_to(smoke / "results").as_posix()

            def check(name, item, path=path):
                if isinstance(item, h5py.Dataset):
                    placeholder = item.attrs.get("NAME", b"").startswith(b"This is a netCDF dimension")
                    assert placeholder or item.attrs["meaning"], (path, name)
                    assert item.is_scale or all(item.dims[i].keys() for i in range(item.ndim)), (path, name)
                    if item.size and item.shape and not placeholder:
                        assert item.fletcher32, (path, name)

            file.visititems(check)


def test_an_interrupted_run_leaves_nothing_half_written(interrupted):
    _, left = interrupted
    assert not [p for p in left if p.name.endswith(".tmp")]
    for path in left:
        if path.suffix == ".h5":
            with h5py.File(path) as file:
                file.visititems(lambda _, item: item[()] if isinstance(item, h5py.Dataset) else None)


def test_same_settings_give_identical_arrays_even_after_an_interruption(smoke, interrupted):
    folder, _ = interrupted
    done = snakemake(folder, "--cores", "2", "--", SMALLEST)
    assert done.returncode == 0, done.stdout + done.stderr
    paths = sorted(p.relative_to(folder) for p in (folder / "results").rglob("*.h5"))
    # Of the two data sets an index and two FFCV files each; masks, models, records, transfers; the summary.
    assert len(paths) == 2 * 3 + 4 + 1
    for path in paths:
        assert_same_arrays(folder / path, arrays(smoke / path))


def test_snakemake_report_is_written(smoke):
    done = snakemake(smoke, "--report", "report.html")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "influence_matrix" in (smoke / "report.html").read_text()


def test_scripts_run_by_hand(smoke, tmp_path):
    """The line in the log is a complete command."""
    log = (smoke / "results/logs/influence/optdigits/fixed.log").read_text()
    assert re.search(r"command: \S*scripts/estimate_influence.py --", log)
    help_text = subprocess.run(
        [sys.executable, smoke / "scripts/estimate_influence.py", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "--summary" in help_text
