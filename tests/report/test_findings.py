"""What capabilities tell the summary: what a planted interval establishes; all else is not known."""

import numpy as np
import pytest
import xarray as xr

from tests.dynamics import similarities
from transferlens.analyses import findings as analyses
from transferlens.comparison import findings as comparison
from transferlens.core import labelled
from transferlens.core.blocks import Kind
from transferlens.dynamics import findings as dynamics
from transferlens.dynamics.told.artefacts import SIMILARITY
from transferlens.encoders import findings as encoders
from transferlens.relatedness import findings as relatedness
from transferlens.transferability import findings as transferability
from transferlens.variance import findings as variance

UNTOLD = (0.05, np.nan, np.nan)  # a number without an interval


def estimate(name, value, low, high, dims=()):
    """The fields of a number with its interval; lists over dimensions."""
    return {f"{name}{end}": (dims, np.array(n)) for end, n in (("", value), ("_low", low), ("_high", high))}


def scores(p):
    """Two scores and a static ranker; the first gains 0.3, with this p after Holm."""
    gains = estimate("gain", [0.3, 0.1, np.nan], [0.1, -0.2, np.nan], [0.5, 0.4, np.nan], ("ranker",))
    ps = {name: ("ranker", [p, 0.7, np.nan]) for name in ("gain_p", "gain_p_holm")}
    names = {"title": ("ranker", ["LEEP", "LogME", "size"]), "sort": ("ranker", ["score", "score", "static"])}
    return xr.Dataset({**gains, **ps, **names, "interval_missing": ""}, {"pool": "influence"})


def test_scores_that_beat_what_knows_nothing_are_told_with_their_gains():
    shown, unknown = transferability.of_ranking(scores(0.01)), transferability.of_ranking(scores(0.06))
    assert (shown.kind, shown.sure) == (Kind.SHOWN, "LEEP +0.3 (95 % +0.1 to +0.5), p 0.01")
    assert shown.text == "Models of influence: LEEP beats every static ranker."
    assert (unknown.kind, unknown.sure) == (Kind.UNKNOWN, "")
    assert "gains of up to +0.5 in weighted tau are not excluded" in unknown.text


@pytest.mark.parametrize(("high", "kind"), [(1.9, Kind.SHOWN), (2.4, Kind.UNKNOWN)])
def test_a_bound_promises_only_if_its_interval_lies_below_guessing(high, kind):
    quantity = {"model_role": ["full", "scratch"], "quantity": ["bound"]}
    dims = ("model_role", "tau", "transform", "quantity")
    ends = ([[[[n]]], [[[9.0]]]] for n in (1.8, 1.7, high))
    made = xr.Dataset(estimate("mean", *ends, dims), quantity, {"log_classes": np.log(10)})
    (found,) = relatedness.of_bound(made, "source")  # networks at random are the control
    assert found.kind == kind
    assert found.text.endswith("(whole source) loses at most 1.800 nats, guessing 2.303.")
    assert found.sure == f"95 % 1.700 to {high:.3f}, over models and test images"


@pytest.mark.parametrize(
    ("excess", "shared", "kind"),
    [
        ((0.2, 0.1, 0.3), "", Kind.SHOWN),
        ((-0.2, -0.3, -0.1), "", Kind.SHOWN),
        ((0.2, -0.1, 0.5), "", Kind.UNKNOWN),
        ((0.2, 0.1, 0.3), "are of the same models", Kind.UNKNOWN),
        (UNTOLD, "", Kind.UNKNOWN),
    ],
)
def test_near_classes_help_if_nearness_tells_more_than_it_does_at_random(excess, shared, kind):
    dims = ("scope", "cells")
    fields = estimate("excess", *([[n]] for n in excess), dims)
    fields |= estimate("agreement", *([[[n]]] for n in (0.4, 0.2, 0.6)), ("measure", *dims))
    coordinates = {"measure": ["minus the distance"], "scope": ["overall"], "cells": ["all"]}
    found = relatedness.of_near_classes(xr.Dataset(fields, coordinates, {"p_missing": shared}))
    assert found.kind == kind
    assert ("less" in found.text) == (excess[2] < 0)


@pytest.mark.parametrize(
    ("at_random", "models", "kinds"),
    [
        (0.2, 3, [Kind.UNKNOWN, Kind.SHOWN]),
        (0.3, 3, [Kind.UNKNOWN, Kind.UNKNOWN]),  # 0.317 to 0.357 is not above 0.27 to 0.33
        (0.2, 1, [Kind.UNKNOWN, Kind.UNKNOWN]),
    ],
)
def test_features_stay_if_they_are_more_alike_than_networks_at_random(tmp_path, at_random, models, kinds):
    """Planted: of the source's images the last layer ends at cos(0.6 * 1.01 * 90 degrees), else at 0."""
    made = labelled.read(similarities.write(tmp_path, models=models), SIMILARITY)
    names = ("random_init", "random_init_low", "random_init_high")
    found = list(dynamics.findings(made.assign({name: made[name] + at_random - 0.3 for name in names})))
    assert [one.kind for one in found] == kinds
    assert f"at random {at_random:.3f} (" in found[1].sure


