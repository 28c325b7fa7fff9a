"""The wheel holds every file that the package reads beside its code, and the command."""

import subprocess
import sys
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_the_wheel_is_whole(tmp_path):
    source = tmp_path / "source"  # a copy, so that nothing is built in the project
    tracked = subprocess.run(
        ["git", "ls-files", "transferlens", "pyproject.toml", "README.md", "LICENSE"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((REPOSITORY / name).read_bytes())
    built = [sys.executable, "-m", "pip", "wheel", source, "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*built, "--wheel-dir", tmp_path], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        (points,) = (name for name in held if name.endswith("entry_points.txt"))
        assert "transferlens = transferlens.command.main:main" in archive.read(points).decode()
    assert {name for name in tracked if name.startswith("transferlens/")} <= held
    assert "transferlens/py.typed" in held
