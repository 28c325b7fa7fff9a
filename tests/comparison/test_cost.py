"""Steps by turns: those of the real loop, counted, and refused with a reason."""

import multiprocessing
import threading
from functools import partial

import numpy as np
import pytest
import torch

from tests.comparison.adapted import SHORT, study_of
from tests.conftest import ARCHITECTURE, INPUT, changed
from transferlens.comparison.measures import cost
from transferlens.comparison.measures.artefacts import COST
from transferlens.core import labelled
from transferlens.data import index_making
from transferlens.training import networks, turns
from transferlens.training.recipes import kinds
from transferlens.training.recipes.settings.plain import FullSettings

FULL = FullSettings(training=SHORT)  # 4 epochs of 5 steps


@pytest.fixture(scope="module")
def subject(dataset, tmp_path_factory) -> cost.Subject:
    folder = tmp_path_factory.mktemp("costs")
    study = study_of(dataset, folder, recipes={})
    index_making.write_index(folder / "index.h5", "textures", study.dataset, [])
    settings = ARCHITECTURE.model_dump(), INPUT.model_dump()
    train = study.betons["train"]
    return cost.Subject(study.sources[1], 2, folder / "index.h5", train, *settings, torch.device("cpu"))


def serving(job):
    """The outside end of a job's pipe; the job trains in a thread of this process."""
    outside, inside = multiprocessing.Pipe()
    thread = threading.Thread(target=turns._serve, args=(inside, job))
    thread.start()
    return outside, thread


def test_steps_of_both_are_measured_and_stored(subject, tmp_path) -> None:
    """In processes of their own. A recipe that keeps a copy of the source holds more."""
    recipe = kinds.read({"kind": "l2_sp", "training": changed(SHORT, batch_size=8).model_dump()})
    cost.write_cost(tmp_path / "cost.h5", subject, recipe, FULL)
    made = labelled.read(tmp_path / "cost.h5", COST)
    assert made["round"].values.tolist() == list(range(cost.ROUNDS))
    for name in ("seconds", "plain_seconds"):
        assert (made[name].values > 0).all()
    (source,) = networks.source_networks([subject.source], ARCHITECTURE, torch.device("cpu"), [2])
    weights = 4 * sum(parameter.numel() for parameter in source.parameters())
    assert made.plain_peak > 2 * weights  # momenta and gradients
    assert made.peak > made.plain_peak + weights
    assert made.attrs["note"] == ""
    assert made.attrs["memory"] == "what torch holds during a step, beyond images and network"


def test_a_step_is_taken_when_it_is_asked_for(subject) -> None:
    """The first warms up; at the end no further one is taken."""
    taken = []

    def job():
        made = subject.job(FULL)
        images = made.data.images
        batches = images.training_batches

        def counted(one):
            for batch in batches(one):
                taken.append(len(batch[0]))
                yield batch

        images.training_batches = counted
        return made

    pipe, thread = serving(job)
    assert pipe.recv() > 0
    assert taken == [16] * turns.WARM_UP
    for number in range(3, 8):  # into the second epoch
        pipe.send("step")
        assert pipe.recv() > 0
        assert taken == [16] * number
    pipe.send("end")
    assert pipe.recv() > 0
    thread.join()
    assert taken == [16] * 7


@pytest.mark.parametrize(
    ("training", "reason"), [({"epochs": 1}, "over too soon"), ({"lr": 1e30}, "the loss is not finite")]
)
def test_what_cannot_go_on_says_why(subject, training, reason) -> None:
    recipe = FullSettings(training=changed(SHORT, lr_peak_epoch=1, **training))
    pipe, thread = serving(partial(subject.job, recipe))
    said = pipe.recv()
    while not isinstance(said, str):
        pipe.send("step")
        said = pipe.recv()
    thread.join()
    assert reason in said


def test_a_run_of_few_steps_is_not_measured(subject, tmp_path) -> None:
    once = FullSettings(training=changed(SHORT, epochs=1, lr_peak_epoch=1, batch_size=512))
    cost.write_cost(tmp_path / "cost.h5", subject, once, FULL)
    made = labelled.read(tmp_path / "cost.h5", COST)
    assert len(made.seconds) == len(made.plain_seconds) == 0
    assert np.isnan(made.plain_peak)
    assert made.attrs["note"].startswith("not measured: a run has 2 steps at most")


def test_the_plain_recipe_has_the_batches_of_the_other_and_nothing_else() -> None:
    recipe = FullSettings(training=changed(SHORT, batch_size=7, lr=0.5))
    made = cost.with_batch_of(FULL, recipe).training
    assert made == changed(SHORT, batch_size=7)
    assert cost.steps_of(recipe, 90) == 4 * 12


def test_what_steps_are_of_is_said() -> None:
    assert cost.note_of(FULL) == ""
    assert "head alone" in cost.note_of(kinds.read({"kind": "fixed"}))
    assert cost.note_of(kinds.read({"kind": "fixed", "batchnorm": "train"})) == ""
