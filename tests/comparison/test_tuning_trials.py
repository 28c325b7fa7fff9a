"""Trials and their choice: by the held-out training images alone, and to the same bits after a kill."""

import json
import runpy
import shutil
from argparse import Namespace
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from tests.comparison.sources import start_of, write_sources
from tests.comparison.test_tuning_space import small_run
from tests.conftest import ARCHITECTURE, CLASSES, INPUT, TRAINING, changed
from tests.training.test_resumption import Interrupted, interrupt_after
from transferlens.comparison.settings import SearchSettings
from transferlens.comparison.tuning import choice
from transferlens.comparison.tuning.artefacts import CHOICE, TRIALS
from transferlens.comparison.tuning.part import Part
from transferlens.comparison.tuning.steps import CHOOSE, TUNE
from transferlens.comparison.tuning.trials import Ground, tried
from transferlens.core import artefacts
from transferlens.core.errors import ArtefactError, DataError, NumericalError
from transferlens.data.index_making import write_index
from transferlens.training import engine
from transferlens.training.block import train_block
from transferlens.training.recipes.kinds import read

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
QUICK = changed(TRAINING, epochs=2, crop="random_resized", flip=True)
TOLD = ("correct", "loss", "value", "settings", "example")


def settings(**given):
    return {
        "architecture": ARCHITECTURE.model_dump(),
        "input": INPUT.model_dump(),
        "recipe": {"kind": "l2_sp", "training": QUICK.model_dump()},
        "held_out": 0.2,
        "search": SearchSettings().model_dump(),
        "rows": [1, 0],
        "trials": [0, 3],
        "target": "textures",
        "seed": 5,
        **given,
    }


@pytest.fixture(scope="module")
def job(dataset, tmp_path_factory):
    """A folder with what a job of trials reads: two source models, the target's index, and its images."""
    made, files = dataset
    folder = tmp_path_factory.mktemp("tuning")
    write_index(folder / "index.h5", "textures", made, [])
    for split in ("train", "val"):
        for kind in (".beton", ".h5"):
            shutil.copy(files["raw"][split].with_suffix(kind), folder / f"{split}{kind}")
    return folder


@pytest.fixture(scope="module")
def sources(dataset, job):
    """Two source models."""
    return write_sources(job / "s.h5", dataset)


@pytest.fixture(scope="module")
def whole(job, sources, tmp_path_factory):
    """(The file of three trials with both, what it holds)."""
    path = tmp_path_factory.mktemp("trials") / "a.h5"
    return path, try_settings(job, sources, path)


def run(name, **arguments):
    runpy.run_path(str(SCRIPTS / name))["main"](Namespace(**arguments))


def try_settings(folder, sources, out, minutes=None, **given):
    """The trials of a job, by name."""
    run(
        "tune_recipe.py", settings=settings(**given), sources=[sources], index=folder / "index.h5",
        train=folder / "train.beton", trials=out, resume_minutes=minutes,
    )  # fmt: skip
    with artefacts.open(out, TRIALS) as file:
        return {name: file[name][()] for name in (*TOLD, "model", "trial")}


def choose(parts, out):
    """What is chosen, by name."""
    run("choose_trial.py", trials=parts, choice=out)
    with artefacts.open(out, CHOICE) as file:
        return json.loads(file.attrs["recipe"]), {
            name: file[name][()] for name in ("accuracy", "loss", "chosen")
        }


def assert_equal(one, other):
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name])


