"""A part of a data set's classes."""

import numpy as np
import pytest

from transferlens.capabilities import run_of
from transferlens.core.errors import ConfigError
from transferlens.core.settings import ClassSelection
from transferlens.data import sources
from transferlens.data.capability import described
from transferlens.data.selection import chosen_classes
from transferlens.data.splits import ImageSet, Split

NAMES = [f"class {i}" for i in range(10)]


def test_classes_are_named_first_or_drawn():
    assert chosen_classes("x", NAMES, None).tolist() == list(range(10))
    assert chosen_classes("x", NAMES, ClassSelection(first=3)).tolist() == [0, 1, 2]
    assert chosen_classes("x", NAMES, ClassSelection(names=["class 7", "class 2"])).tolist() == [7, 2]
    drawn = [chosen_classes("x", NAMES, ClassSelection(random=4, seed=s)) for s in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    assert (len(set(drawn[0])), (np.diff(drawn[0]) > 0).all()) == (4, True)


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"first": 11}, "datasets.optdigits.classes asks for 11 classes, but the set has 10"),
        ({"random": 12}, "datasets.optdigits.classes asks for 12 classes"),
        ({"names": ["digt 3"]}, "names 'digt 3', which the set does not have (did you mean 'digit 3'?)"),
        ({"first": 2, "random": 2}, "classes gives ['first', 'random']; give one of them"),
        ({}, "classes gives none of names, first, random; give one"),
        ({"names": ["digit 1", "digit 1"]}, "holds a class twice"),
        ({"frist": 2}, "unknown key 'datasets.optdigits.classes.frist' (did you mean 'first'?)"),
    ],
)
def test_what_a_set_does_not_have_is_refused(selection, message):
    given = {"source": "digits-and-clothes", "targets": {"optdigits": {}}}
    with pytest.raises(ConfigError) as caught:
        run_of({**given, "datasets": {"optdigits": {"classes": selection}}}).check_data()
    assert message in str(caught.value)


def test_images_of_other_classes_are_left_out_and_labels_numbered_anew(monkeypatch, tmp_path):
    labels = np.array([0, 1, 2, 3, 3, 2, 1, 0])
    pixels = np.arange(8, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    split = Split([f"image {i}" for i in range(8)], labels, lambda i: pixels[i])
    whole = ImageSet(NAMES[:4], ["a", "a", "b", "b"], split, split)
    monkeypatch.setitem(sources._BUILT_IN, "optdigits", (NAMES[:4], [""] * 4, lambda root, download: whole))
    run = run_of(
        {
            "source": "digits-and-clothes",
            "targets": {"optdigits": {}},
            "datasets": {"optdigits": {"classes": {"names": ["class 3", "class 1"]}}},
        }
    )
    images = sources.open_image_set("optdigits", run.dataset("optdigits"), tmp_path, False)
    assert images.class_names == ["class 3", "class 1"] == described(run, "optdigits")[0]
    assert images.class_groups == ["b", "a"]
    assert images.train.labels.tolist() == [1, 0, 0, 1]
    assert list(images.train.ids) == ["image 1", "image 3", "image 4", "image 6"]
    assert [int(images.train.image(i)[0, 0, 0]) for i in range(4)] == [1, 3, 4, 6]
