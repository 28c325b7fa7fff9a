"""What the page says of influences is what the data sets hold."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from tests.runs import small_run
from transferlens.core.blocks import Cards, Figure, Kind, Place, Prose, Table, Verdict
from transferlens.influence import page

EFFECT = np.array([[0.25, -0.5, 0.1], [0.0, 0.3, -0.2]])  # report half: target classes by source classes
# The two folds agree on all but the class that helps dogs most.
CHOICES = np.array([[[9, -9, 0], [0, 9, -9]], [[9, -9, 0], [9, 0, -9]]])


def influence(relations, missing=""):
    dims = ("half", "target_class", "source_class")
    both = np.stack([np.zeros((2, 3)), EFFECT])
    variables = {
        "class_effect": (dims, both),
        "class_effect_low": (dims, both - 0.125),
        "class_effect_high": (dims, both + 0.125),
        "class_effect_q": (dims, np.full(both.shape, 0.04)),
        "class_effect_by_fold": (("fold", *dims), np.stack([CHOICES, [EFFECT, EFFECT + 0.5]], 1)),
        "class_effect_by_fold_se": (("fold", *dims), np.full((2, 2, 2, 3), 0.1)),
        "overall_effect_by_fold": (
            ("fold", "half", "source_class"),
            np.stack([CHOICES[:, 0], [EFFECT[0], EFFECT[0] + 0.5]], 1),
        ),
        "overall_effect_by_fold_se": (("fold", "half", "source_class"), np.full((2, 2, 3), 0.1)),
        "fold_df": ("fold", [10, 10]),
        "n_in": ("source_class", [20, 20, 20]),
        "n_out": ("source_class", [28, 28, 28]),
    }
    for part, shift in (("", 0), ("_low", -0.1), ("_high", 0.1)):
        variables[f"relation_value{part}"] = (
            ("half", "relation"),
            np.tile(np.array(list(relations.values())) + shift, (2, 1)),
        )
    coordinates = {
        "half": ["select", "report"],
        "target_class": ["cat", "dog"],
        "source_class": ["lynx", "cup", "wolf"],
        "relation": list(relations),
    }
    attributes = {
        "output": "margin",
        "settings": json.dumps({"estimator": "least_squares"}),
        "folds_missing": missing,
    }
    return xr.Dataset(variables, coordinates, attributes)


def scores(score=(0.4, 0.3, 0.5), needed=(100.0, 80.0, np.inf)):
    variables = {}
    for name, values in (("score", score), ("reliability", (0.8, 0.7, 0.9))):
        for suffix, value in zip(("", "_low", "_high"), values, strict=True):
            variables[name + suffix] = (("estimator", "models"), [[np.nan, value]])
    for suffix, value in zip(("", "_low", "_high"), needed, strict=True):
        variables[f"models_needed{suffix}"] = ("estimator", [value])
    coordinates = {"estimator": ["ridge"], "models": [24, 48]}
    return xr.Dataset(variables, coordinates, {"reported_estimator": "ridge"})


def rivals(missing):
    dims = ("predictor", "cells")
    values = np.array([[0.5, 0.25], [0.125, np.nan]])
    variables = {
        f"{name}{end}": (dims, values + shift)
        for name in ("correlation", "of_reachable")
        for end, shift in (("", 0), ("_low", -0.1), ("_high", 0.1))
    }
    coordinates = {"predictor": ["influences", "same name"], "cells": ["all", "others"]}
    return xr.Dataset(variables, coordinates, {"folds_missing": missing})


def sections(tmp_path, relations=None, design="hadamard", missing="", **of_scores):
    relations = {"same - related": 0.3, "related - unrelated": 0.05} if relations is None else relations
    results = SimpleNamespace(
        folder=tmp_path,
        influence=lambda *_: influence(relations, missing),
        scores=lambda *_: scores(**of_scores),
        influence_rivals=lambda *_: rivals(missing),
    )
    run = small_run(studies={"influence": {"design": design}})
    return {section.anchor: section for section in page.sections(run, results)}


def blocks_of(section, kind):
    return [block for block in section.blocks if isinstance(block, kind)]


def test_extremes_are_what_the_other_fold_reports_of_the_class_that_one_chose(tmp_path):
    section = sections(tmp_path)["influences"]
    (table,) = blocks_of(section, Table)
    # The mean of both reports, of 0.25 and 0.75, and so on; errors of one class are taken as one.
    assert [row[:2] for row in table.rows] == [("cat", "lynx"), ("dog", "cup / lynx")]
    assert table.rows[0][2] == "+0.5 (+0.291 to +0.709)"  # 0.1 times t(20)
    assert table.rows[1][2] == "+0.4 (+0.253 to +0.547)"  # (0.8 + 0.0) / 2, 0.1 / sqrt(2) times t(20)
    assert [row[4:6] for row in table.rows] == [
        ("cup", "-0.25 (-0.459 to -0.041)"),
        ("wolf", "+0.05 (-0.159 to +0.259)"),
    ]
    assert "over the 4 numbers" in table.note
    assert (section.tests, section.method) == (6 + 4 + 2, "influences")


def test_the_summary_is_told_what_is_established_in_the_order_of_the_ranking(tmp_path):
    found = sections(tmp_path)["influences"].findings
    # wolf at the harmful end of dogs is +0.05: no harm.
    assert [
        (one.kind, re.findall("Seeing (.*) adds (.*) to the mean margin of (.*)[.]", one.text))
        for one in found
    ] == [
        (Kind.HELPS, [("lynx", "+0.5", "the whole target")]),
        (Kind.HURTS, [("cup", "-0.25", "the whole target")]),
        (Kind.HELPS, [("lynx", "+0.5", "cat")]),
        (
            Kind.HELPS,
            [("cup / lynx (the mean of both: either half of the models chose another)", "+0.4", "dog")],
        ),
        (Kind.HURTS, [("cup", "-0.25", "cat")]),
    ]
    assert found[0].sure.startswith("95 % +0.291 to +0.709, q ")
    relative = sections(tmp_path, design="fixed_size")["influences"].findings
    assert {one.kind for one in relative} == {Kind.UNKNOWN}
    (untold,) = sections(tmp_path, missing="too few")["influences"].findings
    assert (untold.kind, "too few" in untold.text) == (Kind.UNKNOWN, True)


def test_without_folds_the_reason_stands_in_place_of_the_extremes(tmp_path):
    section = sections(tmp_path, missing="20 models are too few")["influences"]
    assert blocks_of(section, Table) == []
    (said,) = blocks_of(section, Prose)
    assert "20 models are too few" in said.text
    assert section.tests == 6


def test_the_matrix_tells_what_it_was_made_from(tmp_path):
    matrix, _ = blocks_of(sections(tmp_path)["influences"], Figure)
    assert matrix.path == tmp_path / "report/optdigits/fixed/influence_matrix.svg"
    assert "by least squares from all 48 models of design hadamard" in matrix.caption
    assert "over all 6 pairs" in matrix.caption


def test_a_check_that_is_not_established_is_told_in_its_row_and_at_the_head(tmp_path):
    section = sections(tmp_path)["checks"]
    assert section.place == Place.CHECKS
    holds, fails = section.blocks[0].rows
    assert holds[1:] == ("+0.3", "+0.2 to +0.4", "margin", Verdict("holds", True))
    assert fails[1:] == ("+0.05", "-0.05 to +0.15", "margin", Verdict("not established", False))
    (told,) = section.warnings
    assert told.startswith("optdigits (fixed): the expectation that related source classes help more")
    assert told.endswith("is not established by this run (95 % -0.050 to 0.150).")
    assert "checks" not in sections(tmp_path, relations={})


def test_cards_say_the_scores_of_all_models(tmp_path):
    section = sections(tmp_path)["trust"]
    (cards,) = blocks_of(section, Cards)
    assert [(card.value, card.detail) for card in cards.cards] == [
        ("0.40", "95 % 0.300 to 0.500"),
        ("0.80", "95 % 0.700 to 0.900"),
        ("100", "95 % 80 to no limit"),
    ]
    assert [card.value for card in section.headline] == ["0.40", "0.80"]
    assert section.warnings == ()


@pytest.mark.parametrize(
    ("score", "words"),
    [((np.nan,) * 3, "too few models to score"), ((0.1, -0.1, 0.3), "do not predict models")],
)
def test_influences_that_cannot_be_trusted_are_told_at_the_head(tmp_path, score, words):
    (told,) = sections(tmp_path, score=score)["trust"].warnings
    assert words in told
    assert told.startswith("optdigits (fixed): ")


def test_rivals_stand_beside_the_influences_of_the_other_models(tmp_path):
    (table,) = sections(tmp_path)["influence-rivals"].blocks
    assert table.rows == (
        ("influences", *["0.50 (0.40 to 0.60)"] * 2, *["0.25 (0.15 to 0.35)"] * 2),
        ("same name", *["0.12 (0.02 to 0.23)"] * 2, "–", "–"),
    )
    (said,) = sections(tmp_path, missing="too few")["influence-rivals"].blocks
    assert "too few" in said.text


def test_masks_of_a_fixed_size_are_told_at_the_head(tmp_path):
    assert sections(tmp_path)["influences"].warnings == ()
    (told,) = sections(tmp_path, design="fixed_size")["influences"].warnings
    assert "sum to about zero" in told


def test_nothing_is_said_without_the_study():
    assert list(page.sections(small_run(studies={"influence": None}), None)) == []