def test_evaluation_images_have_no_part_in_the_choice(dataset, job, whole, tmp_path):
    """Their labels and halves exchanged, and their files spoilt: the same choice, bit for bit."""
    made, _ = dataset
    path, told = whole
    other, rng = tmp_path / "scrambled", np.random.default_rng(0)
    shutil.copytree(job, other)
    scrambled = replace(
        made.val, labels=rng.permutation(made.val.labels), halves=rng.permutation(made.val.halves)
    )
    write_index(other / "index.h5", "textures", replace(made, val=scrambled), [])
    for kind in (".beton", ".h5"):
        (other / f"val{kind}").write_bytes(b"nothing")
    again = try_settings(other, other / "s.h5", tmp_path / "b.h5")
    assert_equal(again, told)
    one, two = (choose([made], tmp_path / f"choice-{made.name}") for made in (path, tmp_path / "b.h5"))
    assert one[0] == two[0]
    assert_equal(one[1], two[1])


def test_no_file_of_evaluation_images_is_read_by_trials_or_choice():
    run = small_run()
    for step in (TUNE, CHOOSE):
        for wildcards in step.made_for(run):
            inputs = [
                path
                for given in step.inputs(run, wildcards).values()
                for path in (given if isinstance(given, list) else [given])
            ]
            assert inputs
            assert not any("val." in path or "/transfer/" in path for path in inputs)


def test_held_out_images_are_not_trained_on_and_tell_the_trial(textures, sources):
    """An oracle by hand: the job's network, trained on the others, asked image by image."""
    _, train, _ = textures
    held = np.zeros(len(train), bool)
    held[::9] = True
    ground, recipe = Ground(train, held, CLASSES), read({"kind": "full", "training": QUICK.model_dump()})
    seen = []
    watched = replace(ground.data, images=Watched(train, seen))
    with start_of(sources) as start:
        outcome = tried(start, recipe, ground)
        (trained,) = train_block([start.job(watched, len(CLASSES), recipe)])
    assert not np.isin(np.concatenate(seen), np.flatnonzero(held)).any()
    answers = engine.evaluate(trained.network.eval(), train)[held]
    labels = train.labels[held]
    np.testing.assert_array_equal(outcome.correct, (answers.argmax(1) == labels).numpy())
    by_hand = -answers.double().log_softmax(1)[np.arange(held.sum()), labels].mean()
    assert outcome.loss == pytest.approx(float(by_hand), rel=1e-6)


class Watched:
    """Images that note which are asked for."""

    def __init__(self, images, seen):
        self._images, self._seen = images, seen

    def __getattr__(self, name):
        return getattr(self._images, name)

    def __len__(self):
        return len(self._images)

    def training_batches(self, one):
        self._seen.append(one.positions)
        return self._images.training_batches(one)


def test_a_part_of_a_split_is_evaluated_in_order(textures):
    _, _, val = textures
    chosen = np.arange(len(val)) % 5 == 0
    whole = engine.evaluate(lambda images: images.mean((2, 3)), val)
    part = engine.evaluate(lambda images: images.mean((2, 3)), Part(val, chosen), batch_size=7)
    np.testing.assert_allclose(part.numpy(), whole[chosen].numpy(), rtol=1e-6)


def test_trials_depend_neither_on_their_number_nor_on_how_jobs_are_cut(job, sources, whole, tmp_path):
    two = try_settings(job, sources, tmp_path / "b.h5", trials=[0, 2], rows=[0])
    third = try_settings(job, sources, tmp_path / "c.h5", trials=[2, 3], rows=[0])
    for name in ("correct", "loss"):
        joined = np.concatenate([two[name], third[name]])
        np.testing.assert_array_equal(joined[:, 0], whole[1][name][:, 1])
    assert whole[1]["model"].tolist() == [1, 0]


@pytest.mark.parametrize("after", [3, 10])
def test_a_killed_job_goes_on_to_the_same_trials(job, sources, whole, tmp_path, monkeypatch, after):
    """In its first training, and in its second."""
    given = {"minutes": 0.0, "trials": [0, 2], "rows": [1]}
    with monkeypatch.context() as patch:
        interrupt_after(patch, after)
        with pytest.raises(Interrupted):
            try_settings(job, sources, tmp_path / "t.h5", **given)
    again = try_settings(job, sources, tmp_path / "t.h5", **given)
    for name in ("correct", "loss"):
        np.testing.assert_array_equal(again[name][:, 0], whole[1][name][:2, 0])
    assert [path.name for path in tmp_path.iterdir()] == ["t.h5"]


