"""The smoke study's ranked examples and panels, through the read API."""

import numpy as np
import pytest
from PIL import Image

from transferlens import open_results

pytestmark = pytest.mark.workflow


def test_examples_are_ranked_and_drawn(smoke):
    results = open_results(smoke / "results")
    ranked = results.ranked_examples("optdigits", "full")
    assert (np.diff(ranked.score) <= 0).all()
    np.testing.assert_allclose(ranked.score, ranked.distraction * ranked.overlap)
    np.testing.assert_array_equal(ranked.wrong, ranked.predicted != ranked.true)
    assert (ranked.memory != ranked.true).all()  # of the same name, it would be no distraction
    report = results.dataset("optdigits").val.halves == 1
    assert sorted(ranked.position.values) == np.flatnonzero(report).tolist()
    tested = ranked.removal_effect_p.notnull().values
    assert tested[0]
    assert tested.sum() == min(50, len(tested))
    shown = results.memory_panels("optdigits", "full")
    natural = shown.isel(row=(shown.kind == "natural").values)
    n = natural.sizes["row"]
    assert natural.example.values.tolist() == ranked.example.values[:n].tolist()
    assert natural.predicted.values.tolist() == ranked.predicted.values[:n].tolist()
    # Of the fine-tuned model's own class, recorded twice: in the ranking, and with its map.
    drawn = natural.probability.sel(role="predicted")
    np.testing.assert_allclose(drawn, ranked.p_predicted[:n], atol=1e-4)
    for name in ("figure", "examples"):
        with Image.open(smoke / f"results/memories/optdigits/full/{name}.png") as picture:
            assert picture.size[0] > 400
