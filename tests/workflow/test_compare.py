"""Results folders side by side: the smoke study against a copy, and against a copy with a planted change."""

import shutil

import h5py
import numpy as np
import pandas as pd
import pytest

from transferlens.core.errors import TransferlensError
from transferlens.operations.compared import comparison

PARTS = ("influence", "heatmaps", "data/optdigits/index.h5", "studies/influence/masks",
         "studies/influence/summary", "studies/reference/masks", "studies/reference/summary")  # fmt: skip
MARGIN = "class influence on margin"


def _copy(results, folder):
    for part in PARTS:
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (results / part).is_dir() else shutil.copy
        copy(results / part, folder / part)
    return folder


def test_a_copy_is_the_same_and_a_planted_change_is_found(smoke, tmp_path):
    base, same, other = (_copy(smoke / "results", tmp_path / name) for name in ("base", "same", "other"))
    with h5py.File(other / "influence/optdigits/fixed.h5", "r+") as file:
        se = file["margin/class_effect_se"][1, 2, 3]
        for end in ("", "_low", "_high"):
            file[f"margin/class_effect{end}"][1, 2, 3] += 0.5
        cell = f"{file['target_class'].asstr()[2]} / {file['source_class'].asstr()[3]}"
    for path in other.glob("studies/influence/masks/*.h5"):  # as if other models told so
        with h5py.File(path, "r+") as file:
            file["training_seed"][:] += 1
    told = comparison.compare([base, same, other], tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / comparison.TABLE)
    copied = table[table.second == str(same)]
    assert (copied.difference == 0).all()
    assert (copied.how == "paired by model").all()
    influences = table[(table.second == str(other)) & (table.quantity == MARGIN)].set_index("of")
    assert influences.difference[cell] == pytest.approx(0.5)
    assert (influences.difference.drop(cell).abs() < 1e-12).all()
    assert (influences.how == "independent models").all()
    # Both sides have as many models and the same error: Welch's error is the root of two of it.
    reach = (influences.difference_high - influences.difference_low)[cell] / 2
    assert 1.95 * np.sqrt(2) * se < reach < 2.1 * np.sqrt(2) * se
    page = (tmp_path / "out" / comparison.PAGE).read_text(encoding="utf-8")
    assert "C minus A" in page
    assert "data:image/png" in page
    assert cell in told
    with pytest.raises(TransferlensError, match="lies in the results folder"):
        comparison.compare([base, same], base / "compared")
