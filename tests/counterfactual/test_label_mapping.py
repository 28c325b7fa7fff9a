"""The label mapping counts what full-source models say, whichever shard they are in."""

import numpy as np
import pytest

from tests.conftest import ARCHITECTURE, CLASSES, TRAINING, changed
from transferlens.core import labelled
from transferlens.core.studies import Reference
from transferlens.counterfactual import label_mapping
from transferlens.counterfactual.artefacts import LABEL_MAPPING
from transferlens.data.units import class_units
from transferlens.training import engine, features, networks, source
from transferlens.training.recipes.settings.plain import FullSettings


@pytest.fixture
def sources(textures, tmp_path):
    """A reference study of two repeats in shards of three and one."""
    made, train, val = textures
    paths = []
    for numbers in (range(3), range(3, 4)):
        rows = Reference.draw({"seed": 0}, class_units(made), numbers, {}, made)
        paths.append(tmp_path / f"{numbers.start}.h5")
        short = FullSettings(training=changed(TRAINING, epochs=1))
        source.train_shard(
            paths[-1], rows, made.train.labels, list(CLASSES), train, val, ARCHITECTURE, short, False
        )
    return paths


def test_only_full_source_models_are_counted(sources, textures, tmp_path):
    """By the features that are kept as by the networks themselves."""
    made, train, _ = textures
    extracted = [tmp_path / f"features-{path.name}" for path in sources]
    for path, shard in zip(extracted, sources, strict=True):
        features.write_features(path, shard, train, made.class_names, ARCHITECTURE)
    label_mapping.write_label_mapping(tmp_path / "m.h5", extracted)
    mapping = labelled.read(tmp_path / "m.h5", LABEL_MAPPING)
    assert mapping.model.values.tolist() == [0, 2]
    assert mapping.source_class.values.tolist() == list(CLASSES)
    for row in (0, 2):
        (network,) = networks.source_networks(sources, ARCHITECTURE, train.device, [row])
        logits = engine.evaluate(network, train)
        expected = np.bincount(logits.argmax(1).numpy(), minlength=3)
        np.testing.assert_array_equal(mapping["count"].sel(model=row), expected)
        probable = logits.softmax(1).mean(0).numpy()
        np.testing.assert_allclose(mapping.probability.sel(model=row), probable, atol=1e-5)
    assert (mapping["count"].sum("source_class") == len(train)).all()
