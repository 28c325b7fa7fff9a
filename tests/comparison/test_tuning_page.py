"""What the page says of tuning, of results that are planted."""

import numpy as np
import pytest
import xarray as xr

from tests.comparison.test_tuning_space import small_run
from transferlens.comparison.scope import Contestant
from transferlens.comparison.tuning import page
from transferlens.comparison.tuning.choice import best_of

FULL, SCRATCH = Contestant("full+tuned", "full"), Contestant("full+scratch", "full", from_scratch=True)


def planted(accuracy, held_out=100, loss=None):
    """A choice of trials with one model each, of which the most accurate is chosen."""
    accuracy = np.array(accuracy)
    value = np.column_stack([0.1 * 2.0 ** np.arange(len(accuracy)), np.full(len(accuracy), 8.0)])
    value[0, 1] = np.nan
    return xr.Dataset(
        {
            "value": (("trial", "parameter"), value),
            "accuracy": (("trial", "model"), accuracy[:, None]),
            "loss": (("trial", "model"), np.ones((len(accuracy), 1)) if loss is None else loss),
            "seconds": (("trial", "model"), np.full((len(accuracy), 1), 900.0)),
            "chosen": ("trial", np.arange(len(accuracy)) == accuracy.argmax()),
            "best_of": ("budget", best_of(accuracy)),
        },
        {"parameter": ["training.lr", "rank"]},
        {"held_out": held_out, "trained": 400},
    )


def compared():
    names = ["full+tuned", "fixed+tuned", "full+scratch"]
    return xr.Dataset(
        {
            "base": ("recipe", ["full", "fixed", "full"]),
            "from_scratch": ("recipe", [False, False, True]),
            "published": ("recipe", [0.8, 0.7, 0.6]),
            "optimism": ("recipe", [0.05, 0.0, 0.02]),
            "optimism_low": ("recipe", [0.01, np.nan, -0.01]),
            "optimism_high": ("recipe", [0.09, np.nan, 0.05]),
        },
        {"recipe": names},
    )


class Planted:
    """Results in place of a folder's."""

    def choice(self, target, recipe):
        assert target == "optdigits"
        return planted([0.5, 0.7, 0.6, 0.6])

    def comparison(self, target):
        return compared()


def test_every_recipe_is_told_with_what_was_chosen_and_what_it_took():
    table = page.chosen_table(
        {FULL: planted([0.5, 0.7, 0.6, 0.0], loss=[[1], [1], [1], [np.inf]]), SCRATCH: planted([0.9, 0.2])}
    )
    assert table.rows == (
        ("full", "training.lr 0.1 -> 0.2; rank null -> 8", "0.500", "0.700", "1", "1"),
        ("full from scratch", "as written", "0.900", "0.900", "0", "0.5"),
    )


def test_budgets_are_shown_by_doubling_and_to_the_last():
    assert [page.budgets(n) for n in (1, 2, 8, 12)] == [[1], [1, 2], [1, 2, 4, 8], [1, 2, 4, 8, 12]]
    table = page.budget_table({FULL: planted([0.5, 0.7, 0.6, 0.6])})
    assert table.rows == (("full", "0.600", "0.650", "0.700"),)


@pytest.mark.parametrize(
    ("held_out", "said"), [(10, "more trials would tell luck"), (100, "gained by full: more")]
)
def test_whether_more_trials_pay_is_told_against_an_image(held_out, said):
    """From two to four trials 0.65 becomes 0.7."""
    told = page.whether_more(
        {FULL: planted([0.5, 0.7, 0.6, 0.6], held_out), SCRATCH: planted([0.9] * 4, held_out)}
    )
    assert "rises by 0.050 at most (full)" in told
    assert said in told


def test_the_published_protocol_stands_beside_the_last_epoch():
    rows = page.published_table(compared()).rows
    assert rows[0] == ("full", "0.800", "0.750", "+0.05", "+0.01 to +0.09")
    assert rows[1] == ("fixed", "0.700", "0.700", "+0", "no interval")


def test_all_of_it_is_on_the_page():
    made = list(page.blocks(small_run(), Planted(), "optdigits"))
    assert len(made) == 5
    assert "Every recipe has 4 trials" in made[0].text
    assert {row[0] for row in made[1].rows} == {"fixed", "full", "full from scratch"}
    alone = small_run(comparison={"published": False, "trials": 1})
    assert len(list(page.blocks(alone, Planted(), "optdigits"))) == 2
