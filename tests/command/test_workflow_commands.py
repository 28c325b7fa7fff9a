"""`plan` and `doctor` find the project and become Snakemake in it; without one, a line says the cure."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SNAKEFILE = """
import json
print(json.dumps([workflow.basedir, os.getcwd(), config, workflow.cores]))
rule doctor:
"""


def transferlens(*words, at):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "transferlens.command.main", *map(str, words)]
    return subprocess.run(command, cwd=at, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    (root / "docs").mkdir(parents=True)
    (root / "Snakefile").write_text(SNAKEFILE)
    (root / "docs" / "mine.yaml").write_text("colour: green")
    return root


def test_the_project_above_is_asked_with_files_named_from_here(project, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    words = ("--configfile", "mine.yaml", "--cores", "2", "--directory", "../../elsewhere")
    done = transferlens("doctor", *words, at=project / "docs")
    assert done.returncode == 0, done.stderr
    (said,) = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert said == [str(project), str(tmp_path / "elsewhere"), {"colour": "green"}, 2]


def test_what_snakemake_ends_with_is_passed_on(project, tmp_path):
    done = transferlens("plan", "--project", "project", at=tmp_path)  # no rule of this name
    assert done.returncode == 1
    assert "MissingRuleException" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no Snakefile here or above; run this in the folder of the project, or name that: --project"),
        (("--project", "project/docs"), "project/docs has no Snakefile; name the folder that has"),
        (("--project", "none"), "none: no such file or folder"),
        (("--project", "project", "--configfile", "none.yaml"), "none.yaml: no such file or folder"),
    ],
)
def test_without_a_project_a_line_says_the_cure(project, tmp_path, words, message):
    done = transferlens("plan", *words, at=tmp_path)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert message in line
    assert "Traceback" not in done.stderr
