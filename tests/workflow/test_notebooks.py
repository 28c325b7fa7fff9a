"""The notebooks run, and what is stored in them is of the kind that running them gives."""

import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from tests.docs import REPOSITORY

nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

NOTEBOOKS = REPOSITORY / "notebooks"
WITHOUT_A_STUDY = ("checkpoint_without_a_study", "similarity_of_two_networks")
MACHINE = re.compile(r"(?<![\w.])/(?:home|root|tmp|usr|var|opt|work|Users)/|site-packages|[A-Z]:\\")
MOST_BYTES, MOST_CELLS = 200_000, 19


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A place beside `results`, as in the project, for a kernel without settings of the user."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    (tmp_path / "notebooks").mkdir()
    return tmp_path / "notebooks"


def stored(name: str) -> NotebookNode:
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def executed(name: str, folder: Path) -> NotebookNode:
    """The notebook after a run in a kernel of its own; a cell that fails ends it."""
    notebook = stored(name)
    where = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
    return notebook


def code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(notebook: NotebookNode) -> list[list[tuple]]:
    """Of every cell, what its outputs are: printed text by stream, tables and pictures by format."""
    return [
        [(out.output_type, out.get("name"), *sorted(out.get("data", ()))) for out in cell.outputs]
        for cell in code(notebook)
    ]


def texts(notebook: NotebookNode) -> str:
    """What is printed or told, pictures aside."""
    outputs = [out for cell in code(notebook) for out in cell.outputs]
    return "\n".join(out.get("text", "") + out.get("data", {}).get("text/plain", "") for out in outputs)


def check(name: str, folder: Path) -> None:
    """Run a notebook and hold it against what is stored."""
    fresh = executed(name, folder)
    assert kinds(fresh) == kinds(stored(name))
    told = texts(fresh)
    assert not MACHINE.search(told), told
    assert not re.search(r"\bnan\b", told, re.IGNORECASE), told


def test_every_notebook_is_tried_here():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == {"read_a_study", *WITHOUT_A_STUDY}


@pytest.mark.parametrize("name", ["read_a_study", *WITHOUT_A_STUDY])
def test_what_is_stored_is_small_whole_and_of_no_machine(name):
    notebook = stored(name)
    assert (NOTEBOOKS / f"{name}.ipynb").stat().st_size < MOST_BYTES
    assert len(notebook.cells) <= MOST_CELLS
    # Executed from top to bottom, once.
    assert [cell.execution_count for cell in code(notebook)] == [*range(1, len(code(notebook)) + 1)]
    assert not MACHINE.search(texts(notebook))


@pytest.mark.workflow
def test_a_finished_study_can_be_read(smoke, folder):
    (folder.parent / "results").symlink_to(smoke / "results")
    check("read_a_study", folder)


@pytest.mark.parametrize("name", WITHOUT_A_STUDY)
def test_notebooks_without_a_study_make_their_own_networks(folder, name):
    check(name, folder)
