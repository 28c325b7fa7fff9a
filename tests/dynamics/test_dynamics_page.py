"""What the page of a run says of feature dynamics: stored numbers, pictures that steps draw, its tests."""

from pathlib import Path

import pytest

from tests.dynamics import similarities
from transferlens import open_results
from transferlens.capabilities import run_of
from transferlens.core.blocks import Cards, Figure, Link, Table
from transferlens.dynamics import page
from transferlens.report.methods import anchor

STATISTICS = Path(__file__).resolve().parents[2] / "docs" / "statistics.md"
GIVEN = {
    "source": "digits-and-clothes",
    "targets": {"optdigits": {"recipes": ["full"]}},
    "recipes": {"full": {"kind": "full"}},
    "dynamics": {"models": 3},
}


def of(folder, **more):
    """The sections of planted similarities, by anchor."""
    similarities.write(folder, "optdigits", **more)
    return {section.anchor: section for section in page.sections(run_of(GIVEN), open_results(folder))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def sections(folder):
    return of(folder)


def blocks(section, kind):
    return [block for block in section.blocks if isinstance(block, kind)]


def test_the_tables_hold_the_stored_numbers_of_both_domains_with_their_references(sections, folder):
    stored = open_results(folder).similarity("optdigits", "full")
    tables = blocks(sections["dynamics-layers"], Table)
    assert len(tables) == 2
    for i, table in enumerate(tables):
        last = dict(zip([column.name for column in table.head], table.rows[-1], strict=True))
        of_end = stored.isel(domain=i, layer=-1, step=-1)
        assert last["layer"] == "backbone (end)"
        value, low, high = (float(of_end[f"mean_to_start{end}"]) for end in ("", "_low", "_high"))
        assert last["to step 0 (95 %)"] == f"{value:.3f} ({low:.3f} to {high:.3f})"
        assert (last["null"], last["at random"], last["other seed"]) == ("0.040", "0.300", "0.500")
        assert table.rows[0][-1] == ""  # the first layer did not change
    assert sections["dynamics"].tests == int(stored.mean_to_start_q.notnull().sum())
    (link,) = blocks(sections["dynamics"], Link)
    assert (folder / "report" / link.address).resolve() == folder / "dynamics/optdigits/full/dynamics.html"


def test_few_models_and_batches_are_told_at_the_head_and_one_model_has_no_interval(tmp_path):
    made = of(tmp_path, models=1)["dynamics"]
    assert len(made.warnings) == 2
    (cards,) = blocks(made, Cards)
    assert cards.cards[0].detail == "no interval: one model"


def test_every_picture_of_the_page_is_drawn_by_a_step_and_has_words(sections):
    drawn = {
        path.split("optdigits/full/")[1] for path in run_of(GIVEN).shown() if "dynamics/optdigits" in path
    }
    shown = [figure for section in sections.values() for figure in blocks(section, Figure)]
    assert {figure.path.name for figure in shown} <= drawn
    assert all(figure.alt and figure.caption for figure in shown)


def test_the_method_is_told_in_the_page_of_statistics(sections):
    heads = {anchor(line[3:]) for line in STATISTICS.read_text().splitlines() if line.startswith("## ")}
    assert {section.method for section in sections.values()} <= heads
