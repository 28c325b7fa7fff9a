"""What trials draw: valid, the same for all recipes where it is theirs in common, and stable."""

import re

import numpy as np
import pytest

from tests.conftest import TRAINING, changed
from tests.docs import PAGES
from tests.runs import ROOMS
from transferlens.comparison.capability import CAPABILITY
from transferlens.comparison.settings import ComparisonSettings, SearchSettings
from transferlens.comparison.tuning import held_out, space
from transferlens.core import fingerprint
from transferlens.core.configuration import merged
from transferlens.core.errors import ConfigError, DataError
from transferlens.core.run import Run
from transferlens.core.settings import ResizeSettings
from transferlens.training.recipes.kinds import KINDS, read, searched
from transferlens.training.recipes.settings import anchored
from transferlens.training.recipes.settings.base import LogUniform, OneOf, Uniform

SEARCH = SearchSettings()
WRITTEN = [kind for kind, facts in KINDS.items() if not facts.asked_for_by]


def recipe_of(kind, training=TRAINING, **given):
    return read({"kind": kind, "training": training.model_dump(), **given})


@pytest.mark.parametrize("kind", WRITTEN)
def test_both_ends_of_what_is_searched_are_settings(kind):
    written = recipe_of(kind)
    for key, known in searched(kind).items():
        assert space.value_of(written, key) != 0, "what is written as 0 is not searched"
        for end in known.ends:
            assert space.value_of(recipe_of(kind, **{key: end}), key) == end


@pytest.mark.parametrize("known", [LogUniform(0.1, 10), Uniform(0, 1), OneOf((2, 4, 8))])
def test_ranges_are_covered_evenly(known):
    drawn = [known.at(share) for share in np.linspace(0, 1, 1000, endpoint=False)]
    middle = {LogUniform: 1.0, Uniform: 0.5, OneOf: 4}[type(known)]
    assert (drawn[0], drawn[500]) == pytest.approx((known.ends[0], middle))
    assert drawn == sorted(drawn)
    assert known.ends[0] <= drawn[0]
    assert drawn[-1] <= known.ends[1]


def common(recipe):
    """Factors of what all recipes have, over what is written."""
    written = recipe_of(recipe.kind).training
    return [
        getattr(recipe.training, name) / getattr(written, name) for name in ("lr", "weight_decay", "epochs")
    ]


def test_all_recipes_have_the_same_factors_and_strengths_of_their_own():
    drawn = [space.trial(recipe_of(kind), SEARCH, 3, 5) for kind in WRITTEN]
    for one in drawn:
        assert common(one) == pytest.approx(common(drawn[0]))
    rates = {one.backbone_rate for one in drawn if "backbone_rate" in searched(one.kind)}
    assert len(rates) == sum("backbone_rate" in searched(kind) for kind in WRITTEN)


def test_draws_stay_within_and_spread_over_the_search():
    written = recipe_of("l2_sp", changed(TRAINING, epochs=100))
    drawn = [space.trial(written, SEARCH, 0, number) for number in range(1, 400)]
    for name, factor in (("lr", 5), ("weight_decay", 10), ("epochs", 2)):
        shares = [
            np.log(getattr(one.training, name) / getattr(written.training, name)) / np.log(factor)
            for one in drawn
        ]
        assert -1.01 < min(shares) < -0.95
        assert 0.95 < max(shares) < 1.01
        assert abs(np.mean(shares)) < 0.1
    strengths = np.log10([one.strength for one in drawn])
    assert -3 <= strengths.min() < -2.9
    assert -1.1 < strengths.max() <= -1


def test_the_plan_counts_the_epochs_that_are_drawn():
    written = recipe_of("full", changed(TRAINING, epochs=100))
    drawn = [space.trial(written, SEARCH, 0, number).training.epochs for number in range(4)]
    assert space.epochs(written, SEARCH, 0, 4) == pytest.approx(sum(drawn) / 400)
    planned = {(one.name, one.recipe): one for one in CAPABILITY.trainings(small_run())}
    trials = planned["trials", "full+tuned"]
    assert (trials.models, trials.share) == (12, 0.8)
    # Half of the evaluation images report: 16 epochs look at them; features that stay are looked at twice.
    assert planned["published protocol", "full+tuned"].evaluations == 8
    assert planned["published protocol", "fixed+tuned"].evaluations == 1


def test_a_trial_depends_on_its_number_alone_and_the_first_is_as_written():
    written = recipe_of("ldifs")
    assert space.trial(written, SEARCH, 0, 0) == written
    assert space.trial(written, SEARCH, 0, 7) == space.trial(written, SEARCH, 0, 7)
    seven = space.trial(written, SEARCH, 0, 7)
    assert seven != space.trial(written, SEARCH, 1, 7)
    assert seven != space.trial(written, SEARCH, 0, 8)
    narrow = space.trial(written, changed(SEARCH, lr=1.0), 0, 7)  # the rest is drawn as before
    assert narrow == seven.model_copy(
        update={"training": seven.training.model_copy(update={"lr": written.training.lr})}
    )


