"""The page shows the analyses that were made, and finer classes where there are some."""

from types import SimpleNamespace

import pandas as pd

from transferlens.analyses import page
from transferlens.core.blocks import Figure, Table


def test_only_what_was_made_is_shown_with_finer_classes_where_there_are_some(tmp_path):
    folder = tmp_path / "analyses/subpopulations"
    row = {"target_class": "dog", "source_class": "wolf", "examples": 40, "of_the_class": 7}
    row |= {"auroc": 0.81251, "low": 0.7, "high": 0.9}
    for target, rows in (("pets", [row]), ("cars", [])):
        (folder / target).mkdir(parents=True)
        pd.DataFrame(rows, columns=list(row)).to_csv(folder / target / "full-finer.csv", index=False)
    run = {
        "adaptations": [("pets", "full"), ("cars", "full")],
        "analyses": {"pets": ["failures", "subpopulations"], "cars": ["subpopulations"]},
    }
    pets, failures, cars = page.sections(run, SimpleNamespace(folder=tmp_path))
    assert [pets.anchor, failures.anchor, cars.anchor] == ["subpopulations", "failures", "subpopulations"]
    picture, finer = pets.blocks
    assert isinstance(picture, Figure)
    assert picture.path == folder / "pets/full.png"
    assert finer.rows == (("dog", "wolf", "40", "7", "0.813 (0.700 to 0.900)"),)
    assert not [block for block in cars.blocks if isinstance(block, Table)]
    assert cars.subject.title == "Target cars, recipe full"
