"""What a change re-runs: the jobs that Snakemake plans on a finished study."""

import shutil

import pytest

from tests.workflow.conftest import planned
from tests.workflow.edited import Study

pytestmark = pytest.mark.workflow

FIGURES = {"influence_figures": 1, "report": 1}


@pytest.fixture(scope="module")
def copied(smoke, tmp_path_factory):
    with Study(shutil.copytree(smoke, tmp_path_factory.mktemp("reruns") / "study")) as study:
        yield study


@pytest.fixture
def study(copied):
    """The finished study as it was before any test."""
    yield copied
    copied.restore()


def test_nothing_after_a_finished_run(study):
    assert study.planned() == {}


def test_nothing_in_a_copy_with_new_dates_and_after_a_touch(finished):
    assert planned(finished) == {}
    for path in [
        *finished.glob("scripts/*"),
        *finished.rglob("transferlens/**/*.py"),
        finished / "config.yaml",
    ]:
        path.touch()
    assert planned(finished) == {}


def test_a_comment_in_the_config_re_runs_nothing(study):
    study.edit("config.yaml", "seed: 0", "seed: 0 # the default")
    assert study.planned() == {}


def test_a_counterfactual_setting_never_retrains_the_influence_study(study):
    jobs = study.planned("--config", "studies={counterfactual: {repeats: 3}}")
    # The new repeat's shard, and the one with as many steps.
    assert jobs["draw_masks"] == jobs["train_source"] == jobs["transfer"] == 2
    assert "influence" not in jobs
    assert jobs["counterfactual"] == jobs["counterfactual_figures"] == jobs["report"] == 1


def test_another_memory_left_out_trains_its_models_alone(study):
    jobs = study.planned("--config", "memories={without: 2}")
    assert jobs["draw_masks"] == jobs["train_source"] == jobs["transfer"] == 2  # eight models, six a shard
    assert jobs["summary"] == jobs["rank_examples"] == jobs["seen"] == jobs["report"] == 1
    assert jobs["agreement"] == 1
    assert not {"influence", "probe_memories", "composites", "interference"} & jobs.keys()


def test_more_permutations_train_nothing(study):
    jobs = study.planned("--config", "memories={permutations: 300}")
    assert jobs["agreement"] == 1
    assert not {"train_source", "transfer", "probe_memories", "composites", "interference"} & jobs.keys()


@pytest.mark.parametrize("setting", ["strongest: 4", "repeats: 1"])
def test_a_memory_setting_never_retrains_the_influence_study(study, setting):
    jobs = study.planned("--config", f"memories={{{setting}}}")
    assert jobs["agreement"] == 1
    # At most the models without a memory, of which other ones may now be the most distracting.
    assert jobs["train_source"] == jobs["draw_masks"] == 1
    assert not {"influence", "score", "counterfactual"} & jobs.keys()


def test_more_models_train_only_the_new_shards(study):
    jobs = study.planned("--config", "studies={influence: {models: 64}}")
    new_influence, removal, steps = 1, 1, 1  # a changed ranking changes the counterfactual masks
    assert jobs["draw_masks"] == jobs["train_source"] == jobs["transfer"] == new_influence + removal + steps
    assert jobs["influence"] == 1


def test_a_new_target_runs_its_transfers_and_below(study):
    jobs = study.planned("--config", "targets={digits-and-clothes: {}}")
    counterfactual, steps, by_full, by_remedy, without_memory, reseeded = 1, 1, 1, 1, 1, 1
    assert jobs["train_source"] == jobs["draw_masks"] == counterfactual + steps + without_memory
    # reference, influence, repeated
    assert jobs["transfer"] == (
        1 + 3 + 1 + counterfactual + steps + by_full + by_remedy + without_memory + reseeded
    )
    assert "dataset" not in jobs
    assert jobs["influence"] == jobs["heatmaps"] == jobs["influence_figures"] == 1


def test_a_new_recipe_runs_its_transfers_and_below(study):
    jobs = study.planned(
        "--config",
        "recipes={other: {kind: full}}",
        "targets={optdigits: {recipes: [fixed, other]}}",
    )
    counterfactual, steps, reseeded = 1, 1, 1
    assert jobs["transfer"] == 1 + 3 + 1 + counterfactual + steps + reseeded
    assert jobs["train_source"] == counterfactual + steps
    assert jobs["influence"] == 1


def test_an_analysis_setting_repeats_that_analysis_only(study):
    jobs = study.planned("--config", "analyses={failures: {examples: 3}}")
    assert jobs == {"failures": 1, "report": 1}


def test_other_composites_retrain_only_what_they_choose(study):
    """Other classes may now distract most: they are left out of the source, and used by the remedy."""
    jobs = study.planned("--config", "memories={composites: {per_cell: 8}}")
    assert jobs["composites"] == jobs["interference"] == 2  # without the remedy and with it
    assert jobs["probe_memories"] == jobs["remedies"] == jobs["train_source"] == 1
    assert jobs["transfer"] == 1 + 1  # by the remedy, and of the models without a memory


