"""Classes that mean the same: as named, as confirmed, or as WordNet proposes; and what a table may not be."""

import numpy as np
import pytest

from transferlens.core.errors import ConfigError
from transferlens.data import wordnet
from transferlens.memories import overlap

SOURCE, TARGET = ["digit 0", "tabby cat", "espresso"], ["cat", "dog", "Digit_0"]
HEADER = "source_class,target_class,confirmed\n"


def written(tmp_path, text):
    path = tmp_path / "overlap.csv"
    path.write_text(text)
    return path


def test_names_agree_but_for_case_and_underscores():
    expected = np.zeros((3, 3), bool)
    expected[0, 2] = True
    np.testing.assert_array_equal(overlap.read_overlap("names", None, SOURCE, TARGET), expected)
    assert not overlap.read_overlap("none", None, SOURCE, TARGET).any()


def test_confirmed_pairs_overlap(tmp_path):
    path = written(tmp_path, HEADER + "tabby cat,cat,yes\ntabby cat,dog,No\n")
    found = overlap.read_overlap("table", path, SOURCE, TARGET)
    assert np.argwhere(found).tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER, "no pair of classes in it; `snakemake propose_overlap` drafts"),
        ("", "column 'source_class' is missing; needs source_class, target_class, confirmed; has none"),
        (HEADER + "tabby cat,cat,\n", "line 2: 'tabby cat' and 'cat' are not confirmed (found '')"),
        (HEADER + "tabby cat,cat,maybe\n", "(found 'maybe'); write yes if"),
        (HEADER + "taby cat,cat,yes\n", "unknown source class 'taby cat' (did you mean 'tabby cat'?)"),
        (HEADER + "tabby cat,cart,yes\n", "unknown target class 'cart' (did you mean 'cat'?)"),
        (
            "source_class,target_class\nx,y\n",
            "column 'confirmed' is missing; needs source_class, target_class",
        ),
        (HEADER + "tabby cat\n", "unknown target class ''"),
    ],
)
def test_a_table_that_does_not_say_is_refused_in_one_line(tmp_path, text, message):
    with pytest.raises(ConfigError) as caught:
        overlap.read_table(written(tmp_path, text), SOURCE, TARGET)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "overlap.csv") in str(caught.value)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.csv: no such table of overlapping classes"):
        overlap.read_table(tmp_path / "none.csv", SOURCE, TARGET)


def test_names_alone_need_no_wordnet(monkeypatch):
    monkeypatch.setattr(wordnet, "_synsets", None)
    found = overlap.propose(SOURCE, TARGET)
    assert found.values.tolist() == [["digit 0", "Digit_0", "", "same name"]]


def test_wordnet_proposes_what_lies_below_or_above(monkeypatch):
    hierarchy = {
        "n1": ("animal", []),
        "n00000002": ("cat", ["n1"]),
        "n00000003": ("tabby", ["n00000002"]),
        "n00000004": ("dog", ["n1"]),
    }
    monkeypatch.setattr(wordnet, "_synsets", lambda database: hierarchy)
    source = ["tabby (n00000003)", "cat (n00000002)", "espresso"]
    found = overlap.propose(source, ["cat", "tabby_cat (n00000003)", "dog"])
    reasons = {(s, t): why for s, t, _, why in found.values.tolist()}
    assert reasons == {
        (source[0], "cat"): "the source class is a kind of the target class",
        (source[0], "tabby_cat (n00000003)"): "same synset",
        (source[1], "cat"): "same synset",
        (source[1], "tabby_cat (n00000003)"): "the target class is a kind of the source class",
    }
    assert set(found.confirmed) == {""}
