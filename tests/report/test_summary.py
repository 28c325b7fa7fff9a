"""The summary gathers, by target and recipe, what sections declare, and leads to where it is told."""

import numpy as np

from transferlens.core import blocks
from transferlens.core.blocks import (
    Card,
    Finding,
    Kind,
    Section,
    Subject,
    Verdict,
    Within,
    adaptation,
    p_value,
)
from transferlens.report import frame, summary

PETS, BIRDS = adaptation("pets", "full"), adaptation("birds", "full")
MEMORIES = Subject("Memories of pets", "memories-pets-full", "Memories: pets", PETS.about)
GIVEN = (
    Section("Checks", "checks", (), PETS, warnings=("pets (full): few models.", "masks have one size")),
    Section("Influences", "influences", (), PETS, findings=(Finding(Kind.HURTS, "cup hurts", "q 0.01"),)),
    Section("", "headline", (), PETS, headline=(Card("accuracy", "0.8", "95 % 0.7 to 0.9"),)),
    Section("", "seen", (), MEMORIES, findings=(Finding(Kind.HELPS, "lynx helps"),)),
    Section("", "headline", (), MEMORIES, headline=(Card("interference", "+0.1", "no interval"),)),
    Section("Influences", "influences", (), BIRDS, headline=(Card("accuracy", "0.5", "one model"),)),
    Section("", "run", (), Subject("What was run", "run", "Run"), warnings=("pets lack images",)),
)


def test_findings_of_a_target_and_recipe_stand_together_by_kind_with_links(tmp_path):
    made = {section.anchor: section for section in summary.sections(GIVEN)}
    assert list(made) == ["lead", "side-by-side", "of-pets-full"]  # of birds nothing is found
    (table,) = made["of-pets-full"].blocks
    assert table.rows == (
        (Verdict("helps", True), "lynx helps", "", Within("Memories of pets", "memories-pets-full")),
        (Verdict("hurts", False), "cup hurts", "q 0.01", Within("Influences", "pets-full-influences")),
        ("take care", "Few models.", "", Within("Checks", "pets-full-checks")),
    )
    frame.write_page(tmp_path / "index.html", "t", "l", [*made.values(), *GIVEN])
    page = (tmp_path / "index.html").read_text()
    assert page.index('id="summary"') < page.index('id="warnings"') < page.index('id="pets-full"')
    for row in table.rows:
        assert f'href="#{row[3].anchor}"' in page
        assert f'id="{row[3].anchor}"' in page


def test_targets_and_recipes_stand_side_by_side_with_their_intervals():
    made = {section.anchor: section for section in summary.sections(GIVEN)}
    (table,) = made["side-by-side"].blocks
    assert [column.name for column in table.head] == ["target (recipe)", "accuracy", "interference"]
    assert table.rows == (
        (Within("pets (full)", "pets-full"), "0.8 (0.7 to 0.9)", "+0.1 (no interval)"),
        (Within("birds (full)", "birds-full"), "0.5 (one model)", ""),
    )


def test_a_page_about_no_target_has_no_summary():
    assert list(summary.sections(GIVEN[-1:])) == []


def test_p_values_are_read_without_exponents():
    assert [p_value(p) for p in (1.0, 0.0512, 0.00081, 3.5e-5, 0.0)] == [
        "1",
        "0.051",
        "0.00081",
        "< 0.0001",
        "< 0.0001",
    ]


def test_numbers_have_the_digits_that_their_interval_allows():
    assert blocks.signed_estimate(0.000137, -0.1511, 0.0152) == "+0 (-0.151 to +0.015)"
    assert blocks.signed_range(-0.00253, 0.164) == "-0.003 to +0.164"
    assert blocks.signed_estimate(1.237e-5, 1e-6, 3.3e-5) == "+0.0000124 (+0.000001 to +0.000033)"
    assert blocks.signed_estimate(0.25, np.nan, np.nan) == "+0.25 (+nan to +nan)"
    assert [blocks.signed(n) for n in (999.7, -12345, 1.5, 0)] == ["+1,000", "-12,345", "+1.5", "+0"]
