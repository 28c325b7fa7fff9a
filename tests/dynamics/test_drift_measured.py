"""Models are adapted as transfers adapt them, to the same bits; looking at them changes nothing."""

import runpy
import shutil
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from tests.comparison.sources import opened, start_of, write_sources
from tests.conftest import ARCHITECTURE, CLASSES, INPUT, TRAINING, changed
from transferlens.core import artefacts, labelled
from transferlens.core.errors import ConfigError, DataError
from transferlens.data.index_making import write_index
from transferlens.dynamics.activity import measured as activity
from transferlens.dynamics.activity import probes
from transferlens.dynamics.drift import measured
from transferlens.dynamics.drift.artefacts import DRIFTS
from transferlens.dynamics.settings import DynamicsSettings, ProbeSettings
from transferlens.dynamics.similarity import cka
from transferlens.training import moments, networks, transfer
from transferlens.training.artefacts import TRANSFER_RUNS
from transferlens.training.recipes.kinds import read

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
QUICK = changed(TRAINING, epochs=2, crop="random_resized", flip=True)
LAYERS = ["backbone.block2", "backbone"]
PROBE = ProbeSettings(images=36, batch=9)
# Whole networks, a frozen backbone, a copy of the source beside the network, adapters in it.
KINDS = ["full", "fixed", "l2_sp", "lora"]


def recipe_of(kind):
    return read({"kind": kind, "training": QUICK.model_dump()})


@pytest.fixture(scope="module")
def sources(dataset, tmp_path_factory):
    return write_sources(tmp_path_factory.mktemp("drift") / "s.h5", dataset)


