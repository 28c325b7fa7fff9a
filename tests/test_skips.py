"""A run lists what it skipped and why; missing data are no reason where the others are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import skips

REPOSITORY = Path(__file__).resolve().parents[1]
TESTS = """
import pytest

@pytest.mark.skipif(True, reason="no cluster")
@pytest.mark.parametrize("node", [1, 2])
def test_jobs(node): pass

def test_images(): pytest.skip("no images")
def test_sums(): pass
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_what_was_skipped_is_listed_by_reason(tmp_path, workers):
    (tmp_path / "conftest.py").write_text("from tests.skips import pytest_terminal_summary\n")
    (tmp_path / "test_some.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-n", workers, "--rootdir", tmp_path, "-c", "/dev/null"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([*command, tmp_path], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    _, _, listed = done.stdout.partition("- 3 skipped -")
    assert listed.splitlines()[1:6] == [
        "no cluster:",
        "  test_some.py::test_jobs[1]",
        "  test_some.py::test_jobs[2]",
        "no images:",
        "  test_some.py::test_images",
    ]


def test_missing_data_skip_a_test_only_where_none_are_set_up(tmp_path, monkeypatch):
    monkeypatch.setattr(skips, "SHARED_DATA", tmp_path / "data")
    with pytest.raises(pytest.skip.Exception, match=r"no local copy of usps\.h5"):
        skips.shared_data("usps.h5")
    (tmp_path / "data").mkdir()
    with pytest.raises(pytest.fail.Exception, match=r"no local copy of usps\.h5"):
        skips.shared_data("usps.h5")
    (tmp_path / "data/usps.h5").touch()
    assert skips.shared_data("usps.h5") == tmp_path / "data/usps.h5"