def test_a_trial_whose_loss_is_not_finite_is_told_and_not_chosen(textures, sources):
    _, train, _ = textures
    held = np.arange(len(train)) % 9 == 0
    wild = changed(QUICK, lr=1e30)
    with start_of(sources) as start:
        outcome = tried(
            start, read({"kind": "full", "training": wild.model_dump()}), Ground(train, held, CLASSES)
        )
    assert (outcome.correct.any(), outcome.loss) == (False, np.inf)
    assert choice.best_trial(np.array([[0.0], [0.0]]), np.array([[np.inf], [2.0]])) == 1
    assert choice.best_trial(np.array([[0.0]]), np.array([[np.inf]])) is None


def test_too_few_images_of_a_class_end_the_job_before_it_begins(dataset, job, sources, tmp_path):
    made, _ = dataset
    few = made.train.labels.copy()
    few[few == 2] = np.where(np.arange((few == 2).sum()) < 3, 2, 0)
    write_index(tmp_path / "index.h5", "t", replace(made, train=replace(made.train, labels=few)), [])
    with pytest.raises(DataError, match="target textures: class 'waves' has 3 training images"):
        run(
            "tune_recipe.py", settings=settings(), sources=[sources], index=tmp_path / "index.h5",
            train=job / "train.beton", trials=tmp_path / "t.h5", resume_minutes=None,
        )  # fmt: skip


def test_the_most_accurate_trial_is_chosen_and_ties_go_by_loss_then_number():
    accuracy = np.array([[0.5, 0.7], [0.8, 0.4], [0.9, 0.3], [0.2, 0.3]])  # the first three are alike
    loss = np.array([[1.0, 1.0], [0.5, 1.0], [0.9, 0.6], [0.1, 0.1]])
    assert choice.best_trial(accuracy, loss) == 1
    assert choice.best_trial(accuracy, np.ones((4, 2))) == 0
    assert choice.best_trial(accuracy[::-1], np.ones((4, 2))) == 1
    assert choice.best_trial(accuracy[[3, 3, 1, 3]], loss) == 2


def test_the_best_of_fewer_trials_is_the_mean_over_all_sets_of_them():
    accuracy = np.array([0.3, 0.9, 0.5, 0.5, 0.7])
    for k, expected in enumerate(choice.best_of(accuracy), start=1):
        assert expected == pytest.approx(np.mean([max(some) for some in combinations(accuracy, k)]))


def test_what_was_chosen_is_what_transfers_read(whole, tmp_path):
    path, told = whole
    recipe, made = choose([path], tmp_path / "choice.h5")
    best = int(np.flatnonzero(made["chosen"])[0])
    assert recipe == json.loads(told["settings"][best])
    np.testing.assert_allclose(made["accuracy"], told["correct"].mean(2))
    written = read(settings()["recipe"])
    assert choice.chosen({"choice": tmp_path / "choice.h5"}, written).model_dump() == recipe


def test_parts_of_other_held_out_images_are_refused(job, sources, whole, tmp_path):
    try_settings(job, sources, tmp_path / "b.h5", trials=[3, 4], seed=6)
    with pytest.raises(ArtefactError, match="are not those of"):
        choose([whole[0], tmp_path / "b.h5"], tmp_path / "choice.h5")


def test_trials_of_which_none_ended_are_refused(job, sources, tmp_path):
    wild = {"kind": "full", "training": changed(QUICK, lr=1e30).model_dump()}
    try_settings(job, sources, tmp_path / "a.h5", recipe=wild, trials=[0, 1])
    with pytest.raises(NumericalError, match=r"not finite in any of 1 trials; lower training\.lr"):
        choose([tmp_path / "a.h5"], tmp_path / "choice.h5")