@pytest.fixture(scope="module")
def ground(dataset):
    """The textures are source and target."""
    made, train, val = opened(dataset)
    probe = probes.draw(val, PROBE, 0, "textures")
    return measured.Ground(made, train, val, "global", {"textures": probe}, "textures", list(CLASSES), LAYERS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_is_the_transfers_network_bit_for_bit(dataset, sources, ground, tmp_path, kind):
    made, train, val = opened(dataset)
    recipe = recipe_of(kind)
    steps = moments.steps(moments.MomentSettings(), recipe, len(train))
    runs = tmp_path / "runs.h5"
    transfer.transfer_shard(runs, sources, made, train, val, ARCHITECTURE, recipe, True, "global")
    with start_of(sources, 1) as start, artefacts.open(runs, TRANSFER_RUNS) as file:
        trained, drift = measured.follow(start, ground, recipe, steps)
        group, part = ("weights", trained.network) if "weights" in file else ("head", trained.network.head)
        for name, tensor in part.state_dict().items():
            np.testing.assert_array_equal(file[group][name][1], tensor.numpy().ravel())
        assert drift.accuracy[-1] == file["accuracy"][1, 1]
        report = made.val.of_half("report")
        np.testing.assert_allclose(drift.margin[-1], file["margin"][1][report].mean(), rtol=1e-5)
    assert np.isfinite(drift.drift).all()
    assert (drift.drift[..., 0] == 0).all()  # the start with itself
    moved = drift.drift[..., -1] != 0
    assert moved.all() if kind != "fixed" else not (drift.drift != 0).any()


def test_numbers_are_those_of_networks_that_were_kept(dataset, sources, ground, tmp_path):
    """A trajectory of the same models, looked at afterwards."""
    made, train, val = opened(dataset)
    recipe, steps, path = recipe_of("full"), [0, 3], tmp_path / "t.h5"
    transfer.transfer_shard(
        path, sources, made, train, val, ARCHITECTURE, recipe, True, "global", checkpoints=steps
    )
    with start_of(sources) as start:
        _, drift = measured.follow(start, ground, recipe, steps)
    probe = ground.probes["textures"]
    seen = [
        activity.look(moment.network, LAYERS, probe)[0]
        for moment in networks.kept_networks(sources, path, ARCHITECTURE, train.device, 0)
    ]
    for step, now in enumerate(seen):
        for layer, name in enumerate(LAYERS):
            a, b = (of[name].gram.astype(np.float64) for of in (seen[0], now))
            expected = 1 - (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
            np.testing.assert_allclose(drift.drift[0, layer, step], expected, atol=1e-9)
            similar = cka.unbiased(seen[0][name].pooled, now[name].pooled)
            np.testing.assert_allclose(drift.retention[layer, step], similar, atol=1e-9)
            dead = (np.ptp(now[name].pooled, axis=0) == 0).mean()
            assert drift.dead[0, layer, step] == dead
    assert np.isnan(drift.class_retention).all()  # 12 images a class


def test_classes_with_enough_images_have_a_retention_of_their_own(sources, ground, monkeypatch):
    monkeypatch.setattr(measured, "FEWEST_IMAGES", 12)
    with start_of(sources) as start:
        _, drift = measured.follow(start, ground, recipe_of("full"), [0])
    assert (drift.class_retention[:, 0] == 1).all()
    assert ((drift.class_retention[:, 1] > 0) & (drift.class_retention[:, 1] < 1)).all()


@pytest.fixture(scope="module")
def folder(dataset, sources, tmp_path_factory):
    """What a job reads: a shard of two models, the index, and the images."""
    made, files = dataset
    place = tmp_path_factory.mktemp("job")
    write_index(place / "index.h5", "textures", made, [])
    for split in ("train", "val"):
        for kind in (".beton", ".h5"):
            shutil.copy(files["raw"][split].with_suffix(kind), place / f"{split}{kind}")
    return place


def measure(folder, sources, out, minutes=None, **given):
    """The script."""
    settings = {
        "architecture": ARCHITECTURE.model_dump(),
        "input": INPUT.model_dump(),
        "source_input": INPUT.model_dump(),
        "recipe": recipe_of("full").model_dump(),
        "metric": "global",
        "target": "textures",
        "source": "textures",
        "layers": LAYERS,
        "steps": {"doubling": False, "epochs": [1]},
        "probe": PROBE.model_dump(),
        "seed": 0,
        **given,
    }
    runpy.run_path(str(SCRIPTS / "measure_drift.py"))["main"](
        Namespace(
            settings=settings, source=sources, index=folder / "index.h5", train=folder / "train.beton",
            val=folder / "val.beton", source_index=folder / "index.h5", source_val=folder / "val.beton",
            drifts=out, resume_minutes=minutes,
        )
    )  # fmt: skip
    return labelled.read(out, DRIFTS)


def test_the_script_and_a_job_that_was_killed(folder, sources, tmp_path, monkeypatch):
    """Models that were finished are not adapted again, and the numbers are the same."""
    whole = measure(folder, sources, tmp_path / "a.h5")
    assert whole.step.values.tolist() == [0, 5, 10]
    assert (whole.drift.isel(step=-1) > 0).all()
    assert whole.domain.values.tolist() == ["textures"]
    followed, follow = [], measured.follow

    def killed(start, *others):
        followed.append(start.row)
        if followed == [0, 1]:
            raise KeyboardInterrupt
        return follow(start, *others)

    monkeypatch.setattr(measured, "follow", killed)
    with pytest.raises(KeyboardInterrupt):
        measure(folder, sources, tmp_path / "b.h5", minutes=0.0)
    again = measure(folder, sources, tmp_path / "b.h5", minutes=0.0)
    assert followed == [0, 1, 1]
    for name in ("drift", "dead", "retention", "accuracy", "margin"):
        np.testing.assert_array_equal(again[name], whole[name])
    assert not list(tmp_path.glob(".b.h5*"))


def test_refusals(folder, sources, tmp_path):
    with pytest.raises(DataError, match="36 val images are less than two batches of 20"):
        measure(folder, sources, tmp_path / "a.h5", probe={"images": 40, "batch": 20})
    with pytest.raises(ConfigError, match=r"the network has no layer 'backbone.22'"):
        measure(folder, sources, tmp_path / "a.h5", layers=["backbone.22"])
    with pytest.raises(ConfigError, match=r"dynamics.influence.images is 64, less than two batches of 64"):
        DynamicsSettings.read({"influence": {"images": 64}})
