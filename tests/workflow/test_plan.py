"""The plan of a study against the study: jobs as Snakemake counts them, bytes as they lie on the disk."""

import re
import shutil

import pytest

from tests.workflow.conftest import copy_project, planned
from tests.workflow.test_faults import ask

pytestmark = pytest.mark.workflow

WORTH_COMPARING = 100e3
UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


def plan(folder, *arguments):
    done = ask(folder, "plan", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def jobs_of(text):
    """Jobs by rule in the plan's table."""
    table = text.partition("\nrule ")[2].partition("\n\n")[0]
    counts = {
        rule: int(n.replace(",", "")) for rule, n in re.findall(r"^(\w+) +([\d,]+)$", table, re.MULTILINE)
    }
    assert counts.pop("all") == sum(counts.values())
    return counts


def bytes_of(text):
    """Bytes by stage in the plan's table."""
    table = text.partition("\nstage")[2]
    lines = re.findall(r"^([^\d\n]+?) +[\d,]* +([\d.]+) (B|kB|MB|GB|TB)\b", table, re.MULTILINE)
    return {stage: float(number) * UNITS[unit] for stage, number, unit in lines}


@pytest.fixture(scope="module")
def prepared(smoke, tmp_path_factory):
    """The project with the indexes of its data sets and nothing else made."""
    folder = copy_project(tmp_path_factory.mktemp("prepared"))
    for path in smoke.glob("results/data/*/index.h5"):
        place = folder / path.relative_to(smoke)
        place.parent.mkdir(parents=True)
        shutil.copy(path, place)
    return folder


def test_a_plan_says_what_the_study_then_uses(smoke, prepared):
    predicted = bytes_of(plan(prepared))
    results = smoke / "results"
    parts = {
        "data": ["data/**/*"],
        "masks": ["studies/**/masks/*"],
        "source models": ["studies/**/source/*"],
        "training records": ["studies/**/training/*"],
        "transfer runs": ["studies/**/transfer/**/*"],
        "summary": ["studies/**/summary/**/*"],
        "influence maps": ["influence_maps/**/*"],
        "analyses": ["analyses/**/*"],
        "heatmaps": ["heatmaps/**/*", "faithfulness/**/*"],
        "report": ["report/index.html"],
    }

    def used(patterns):
        files = {path for pattern in patterns for path in results.glob(pattern) if path.is_file()}
        return sum(path.stat().st_size for path in files)

    memories = used(["memories/**/*", "report/*/*/memories.html"])
    assert memories <= predicted["memories"] <= 2 * memories  # images without a memory are left out
    for stage, patterns in parts.items():
        exact = stage not in ("analyses", "heatmaps", "report")  # of which most is pictures
        assert used(patterns) > WORTH_COMPARING or stage == "masks", stage
        assert predicted[stage] == pytest.approx(used(patterns), rel=0.15 if exact else 0.35), stage


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        [
            "targets={digits-and-clothes: {recipes: [fixed, full]}, optdigits: {sizes: [2, 5]}}",
            "recipes={full: {kind: full}}",
            "studies={examples: {models: 40}, counterfactual: {orders: [top, label_mapping]}}",
            "source_weights=temporary",
        ],
        [
            "studies={repeated: null, reuse: {architecture: {name: small_resnet, width: 16}}}",
            "heatmaps={faithfulness: null}",
            "memories=null",
        ],
        [
            "recipes={full: {kind: full}}",
            "memories={recipes: [fixed, full], models: 2, remedies: []}",
            "studies={reference: {shard_size: 2}, "
            "reuse: {architecture: {name: small_resnet, width: 8}, recipe: full}}",
        ],
    ],
    ids=["smoke", "sizes-blocks-temporary", "reuse-architecture", "reuse-recipe-memories"],
)
def test_a_plan_counts_the_jobs_that_snakemake_counts(tmp_path, overrides):
    arguments = ["--config", *overrides] if overrides else []
    folder = copy_project(tmp_path)
    assert jobs_of(plan(folder, *arguments)) == planned(folder, *arguments)


def test_a_finished_run_gives_the_rate(smoke):
    work = plan(smoke).partition("\nwork ")[2].partition("\n\n")[0]
    assert re.search(r"source training +90 +\S+ +finished jobs of 90 models", work)
    assert re.search(r"transfers, fixed +86 +\S+ +finished jobs of 86 models", work)
