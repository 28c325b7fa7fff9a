"""What a run cannot follow is refused in one line before anything runs."""

from pathlib import Path

import pytest
import yaml

from transferlens.capabilities import run_of
from transferlens.core.configuration import merged
from transferlens.core.errors import ConfigError

CONFIG = Path(__file__).resolve().parents[2] / "config.yaml"


def checked(dynamics, **more):
    """The default study with other settings of feature dynamics, checked as planning does."""
    default = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    if "architecture" in more:
        del default["architecture"]
    given = merged(default, {"dynamics": dynamics, **more})
    run = run_of(given)
    for capability in run.capabilities:
        if capability.name == "dynamics":
            capability.check_networks(run)
            capability.check_data(run)


@pytest.mark.parametrize(
    ("dynamics", "line"),
    [
        ({"probe": {"batch": 3}}, r"'dynamics.probe.batch' is impossible: 3; .*equal to 4"),
        ({"probe": {"images": 60}}, r"dynamics.probe.images is 60, less than two batches of 32 .*raise it"),
        ({"layers": ["backbone.blok2"]}, r"no layer 'backbone.blok2' \(did you mean 'backbone.block2'\?\)"),
        ({"recipes": ["ful"]}, r"dynamics.recipes names 'ful', which is no recipe \(did you mean 'full'\?\)"),
        ({"models": 9}, r"dynamics.models is 9, but studies.reference.repeats is 8; raise the latter"),
        ({"steps": {"epochs": [31]}}, r"dynamics.steps.epochs names 31, but recipe 'full' trains 30 epochs"),
        ({"source": "pretrained"}, r"dynamics.source is 'pretrained', but studies.pretrained is null"),
        ({"influence": {"images": 40}}, r"dynamics.influence.images is 40"),
        ({"influence": {"steps": {"epochs": [0]}}}, r"dynamics.influence.steps.epochs names 0"),
    ],
)
def test_what_cannot_be_followed_is_refused(dynamics, line):
    with pytest.raises(ConfigError, match=line) as refusal:
        checked(dynamics)
    assert "\n" not in str(refusal.value)


def test_a_data_set_without_two_batches_is_refused_where_its_settings_say_so():
    line = (
        r"dynamics.probe.batch is 32, but datasets.optdigits has 60 evaluation images at most .*raise val_per"
    )
    with pytest.raises(ConfigError, match=line):
        checked({}, datasets={"optdigits": {"val_per_class": 6}})


def test_a_layer_that_is_never_called_is_refused(tmp_path):
    (tmp_path / "held.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "class Held(nn.Module):\n"
        "    def __init__(self, classes):\n"
        "        super().__init__()\n"
        "        self.parts = nn.ModuleList([nn.Conv2d(3, 8, 3, 2), nn.ReLU()])\n"
        "        self.fc = nn.Linear(8, classes)\n"
        "    def forward(self, x):\n"
        "        for part in self.parts:\n"
        "            x = part(x)\n"
        "        return self.fc(x.mean((2, 3)))\n"
        "def make(classes):\n"
        "    return Held(classes)\n"
    )
    network = {"file": f"{tmp_path / 'held.py'}:make"}
    with pytest.raises(ConfigError, match=r"names 'backbone.parts', which is never called as a whole"):
        checked({"layers": ["backbone.parts"]}, architecture=network)
