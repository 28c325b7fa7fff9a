"""`snakemake network` shows what was found also where every other target is refused for it."""

import pytest

from tests.workflow.conftest import copy_project, run_snakemake

pytestmark = pytest.mark.workflow

MLP = """
from torch import nn


def make_net(classes, hidden=16):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 28 * 28, hidden), nn.ReLU(), nn.Linear(hidden, classes))
"""


def test_a_refused_network_is_shown_without_data(tmp_path):
    """A network of one's own in place of config.yaml's, whose width it does not get; its data are nowhere."""
    folder = copy_project(tmp_path)
    (folder / "my_net.py").write_text(MLP)
    given = (
        "--cores",
        "1",
        "--config",
        "architecture={file: my_net.py:make_net}",
        "source=mine",
        "datasets={mine: {path: /nowhere}}",
    )
    shown = run_snakemake(folder, "network", *given)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    text = shown.stdout
    assert "Network of the run: my_net.py:make_net\n" in text
    assert "37,648, and 17 in the head for each class" in text
    assert "nothing: there are no class maps" in text
    assert "A run of these settings would be refused:" in text
    refused = run_snakemake(folder, *given)
    assert refused.returncode != 0
    reason = "my_net.py:make_net has no class maps, as nothing in it has a height and a width"
    assert len([line for line in (refused.stdout + refused.stderr).splitlines() if reason in line]) == 1
    assert reason in text
