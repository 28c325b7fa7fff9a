"""The house: its floors, its rooms, who imports whom; and the picture of it in docs/images/house.svg.

`python -m transferlens.operations.house` draws the picture anew.
"""

import ast
from collections.abc import Iterator
from functools import cache
from html import escape
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
PICTURE = PACKAGE.parent / "docs/images/house.svg"
# From the ground up. A room imports from its own floor and those below; capabilities never from each other.
FLOORS = (
    ("core",),
    ("data", "models"),
    ("maps", "pictures"),
    ("training",),
    ("estimation", "scores"),
    (
        "influence",
        "counterfactual",
        "encoders",
        "heatmaps",
        "influence_maps",
        "analyses",
        "memories",
        "variance",
        "relatedness",
        "transferability",
        "comparison",
        "dynamics",
    ),
    ("report", "capabilities", "results", "operations"),
    ("command",),
)
CAPABILITIES = FLOORS[5]
_WIDTH, _HEIGHT, _GAP, _MARGIN = 128, 42, 14, 16
_COLOURS = ("#e8edf3", "#dfe9dc", "#f3ead8", "#f0dfd8", "#e9e0ee", "#d9e8ee", "#ececec", "#f6f1f1")


def room_of(path: Path) -> str:
    """The room of a module: the package's sub-folder, or the module itself."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def modules() -> list[Path]:
    """All modules but the package's front door."""
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imports(path: Path) -> Iterator[tuple[str, str | None]]:
    """(module, its room or None) of every import in a file, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                inside = name.startswith("transferlens.")
                yield name, name.split(".")[1] if inside else None


@cache
def arrows() -> dict[tuple[str, str], int]:
    """How many modules of a room import from another room."""
    known = {room for floor in FLOORS for room in floor}
    counts: dict[tuple[str, str], int] = {}
    for path in modules():
        room = room_of(path)
        for other in {imported for _, imported in imports(path) if imported in known} - {room}:
            counts[room, other] = counts.get((room, other), 0) + 1
    return counts


def says(room: str) -> str:
    """What a room is for: the first sentence of its docstring."""
    path = PACKAGE / room / "__init__.py" if (PACKAGE / room).is_dir() else PACKAGE / f"{room}.py"
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]


def draw() -> str:
    """The picture as SVG: floors from the ground up, a line for every import between rooms."""
    widest = max(map(len, FLOORS))
    width = 2 * _MARGIN + widest * (_WIDTH + _GAP)
    height = 2 * _MARGIN + len(FLOORS) * (_HEIGHT + 3 * _GAP)
    places = {}
    for level, floor in enumerate(FLOORS):
        left = (width - len(floor) * (_WIDTH + _GAP) + _GAP) / 2
        for i, room in enumerate(floor):
            top = height - _MARGIN - (level + 1) * (_HEIGHT + 3 * _GAP) + 2 * _GAP
            places[room] = (left + i * (_WIDTH + _GAP), top, _COLOURS[level])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="13">'
    ]
    parts += [_line(places, *rooms, count) for rooms, count in sorted(arrows().items())]
    parts += [_box(room, *place) for room, place in places.items()]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _line(places: dict, room: str, other: str, count: int) -> str:
    (x1, y1, _), (x2, y2, _) = places[room], places[other]
    start, end = (x1 + _WIDTH / 2, y1 + _HEIGHT), (x2 + _WIDTH / 2, y2)
    if y1 == y2:  # the same floor
        start, end = (x1 + _WIDTH / 2, y1), (x2 + _WIDTH / 2, y2)
    thick = min(0.6 + 0.12 * count, 2.5)
    return (
        f'<line x1="{start[0]:g}" y1="{start[1]:g}" x2="{end[0]:g}" y2="{end[1]:g}" stroke="#8899aa" '
        f'stroke-width="{thick:.2g}" opacity="0.45"><title>{count} modules of {room} import from '
        f"{other}</title></line>"
    )


def _box(room: str, left: float, top: float, colour: str) -> str:
    return (
        f'<g><rect x="{left:g}" y="{top:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="5" fill="{colour}" '
        f'stroke="#445566"/><text x="{left + _WIDTH / 2:g}" y="{top + _HEIGHT / 2 + 5:g}" '
        f'text-anchor="middle">{room}</text><title>{escape(says(room))}</title></g>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