def test_what_is_written_as_nothing_stays_so():
    written = recipe_of("l2_sp", changed(TRAINING, weight_decay=0.0), strength=0.0)
    drawn = space.trial(written, SEARCH, 0, 3)
    assert (drawn.strength, drawn.training.weight_decay) == (0, 0)
    assert drawn.head_decay != written.head_decay
    assert space.parameters(written, SEARCH) == [
        "training.lr",
        "training.epochs",
        "backbone_rate",
        "head_decay",
    ]
    assert space.parameters(written, changed(SEARCH, own=False, epochs=1.0)) == ["training.lr"]


@pytest.mark.parametrize(
    "schedule",
    [
        {"epochs": 10, "iterations": 170},
        {"epochs": 3, "lr_peak_epoch": 3},
        {"epochs": 7, "schedule": "cosine", "warmup_epochs": 7},
        {"epochs": 1, "lr_peak_epoch": 1},
        {"epochs": 9, "schedule": "step", "step_epochs": [1, 2, 8]},
        {
            "epochs": 12,
            "crop": "random_resized",
            "resize": ResizeSettings(low=24, high=28, start=5, end=6),
        },
    ],
)
def test_schedules_move_with_the_epochs(schedule):
    """Whatever is drawn can hold together, and epochs keep their steps."""
    written = recipe_of("full", changed(TRAINING, **schedule))
    for number in range(1, 60):
        drawn = space.trial(written, SEARCH, 0, number).training  # which checks it
        ratio = drawn.epochs / written.training.epochs
        assert drawn.lr_peak_epoch == pytest.approx(written.training.lr_peak_epoch * ratio)
        if written.training.iterations:
            assert drawn.iterations == 17 * drawn.epochs


def test_what_cannot_be_drawn_is_refused_in_one_line():
    """`values` of a batch: no trial changes them; a schedule that is written wrong is met as such."""
    wrong = recipe_of("full", changed(TRAINING, lr_peak_epoch=9))
    drawn = wrong.model_copy(
        update={"training": TRAINING.model_copy(update={"nesterov": True, "momentum": 0.0})}
    )
    with pytest.raises(ConfigError, match=r"recipes\.x cannot be tuned: trial 1 of kind 'full'.*nesterov"):
        space.check("recipes.x", drawn, SEARCH, 0, 2)


def test_a_changed_range_runs_trials_again_and_no_transfer(monkeypatch):
    """Fingerprints reach ranges where trials are made, and nowhere else."""
    kind = KINDS["l2_sp"]
    assert kind.searched == f"{anchored.__name__}:SEARCHED"
    of_transfer = fingerprint.reached("transfer.py", *kind.code).definitions[anchored.__name__]
    of_trials = fingerprint.reached("tune_recipe.py", *kind.code, kind.searched).definitions[
        anchored.__name__
    ]
    assert "SEARCHED" not in of_transfer
    assert "KINDS" in of_transfer
    assert {"SEARCHED", "KINDS"} <= set(of_trials)


def test_held_out_images_are_a_share_of_every_class_and_two_at_least():
    labels = np.repeat([0, 1, 2], [4, 10, 50])
    held = held_out.held_out(labels, 0.2, 7)
    assert np.bincount(labels[held]).tolist() == [2, 2, 10]
    assert np.bincount(labels[held_out.held_out(labels, 0.95, 7)]).tolist() == [2, 8, 48]
    np.testing.assert_array_equal(held, held_out.held_out(labels, 0.2, 7))
    assert (held != held_out.held_out(labels, 0.2, 8)).any()


def test_too_few_images_are_refused_by_name():
    with pytest.raises(DataError, match="target pets: class 'cat' has 3 training images, too few"):
        held_out.require_images("pets", np.repeat([0, 1], [5, 3]), ["dog", "cat"])


def small_run(**given):
    base = {
        "source": "digits-and-clothes",
        "targets": {"optdigits": {"recipes": ["fixed"]}},
        "recipes": {"fixed": {"kind": "fixed"}, "full": {"kind": "full"}},
        "studies": {"reference": {"repeats": 6}},
        "comparison": {"recipes": ["fixed", "full"]},
    }
    return Run(merged(base, given), [*ROOMS, CAPABILITY])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"comparison": {"trials": 0}}, "a budget below one trial a recipe"),
        (
            {"comparison": {"search": {"lr": 1.0, "weight_decay": 1.0, "epochs": 1.0, "own": False}}},
            "search varies nothing",
        ),
        (
            {"targets": {"optdigits": {"sizes": [3]}}},
            "target optdigits@3: its settings give a class 3 training",
        ),
    ],
)
def test_impossible_budgets_and_targets_are_refused_before_anything_runs(given, message):
    with pytest.raises(ConfigError, match=message):
        small_run(**given).check_data()


def test_settings_that_are_possible_are_not_refused():
    run = small_run(targets={"optdigits": {"sizes": [4]}})
    run.check_data()
    assert run.section(ComparisonSettings).trials == 12


def test_the_documented_ranges_are_those_that_are_searched():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    _, _, table = text.partition("| kind | of its own |\n|---|---|\n")
    told = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table.partition("\n\n")[0], re.MULTILINE))
    expected = {
        kind: "; ".join(f"`{key}` {known}" for key, known in searched(kind).items()) or "nothing"
        for kind in WRITTEN
    }
    assert told == expected
