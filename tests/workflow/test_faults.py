"""What clusters, disks and clocks do to a run, done to the finished smoke study."""

import os
import shlex
import shutil
import subprocess
import sys
import time

import h5py
import psutil
import pytest

from tests.workflow.conftest import SMALLEST as SUMMARY
from tests.workflow.conftest import SMOKE, arrays, assert_same_arrays, planned, run_snakemake, snakemake

pytestmark = pytest.mark.workflow

SHARD = "results/studies/repeated/transfer/optdigits/fixed/0000.h5"
INFLUENCE = "results/influence/optdigits/fixed.h5"


def ask(folder, target, *arguments):
    """`snakemake <target>` on the smoke study."""
    return run_snakemake(folder, target, "--cores", "2", *SMOKE, *arguments)


def flip_a_bit(path, dataset=None):
    offset = path.stat().st_size // 2
    if dataset:
        with h5py.File(path) as file:
            offset = file[dataset].id.get_chunk_info(0).byte_offset + 5
    with path.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 16]))


def cut(path):
    os.truncate(path, path.stat().st_size - 40)


def contents(folder):
    """Every file of the results but the doctor's own log."""
    files = [p for p in (folder / "results").rglob("*") if p.is_file() and p.name != "doctor.log"]
    return {path: path.read_bytes() for path in files}


def test_the_doctor_finds_nothing_in_a_sound_folder_and_says_what_a_change_runs(smoke):
    done = ask(smoke, "doctor", "--config", "report={title: Other}")
    assert done.returncode == 0, done.stdout + done.stderr
    checked, heading, _, *table = done.stdout.splitlines()
    assert checked.endswith("none damaged.")
    assert heading == "Snakemake would run:"
    assert table[0].split(maxsplit=2) == ["report", "1", "params have changed since last execution"]


def test_the_doctor_names_all_damage_and_its_cure_and_changes_nothing(finished):
    damaged = {
        SHARD: lambda path: flip_a_bit(path, "margin"),
        "results/data/optdigits/val.beton": flip_a_bit,
        "results/heatmaps/optdigits/fixed.png": cut,
        "results/report/index.html": cut,
        "results/report/optdigits/fixed/convergence.svg": cut,
        "results/analyses/failures/optdigits/fixed.csv": cut,
        INFLUENCE: cut,
        # whole, but not what its place says
        "results/counterfactual/optdigits/fixed.h5": lambda path: shutil.copy(finished / SUMMARY, path),
    }
    for path, damage in damaged.items():
        damage(finished / path)
    with h5py.File(finished / "results/studies/influence/source/0001.h5", "r+") as file:
        file.attrs["settings"] = file.attrs["settings"].replace(b'"epochs": 3', b'"epochs": 5')
    left_over = "results/influence/optdigits/.fixed.h5.node.1.tmp"
    (finished / left_over).touch()
    before = contents(finished)
    done = ask(finished, "doctor")
    assert done.returncode != 0
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines() if "; cure: " in line)
    for path in [*damaged, "results/studies/influence/source/0001.h5", left_over]:
        assert said.pop(path).endswith(f"cure: rm {path}")
    assert not said
    assert "made with training.epochs 5, the configuration has 3" in done.stdout
    assert contents(finished) == before


def test_a_damaged_shard_is_named_and_made_again_the_same(finished):
    expected = {path: arrays(finished / path) for path in (SHARD, SUMMARY)}
    for path in (SUMMARY, "scores/optdigits/fixed.h5", "report/optdigits/fixed/influence_matrix.svg"):
        (finished / "results" / path.removeprefix("results/")).unlink()  # not made before the damage
    (finished / "results/report/index.html").unlink()
    flip_a_bit(finished / SHARD, "margin")
    done = snakemake(finished, "--cores", "1", "--", SUMMARY)
    assert done.returncode != 0
    assert f"{SHARD}: damaged" in done.stdout + done.stderr
    assert f"rm {SHARD}" in done.stdout + done.stderr
    (finished / SHARD).unlink()
    read_anew = {"score": 1, "transferability": 1, "score_influences": 1, "influence_figures": 1, "report": 1}
    assert planned(finished) == {"transfer": 1, "summary": 1, **read_anew}
    done = snakemake(finished, "--cores", "1", "--", SUMMARY)
    assert done.returncode == 0, done.stdout + done.stderr
    for path, before in expected.items():
        assert_same_arrays(finished / path, before)


def test_a_killed_transfer_goes_on_to_the_same_bits(finished):
    """The job itself, by the command that Snakemake runs, killed while a model trains."""
    expected = arrays(finished / SHARD)
    (finished / SHARD).unlink()
    done = snakemake(finished, "--dry-run", "--printshellcmds", "--config", "resume_minutes=0", "--", SHARD)
    (line,) = [line for line in done.stdout.splitlines() if "scripts/transfer.py" in line]
    words = shlex.split(line)  # "Shell command: python scripts/transfer.py ..."
    command = [sys.executable, *words[words.index("python") + 1 :]]
    assert float(command[command.index("--resume-minutes") + 1]) == 0
    progress = finished / SHARD.replace("0000.h5", ".0000.h5.progress")
    killed = subprocess.Popen(command, cwd=finished, stderr=subprocess.DEVNULL)
    while killed.poll() is None and len(list(progress.glob("*-outcome.pt"))) < 2:
        time.sleep(0.01)
    assert killed.poll() is None
    killed.kill()
    killed.wait()
    assert not (finished / SHARD).exists()
    subprocess.run(command, cwd=finished, check=True, capture_output=True)
    assert_same_arrays(finished / SHARD, expected)
    assert not progress.exists()


def test_a_second_snakemake_is_refused_and_a_killed_one_is_survived(finished):
    arguments = ["--cores", "1", SUMMARY]
    (finished / SHARD).unlink()
    (finished / SUMMARY).unlink()
    first = subprocess.Popen(
        [sys.executable, "-m", "snakemake", *arguments, *SMOKE],
        cwd=finished,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while first.poll() is None and not list((finished / SHARD).parent.glob(".*.tmp")):
        time.sleep(0.1)
    job = psutil.Process(first.pid).children(recursive=True)
    for process in job:
        process.suspend()  # however fast it is, it does not end before the others were refused
    second = snakemake(finished, *arguments, "--quiet", "all")
    assert first.poll() is None
    assert second.returncode != 0
    assert "no other Snakemake process" in second.stdout + second.stderr
    first.kill()
    first.wait()
    third = snakemake(finished, *arguments)
    assert "--unlock" in third.stdout + third.stderr
    for process in job:
        process.resume()
    # The job goes on by itself and ends; Snakemake does not know whether its file is complete.
    while list((finished / SHARD).parent.glob(".*.tmp")):
        time.sleep(0.1)
    assert snakemake(finished, "--unlock").returncode == 0
    done = snakemake(finished, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert planned(finished).keys() <= {
        "score",
        "transferability",
        "score_influences",
        "influence_figures",
        "report",
    }


def test_wrong_clocks_neither_re_run_nor_lose_anything(finished):
    ahead = time.time() + 3600
    for path in [finished / SHARD, *(finished / "transferlens").rglob("*.py")]:
        os.utime(path, (ahead, ahead))
    assert planned(finished) == {}
    expected = {path: arrays(finished / path) for path in (SUMMARY, INFLUENCE)}
    done = snakemake(finished, "--cores", "1", "--force", "--", *expected)
    assert done.returncode == 0, done.stdout + done.stderr
    for path, before in expected.items():
        assert_same_arrays(finished / path, before)
    assert "were dated in the future" in done.stdout + done.stderr
