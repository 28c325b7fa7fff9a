"""The page shows the analyses that were made, and finer classes where there are some."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import xarray as xr

from tests.runs import small_run
from transferlens.analyses import page
from transferlens.core.blocks import Figure, Table


def test_only_what_was_made_is_shown_with_finer_classes_where_there_are_some(tmp_path):
    folder = tmp_path / "analyses/subpopulations"
    row = {"target_class": "dog", "source_class": "wolf", "examples": 40, "of_the_class": 7}
    row |= {"auroc": 0.81251, "low": 0.7, "high": 0.9, "auroc_fold_0": 0.8, "auroc_fold_1": 0.75}
    missing = row | {"auroc_fold_0": "", "auroc_fold_1": ""}
    numbers = {"mean_expected_change": 0.25, "mean_change": 0.125, "placebo_change": np.nan}
    numbers |= {"mean_change_low": -0.5, "mean_change_high": 0.75}
    failures = xr.Dataset(numbers, attrs={"choosing_models": 3, "reporting_models": 2})
    for target, rows in (("optdigits", [row, missing]), ("usps", [])):
        (folder / target).mkdir(parents=True)
        pd.DataFrame(rows, columns=list(row)).to_csv(folder / target / "fixed-finer.csv", index=False)
    run = small_run(targets={"usps": {"sizes": [3]}}, studies={"counterfactual": None})
    by_target = {}
    results = SimpleNamespace(folder=tmp_path, failures=lambda *_: failures)
    for section in page.sections(run, results):
        assert section.method == "analyses"
        by_target.setdefault(section.subject.title, {})[section.anchor] = section
    optdigits, usps = (by_target[f"Target {name}, recipe fixed"] for name in ("optdigits", "usps"))
    assert list(optdigits) == ["subpopulations", "failures"]
    assert list(usps) == ["subpopulations", "failures", "small-targets"]
    picture, finer = optdigits["subpopulations"].blocks
    assert not [block for block in usps["subpopulations"].blocks if isinstance(block, Table)]
    assert isinstance(picture, Figure)
    assert picture.path == folder / "optdigits/fixed.png"
    start = ("dog", "wolf", "40", "7", "0.813 (0.700 to 0.900)")
    assert finer.rows == ((*start, "0.800, 0.750"), (*start, "left out, left out"))
    _, mean = optdigits["failures"].blocks
    assert [cells[1:] for cells in mean.rows] == [
        ("+0.25", ""),
        ("+0.125", "-0.5 to +0.75"),
        ("left out", "it takes three full-source models that report"),
    ]


def test_nothing_is_said_without_influences(tmp_path):
    run = small_run(studies={"influence": None})
    assert list(page.sections(run, SimpleNamespace(folder=tmp_path))) == []
