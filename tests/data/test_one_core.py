"""Jobs on a machine with one core."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import DATASET
from transferlens.data import ffcv_files

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.mark.skipif(not shutil.which("taskset"), reason="taskset (util-linux) is not installed")
def test_an_ffcv_file_is_written_on_one_core_and_the_job_ends(image_folder, tmp_path):
    """Numba's threads, unloaded after FFCV's writer has forked, would keep it for ever."""
    settings = {"name": "textures", "seed": 0, "split": "val"}
    settings["dataset"] = vars(DATASET) | {"path": str(image_folder)}

    def run_script(name, *arguments):
        command = ["taskset", "-c", "0", sys.executable, SCRIPTS / name, "--settings", json.dumps(settings)]
        done = subprocess.run(
            [*command, "--data-root", tmp_path, *arguments],
            env=os.environ | {"PYTHONPATH": str(SCRIPTS.parent)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr

    files = [tmp_path / name for name in ("index.h5", "val.beton", "val.h5")]
    run_script("prepare_dataset.py", "--index", files[0])
    run_script("write_beton.py", "--index", files[0], "--beton", files[1], "--manifest", files[2])
    ffcv_files.check(files[1])