@pytest.mark.parametrize(
    ("gain", "kind"),
    [((0.03, 0.01, 0.05), Kind.HELPS), ((-0.03, -0.05, -0.01), Kind.HURTS), ((0, -0.02, 0.02), Kind.UNKNOWN),
     (UNTOLD, Kind.UNKNOWN)],
)  # fmt: skip
def test_choosing_a_recipe_helps_as_far_as_other_models_gain(gain, kind):
    made = xr.Dataset(
        {
            **estimate("chosen_gain", *gain),
            "chosen_gain_p": 0.02,
            "from_scratch": ("recipe", [False, False, True]),
        },
        {"recipe": ["a+tuned", "b+tuned", "a+scratch"], "base": ("recipe", ["a", "b", "a"])},
        {"recommended": "b+tuned", "chosen_gain_missing": "one model"},
    )
    found = comparison.of_choice(made)
    assert found.kind == kind
    assert "among 2 recipes (recommended: b)" in found.text
    assert found.sure.startswith("no interval: one model" if np.isnan(gain[1]) else "95 % ")


@pytest.mark.parametrize(
    ("part", "kind"),
    [((0.04, 0.01, 0.09), Kind.SHOWN), ((0.04, -0.01, 0.09), Kind.UNKNOWN), ((-2, -3, -1), Kind.UNKNOWN)],
)
def test_source_models_matter_if_their_variance_is_above_zero(part, kind):
    coordinates = {"quantity": "full source", "output": "correct", "component": "source seed"}
    made = xr.Dataset(estimate("variance", *part), attrs={"repeats": 8})
    made = made.assign_coords(coordinates).expand_dims(list(coordinates))
    found = variance.of_source_models(made)
    assert found.kind == kind
    if kind == Kind.SHOWN:
        assert found.sure == "accuracies differ by 0.2 (standard deviation, 95 % 0.1 to 0.3); 8 models"


@pytest.mark.parametrize(
    ("change", "anyway", "kind"),
    [
        ((0.2, 0.1, 0.3), (0, -0.05, 0.05), Kind.HURTS),
        ((0.2, 0.1, 0.3), (0.1, 0.0, 0.15), Kind.UNKNOWN),  # training again alone may do it
        ((0.2, 0.1, 0.3), (np.nan,) * 3, Kind.UNKNOWN),
        ((0.2, -0.1, 0.5), (-0.5, -0.6, -0.4), Kind.UNKNOWN),
    ],
)
def test_classes_are_behind_failures_if_leaving_them_out_does_more_than_chance(change, anyway, kind):
    fields = estimate("mean_change", *change) | estimate("placebo_change", *anyway)
    failures = xr.Dataset(fields | {"removed": ("example", np.array(["cup", ""], object))})
    (found,) = analyses.of_failures(failures, "p_true")
    assert found.kind == kind
    assert found.sure.startswith("p_true +0.2 (")
    assert ("the mean of 1 gains" in found.text) == (kind == Kind.HURTS)


def test_leaks_are_counted_with_the_twins_among_them():
    pairs = {"effect_q": ("pair", [0.01, 0.04, 0.2]), "near_duplicate": ("pair", [True, False, True])}
    found = analyses.of_leakage(xr.Dataset(pairs))
    assert (found.kind, "2 of the 3 strongest pairs, 1 of them" in found.text) == (Kind.SHOWN, True)
    none = analyses.of_leakage(xr.Dataset(pairs).isel(pair=[2]))
    assert (none.kind, none.sure) == (Kind.UNKNOWN, "q >= 0.05")


def test_candidates_are_told_by_what_their_gains_establish():
    gains = estimate(
        "gain", [0.2, -0.3, 0.1, 0.1], [0.1, -0.4, -0.1, np.nan], [0.3, -0.2, 0.3, np.nan], "candidate"
    )
    made = xr.Dataset(gains, {"candidate": list("abcd")})
    helps, hurts, unknown = encoders.findings(made)
    assert (helps.kind, helps.sure) == (Kind.HELPS, "a +0.2 (95 % +0.1 to +0.3)")
    assert (hurts.kind, hurts.text.split(" lose ")[0]) == (Kind.HURTS, "Weights of b")
    assert (unknown.kind, "weights of c, d" in unknown.text) == (Kind.UNKNOWN, True)
