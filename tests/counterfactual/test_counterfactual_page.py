"""What the page says of retraining is what the data sets hold."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from tests.runs import small_run
from transferlens.core.blocks import Figure, Kind, Place, Table
from transferlens.core.statistics import Interval
from transferlens.counterfactual import findings, page

HALF = {"half": ["select", "report"]}


def summary(metric, accuracy):
    variables = {"accuracy": (("model", "half"), np.stack([np.zeros(len(accuracy)), accuracy], 1))}
    return xr.Dataset(variables, HALF, {"metric": metric})


def counterfactual(repeats, singles):
    full = np.array([[0.0, 0.8], [0.0, 0.9]])
    variables = {
        "accuracy": (("order", "k", "half", "repeat"), np.zeros((2, 1, 2, repeats))),
        "full": (("reference_repeat", "half"), full),
        "scratch": (("reference_repeat", "half"), full - np.array([[0.25], [0.35]])),
        "best_k": ("order", [5, 10]),
        "best_k_share": ("order", [1.0, 0.75]),
        "best_gain_mean": ("order", [-0.04, 0.01]),
        "best_gain_mean_low": ("order", [-0.05, -0.01]),
        "best_gain_mean_high": ("order", [-0.03, 0.03]),
    }
    attributes, coordinates = {}, {"order": ["top", "bottom"], **HALF}
    if singles:
        coordinates["removed_class"] = ["cup", "wolf"]
        names = ("slope", "slope_low", "slope_high", "r_squared", "reliability")
        attributes = dict(zip([f"singles_{n}" for n in names], [1.25, 0.5, 2.0, 0.75, 0.5], strict=True))
    return xr.Dataset(variables, coordinates, attributes)


def with_sets_and_steps(found):
    """Random sets that influences predict better than counting does, and one order with as many steps."""
    rng = np.random.default_rng(0)
    numbers = {"set_correlation": [0.9, 0.5], "set_correlation_low": [0.8, 0.1]}
    numbers |= {"set_correlation_high": [0.95, 0.75], "set_advantage": [0.0, 0.4]}
    numbers |= {"set_advantage_low": [0.0, 0.125], "set_advantage_high": [0.0, 0.625]}
    steps = {"step_gain_mean": 0.25, "step_gain_mean_low": 0.125, "step_gain_mean_high": 0.375}
    steps |= {"step_difference_mean": 0.5, "step_difference_mean_low": -0.5, "step_difference_mean_high": 1.5}
    return (
        found.assign(
            {name: ("predictor", values) for name, values in numbers.items()}
            | {name: ("step_order", [value]) for name, value in steps.items()}
            | {
                "gain_mean": (("order", "k", "half"), np.full((2, 1, 2), -0.25)),
                "set_change": (("random_set", "repeat"), rng.random((4, 4))),
            }
        )
        .assign_coords(k=[5], predictor=["influence", "number of classes"], step_order=["bottom"])
        .assign_attrs(step_k=5, sets_slope=0.5, sets_slope_low=0.25, sets_slope_high=0.75)
    )


def sections(tmp_path, repeats=4, singles=True, change=lambda found: found, **studies):
    summaries = {
        "reference": summary("per_class", [0.8]),
        "influence": summary("per_class", [0.6, 0.7]),
        "pretrained": summary("per_class", [0.95, 0.2]).assign(role=("model", ["pretrained", "scratch"])),
    }
    results = SimpleNamespace(
        folder=tmp_path,
        counterfactual=lambda *_: change(counterfactual(repeats, singles)),
        summary=lambda study, *_, **__: summaries[study],
    )
    run = small_run(studies=studies)
    return {section.anchor: section for section in page.sections(run, results)}


def test_the_headline_gives_report_half_accuracies_and_says_what_accuracy_is(tmp_path):
    section = sections(tmp_path)["headline"]
    assert (section.title, section.place) == ("", Place.HEADLINE)
    (cards,) = section.blocks
    assert [card.value for card in cards.cards] == ["0.850", "0.550", "0.650", "0.300"]
    assert cards.cards[3].detail == "95 % -0.335 to 0.935"
    assert cards.note.startswith("Accuracy is the mean over target classes of the share")
    (cards,) = sections(tmp_path, pretrained={"weights": "IMAGENET1K_V1"})["headline"].blocks
    assert (cards.cards[-1].value, cards.cards[-1].detail) == ("0.950", "one model")


def test_a_source_that_is_not_surely_worth_anything_is_told_at_the_head(tmp_path):
    (told,) = sections(tmp_path)["checks"].warnings
    assert told.startswith(
        "optdigits (fixed): the expectation that the full source gives a better target accuracy"
    )


def test_the_table_gives_every_order_with_its_k_and_gain(tmp_path):
    (table,) = [b for b in sections(tmp_path)["removals"].blocks if isinstance(b, Table)]
    assert table.rows == (
        ("top", "5", "100%", "-0.04", "-0.05 to -0.03"),
        ("bottom", "10", "75%", "+0.01", "-0.01 to +0.03"),
    )


def test_the_summary_names_help_and_harm_only_where_an_interval_leaves_out_zero(tmp_path):
    shown = sections(tmp_path)
    assert shown["headline"].findings == ()  # the check tells of a gain over scratch that is not established
    top, bottom = shown["removals"].findings
    assert (top.kind, bottom.kind) == (Kind.HELPS, Kind.UNKNOWN)
    assert "the 5 source classes that stand first in order 'top': retrained without them" in top.text
    assert "changes by -0.04" in top.text
    assert top.sure == "95 % -0.05 to -0.03, over retrained models"
    assert [card.value for card in shown["removals"].headline] == ["-0.04", "+0.01"]
    unknown = Interval(np.float64(0.1), np.float64(np.nan), np.float64(np.nan))
    assert findings.of_source(unknown) == ()
    harmful = sections(
        tmp_path, change=lambda found: found.assign(best_gain_mean_low=-found.best_gain_mean / 2)
    )
    assert harmful["removals"].findings[0].kind == Kind.HURTS


def test_a_gain_that_cannot_be_cross_fitted_is_left_out_with_the_reason(tmp_path):
    shown = sections(tmp_path, change=lambda found: found.assign_attrs(best_gain_missing="two repeats"))
    (table,) = [b for b in shown["removals"].blocks if isinstance(b, Table)]
    assert table.rows[0] == ("top", "5", "", "left out", "")
    assert table.note == "The gain at a chosen k is left out: two repeats."


def test_random_sets_and_steps_have_sections_where_they_were_asked_for(tmp_path):
    assert not {"random-sets", "steps"} & set(sections(tmp_path))
    shown = sections(tmp_path, change=with_sets_and_steps)
    figure, table = shown["random-sets"].blocks
    assert figure.caption.startswith("16 random sets")
    assert "Slope 0.50 (95 % 0.25 to 0.75)" in figure.caption
    assert table.rows == (
        ("influence", "+0.9", "+0.8 to +0.95", "", ""),
        ("number of classes", "+0.5", "+0.1 to +0.75", "+0.4", "+0.125 to +0.625"),
    )
    (steps,) = shown["steps"].blocks
    assert steps.rows == (("bottom", "-0.25", "+0.25", "+0.125 to +0.375", "+0.5", "-0.5 to +1.5"),)
    assert steps.note.endswith("bottom: a gain is there with as many steps, too.")


def test_predictions_that_are_left_out_are_said_to_be(tmp_path):
    shown = sections(
        tmp_path, change=lambda found: found.assign_attrs(single_predicted_missing="there are 8 models")
    )
    (figure,) = [b for b in shown["removals"].blocks if "single" in getattr(b, "path", tmp_path).name]
    assert figure.caption.endswith("The predictions are left out: there are 8 models.")


@pytest.mark.parametrize("singles", [True, False])
def test_single_removals_are_shown_where_there_are_any(tmp_path, singles):
    shown = [b for b in sections(tmp_path, singles=singles)["removals"].blocks if isinstance(b, Figure)]
    assert [figure.path.name for figure in shown] == [
        "counterfactual_curves.svg",
        *["single_removals.svg"] * singles,
    ]
    if singles:
        assert (
            "Slope 1.25 (95 % 0.50 to 2.00, over these classes), R² 0.75 over 2 classes. 50% of"
            in shown[1].caption
        )


def test_few_repeats_are_told_at_the_head(tmp_path):
    assert sections(tmp_path)["removals"].warnings == ()
    (told,) = sections(tmp_path, repeats=3)["removals"].warnings
    assert told == "optdigits (fixed): counterfactual intervals rest on 3 repeats and are wide."


def test_influences_that_are_reused_have_a_section_of_their_own(tmp_path):
    assert "reuse" not in sections(tmp_path)
    other = {"architecture": {"name": "small_resnet", "width": 16}, "recipe": "full"}
    assert (
        sections(tmp_path, reuse=other)["reuse"].title
        == "The same removals with small_resnet, width 16, recipe full"
    )


def test_nothing_is_said_without_the_study(tmp_path):
    assert sections(tmp_path, counterfactual=None) == sections(tmp_path, influence=None) == {}
