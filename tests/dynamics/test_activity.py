"""Networks along the way of their adaptation, and what their layers make of a probe."""

import copy
import json

import numpy as np
import pytest
import torch

from tests.conftest import ARCHITECTURE, CLASSES, TRAINING, changed, rows_of
from transferlens.core import artefacts
from transferlens.core.errors import ArtefactError, DataError
from transferlens.dynamics.activity import measured, probes
from transferlens.dynamics.activity.artefacts import ACTIVITY
from transferlens.dynamics.settings import ProbeSettings
from transferlens.dynamics.similarity import grams
from transferlens.training import moments, networks, source, transfer
from transferlens.training.recipes.settings.plain import FullSettings

CPU = torch.device("cpu")
LAYERS = ["backbone.stem", "backbone.block2", "backbone"]
STEPS = (0, 1, 2, 4)
GIVEN = ProbeSettings(images=36, batch=12)


@pytest.fixture
def followed(textures, tmp_path):
    """(shard of two source models, their trajectories by a training rate)."""
    made, images, val = textures
    source.train_shard(
        tmp_path / "s.h5", rows_of(np.ones((2, 3))), images.examples.labels, list(CLASSES), images, val,
        ARCHITECTURE, FullSettings(training=TRAINING), False,
    )  # fmt: skip

    def follow(name, batchnorm="train", **settings):
        recipe = FullSettings(training=changed(TRAINING, **settings), batchnorm=batchnorm)
        transfer.transfer_shard(
            tmp_path / name, tmp_path / "s.h5", made, images, val, ARCHITECTURE, recipe, True, "global",
            checkpoints=STEPS,
        )  # fmt: skip
        return tmp_path / name

    return tmp_path / "s.h5", follow


def look(paths, path, images, names=LAYERS, given=GIVEN):
    probe = probes.draw(images, given, 0, "textures")
    asked = measured.Asked(names, probe, CLASSES, is_target=True)
    measured.write_activity(path, *paths, ARCHITECTURE, asked)
    with artefacts.open(path, ACTIVITY) as file:
        values = {name: file[name][()] for name in ("gram", "input_gram", "pooled", "step", "accuracy")}
        values["channels"] = dict(measured.layer_channels(file))
        return values | {"state": artefacts.names(file["state"])}


def test_what_layers_make_of_a_probe_is_what_a_plain_pass_gives(followed, textures, tmp_path):
    shard, follow = followed
    val = textures[2]
    paths = shard, follow("t.h5")
    seen = look(paths, tmp_path / "a.h5", val)
    assert seen["step"].tolist() == [0, 1, 2, 4, moments.total(FullSettings(training=TRAINING), 90)]
    positions = probes.drawn(val.examples, GIVEN, 0)
    assert len(set(positions)) == 36
    inputs, _ = val.pick(np.sort(positions))
    inputs = inputs[np.argsort(np.argsort(positions))]
    for step, (_, network) in enumerate(networks.kept_networks(*paths, ARCHITECTURE, CPU, 1)):
        with torch.no_grad():
            maps = network.backbone.stem(inputs)
            logits = network(inputs)
        channels = seen["channels"]["backbone.stem"]
        np.testing.assert_allclose(
            seen["pooled"][1, step, :, channels], maps.mean((2, 3)), rtol=1e-5, atol=1e-6
        )
        expected = torch.stack([grams.row(part) for part in maps.split(12)])
        np.testing.assert_allclose(seen["gram"][1, 0, step], expected, rtol=1e-4, atol=1e-4)
        right = (logits.argmax(1).numpy() == val.examples.labels[positions]).mean()
        assert seen["accuracy"][1, step] == pytest.approx(right)
    pixels = torch.stack([grams.row(part) for part in inputs.split(12)])
    np.testing.assert_array_equal(seen["input_gram"], pixels)


def test_a_rate_of_nothing_leaves_every_layer_as_it_was_to_the_bit(followed, textures, tmp_path):
    shard, follow = followed
    seen = look((shard, follow("t.h5", "eval", lr=1e-30)), tmp_path / "a.h5", textures[2])
    for step in range(1, 5):
        np.testing.assert_array_equal(seen["gram"][:, :, step], seen["gram"][:, :, 0])
        np.testing.assert_array_equal(seen["pooled"][:, step], seen["pooled"][:, 0])


