"""The proof of the house: a capability is a folder, a script, a .smk, one name and one include."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.conftest import SMOKE, planned, run_snakemake, snakemake
from tests.workflow.edited import Study, edit

pytestmark = pytest.mark.workflow
TOY = Path(__file__).parent / "toy"
ON = ("--config", "colours={models: 2}")
TARGET = "results/colours/optdigits/fixed.h5"


def move_in(folder: Path) -> Path:
    """Add the toy capability to a copy of the project: exactly what a new capability costs."""
    room = folder / "transferlens/colours"
    room.mkdir()
    (room / "__init__.py").write_text('"""Colours."""\n')
    for name in ("settings", "artefacts", "capability", "measure", "page"):
        shutil.copy(TOY / f"{name}.py", room)
    shutil.copy(TOY / "measure_colours.py", folder / "scripts")
    shutil.copy(TOY / "colours.smk", folder / "workflow/rules")
    edit(folder / "transferlens/capabilities.py", '    "memories",\n', '    "memories",\n    "colours",\n')
    edit(
        folder / "workflow/Snakefile",
        'include: "rules/memories.smk"\n',
        'include: "rules/memories.smk"\ninclude: "rules/colours.smk"\n',
    )
    return folder


@pytest.fixture(scope="module")
def extended(smoke, tmp_path_factory) -> Path:
    """The finished smoke study with the toy capability moved in and run."""
    folder = move_in(shutil.copytree(smoke, tmp_path_factory.mktemp("toy") / "study"))
    done = snakemake(folder, "--cores", "2", *ON)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def edited(extended):
    with Study(extended) as study:
        yield study


@pytest.fixture
def changed(edited):
    """The same study, to change: edits are taken back."""
    yield edited
    edited.restore()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("colours={modles: 2}", "unknown key 'colours.modles' (did you mean 'models'?)"),
        ("colours={models: 0}", "'colours.models' is impossible: 0"),
        ("colours={weight: heavy}", "'colours.weight' is 'heavy' (str); it must be of type number"),
        ("colours={models: 99}", "colours.models is 99, but studies.reference has 6"),
    ],
)
def test_its_settings_are_checked_before_anything_runs(extended, setting, message):
    done = run_snakemake(extended, "--dry-run", "--config", setting, *SMOKE)
    assert done.returncode == 1
    assert f"transferlens: config: {message}" in done.stdout + done.stderr


def test_moving_in_re_ran_the_page_alone(smoke, tmp_path):
    folder = move_in(shutil.copytree(smoke, tmp_path / "study"))
    assert planned(folder) == {"report": 1}  # whose code has one page more
    assert planned(folder, *ON) == {"colours": 1, "report": 1}


def test_a_change_re_runs_what_it_decides(changed):
    assert changed.planned(*ON) == {}
    assert changed.planned("--config", "colours={models: 3}") == {"colours": 1, "report": 1}
    changed.edit("transferlens/colours/measure.py", '"""Mean confidence', '"""The mean confidence')
    changed.edit("transferlens/colours/settings.py", "Models whose outputs", "How many models whose outputs")
    changed.edit("transferlens/colours/artefacts.py", "mean probability", "average probability")
    assert changed.planned(*ON) == {}  # words alone
    changed.edit("transferlens/colours/measure.py", "weight * means", "weight * means + 0")
    assert changed.planned(*ON) == {"colours": 1, "report": 1}


def test_arithmetic_deep_below_re_runs_it(changed):
    changed.edit(
        "transferlens/core/statistics.py",
        "values.std(-1, ddof=1) / np.sqrt(n)",
        "values.std(-1, ddof=1) / n**0.5",
    )
    jobs = changed.planned(*ON)
    assert jobs["colours"] == jobs["counterfactual"] == jobs["report"] == 1
    assert not {"train_source", "transfer", "influence", "dataset"} & jobs.keys()


def read(folder: Path, code: str) -> str:
    """What a Python prints that imports the copy of the project."""
    program = f"from transferlens import open_results; results = open_results('results'); {code}"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(folder), "PATH": ""},
    )  # fmt: skip
    return done.stdout.strip()


def test_the_read_api_knows_it_and_so_does_any_tool(extended):
    shown = json.loads(
        read(
            extended,
            "import json, xarray as xr; made = results.colours('optdigits', 'fixed');"
            f"other = xr.open_dataset('{TARGET}', engine='h5netcdf');"
            "print(json.dumps([made.equals(other), list(made.confidence.dims), made.half.values.tolist(),"
            " made.attrs['kind'], made.attrs['seed'].item(), json.loads(made.attrs['inputs']).__len__()]))",
        )
    )
    assert shown == [True, ["half"], ["select", "report"], "colours", 0, 1]
    assert "mean probability of the true class" in read(extended, "print(results.colours.__doc__)")


def test_the_page_says_what_it_says(extended):
    page = (extended / "results/report/index.html").read_text()
    value = read(
        extended,
        "print(f\"{float(results.colours('optdigits', 'fixed').confidence.sel(half='report')):.3f}\")",
    )
    assert "Toy colours" in page
    assert f">{value}<" in page


def test_the_plan_counts_it(extended):
    done = run_snakemake(extended, "plan", "--cores", "1", *ON, *SMOKE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert any(line.split() == ["colours", "1"] for line in done.stdout.splitlines())


def test_the_doctor_checks_it(extended, tmp_path):
    folder = shutil.copytree(extended, tmp_path / "copy")
    shutil.copy(folder / TARGET, folder / "results/colours/optdigits/other.h5")
    os.truncate(folder / TARGET, (folder / TARGET).stat().st_size // 2)
    done = run_snakemake(folder, "doctor", "--cores", "2", *ON, *SMOKE)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "results/colours/optdigits/other.h5: was made as colours/optdigits/fixed.h5" in said
    assert f"{TARGET}: damaged" in said
