"""A folder and a checkpoint become an ordinary study within a budget; what is no task is refused."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.operations.recommending import TARGET, composed, draw_photos, prices_of, question_about
from transferlens.capabilities import run_of
from transferlens.comparison import scope
from transferlens.comparison.tuning.steps import choosing_rows
from transferlens.core.errors import ArtefactError, ConfigError, DataError
from transferlens.data import tables
from transferlens.operations.recommend import budget, composing, images, kept, planning, recipes
from transferlens.operations.recommend.budget import Cost
from transferlens.operations.recommend.composing import Shards
from transferlens.operations.recommend.pricing import Costs, jobs_of

COSTS = {name: Cost(10, 100) for name in ("full", "fixed", "ema", "lp_ft", "bitfit")}
ORDER = list(COSTS)


def chosen(seconds, trials=12, **changed):
    return budget.choose(ORDER, COSTS | changed, 50, seconds, trials)


def test_recipes_are_taken_by_their_order_as_long_as_they_fit():
    assert chosen(50 + 5 * 220).names == ORDER
    few = chosen(50 + 3 * 220 + 219)
    assert (few.names, few.trials, few.seconds) == (["full", "fixed", "ema"], 12, 50 + 3 * 220)
    assert few.left_out == {"lp_ft": 220, "bitfit": 220}


def test_a_cheap_recipe_is_taken_where_a_dear_one_before_it_does_not_fit():
    one = chosen(50 + 3 * 220, ema=Cost(100, 100))
    assert (one.names, one.left_out) == (["full", "fixed", "lp_ft"], {"ema": 1300, "bitfit": 220})


def test_trials_are_lowered_before_the_probe_is_dropped():
    assert chosen(50 + 2 * (100 + 70)).names == ["full", "fixed"]
    assert chosen(50 + 2 * (100 + 70)).trials == 7
    alone = chosen(50 + 2 * (100 + 40) - 1)
    assert (alone.names, alone.trials) == (["full"], 12)
    assert chosen(50 + 110).trials == 1


def test_a_budget_below_one_trial_of_plain_fine_tuning_is_refused_with_what_it_would_take():
    with pytest.raises(
        ConfigError, match=r"holds 2 core-minutes, but .* take 2.7 core-minutes; raise --hours"
    ):
        chosen(120)


@pytest.fixture
def photos(tmp_path):
    return draw_photos(tmp_path)


@pytest.fixture
def question(photos):
    return question_about(photos)


def test_an_undivided_folder_is_divided_once_within_each_class_and_not_copied(question, tmp_path):
    table = tmp_path / "out" / "images" / f"{TARGET}.csv"
    images.write_table(table, question.target)
    first = table.read_bytes()
    read = tables.read(table)
    assert read.class_names == ["hare", "owl", "red fox"]
    assert np.bincount(read.val.labels).tolist() == [3, 2, 6]
    assert np.bincount(read.train.labels).tolist() == [7, 4, 14]
    both = [str(name) for name in (*read.train.ids, *read.val.ids)]
    assert len(set(both)) == 36
    for split in (read.train, read.val):
        for i, (name, label) in enumerate(zip(split.ids, split.labels, strict=True)):
            assert (table.parent / name).parent.name == read.class_names[label]
            assert split.image(i).shape == (20, 24, 3)
    again = images.read_target(tmp_path / "my photos", 0.3, 0)
    images.write_table(table, again)
    assert table.read_bytes() == first
    images.write_table(table, images.read_target(tmp_path / "my photos", 0.3, 1))
    assert table.read_bytes() != first


def test_a_divided_folder_stays_divided_as_it_is(photos, tmp_path):
    for split, names in (("train", [f"{i} x.png" for i in range(4)]), ("val", ["4 x.png", "5 x.png"])):
        for kind in ("hare", "owl"):
            place = tmp_path / "divided" / split / kind
            place.mkdir(parents=True)
            for name in names:
                (photos / kind / name).rename(place / name)
    images.write_table(tmp_path / "t.csv", images.read_target(tmp_path / "divided", 0.3, 0))
    with (tmp_path / "t.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["path"].split("/")[1] for row in rows] == [row["split"] for row in rows]
    assert [row["path"] for row in rows if row["label"] == "owl"][-1] == "divided/val/owl/5 x.png"


def test_names_of_data_sets_are_neither_registered_nor_taken(photos, tmp_path):
    photos.rename(tmp_path / "cifar10")
    target = images.read_target(tmp_path / "cifar10", 0.3, 0)
    ones = [target, *images.read_kept([tmp_path / "cifar10"] * 2, 0.3, 0, target.name)]
    assert [one.name for one in ones] == ["own-cifar10", "own-cifar10-2", "own-cifar10-2-2"]


def test_of_a_task_to_keep_a_part_is_enough(question):
    (digits,) = question.kept
    assert np.bincount(digits.folder.train.labels).tolist() == [50] * 10
    assert np.bincount(digits.folder.test.labels).tolist() == [50] * 10


def test_folders_that_are_no_task_are_refused_in_one_line(photos, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        images.read_target(tmp_path / "nothing", 0.3, 0)
    (photos / "owl" / "0 x.png").unlink()
    with pytest.raises(DataError, match="class 'owl' has 3 training images, and 4 are needed"):
        images.read_target(photos, 0.3, 0)
    for name in ("owl", "hare"):
        (photos / name).rename(tmp_path / name)
    with pytest.raises(DataError, match="has 1 class folders; a task needs two or more"):
        images.read_target(photos, 0.3, 0)


def test_recipes_of_other_names_are_refused():
    assert recipes.ordered(["lora", "fixed", "lora"]) == ["full", "lora", "fixed"]
    with pytest.raises(ConfigError, match=r"--recipes: 'lp_tf' is no recipe \(did you mean 'lp_ft'"):
        recipes.ordered(["lp_tf"])
    with pytest.raises(ConfigError, match="'composites' is no recipe"):
        recipes.ordered(["composites"])


def test_epochs_are_those_of_about_three_hundred_steps():
    assert [recipes.training(n, None, True)["epochs"] for n in (40, 330, 1000, 10000)] == [30, 30, 10, 5]
    assert [recipes.training(n, None, True)["batch_size"] for n in (40, 100, 320)] == [8, 16, 32]
    assert recipes.training(40, 7, True)["epochs"] == 7


def test_the_configuration_is_an_ordinary_study_of_the_comparison_alone(question, tmp_path):
    run = composed(question, tmp_path)
    assert [one.name for one in scope.contestants(run, TARGET)] == [
        *("full+tuned", "fixed+tuned", "ema+tuned", "lwf+tuned", "full+scratch")
    ]
    assert list(run.studies) == ["pretrained"]
    steps = {job.step for job in jobs_of(run)}
    assert {"trials", "choice", "transfer", "probes_after", "measures", "comparison", "report"} <= steps
    assert not steps & {"published_protocol", "train_source", "influence", "relatedness", "propose_overlap"}
    given = scope.asked(run)
    assert (given.source, given.plain, given.trials, given.models) == ("pretrained", "full", 3, 2)


def test_models_that_choose_are_in_other_jobs_than_those_that_report(question, tmp_path):
    for seconds in (1e-3, 1000.0):
        run = composed(question, tmp_path, Shards.by(question, seconds))
        study = run.studies["pretrained"]
        reporting = run.transfer_shards("pretrained", TARGET, "full+tuned")
        rows = [row for shard in reporting for row in study.rows_of(shard)]
        assert rows == [0, 1, 2, 3]
        assert choosing_rows(run, False) == [4]
    assert len(reporting) == 2  # long trainings are a job each


def test_recipes_that_a_network_cannot_have_stay_out_of_the_costs(question, tmp_path):
    run = composed(replace(question, names=["full", "fixed", "bss", "delta", "co_tuning"]), tmp_path)
    costs = Costs(run, planning.data_of(question), prices_of(run))
    had = {one.base for one in scope.contestants(run, TARGET)}
    assert {base for base, *_ in costs.by_recipe()} == {"", *had}


def test_costs_are_those_of_all_jobs_of_a_recipe(question, tmp_path):
    run = composed(question, tmp_path)
    told = Costs(run, planning.data_of(question), prices_of(run)).by_recipe()
    costs = {base: (trial, rest) for base, trial, rest in told}
    assert costs["ema"][0] == pytest.approx(1 + 3 * 20)
    # Its transfer of two pairs, choice, summary, probes of digits, measures, and the cost of a step.
    passes = 2 * 0.001 * ((500 + 500) + (11 + 500))
    assert costs["ema"][1] == pytest.approx(6 + 4 * 10 + passes)
    assert costs["full"][0] == pytest.approx(2 * costs["ema"][0])  # and from scratch


def test_a_recipe_that_was_added_by_hand_is_planned_like_the_dearest(question, tmp_path):
    known = prices_of(composed(replace(question, names=["full", "fixed"]), tmp_path))
    known = replace(known, trial={**known.trial, "full+scratch": 30.0})
    run = composed(question, tmp_path)
    costs = {base: trial for base, trial, _ in Costs(run, planning.data_of(question), known).by_recipe()}
    assert costs["ema"] == pytest.approx(1 + 3 * 30)


def test_the_same_question_goes_on_and_another_is_refused(question, tmp_path, monkeypatch):
    out, cpu = tmp_path / "out", torch.device("cpu")
    torch.save({}, question.weights)
    monkeypatch.setattr(planning, "_checked", run_of)  # there are no such weights
    monkeypatch.setattr(planning, "price", lambda run, *more: prices_of(run))
    with kept.alone(out):
        first = planning.plan(out, question, 1.0, 1, cpu)
        written = (out / composing.CONFIG).read_text()
        monkeypatch.delattr(planning, "price")
        assert planning.plan(out, question, 1.0, 4, cpu) == first
        assert (out / composing.CONFIG).read_text() == written
        assert "&id" not in written
        with pytest.raises(ArtefactError, match="is being worked on"), kept.alone(out):
            pass
        others = images.read_target(tmp_path / "my photos", 0.3, 1)
        for other, hours, found in (
            (replace(question, trials=4), 1.0, "--trials 3, not 4"),
            (question, 2.0, "--hours 1.0, not 2.0"),
            (replace(question, target=others), 1.0, "other images of --target"),
        ):
            with pytest.raises(ConfigError, match=found):
                planning.plan(out, other, hours, 1, cpu)
    (out / "asked.json").unlink()
    with pytest.raises(ConfigError, match="holds a study that this command did not make"):
        planning.plan(out, question, 1.0, 1, cpu)


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError, match=r"--out: .* cannot be written"), kept.alone(tmp_path / "file"):
        pass
    with pytest.raises(ConfigError, match="is in the images of"):
        kept.refuse_inside(tmp_path / "a" / "b", [tmp_path / "c", tmp_path / "a"])
    kept.refuse_inside(tmp_path / "ab", [tmp_path / "a"])
