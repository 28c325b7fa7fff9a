"""Given weights are looked at when a run is planned, and say how images must enter them."""

import logging

import pytest
import torch

from tests.conftest import INPUT, changed
from transferlens.capabilities import run_of
from transferlens.core import job
from transferlens.core.errors import ConfigError
from transferlens.core.settings import NetworkSettings
from transferlens.models import contract, packages
from transferlens.training import pretrained
from transferlens.training.capability import CAPABILITY, LOAD_PRETRAINED

SHARD = {"study": "pretrained", "shard": "0000"}
CLASSES = 20  # of digits and clothes


def planned(weights, **changes):
    """A run whose pretrained study has these weights."""
    given = {
        "source": "digits-and-clothes",
        "targets": {"optdigits": {}},
        "input": {"resolution": 28},
        "architecture": {"name": "small_resnet", "width": 8},
        "studies": {"pretrained": {"weights": str(weights), **changes.pop("study", {})}},
        **changes,
    }
    return run_of(given)


def state(classes):
    return contract.build(NetworkSettings(name="small_resnet", width=8), classes).state_dict()


def test_weights_that_fit_are_found_so_when_a_run_is_planned(tmp_path, monkeypatch):
    torch.save(state(CLASSES), tmp_path / "w.pt")
    CAPABILITY.check_data(planned(tmp_path / "w.pt"))
    torch.save({"ema": state(CLASSES), "net": state(CLASSES)}, tmp_path / "two.pt")
    CAPABILITY.check_data(planned(tmp_path / "two.pt", study={"prefix": "ema"}))
    torch.save(state(7), tmp_path / "other.pt")
    CAPABILITY.check_data(planned(tmp_path / "other.pt", study={"head": "probe"}))
    monkeypatch.chdir(tmp_path)
    CAPABILITY.check_data(planned("results/made/by/a/rule.pt"))


def test_weights_that_do_not_fit_are_refused_when_a_run_is_planned(tmp_path):
    for name, content, message in (
        ("other.pt", state(7), "its head has 7 outputs, and the source has 20 classes; .*head: probe"),
        ("imagenet.pt", state(1000), "imagenet.pt has an output for each .* is none of them"),
        ("wide.pt", {"backbone.conv.weight": torch.ones(1)}, "of another network than small_resnet|missing"),
        ("two.pt", {"ema": state(CLASSES), "net": state(CLASSES)}, "choose one by studies.pretrained.prefix"),
    ):
        torch.save(content, tmp_path / name)
        with pytest.raises(ConfigError, match=message):
            CAPABILITY.check_data(planned(tmp_path / name))
    with pytest.raises(ConfigError, match=r"studies.pretrained.weights: no file '.*none.pt'"):
        CAPABILITY.check_data(planned(tmp_path / "none.pt"))
    with pytest.raises(ConfigError, match="small_resnet has no published weights"):
        CAPABILITY.check_data(planned("IMAGENET1K_V1"))
    with pytest.raises(ConfigError, match=r"IMAGENET1K_V1 has an output for each .* is none of them"):
        CAPABILITY.check_data(planned("IMAGENET1K_V1", architecture={"name": "resnet18"}))


def test_only_what_decides_the_weights_is_a_setting_of_the_job():
    plain = planned("w.pt")
    settings, others = (
        LOAD_PRETRAINED.settings(run, SHARD) for run in (plain, planned("w.pt", study={"prefix": "net"}))
    )
    assert others == {**settings, "prefix": "net"}
    assert LOAD_PRETRAINED.settings(planned("w.pt", download=False), SHARD) == settings
    named = ["--named", "studies.pretrained"]
    assert LOAD_PRETRAINED.arguments(plain, SHARD) == [*named, "--download"]
    assert LOAD_PRETRAINED.arguments(planned("w.pt", download=False), SHARD) == named
    assert LOAD_PRETRAINED.inputs(plain, SHARD)["weights"] == "w.pt"
    assert "weights" not in LOAD_PRETRAINED.inputs(planned("IMAGENET1K_V1"), SHARD)


@pytest.mark.parametrize("weights", packages.PACKAGES)
def test_images_that_enter_published_weights_otherwise_are_warned_of(weights, caplog):
    architecture = NetworkSettings(name=packages.PACKAGES[weights].architecture)
    side = {"efficientnet-lite0": 224, "efficientnet-lite1": 240, "efficientnet-lite2": 260}[weights]
    fitting = changed(INPUT, resolution=side, mean=[0.5] * 3, std=[0.5] * 3)
    with caplog.at_level(logging.WARNING, logger=job.log.name):
        pretrained._warn_of_input(weights, architecture, fitting)
        assert not caplog.messages
        pretrained._warn_of_input(weights, architecture, changed(fitting, resolution=64, std=[0.2] * 3))
    (message,) = caplog.messages
    assert message.startswith(
        f"{weights} expect input.resolution {side} (not 64), input.std [0.5, 0.5, 0.5] ("
    )
    assert "mean" not in message