def test_a_smallest_cell_estimates_interference_again(study):
    jobs = study.planned("--config", "memories={smallest_cell: 4}")
    assert jobs["interference"] == 2
    assert jobs["composites"] == jobs["probe_memories"] == jobs["train_source"] == 1  # as above


def test_another_probe_set_makes_the_influence_studys_transfers_again_and_no_others(study):
    assert study.planned("--config", "influence_maps={shown: 2}") == {"influence_maps": 1, "report": 1}
    jobs = study.planned("--config", "influence_maps={examples: 10}")
    # Influences are estimated anew, and the counterfactual masks with them.
    assert jobs["transfer"] == 3 + 1 + 1
    assert jobs["train_source"] == 2
    assert jobs["influence"] == jobs["influence_maps"] == 1


def test_smaller_targets_train_no_source_model(study):
    jobs = study.planned("--config", "targets={optdigits: {sizes: [2]}}")
    assert "train_source" not in jobs
    assert jobs["transfer"] == 1 + 3  # reference and influence models on the smaller target
    assert jobs["influence"] == jobs["small_targets"] == jobs["report"] == 1


def test_another_architecture_reuses_the_masks(study):
    jobs = study.planned("--config", "studies={reuse: {architecture: {name: small_resnet, width: 16}}}")
    assert jobs["train_source"] == jobs["transfer"] == 1 + 1  # its reference and counterfactual models
    assert jobs["reuse"] == jobs["reuse_figures"] == 1
    assert "influence" not in jobs


def test_compared_estimators_are_scored_again_and_nothing_else(study):
    jobs = study.planned("--config", "influence={compared: [ridge]}")
    assert jobs == {"score": 1, "influence_figures": 1, "report": 1}


def test_a_changed_figure_redraws_and_rewrites_the_page(study):
    study.edit("transferlens/influence/figures.py", "0.33 * columns", "0.34 * columns")
    assert study.planned() == FIGURES


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("core/statistics.py", '"""Student\'s interval', '"""The interval of Student'),
        ("training/device.py", "The GPU is held until", "The GPU stays held until"),
        ("estimation/estimators.py", '"""Estimators', '"""Changed estimators'),
        ("influence/artefacts.py", "what it adds to the output", "what it adds"),
        ("influence/settings.py", "Number of models.", "How many models."),
    ],
)
def test_words_re_run_nothing(study, file, old, new):
    study.edit(f"transferlens/{file}", old, new)
    assert study.planned() == {}


@pytest.mark.parametrize(
    ("file", "old", "new", "rerun", "kept"),
    [
        ("training/device.py", '"amx_bf16" in flags', '"amx" in flags', "train_source", "dataset"),
        ("data/composites.py", "round(", "int(", "composites", "influence"),
        ("maps/evidence.py", "weight[classes], activations)", "weight[classes], +activations)",
         "heatmaps", "beton"),
        ("pictures/overlays.py", "_IMAGE_WEIGHT = 0.6", "_IMAGE_WEIGHT = 0.5", "heatmaps", "transfer"),
        ("core/seeding.py", ">> 1", ">> 2", "dataset", "nothing"),
        ("data/catalogue.yaml", "classes: 10", "classes: 11", "dataset", "nothing"),
    ],
)  # fmt: skip
def test_code_re_runs_what_it_decides_however_deep(study, file, old, new, rerun, kept):
    """Several of these were missing from the hand-kept lists of code that stood here before."""
    study.edit(f"transferlens/{file}", old, new)
    jobs = study.planned()
    assert rerun in jobs
    assert kept not in jobs


def test_a_changed_title_rewrites_the_page_only(study):
    assert study.planned("--config", "report={title: Other}") == {"report": 1}


def test_a_changed_estimator_estimates_again_and_nothing_is_retrained_before(study):
    study.edit("transferlens/estimation/estimators.py", "_PIECE_BYTES = 1 << 20", "_PIECE_BYTES = 1 << 21")
    jobs = study.planned()
    assert jobs["influence"] == 1
    # Counterfactual models, and those with as many steps: their ranking may change.
    assert jobs["summary"] == jobs["train_source"] == 2


def test_a_changed_training_setting_retrains_everything(study):
    jobs = study.planned("--config", "source_training={epochs: 4}")
    without_memory, steps, by_full, by_remedy, reseeded = 1, 1, 1, 1, 1
    assert jobs["train_source"] == 1 + 3 + 1 + 1 + without_memory + steps
    assert jobs["transfer"] == 1 + 3 + 1 + 1 + without_memory + steps + by_full + by_remedy + reseeded
    assert "dataset" not in jobs
    assert "beton" not in jobs
