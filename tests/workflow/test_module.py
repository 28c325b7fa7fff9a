"""The workflow from elsewhere: by its other front door, and as a module of a user's own workflow."""

import pytest

from tests.workflow.conftest import REPOSITORY, SMALLEST, SMOKE, planned_jobs, run_snakemake

pytestmark = pytest.mark.workflow

USER = """
configfile: "own.yaml"


module transferlens:
    snakefile: "{snakefile}"
    config: config


use rule * from transferlens as transferlens_*


rule size_of_page:
    default_target: True
    input: "results/report/index.html"
    output: "size.txt"
    shell: "wc -c {{input}} > {{output}}"
"""


@pytest.fixture
def user(tmp_path):
    """A folder with nothing but a workflow that uses this one, and settings of the smoke study."""
    (tmp_path / "own.yaml").write_text((REPOSITORY / "configs/smoke.yaml").read_text())
    (tmp_path / "Snakefile").write_text(USER.format(snakefile=REPOSITORY / "workflow/Snakefile"))
    return tmp_path


def test_a_module_plans_the_jobs_of_the_workflow_by_either_front_door(user):
    """The module's config is laid over config.yaml, as a file of --configfile is."""
    smoke = ["--configfile", str(REPOSITORY / SMOKE[1])]
    own = planned_jobs(user, SMALLEST)
    direct = planned_jobs(user, SMALLEST, "--snakefile", str(REPOSITORY / "workflow/Snakefile"), *smoke)
    assert own == {f"transferlens_{rule}": jobs for rule, jobs in direct.items()}
    assert direct["train_source"] == 1


@pytest.mark.parametrize(
    ("written", "instead", "message"),
    [
        ("seed: 0", "sede: 0", "unknown key 'sede' (did you mean 'seed'?)"),
        ("seed: 0", "seed: 0\nseed: 1", "own.yaml, line 2: the key 'seed' stands there twice"),
        ("config: config", 'config: config\n    prefix: "elsewhere"', "leave it out, and run in a folder"),
    ],
)
def test_a_module_that_cannot_work_is_refused_in_one_line(user, written, instead, message):
    (user / "own.yaml").write_text("seed: 0\n")
    for name in ("own.yaml", "Snakefile"):
        (user / name).write_text((user / name).read_text().replace(written, instead))
    done = run_snakemake(user, "--dry-run")
    assert done.returncode != 0
    printed = (done.stdout + done.stderr).splitlines()
    assert [line.startswith("transferlens: ") for line in printed if message in line] == [True]
