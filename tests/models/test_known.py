"""What planning asks of networks: refused before anything runs, in one line; no torch for the small one."""

import subprocess
import sys

import pytest

from transferlens.capabilities import run_of
from transferlens.core.errors import ConfigError

MINIMAL = {"source": "digits-and-clothes", "targets": {"optdigits": {}}}
VGG = {"name": "vgg11"}
INSIDE = {"recipes": ["full"], "remedies": ["inside"]}


def refused(**changes):
    """What a run of these settings is refused with."""
    run = run_of({**MINIMAL, "input": {"resolution": 64}, **changes})
    with pytest.raises(ConfigError) as caught:
        run.check_networks()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": {"name": "resnet"}}, "did you mean 'resnet50'?"),
        ({"architecture": {"name": "resnet18", "width": 8}}, "cannot be built with the options {'width': 8}"),
        ({"architecture": VGG}, "CAM needs class maps that add up to logits, and those of vgg11 do not"),
        (
            {"architecture": VGG, "heatmaps": {"method": "GradCAM", "faithfulness": {}}},
            "CAM needs class maps that add up to logits, and those of vgg11 do not",
        ),
        (
            {
                "architecture": VGG,
                "heatmaps": {"method": "GradCAM", "faithfulness": None},
                "influence_maps": {},
            },
            "influence_maps needs class maps that add up to logits, and those of vgg11 do not, as its "
            "features are no means over the cells of a map (more layers stand between): "
            "set influence_maps: null",
        ),
        (
            {
                "architecture": VGG,
                "heatmaps": None,
                "recipes": {"fixed": {}, "full": {"kind": "full"}},
                "memories": INSIDE,
            },
            "memories.remedies: 'inside' needs class maps that add up",
        ),
        (
            {"heatmaps": {"method": "LeGrad"}, "architecture": {"name": "resnet18"}},
            "LeGrad follows the attention",
        ),
    ],
)
def test_a_network_that_does_not_do_is_refused_in_one_line(changes, message):
    assert message in refused(**changes)


def test_planning_the_small_network_imports_no_torch():
    code = (
        "import sys; from transferlens.capabilities import run_of; from transferlens.models import known;"
        f"run = run_of({MINIMAL | {'architecture': {'name': 'small_resnet'}}!r}); known.check(run);"
        "known.require_evidence(run, None, 'influence_maps', ''); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
