"""From features of models to the artefact, the table, the figures and the page, with a known arithmetic."""

import numpy as np
import pytest

from tests.relatedness import planted
from transferlens.core import labelled
from transferlens.relatedness import figures, page, stored
from transferlens.relatedness.artefacts import QUANTITIES, RELATEDNESS


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Six full-source models and six random ones, related."""
    planted.plant(monkeypatch)
    study = planted.rows(6)
    sides = [
        stored.side(name, planted.index_of(classes), planted.write_features(tmp_path, classes, study), chosen, 8, 0)
        for name, classes, chosen in (
            ("source", planted.REFERENCE, {"first": 4}),
            ("digits", planted.TARGET, None),
        )
    ]
    path = tmp_path / "made.h5"
    stored.write_relatedness(path, *sides, 10, planted.GRID, planted.TOLD)
    return labelled.read(path, RELATEDNESS)


def test_x(made, tmp_path):
    print(made)
    print(page.question(made, "digits"))
    for b in page._blocks(made, tmp_path): print(b)
    print(list(page.warnings(made)))
    for name in ("bounds", "models", "taus", "classes", "trace"):
        from pathlib import Path
        figures.figures.save(getattr(figures, name)(made), Path(f"/tmp/hrel-{name}.png"))
