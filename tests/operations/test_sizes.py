"""Bytes before files are made, against files that are then written by the real writer."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from transferlens.capabilities import run_of
from transferlens.core import artefacts, studies
from transferlens.core.studies import MASKS, Rows
from transferlens.data.artefacts import write_example_columns
from transferlens.data.catalogue import CATALOGUE
from transferlens.models import states
from transferlens.operations import datasets, sizes
from transferlens.operations.datasets import Data
from transferlens.operations.places import Places
from transferlens.training.artefacts import FEATURES, SOURCE_MODELS
from transferlens.training.source import initial_network

RUN = run_of(
    {
        "source": "digits-and-clothes",
        "targets": {"optdigits": {"recipes": ["fixed", "full"]}},
        "recipes": {"fixed": {}, "full": {"kind": "full"}},
        "architecture": {"name": "small_resnet", "width": 8},
        "studies": {"influence": {"models": 64, "shard_size": 16}},
        "source_training": {"epochs": 4},
    }
)
CLASSES, IMAGES = 20, 2000
DATA = {
    "digits-and-clothes": Data(IMAGES, 400, CLASSES, "its index", 4),
    "optdigits": Data(100, 600, 10, "its index", 1),
}
SPLIT = Data(100, 600, 10, "its index", 1, dimensions={"train_example": 100, "val_example": 600})
MAPPED = {"orders": ["label_mapping"]}
SHARD = "results/studies/influence/{}/0001.h5"


@dataclass
class Division:
    names: list[str]
    groups: list[str]
    of_images: np.ndarray


UNITS = Division(
    [f"class {i}" for i in range(CLASSES)], ["digits"] * CLASSES, np.sort(np.arange(IMAGES) % CLASSES)
)


def rows(count=16):
    rng = np.random.default_rng(0)
    return Rows(
        rng.random((count, CLASSES)) < 0.5,
        np.arange(16, 16 + count),
        rng.integers(0, 2**62, count),
        [studies.SUBSET] * count,
        np.full(count, -1),
        [""] * count,
        np.zeros(count, np.int64),
        UNITS.names,
        UNITS.groups,
    )


def predicted(path, data=DATA):
    return sizes.Sizes(RUN, data).of(Places(RUN).of(path))


def test_masks_take_what_is_said(tmp_path):
    studies.write_masks(tmp_path / "masks.h5", rows(), UNITS)
    size = predicted(SHARD.format("masks"))
    assert size.bytes == pytest.approx((tmp_path / "masks.h5").stat().st_size, rel=0.15)
    assert not size.unknown


def test_source_models_take_what_is_said(tmp_path):
    network = initial_network(RUN.settings.architecture, CLASSES, 0)
    path, rng = tmp_path / "models.h5", np.random.default_rng(0)
    with artefacts.create(path, SOURCE_MODELS) as out:
        studies.write_rows(out, rows())
        out.write("log_quantity", ["loss", "accuracy", "learning_rate"])
        out.write("log", rng.random((16, 4, 3)))
        out.write("source_class", UNITS.names)
        out.write("train_images", np.full(16, 1000))
        out.write("accuracy", rng.random(16))
        out.write("class_accuracy", rng.random((16, CLASSES)))
        states.reserve(out, "weights", network, 16)
        for row in range(16):
            states.save(out, "weights", row, network)
    assert predicted(SHARD.format("source")).bytes == pytest.approx(path.stat().st_size, rel=0.15)


def test_features_take_what_is_said(tmp_path):
    run = run_of({**RUN.as_given(), "studies": {"influence": {"models": 64}, "counterfactual": MAPPED}})
    images, width = 100, initial_network(RUN.settings.architecture, CLASSES, 0).head.in_features
    path, rng = tmp_path / "features.h5", np.random.default_rng(0)
    with artefacts.create(path, FEATURES) as out:
        studies.write_rows(out, rows(16))
        write_example_columns(out, [f"{i:03d}" for i in range(images)], np.zeros(images, int),
                              np.zeros(images, int), ["digit 0"])  # fmt: skip
        out.write("source_class", UNITS.names)
        out.write("features", rng.random((16, images, width)))
        out.write("head_weight", rng.random((16, CLASSES, width)))
        out.write("head_bias", rng.random((16, CLASSES)))
    place = Places(run).of("results/studies/reference/features/optdigits/train/0000.h5")
    size = sizes.Sizes(run, {**DATA, "optdigits": SPLIT}).of(place)
    assert size.bytes == pytest.approx(path.stat().st_size, rel=0.1)
    assert not size.unknown
    assert sizes.Sizes(run, DATA).of(place).unknown == {"example"}


def test_what_is_kept_of_adapted_models_depends_on_study_and_recipe():
    def of(study, recipe):
        return predicted(f"results/studies/{study}/transfer/optdigits/{recipe}/0000.h5").bytes

    with torch.device("meta"):
        whole = sum(t.nbytes for t in initial_network(RUN.settings.architecture, 10, 0).state_dict().values())
    models = len(RUN.studies["reference"].rows_of("0000"))
    assert of("reference", "full") - of("reference", "fixed") == pytest.approx(models * whole, rel=0.1)
    assert of("influence", "full") == pytest.approx(of("influence", "fixed"), abs=500)  # their settings


def test_what_is_not_known_is_named_and_makes_a_lower_bound():
    unknown = {**DATA, "optdigits": Data(None, None, 10, "unknown")}
    path = "results/studies/influence/transfer/optdigits/fixed/0000.h5"
    assert predicted(path, unknown).unknown == {"example"}
    assert 0 < predicted(path, unknown).bytes < predicted(path).bytes
    assert predicted("results/data/optdigits/train.beton", unknown).unknown == {"images of optdigits"}


def test_every_capability_says_how_large_its_files_are():
    """Nothing but data sets, whose images are not there, has a dimension without a size."""
    dimensions = {"train_example": IMAGES, "val_example": 400}
    source = Data(IMAGES, 400, CLASSES, "its index", 4, dimensions=dimensions)
    data = {"optdigits": SPLIT, "digits-and-clothes": source}
    measured, places = sizes.Sizes(RUN, data), Places(RUN)
    for step in RUN.steps.values():
        for wildcards in RUN.jobs_of(step.name):
            for made in step.outputs.values():
                place = places.of(made.at(**wildcards))
                assert (place.step, place.made) == (step, made)
                assert place.wildcards == wildcards
                assert place.capability.name == "data" or not measured.of(place).unknown, made.path


def test_a_recipe_called_as_a_folder_is_not_taken_for_it():
    run = run_of({**RUN.as_given(), "recipes": {"fixed": {}, "full": {"kind": "full"}, "source": {}},
                  "targets": {"optdigits": {"recipes": ["source"]}}})  # fmt: skip
    place = Places(run).of("results/studies/influence/transfer/optdigits/source/0000.h5")
    assert place.made.kind == "transfer runs"
    assert place.wildcards["study"] == "influence"


def test_paths_that_nothing_makes_are_nothing():
    assert Places(RUN).of("results/report/other.html") is None
    assert Places(RUN).of("results/studies/influence/masks/0001.h5").made is MASKS


def test_a_part_of_a_data_sets_classes_has_its_part_of_the_images():
    classes = {"first": 5}
    given = {
        **RUN.as_given(),
        "datasets": {"digits-and-clothes": {"train_per_class": 10, "classes": classes}},
    }
    known = datasets.describe_all(run_of({**given, "targets": {"optdigits": {}}}), Path("nowhere"))
    part, whole = known["digits-and-clothes"], CATALOGUE["digits-and-clothes"]
    assert (part.classes, part.train, part.val) == (5, 50, whole.val_images // 4)
    assert known["optdigits"].train == CATALOGUE["optdigits"].train_images
