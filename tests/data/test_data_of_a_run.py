"""Which files of data sets a run prepares, with how many cores."""

import json

import pytest

from transferlens.core.errors import ConfigError, TransferlensError
from transferlens.core.run import Run
from transferlens.data.capability import CAPABILITY as DATA
from transferlens.data.capability import data_threads, metric_of, prepared_files
from transferlens.training.capability import CAPABILITY as TRAINING


def run_of(**changes):
    given = {"source": "imagenet", "targets": {"cifar10": {"sizes": [5]}}, **changes}
    return Run(given, [DATA, TRAINING])


def test_every_data_set_has_an_index_and_two_files_with_manifests():
    files = prepared_files(run_of())
    assert len(files) == len(set(files)) == 3 * (1 + 2 * 2)
    assert {"index.h5", "train.beton", "train.h5", "val.beton", "val.h5"} == {
        path.removeprefix("results/data/cifar10@5/") for path in files if "@5" in path
    }


@pytest.mark.parametrize(("dataset", "threads"), [("imagenet", 8), ("cifar10", 8), ("cifar10@5", 1)])
def test_small_data_sets_are_prepared_by_one_core(dataset, threads):
    assert data_threads(run_of(), {"dataset": dataset}) == threads


def test_unknown_data_sets_may_be_large(tmp_path):
    run = run_of(targets={"mine": {}}, datasets={"mine": {"path": str(tmp_path)}})
    assert data_threads(run, {"dataset": "mine"}) == 8


def test_the_area_under_the_roc_curve_is_for_two_classes(tmp_path):
    chest = run_of(targets={"chestxray14": {}})
    chest.check_data()
    assert metric_of(chest, "chestxray14") == "auroc"
    with pytest.raises(ConfigError, match=r"datasets\.cifar10\.metric is 'auroc', which is for two classes"):
        run_of(datasets={"cifar10": {"metric": "auroc"}}).check_data()
    halves = tmp_path / "halves.csv"
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    halves.write_text("\n".join(["class,group", *(f"{name},{name > 'cat'}" for name in names)]))
    grouped = {"metric": "auroc", "groups": str(halves), "labels": "groups"}
    run_of(datasets={"cifar10": grouped}).check_data()


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["train/cat", "val/cat"], "data set mine: has only one label, 'cat'; a task has two or more"),
        (["train", "val"], "no class folders"),
        ([], "no such folder; an image folder has"),
    ],
)
def test_a_target_without_two_classes_is_refused_before_anything_runs(tmp_path, folders, message):
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    own = run_of(targets={"mine": {}}, datasets={"mine": {"path": str(tmp_path)}})
    with pytest.raises(TransferlensError, match=message):
        own.check_data()


def test_a_source_of_one_chosen_class_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="has only one label, 'airplane'"):
        run_of(datasets={"cifar10": {"classes": {"first": 1}}}).check_data()


def test_only_what_decides_the_images_is_among_the_settings(tmp_path):
    table = str(tmp_path / "groups.csv")
    run = run_of(datasets={"cifar10": {"groups": table, "complete": False, "metric": "global"}}, seed=4)
    part = {"dataset": "cifar10@5"}
    settings = json.loads(run.settings_of("dataset", part))
    assert (settings["name"], settings["seed"], settings["dataset"]["train_per_class"]) == ("cifar10", 4, 5)
    stored = json.loads(run.settings_of("beton", {**part, "split": "val"}))
    for given in (settings["dataset"], stored["dataset"]):
        assert not {"complete", "metric", "crop_ratio", "of", "archive_limit_gb"} & set(given)
    assert "format" in stored["dataset"]
    assert "format" not in settings["dataset"]
    assert run.inputs("dataset", part) == {"groups": table}
    assert run.inputs("dataset", {"dataset": "imagenet"}) == {}
    files = {"index": "i.h5"}
    assert "--incomplete" in run.command("dataset", part, {}, files)
    assert "--incomplete" not in run.command("dataset", {"dataset": "imagenet"}, {}, files)
