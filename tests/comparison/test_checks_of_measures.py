"""Data sets for probes are refused before anything runs, in one line that says what to do."""

import pytest

from tests.runs import ROOMS
from transferlens.comparison.capability import CAPABILITY as COMPARISON
from transferlens.core.configuration import merged
from transferlens.core.errors import TransferlensError
from transferlens.core.run import Run

BASE = {
    "source": "digits-and-clothes",
    "targets": {"optdigits": {}},
    "recipes": {"fixed": {"kind": "fixed"}, "full": {"kind": "full"}},
    "comparison": {},
}


def run_with(others, **more) -> Run:
    return Run(merged({**BASE, "comparison": {"others": others}}, more), [*ROOMS, COMPARISON])


def test_the_source_and_targets_may_be_probed() -> None:
    run_with(["optdigits", "digits-and-clothes"]).check_data()


@pytest.mark.parametrize(
    ("others", "more", "words"),
    [
        (["optdigit"], {}, "unknown data set 'optdigit' .did you mean 'optdigits'"),
        (
            ["nothing"],
            {"datasets": {"nothing": {"of": "optdigits", "classes": {"first": 1}}}},
            "'nothing': it has one class, .*, or take it out",
        ),
        (
            ["small"],
            {"datasets": {"small": {"of": "optdigits", "train_per_class": 1}}},
            "datasets.small.train_per_class is 1, .* raise it to 2, or take it out",
        ),
    ],
)
def test_what_cannot_be_probed_is_refused(others, more, words) -> None:
    with pytest.raises(TransferlensError, match=words) as refused:
        run_with(others, **more).check_data()
    assert "\n" not in str(refused.value)
