"""WordNet's hierarchy from a database in its own format, and from the real one where it is installed."""

from pathlib import Path

import pytest

from transferlens.core.errors import ConfigError, DataError
from transferlens.data import groups, wordnet

# Lines of data.noun, cut down: entity > animal > {dog > {hound, pet dog}, cat}; `pet dog` is also a pet.
DATABASE = """  1 licence text
00000001 03 n 01 entity 0 002 ~ 00000002 n 0000 ~ 00000007 n 0000 | that which is
00000002 05 n 02 animal 0 beast 0 003 @ 00000001 n 0000 ~ 00000003 n 0000 ~ 00000004 n 0000 | a living thing
00000003 05 n 01 dog 0 002 @ 00000002 n 0000 ~ 00000005 n 0000 | barks | loudly
00000004 05 n 01 cat 0 001 @ 00000002 n 0000 | meows
00000005 05 n 01 hunting_dog 1 001 @ 00000003 n 0000 | hunts
00000006 05 n 01 pet_dog 0 003 @ 00000003 n 0000 @ 00000007 n 0000 + 00000009 v 0101 | at home
00000007 05 n 01 pet 0 002 @ 00000001 n 0000 @i 00000002 n 0000 | kept
"""
CLASSES = ["n00000005", "n00000006 pet dog", "n00000004"]


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "data.noun"
    path.write_text(DATABASE)
    return path


def test_groups_are_ancestors_at_a_level(database):
    assert wordnet.groups_at_level(CLASSES, 1, database) == ["animal (n00000002)"] * 3
    dog = "dog (n00000003)"
    assert wordnet.groups_at_level(CLASSES, 2, database) == [dog, dog, "cat (n00000004)"]
    assert wordnet.groups_at_level(CLASSES, 9, database)[0] == "hunting dog (n00000005)"


def test_a_subtree_is_reached_by_any_parent(database):
    assert wordnet.classes_below("n00000003", CLASSES, database) == CLASSES[:2]
    assert wordnet.classes_below("n00000007", CLASSES, database) == CLASSES[1:2]
    assert wordnet.classes_below("n00000001", CLASSES, database) == CLASSES


def test_what_wordnet_does_not_have_is_named(database, tmp_path):
    with pytest.raises(ConfigError, match="'n00000099' is no noun"):
        wordnet.classes_below("n00000099", CLASSES, database)
    with pytest.raises(ConfigError, match=r"no source class lies below cat .n00000004"):
        wordnet.classes_below("n00000004", CLASSES[:2], database)
    with pytest.raises(ConfigError, match="class 'digit 1' has no WordNet id"):
        wordnet.groups_at_level(["digit 1"], 1, database)
    with pytest.raises(DataError, match="install the Debian package wordnet-base"):
        wordnet.groups_at_level(CLASSES, 1, tmp_path / "none")


@pytest.mark.skipif(not Path("/usr/share/wordnet/data.noun").exists(), reason="wordnet-base is not installed")
def test_the_real_database_knows_that_a_beagle_is_a_dog():
    beagle, ostrich = "n02088364", "n01518878"
    assert wordnet.classes_below("n02084071", [beagle, ostrich]) == [beagle]
    found = groups.read_groups("wordnet-9", [beagle, ostrich, "n02100735"])
    assert found[0] == found[2] != found[1]
