"""Units of the masks: classes, groups of classes, blocks of images; and the tables of groups."""

import numpy as np
import pytest

from transferlens.core.errors import ConfigError
from transferlens.data import groups, units
from transferlens.data.index import Examples, Index

LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 0])
TRAIN = Examples([f"{i}" for i in range(8)], LABELS, np.zeros(8), np.arange(8), np.ones((8, 2)), LABELS)
SOURCE = Index(["cat", "dog", "car"], ["pet", "pet", "thing"], TRAIN, TRAIN, ["cat", "dog", "car"])


def test_units_divide_the_images():
    assert units.class_units(SOURCE).of_images.tolist() == LABELS.tolist()
    grouped = units.group_units(SOURCE)
    assert grouped.names == ["pet", "thing"]
    assert grouped.of_images.tolist() == [0, 0, 1, 0, 0, 1, 0, 0]
    blocks = units.block_units(SOURCE, 3)
    assert blocks.names == ["cat / 0-2", "cat / 3-3", "dog / 0-1", "car / 0-1"]
    assert blocks.of_images.tolist() == [0, 2, 3, 0, 2, 3, 0, 1]
    assert units.block_units(SOURCE, 1).of_images.max() == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class,group\ncat,pet\ndog,pet\n", "class 'car' has no group .1 of 3"),
        ("class,group\ncat,a\ndog,a\ncar,b\ncow,b\n", "unknown class 'cow' .known: car"),
        ("class,group\ncat,a\ncat,b\ndog,a\ncar,b\n", "class 'cat' must have one group, once"),
        ("class,group\ncat,a\ndog,a\ncar,a\n", "all classes are in one group"),
        ("name,group\ncat,a\n", "column 'class' is missing; needs class, group; has name, group"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path, text, message):
    (tmp_path / "groups.csv").write_text(text)
    with pytest.raises(ConfigError, match=message):
        groups.read_groups(tmp_path / "groups.csv", SOURCE.class_names)


def test_a_table_gives_the_groups_in_the_order_of_the_classes(tmp_path):
    (tmp_path / "groups.csv").write_text("group,class\nx,car\ny,dog\ny,cat\n")
    assert groups.read_groups(tmp_path / "groups.csv", SOURCE.class_names) == ["y", "y", "x"]
    with pytest.raises(ConfigError, match="cannot be read"):
        groups.read_groups(tmp_path / "none.csv", SOURCE.class_names)
