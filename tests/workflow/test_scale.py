"""What large runs rely on: few jobs, and source weights that make room when they are no longer needed."""

import re
import shutil
from collections import Counter

import pytest

from tests.workflow.conftest import copy_project, planned, snakemake

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("scale"))


def test_a_plan_has_one_job_a_shard_target_and_recipe(project):
    settings = (
        "recipes={full: {kind: full}}",
        "targets={optdigits: {recipes: [fixed, full]}, digits-and-clothes: {recipes: [fixed, full]}}",
        "studies={influence: {models: 480, shard_size: 16}}",
    )
    done = snakemake(project, "--dry-run", "--config", *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    trained = Counter(re.findall(r"Train source models of influence, shard (\d+)", done.stdout))
    pattern = r"Transfer influence, shard (\d+), to (\S+) \((\w+)\)"
    transferred = Counter(re.findall(pattern, done.stdout))
    shards, targets = [f"{i:04d}" for i in range(30)], ["optdigits", "digits-and-clothes"]
    assert trained == Counter(shards)
    assert transferred == Counter((s, t, r) for s in shards for t in targets for r in ("fixed", "full"))


@pytest.mark.parametrize(
    ("setting", "models", "temporary"),
    [("auto", 960, 0), ("auto", 976, 64), ("keep", 976, 0), ("temporary", 48, 6)],
)
def test_which_weights_are_temporary(project, setting, models, temporary):
    """`auto` counts the models of all studies but those of the whole source: 8 repeated, 18 removals,
    4 with as many steps."""
    settings = (f"source_weights={setting}", f"studies={{influence: {{models: {models}}}}}")
    jobs = planned(project, "--config", *settings)
    assert jobs.get("train_temporary_source", 0) == temporary
    assert jobs["train_source"] >= 1  # the whole source


def test_temporary_weights_make_room_and_are_not_missed(finished):
    project, target = finished, "results/studies/repeated/summary/optdigits/fixed.h5"
    setting = ("--config", "source_weights=temporary")
    shutil.rmtree(project / "results/studies/repeated")
    done = snakemake(project, "--cores", "2", target, *setting)
    assert done.returncode == 0, done.stdout + done.stderr
    study = project / "results/studies/repeated"
    assert not list(study.glob("source/*.h5"))
    assert [p.name for p in study.glob("training/*.h5")] == ["0000.h5"]
    assert planned(project, target, *setting) == {}
    more = planned(project, target, *setting, "studies={repeated: {models: 16}}")
    assert more == {"draw_masks": 1, "train_temporary_source": 1, "transfer": 1, "summary": 1}
    edited = project / "transferlens/training/engine.py"
    edited.write_text(edited.read_text().replace(".append(np.zeros(", ".append(0.0 + np.zeros("))
    assert planned(project, target, *setting)["train_temporary_source"] == 1
