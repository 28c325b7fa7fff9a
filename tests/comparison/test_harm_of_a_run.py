"""From summaries and answers to the file, the table, the picture and the page; and what is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from transferlens.comparison.capability import CAPABILITY as COMPARISON
from transferlens.comparison.harm import composites, figure, page, stored
from transferlens.comparison.harm.artefacts import HARM, INTERFERENCE_ANSWERS
from transferlens.core import artefacts, labelled
from transferlens.core.blocks import Table, Warnings
from transferlens.core.errors import ArtefactError, ConfigError
from transferlens.core.run import Run
from transferlens.data.capability import CAPABILITY as DATA
from transferlens.estimation import designs
from transferlens.influence.capability import CAPABILITY as INFLUENCE
from transferlens.training.capability import CAPABILITY as TRAINING

MODELS, IMAGES, RECIPES = 48, 60, ["full", "fixed"]
UNITS = [f"class {i}" for i in range(8)]
HARMFUL, HARM_DONE = [1, 5], 0.15


def summary(rng, masks, harm, metric="global"):
    """Models that two classes make worse; select half first."""
    chance = 0.8 - harm * (masks[:, HARMFUL].sum(1, keepdims=True) - 1)
    correct = rng.random((len(masks), IMAGES)) < chance
    halves = np.repeat(["select", "report"], IMAGES // 2)
    accuracy = np.stack([correct[:, halves == half].mean(1) for half in ("select", "report")], axis=1)
    return xr.Dataset(
        {
            "model": ("model", np.arange(len(masks))),
            "mask": (("model", "unit"), masks),
            "unit": ("unit", np.array(UNITS, object)),
            "half": ("half", ["select", "report"]),
            "accuracy": (("model", "half"), accuracy),
            "correct": (("model", "example"), correct),
            "example_half": ("example", halves),
            "example_class": ("example", np.tile(["a", "b", "c"], IMAGES // 3)),
        },
        attrs={"metric": metric},
    )


def answer_file(path, rng, masks):
    seen = masks[:, np.arange(40) % len(UNITS)]
    with artefacts.create(path, INTERFERENCE_ANSWERS) as out:
        out.attribute("skipped", "")
        for name in ("source_class", "target_class", "background", "overlay"):
            out.write(name, [f"{name} {i}" for i in range(40)])
        out.write("model", np.arange(len(masks)))
        out.write("mask", seen)
        out.write("drop", (0.1 * seen + rng.normal(0, 0.05, seen.shape)).astype(np.float32))
    return path


@pytest.fixture(scope="module")
def masks():
    return designs.draw_masks("complementary", len(UNITS), 0.5, 0, range(MODELS))


@pytest.fixture(scope="module")
def harm(masks, tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("harm") / "comparison" / "optdigits", np.random.default_rng(0)
    folder.mkdir(parents=True)
    summaries = {name: summary(rng, masks, h) for name, h in zip(RECIPES, (HARM_DONE, 0), strict=True)}
    answers = [answer_file(folder / f"{name}.h5", rng, masks) for name in RECIPES]
    settings = {"harmful": 2, "estimator": "difference_of_means"}
    stored.write(folder / "harm.h5", summaries, answers, settings)
    figure.draw(folder / "harm.png", labelled.read(folder / "harm.h5", HARM))
    return folder


def compared(**given):
    given = {"recipes": RECIPES, "influences": RECIPES, "models": 2, **given}
    return {"comparison": given, "studies": {"reference": {"repeats": 8}, "influence": {"models": MODELS}}}


def run_of(**changed):
    given = {
        "source": "digits-and-clothes",
        "targets": {"optdigits": {}},
        "recipes": {"full": {"kind": "full"}, "fixed": {"kind": "fixed"}},
    }
    return Run({**given, **compared(), **changed}, [DATA, TRAINING, INFLUENCE, COMPARISON])


def test_the_file_and_the_table_tell_the_same(harm):
    made = labelled.read(harm / "harm.h5", HARM)
    assert [set(names) for names in made.harmful_class.values] == [{"class 1", "class 5"}] * 2
    assert made.effect.values[0] == pytest.approx(-HARM_DONE, abs=0.03)
    assert made.class_effect.mean(("fold", "rank")).values == pytest.approx(made.effect.values)
    assert made.effect_difference_low.values[1] > 0
    assert (made.interference_low.values > 0).all()
    assert (made.attrs["models"], made.attrs["images"], made.attrs["composites"]) == (MODELS, 30, 40)
    table = stored.table(made).set_index(["recipe", "quantity"])
    assert len(table) == 2 * (4 + 4)
    line = table.loc[[("fixed", "effect_difference")]].iloc[0]
    assert line["value"] == made.effect_difference.values[1]
    assert line["holm"] == made.effect_difference_holm.values[1]
    assert Image.open(harm / "harm.png").width > 300


def test_the_page_tells_every_recipe_and_counts_its_tests(harm):
    run, made = run_of(), labelled.read(harm / "harm.h5", HARM)
    results = SimpleNamespace(folder=harm.parents[1], harm=lambda target: made)
    shown = list(page.blocks(run, results, "optdigits"))
    tables = [block for block in shown if isinstance(block, Table)]
    assert [[row[0] for row in table.rows] for table in tables] == [RECIPES, RECIPES]
    cells = [cell for table in tables for row in table.rows for cell in (row[3], row[6])]
    assert page.tests(run, results, "optdigits") == sum(cell != "" for cell in cells) == 6
    assert shown[-1].path == harm / "harm.png"
    assert "not established" not in shown[-2].text
    weaker = made.assign(effect_high=made.effect_high + 1)
    results = SimpleNamespace(folder=harm.parents[1], harm=lambda target: weaker)
    assert "not established" in list(page.blocks(run, results, "optdigits"))[-2].text
    assert not list(page.blocks(run_of(**compared(influences=[])), results, "optdigits"))


def test_what_cannot_be_told_says_why(masks, tmp_path):
    rng, few = np.random.default_rng(0), masks[:12]
    composites.write_none(tmp_path / "none.h5", np.arange(12), "too few pixels")
    stored.write(
        tmp_path / "harm.h5",
        {"full": summary(rng, few, 0)},
        [tmp_path / "none.h5"],
        {"harmful": 2, "estimator": "difference_of_means"},
    )
    made = labelled.read(tmp_path / "harm.h5", HARM)
    assert "raise studies.influence.models" in made.attrs["effect_missing"]
    assert made.attrs["interference_missing"] == "too few pixels"
    assert made.effect.isnull().all()
    assert made.interference.isnull().all()
    figure.draw(tmp_path / "harm.png", made)
    results = SimpleNamespace(folder=tmp_path, harm=lambda target: made)
    shown = list(page.blocks(run_of(), results, "optdigits"))
    assert [type(block) for block in shown[:-1]] == [Warnings, Warnings]
    assert page.tests(run_of(), results, "optdigits") == 0


def test_three_models_tell_of_no_interference(masks, tmp_path):
    path = answer_file(tmp_path / "few.h5", np.random.default_rng(0), masks[:3])
    assert stored.interfering([path], masks[:3]) == (
        None,
        40,
        "no source class was seen by two models and left out of two",
    )


def test_an_area_has_effects_without_intervals(masks):
    answers = [stored.answers_of(summary(np.random.default_rng(0), masks, 0.1, "auroc"))] * 2
    found, reason = stored.harmful(answers, 2, "difference_of_means")
    assert found.mean.value[0, 0] == pytest.approx(-0.1, abs=0.05)
    assert np.isnan(found.mean.low).all()
    assert np.isnan(found.mean.p).all()
    assert "no mean over images" in reason


def test_classes_count_alike_where_accuracy_is_their_mean(masks):
    made = summary(np.random.default_rng(0), masks, 0)
    made["example_class"] = ("example", np.array(["a"] * 50 + ["b"] * 10))
    weights = stored.answers_of(made.assign_attrs(metric="per_class")).weights
    np.testing.assert_allclose(weights, np.repeat([1 / 20, 1 / 10], [20, 10]))


def test_other_models_under_another_recipe_are_refused(masks, tmp_path):
    rng = np.random.default_rng(0)
    one, other = summary(rng, masks, 0), summary(rng, masks, 0).isel(model=slice(0, 46))
    with pytest.raises(ArtefactError, match="delete them"):
        stored.write(
            tmp_path / "harm.h5",
            {"full": one, "fixed": other},
            [],
            {"harmful": 2, "estimator": "difference_of_means"},
        )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (compared(influences=["fixed"]), "without the plain recipe 'full'"),
        (compared(recipes=["full"]), "names 'fixed', which is not among the recipes"),
        (
            {**compared(), "studies": {"reference": {"repeats": 8}, "influence": None}},
            "studies.influence is null",
        ),
    ],
)
def test_influences_without_what_they_need_are_refused(changed, words):
    with pytest.raises(ConfigError, match=words):
        run_of(**changed)
