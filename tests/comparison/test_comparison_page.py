"""What the page says of a comparison: what is stored, with its reasons, and as many tests as it shows."""

from pathlib import Path

import numpy as np
import pytest

from tests.comparison import planted
from transferlens import open_results
from transferlens.capabilities import run_of
from transferlens.comparison import page, scope
from transferlens.comparison.capability import CAPABILITY
from transferlens.comparison.compared import stored, tables
from transferlens.comparison.compared.artefacts import COMPARISON
from transferlens.core.blocks import Cards, Figure, Place, Prose, Table
from transferlens.core.errors import ConfigError
from transferlens.report.methods import anchor

STATISTICS = Path(__file__).resolve().parents[2] / "docs" / "statistics.md"
GIVEN = {
    "source": "digits-and-clothes",
    "targets": {"optdigits": {"sizes": [5], "recipes": ["full"]}},
    "recipes": {"full": {"kind": "full"}, "ema": {"kind": "full"}},
    "comparison": {"recipes": ["ema"], "published": False},
}


def write(folder, target, of, **more):
    place = folder / COMPARISON.path.format(target=target)
    place.parent.mkdir(parents=True)
    stored.write(place, of, [stored.Tuned(0.6)] * len(of.contestants), planted.settings(of, **more))


@pytest.fixture
def sections(tmp_path, monkeypatch):
    """Of a target with a part: the same recipes, of a part with less accuracy."""
    monkeypatch.setattr(page, "_other_parts", lambda *given: iter(()))

    def make(models=3, images=120, **more):
        write(
            tmp_path,
            "optdigits@5",
            planted.study({"full": 0.6, "ema": 0.62}, models, images),
            train_images=50,
        )
        write(tmp_path, "optdigits", planted.study({"full": 0.7, "ema": 0.8}, models, images), **more)
        made = page.sections(run_of(GIVEN), open_results(tmp_path))
        return {section.anchor: section for section in made}

    return make


def blocks(section, kind):
    return [block for block in section.blocks if isinstance(block, kind)]


def test_the_recommendation_comes_first_with_its_sentences(sections, tmp_path):
    first, *_ = made = list(sections().values())
    stored_one = open_results(tmp_path).comparison("optdigits")
    assert first.place == Place.HEADLINE
    assert [prose.text for prose in blocks(first, Prose)] == [stored_one.why, stored_one.surer]
    (cards,) = blocks(first, Cards)
    assert cards.cards[0].value == "ema"
    assert (
        cards.cards[1].value == f"{float(stored_one.sel(recipe='ema+tuned', measure='accuracy').value):.3f}"
    )
    assert {section.subject.title for section in made} == {"Recipes on optdigits"}
    assert first.tests == 2  # the other recipe, and the gain of choosing
    assert first.warnings == ()


def test_tables_hold_every_measure_once_and_count_their_tests(sections, tmp_path):
    made = sections()
    shown = [column.name for table in blocks(made["measures"], Table) for column in table.head]
    # The mean of classes is the accuracy: images are of all classes alike.
    assert {tables.SHORT[name] for name in tables.SHORT if name != "class_mean_accuracy"} <= set(shown)
    differing = blocks(made["differences"], Table)
    cells = [cell for table in differing for row in table.rows for cell in row[1:]]
    assert sum(", p " in cell for cell in cells) == made["differences"].tests > 10
    assert [row[0] for row in differing[0].rows] == ["ema", "full from scratch"]
    assert "Models from scratch have no source: full from scratch (probe on the source)" in differing[1].note


def test_sizes_are_told_beside_the_whole_target(sections):
    made = sections()["rates"]
    (table,) = blocks(made, Table)
    assert [row[0] for row in table.rows] == ["50", "100"]
    assert made.tests == 1 - ("p " not in table.rows[0][-1])
    assert blocks(made, Figure)[0].path.name == "rates.png"


def test_few_models_and_images_and_recipes_left_out_are_said(sections):
    made = sections(models=2, images=30, left_out={"tpgm": "it needs held-out images"})
    few, images = made["recommendation"].warnings
    assert "fewer than 3 models" in few
    assert "only 30 images" in images
    (table,) = blocks(made["left-out"], Table)
    assert table.rows == (("tpgm", "it needs held-out images"),)


def test_the_method_is_a_heading_of_the_statistics(sections):
    headings = {anchor(line[3:]) for line in STATISTICS.read_text().splitlines() if line.startswith("## ")}
    assert {section.method for section in sections().values()} - {""} <= headings


def test_nothing_is_said_where_nothing_is_compared(tmp_path):
    run = run_of({**GIVEN, "comparison": None})
    assert list(page.sections(run, open_results(tmp_path))) == []


def test_a_plain_recipe_that_cannot_be_had_is_refused(monkeypatch):
    monkeypatch.setattr(scope, "left_out", lambda run, target, recipe: "no layer" * (recipe == "full"))
    run = run_of(GIVEN)
    with pytest.raises(ConfigError, match=r"comparison\.plain is 'full', which cannot be had on optdigits"):
        CAPABILITY.check_networks(run)


def test_numbers_are_told_as_they_are_known():
    assert tables._with_ends(np.nan, np.nan, np.nan) == "–"
    assert tables._with_ends(0.0, np.nan, np.nan) == "0"
    assert tables._with_ends(0.25, np.nan, np.nan) == "+0.250"
    assert tables._with_ends(0.25, 0.0, 0.5) == "+0.250 (+0.000 to +0.500)"
    assert tables.p_text(0.04) == "p 0.04 *"
    assert tables.p_text(0.05) == "p 0.05"
