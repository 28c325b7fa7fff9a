"""The published experiments can be planned before their data are there."""

import pytest
import torch
import yaml

from tests.workflow.conftest import copy_project, planned_jobs

pytestmark = pytest.mark.workflow


def test_the_small_scale_is_planned(tmp_path):
    counts = planned_jobs(copy_project(tmp_path), "--configfile", "configs/relatedness-small.yaml")
    # four targets, of which one is the source itself; of all, both splits
    assert (counts["relatedness"], counts["relatedness_figures"], counts["features"]) == (4, 4, 8)
    assert "relatedness_reading" not in counts


def test_the_large_scale_is_planned_with_all_its_encoders(tmp_path):
    pytest.importorskip("timm")
    torchvision = pytest.importorskip("torchvision")
    folder = copy_project(tmp_path)
    given = yaml.safe_load((folder / "configs/relatedness-large.yaml").read_text(encoding="utf-8"))
    for name in ("resnet18", "resnet50"):  # random weights in place of those that have to be fetched
        torch.save(getattr(torchvision.models, name)().state_dict(), folder / f"{name}.pth")
    for encoder in given["encoders"].values():
        if encoder["weights"].startswith("weights/"):
            encoder["weights"] = f"{encoder['architecture']['name']}.pth"
            encoder.pop("prefix", None)
    (folder / "large.yaml").write_text(yaml.safe_dump(given))
    counts = planned_jobs(folder, "--configfile", "large.yaml")
    # seven targets with a reference each, seven encoders; features of eight data sets, both splits
    assert counts["relatedness"] == counts["relatedness_figures"] == 7 * 7
    assert counts["features"] == 8 * 2 * 7
