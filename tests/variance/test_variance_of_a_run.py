"""From summaries of models that were transferred again to the artefact, the page and the plan."""

import numpy as np
import pytest

from tests.summaries import write_summary
from transferlens.capabilities import run_of
from transferlens.core import labelled
from transferlens.core.studies import FULL, SCRATCH, Rows
from transferlens.operations import plan
from transferlens.operations.rate import Hours
from transferlens.training.reading import read_outputs
from transferlens.variance import components, page, reading
from transferlens.variance.artefacts import OUTPUTS, VARIANCE

GIVEN = {
    "source": "digits-and-clothes",
    "targets": {"optdigits": {"recipes": ["fixed"]}},
    "recipes": {"fixed": {}, "full": {"kind": "full"}},
}
IMAGES = 40


def rows(repeats: int) -> Rows:
    """Rows of study `reference`, in an order of repeats that is not theirs."""
    count, repeat = 2 * repeats, np.repeat(np.arange(repeats)[::-1], 2)
    return Rows(
        np.ones((count, 2), bool),
        np.arange(count),
        repeat,
        [FULL, SCRATCH] * repeats,
        repeat,
        [""] * count,
        np.zeros(count, np.int64),
        ["a", "b"],
        ["", ""],
    )


@pytest.fixture
def transfers(tmp_path):
    """Two transfers of 5 repeats: margins of the full source are the repeat's number / 10 above scratch."""

    def make(name, repeats=5):
        rng, of = np.random.default_rng(len(name)), rows(repeats)
        full = np.array(of.roles) == FULL
        margin = rng.normal(0, 0.5, (2 * repeats, IMAGES)) + np.where(full, of.repeats / 10, -1)[:, None]
        labels, halves = np.arange(IMAGES) % 2, np.arange(IMAGES) // 2 % 2
        prediction = np.where(margin > 0, labels, 1 - labels).astype(np.uint8)
        path = tmp_path / f"{name}.h5"
        write_summary(path, of, labels, halves, ["x", "y"], margin=margin.astype(np.float16),
                      prediction=prediction)  # fmt: skip
        return read_outputs(path, OUTPUTS)

    return make


def stored(folder, transfers):
    place = folder / "results" / VARIANCE.path.format(target="optdigits", recipe="fixed")
    place.parent.mkdir(parents=True)
    reading.write_components(place, transfers)
    return labelled.read(place, VARIANCE)


def test_scores_are_those_of_the_report_half_paired_by_repeat(transfers):
    summaries = [transfers("first"), transfers("again")]
    values = reading.scores(summaries, "margin")
    assert values["gain"].shape == (5, 2, IMAGES // 2)
    report = summaries[1].isel(example=np.flatnonzero(summaries[1].example_half == "report"))
    of_three = report.margin.values[summaries[1].repeat.values == 3]
    np.testing.assert_array_equal(values["full source"][3, 1], of_three[0])
    np.testing.assert_array_equal(values["gain"][3, 1], of_three[0] - of_three[1])


def test_what_is_stored_is_what_is_estimated_and_shown(transfers, tmp_path):
    summaries = [transfers("first"), transfers("again")]
    made = stored(tmp_path, summaries)
    values = reading.scores(summaries, "p_true")["gain"]
    score = made.sel(quantity="gain", output="p_true")
    parts = components.estimate(values)
    assert score["mean"] == values[:, 0].mean()
    assert score.variance.sel(component="transfer seed") == parts.transfer.value
    assert score.variance_high.sel(component="models x images") == parts.both.high
    assert float(score.share.sum()) == pytest.approx(1)
    assert float(score.reach) >= float(score.reach_on_these) > 0
    table, reaches, design = page.blocks(made)
    assert len(table.rows) == len(reaches.rows) == 6
    assert "5 repeats, each model transferred 2 times" in design.text
    assert not made.attrs["repeats_missing"]


@pytest.mark.parametrize(
    ("found", "cell", "halving"),
    [
        ({"variance": [0.04, 0.01, 0.09], "repeats_to_halve": [31, 27, np.inf]}, "0.2 (0.1 to 0.3), 25 %",
         "31 (27 to none)"),
        ({"variance": [-0.04, -0.09, 0.01], "repeats_to_halve": [np.inf] * 3}, "0 (0 to 0.1), 25 %", "none"),
        ({"variance": [-0.04, -0.09, -0.01], "repeats_to_halve": [np.nan] * 3}, "0 (below 0), 25 %", ""),
    ],
)  # fmt: skip
def test_cells_show_standard_deviations_and_repeats(transfers, tmp_path, found, cell, halving):
    made = stored(tmp_path, [transfers("first"), transfers("again")])
    made.share[:] = 0.25
    for name, values in found.items():
        for end, value in zip(("", "_low", "_high"), values, strict=True):
            made[name + end][:] = value
    parts, reaches, _ = page.blocks(made)
    assert {text for row in parts.rows for text in row[1:]} == {cell}
    assert {row[4] for row in reaches.rows} == {halving}


def test_with_too_few_repeats_the_reason_stands_in_place_of_a_number(transfers, tmp_path):
    made = stored(tmp_path, [transfers("first", 3), transfers("again", 3)])
    assert made.repeats_to_halve.isnull().all()
    _, reaches, _ = page.blocks(made)
    assert "3 repeats tell too little" in reaches.note
    assert {row[4] for row in reaches.rows} == {""}


def test_a_plan_says_what_halving_an_interval_takes(transfers, tmp_path):
    run, folder = run_of(GIVEN), tmp_path / "results"
    (unknown,) = plan.advice(run, folder, {})
    assert unknown.startswith("optdigits (fixed): how many repeats would halve an interval is known once")
    made = stored(tmp_path, [transfers("first"), transfers("again")])
    hours = {"source training": Hours(10, 36_000.0), "transfers, fixed": Hours(20, 72_000.0)}
    gain, accuracy = plan.advice(run, folder, hours)
    wanted = float(made.repeats_to_halve.sel(quantity="gain", output="correct"))
    if np.isfinite(wanted):
        more = 2 * (int(wanted) - 5)
        assert f"{wanted:.0f} repeats halve that" in gain
        assert gain.endswith(f"{more} more source models and as many transfers, about {2 * more} hours")
    else:
        assert "no number of repeats halves that" in gain
    assert accuracy.startswith("optdigits (fixed), accuracy: ")


def test_reference_models_are_transferred_again_by_a_recipe_of_other_seeds():
    run = run_of({**GIVEN, "variance": {"retransfers": 2}})
    again = {key[2]: transfer for key, transfer in run.transfers.items() if key[0] == "reference"}
    assert set(again) == {"fixed", "fixed+reseeded", "fixed+reseeded2"}
    assert [run.recipe("optdigits", name)["reseed"] for name in again] == [0, 1, 2]
    files = run.inputs("variance", {"target": "optdigits", "recipe": "fixed"})["transfers"]
    assert [path.rpartition("/")[2] for path in files] == [f"{name}.h5" for name in again]


@pytest.mark.parametrize("given", [{"variance": None}, {"studies": {"reference": None}}])
def test_without_it_nothing_is_transferred_again(given):
    counterfactual = {"counterfactual": None}
    studies = {**given.get("studies", {}), **counterfactual} if "studies" in given else {}
    run = run_of({**GIVEN, **given, **({"studies": studies} if studies else {})})
    assert not [recipe for _, _, recipe in run.transfers if "+" in recipe]
    assert run.jobs_of("variance") == []
    assert list(plan.advice(run, None, {})) == []
