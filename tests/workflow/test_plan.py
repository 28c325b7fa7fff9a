"""The plan of a study against the study: jobs as Snakemake counts them, bytes as they lie on the disk."""

import json
import re
import shlex
import shutil

import pytest

from tests.workflow.conftest import copy_project, planned
from tests.workflow.test_faults import ask
from transferlens.operations.plan import count_jobs

pytestmark = pytest.mark.workflow

WORTH_COMPARING = 100e3
UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


def plan(folder, *arguments):
    done = ask(folder, "plan", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def settings_of(folder, *arguments):
    """What the workflow tells the plan of a study."""
    done = ask(folder, "plan", "--dry-run", "--printshellcmds", *arguments)
    (command,) = (
        line for line in done.stdout.splitlines() + done.stderr.splitlines() if "--data-root" in line
    )
    words = shlex.split(command)
    return json.loads(words[words.index("--settings") + 1])


def bytes_of(text):
    table = text.partition("\nstage")[2]
    found = re.findall(r"^([^\d\n]+?) +([\d.]+) (B|kB|MB|GB|TB)\b", table, re.MULTILINE)
    return {stage: float(number) * UNITS[unit] for stage, number, unit in found}


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
        "data sets": ["data/**/*"],
        "masks": ["studies/*/masks/*"],
        "source models": ["studies/*/source/*"],
        "transfer shards": ["studies/*/transfer/**/*"],
        "summaries": ["studies/*/summary/**/*"],
        "influences": ["influence/**/*"],
        "influence maps": ["influence_maps/**/*.h5"],
        "the rest": [
            *(
                f"{name}/**/*"
                for name in ("analyses", "counterfactual", "faithfulness", "heatmaps", "report", "scores")
            ),
            "influence_maps/**/*.png",
        ],
    }
    of_memories = {*results.glob("memories/**/*"), *results.glob("report/*/*/memories.html")}
    sizes = {path: path.stat().st_size for path in results.rglob("*") if path.is_file()}
    used = sum(size for path, size in sizes.items() if path in of_memories)
    assert used <= predicted["memories"] <= 2 * used  # said to be an upper bound
    compared = 0
    for stage, patterns in parts.items():
        files = {path for pattern in patterns for path in results.glob(pattern)} - of_memories
        used = sum(size for path, size in sizes.items() if path in files)
        if used > WORTH_COMPARING:
            assert predicted[stage] == pytest.approx(used, rel=0.15), stage
            compared += 1
    assert compared >= 7


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
            "recipes={full: {kind: full}}",
            "studies={reuse: {architecture: {name: small_resnet, width: 8}, recipe: full}}",
        ],
        [
            "studies={repeated: null, reuse: {architecture: {name: small_resnet, width: 16}}}",
            "heatmaps={faithfulness: null}",
            "memories=null",
        ],
        [
            "memories={recipes: [fixed, full], models: 3, remedies: []}",
            "studies={reference: {shard_size: 2}}",
        ],
    ],
    ids=["smoke", "sizes-blocks-temporary", "reuse-recipe", "reuse-architecture", "memories"],
)
def test_a_plan_counts_the_jobs_that_snakemake_counts(tmp_path, overrides):
    arguments = ["--config", *overrides] if overrides else []
    folder = copy_project(tmp_path)
    assert count_jobs(settings_of(folder, *arguments)) == planned(folder, *arguments)


def test_a_finished_run_gives_the_rate(smoke):
    work = plan(smoke).partition("\nwork ")[2].partition("\n\n")[0]
    assert re.search(r"source training +86 +\S+ +finished jobs of 86 models", work)
    assert re.search(r"transfers, fixed +82 +\S+ +finished jobs of 82 models", work)
