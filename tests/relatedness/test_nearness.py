"""Distances and label maps beside class influences, with planted agreement."""

import numpy as np
import pytest
import xarray as xr

from transferlens.core import labelled
from transferlens.relatedness import nearness, reading_page
from transferlens.relatedness.artefacts import READING

TARGETS = ["t0", "t1", "c2", "c3"]
SOURCES = [f"c{i}" for i in range(9)]
NAMES = {"target": "digits", "recipe": "fixed", "reference": "source", "study": "reference"}


@pytest.fixture
def influence():
    """Class influences that are those of a table, and a class that no reference has."""
    rng = np.random.default_rng(3)
    effect = rng.normal(0, 1, (2, len(TARGETS), len(SOURCES) + 1))
    dims = ("half", "target_class", "source_class")
    parts = {
        f"class_effect{end}": (dims, effect + shift) for end, shift in (("", 0), ("_low", -1), ("_high", 1))
    }
    coordinates = {"half": ["select", "report"], "target_class": TARGETS, "source_class": ["other", *SOURCES]}
    return xr.Dataset({**parts, "class_effect_q": (dims, np.full(effect.shape, 0.5))}, coordinates)


def relatedness(influence, noise):
    """Two full-source models whose distances are minus the influences, two random ones whose are noise."""
    report = influence.class_effect.sel(half="report", source_class=SOURCES[::-1]).values
    distance = np.stack([5 - report, noise, 7 - report, noise])
    dims = ("model", "target_class", "reference_class")
    shape = (4, 1, 2, 2, len(TARGETS), len(SOURCES))
    maps = (
        np.broadcast_to(np.exp(report)[None, None, None, None], shape)
        * np.array([1, 0, 1, 0])[:, None, None, None, None, None]
    )
    of_classes = np.arange(4.0)
    return xr.Dataset(
        {
            "class_distance": (dims, distance),
            "label_map": (("model", "tau", "transform", "draw", *dims[1:]), maps),
            "class_probe_loss": (("model", "tau", "target_class"), np.tile(of_classes, (4, 1, 1))),
            "class_bound": (
                ("model", "tau", "transform", "draw", "target_class"),
                np.tile(1 + of_classes, (4, 1, 2, 2, 1)),
            ),
            "role": ("model", ["full", "scratch"] * 2),
        },
        {
            "transform": ["FixedAll", "LearnedAll"],
            "target_class": TARGETS,
            "reference_class": SOURCES[::-1],
        },
    )


@pytest.fixture
def found(influence, tmp_path):
    def make(study="reference"):
        made = relatedness(influence, np.random.default_rng(5).normal(0, 1, (len(TARGETS), len(SOURCES))))
        cells = nearness.cells_of(made, influence)
        path = tmp_path / f"{study}.h5"
        nearness.write_reading(path, made, cells, study, np.random.default_rng(0))
        return cells, labelled.read(path, READING)

    return make


def test_classes_are_joined_by_name(found, influence):
    cells, made = found()
    assert (
        cells.source_classes == SOURCES
    )  # in the order of the influences, without the class of no reference
    report = influence.class_effect.sel(half="report", source_class=SOURCES)
    np.testing.assert_array_equal(made.influence, report)
    np.testing.assert_allclose(made.nearness.sel(measure=nearness.DISTANCE), report.values - 6)
    assert made.same_name.values.sum() == 2
    assert bool(made.same_name.sel(target_class="c3", source_class="c3"))
    best = report.values.argmax(1)
    assert made.nearest.values.tolist() == [SOURCES[i] for i in best]
    assert made.class_bound.values.tolist() == [1, 2, 3, 4]


def test_near_classes_that_help_agree_and_random_networks_do_not(found):
    _, made = found()
    near, control = (made.sel(measure=name) for name in (nearness.DISTANCE, nearness.CONTROL))
    assert near.agreement.values == pytest.approx(np.ones((2, 2)))
    assert (near.agreement_p <= 2 / 1001 + 1e-9).all()
    assert (control.agreement_p > 0.01).all()
    assert (made.sel(measure=nearness.LABEL_MAP).agreement == near.agreement).all()
    assert near.agreement_n.sel(cells="all").values.tolist() == [36, 36]
    assert near.agreement_n.sel(cells="without same names").values.tolist() == [34, 34]


def test_what_a_distance_adds_to_its_control_is_told_with_an_interval(found):
    _, made = found()
    near, control = (made.agreement.sel(measure=name) for name in (nearness.DISTANCE, nearness.CONTROL))
    np.testing.assert_allclose(made.excess, near - control)
    assert ((made.excess_low > 0) & (made.excess_low < made.excess) & (made.excess < made.excess_high)).all()


def test_within_target_classes_what_all_sources_share_does_not_count(influence):
    """A target class near to all source classes and helped by all of them is no agreement within it."""
    report = influence.class_effect.sel(half="report", source_class=SOURCES).values
    shared = np.array([0.0, 10, 20, 30])[:, None]
    cells = nearness.Cells(TARGETS, SOURCES, {"effect": report + shared}, {"m": -report + shared})
    ((overall, within),) = nearness.agreements(cells, np.random.default_rng(0))
    assert overall[0].value > 0.8
    assert within[0].value == pytest.approx(-1)


def test_measures_of_the_models_of_the_influences_have_no_p(found):
    _, made = found("influence")
    assert made.agreement_p.isnull().all()
    assert made.agreement.notnull().all()
    section = reading_page.section(made, NAMES, "p_true")
    assert "These measures are of the same models that influences are" in section.blocks[0].note


def test_the_page_sets_nearness_beside_its_control(found):
    cells, made = found()
    section = reading_page.section(made, NAMES, "p_true")
    table, classes = section.blocks
    assert [row[0] for row in table.rows] == [*cells.measures, "distance minus its control"]
    assert table.rows[0][1] == "source, reference"
    assert "Of the 2 full, 2 scratch of study reference, the control is" in table.note
    assert table.rows[0][2].startswith("+1 (")
    assert "share no noise of either; the training images themselves" in table.note
    assert section.tests == len(TARGETS)
    assert [row[0] for row in classes.rows] == TARGETS
    assert section.subject.anchor == "digits-fixed"
    assert nearness.table(cells).shape == (36, 7 + 3)
