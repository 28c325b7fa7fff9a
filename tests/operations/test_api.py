"""The reference of the library: everything public is there, told, and its links lead somewhere."""

import html
import re
import subprocess
import sys

from transferlens.operations.api import PUBLIC
from transferlens.results import Results


def built(folder):
    return subprocess.run(
        [sys.executable, "-m", "transferlens.operations.api", str(folder)], capture_output=True, text=True
    )


def test_the_reference_tells_all_that_is_public_and_its_links_lead_somewhere(tmp_path):
    done = built(tmp_path / "api")
    assert done.returncode == 0, done.stderr
    assert "Warn" not in done.stderr  # pdoc warns of what it does not find
    pages = {path: path.read_text(encoding="utf-8") for path in (tmp_path / "api").rglob("*.html")}
    for module in PUBLIC:
        assert (tmp_path / "api" / f"{module.replace('.', '/')}.html") in pages
    results = pages[tmp_path / "api/transferlens/results.html"]
    for name in dir(object.__new__(Results)):
        assert name.startswith("_") or f'id="Results.{name}"' in results, name
    assert "influence, by target, recipe." in results
    for path, text in pages.items():
        for link in set(re.findall(r'<a [^>]*href="([^"$:]+)"', text)):
            page, _, anchor = html.unescape(link).partition("#")
            there = (path.parent / page).resolve() if page else path
            assert there in pages, (path, link)
            assert not anchor or f'id="{anchor}"' in pages[there], (path, link)


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("mine")
    done = built(tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith(f"error: {tmp_path}: is there already; name a folder that is new or empty\n")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