def test_only_what_is_new_is_looked_at_again(followed, textures, tmp_path, monkeypatch):
    """A layer more costs a pass for it alone; another probe, or other code, costs everything."""
    shard, follow = followed
    paths, val = (shard, follow("t.h5")), textures[2]
    first = look(paths, tmp_path / "a.h5", val, LAYERS[1:])
    calls, real = [], measured.look
    monkeypatch.setattr(measured, "look", lambda *given: calls.append(given[1]) or real(*given))
    again = look(paths, tmp_path / "a.h5", val, LAYERS[1:])
    assert calls == []
    more = look(paths, tmp_path / "a.h5", val)
    assert calls == [["backbone.stem"]] * 10
    whole = look(paths, tmp_path / "b.h5", val)
    for name in ("gram", "pooled", "accuracy"):
        np.testing.assert_array_equal(again[name], first[name])
        np.testing.assert_array_equal(more[name], whole[name])
    calls.clear()
    look(paths, tmp_path / "a.h5", val, given=ProbeSettings(images=36, batch=9))
    assert calls == [LAYERS] * 10
    calls.clear()
    monkeypatch.setattr(measured.fingerprint, "fingerprint", lambda *names: "code:changed")
    look(paths, tmp_path / "a.h5", val, given=ProbeSettings(images=36, batch=9))
    assert calls == [LAYERS] * 10


def test_a_damaged_file_is_made_anew(followed, textures, tmp_path):
    shard, follow = followed
    paths, val = (shard, follow("t.h5")), textures[2]
    whole = look(paths, tmp_path / "a.h5", val)
    (tmp_path / "a.h5").write_bytes(b"no HDF5")
    np.testing.assert_array_equal(look(paths, tmp_path / "a.h5", val)["gram"], whole["gram"])


def test_probes_are_nested_and_too_few_images_are_refused(textures):
    val = textures[2]
    more = probes.drawn(val.examples, ProbeSettings(images=36, batch=8), 3)
    assert probes.drawn(val.examples, ProbeSettings(images=16, batch=8), 3).tolist() == more[:16].tolist()
    with pytest.raises(
        DataError, match=r"data set textures: \d+ val images are less than two batches of 40, .*lower"
    ):
        probes.draw(val, ProbeSettings(images=80, batch=40), 0, "textures")


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ({}, [0, 1, 2, 4, 8, 16]),
        ({"doubling": False}, [0]),
        ({"doubling": False, "epochs": [1, 3, 4]}, [0, 5, 15]),
    ],
)
def test_moments(given, steps):
    """Twenty steps in four epochs; the end is kept anyhow."""
    recipe = FullSettings(training=changed(TRAINING, epochs=4, batch_size=18))
    settings = moments.MomentSettings.read(json.loads(json.dumps(given)))
    assert moments.steps(settings, recipe, 90) == steps
    assert moments.total(recipe, 90) == 20


def test_kept_networks_begin_with_a_fresh_head_on_the_source_and_end_with_the_adapted_model(followed):
    shard, follow = followed
    path = follow("t.h5")
    kept = [copy.deepcopy(one.network) for one in networks.kept_networks(shard, path, ARCHITECTURE, CPU, 0)]
    (own,) = networks.source_networks([shard], ARCHITECTURE, CPU, [0])
    for name, tensor in own.backbone.state_dict().items():
        torch.testing.assert_close(kept[0].backbone.state_dict()[name], tensor, rtol=0, atol=0)
    with artefacts.open(path, "trajectories") as file:
        torch.testing.assert_close(kept[-1].head.weight.ravel(), torch.from_numpy(file["head/weight"][0]))
    assert not torch.equal(kept[-1].head.weight, kept[-2].head.weight)


def test_kept_networks_of_another_architecture_are_refused(followed):
    shard, follow = followed
    wider = ARCHITECTURE.model_copy(update={"width": 16})
    line = r"s.h5: its weights are of another network than .* \(they differ in 'backbone\..*restore"
    with pytest.raises(ArtefactError, match=line):
        next(networks.kept_networks(shard, follow("t.h5"), wider, CPU, 0))
