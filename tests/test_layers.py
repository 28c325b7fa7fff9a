"""The rooms and their floors: who may import whom."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "transferlens"
FLOORS = [
    {"core"},
    {"data", "models"},
    {"maps", "pictures"},
    {"training"},
    {"estimation"},
    {"influence", "counterfactual", "heatmaps", "influence_maps", "memories"},
    {"results", "results_folder", "memory_results", "report", "analyses", "operations"},
]
CAPABILITIES = FLOORS[5]


def imports(path):
    """(module, name of the room or None) of every import in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
            for part in parts:
                inside = part.startswith("transferlens.")
                yield part, part.split(".")[1] if inside else None


FILES = [p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    floor = next(i for i, rooms in enumerate(FLOORS) if room in rooms)
    for module, other in imports(path):
        assert not module.startswith("snakemake"), module
        assert not module.startswith("ffcv.") or path.name == "ffcv_files.py", module
        assert not module.startswith("torchcam") or room == "maps", module
        known = {r for rooms in FLOORS for r in rooms}
        if other in known and other != room:
            assert other in set().union(*FLOORS[: floor + 1]), (module, "is above")
            assert not {room, other} <= CAPABILITIES, (module, "is another capability")
