"""The rooms and their floors: who may import whom."""

import pytest

from transferlens.operations import house
from transferlens.operations.house import CAPABILITIES, FLOORS, PACKAGE

# Who may import what is heavy, or belongs to one room alone.
ONLY_IN = {"ffcv.": "data", "torchcam": "maps", "snakemake": None}


@pytest.mark.parametrize("path", house.modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path):
    room = house.room_of(path)
    floor = next(i for i, rooms in enumerate(FLOORS) if room in rooms)
    known = {other for rooms in FLOORS for other in rooms}
    for module, other in house.imports(path):
        for start, only in ONLY_IN.items():
            assert not module.startswith(start) or room == only, module
        if other in known and other != room:
            assert other in set().union(*FLOORS[: floor + 1]), (module, "is above")
            assert not {room, other} <= set(CAPABILITIES), (module, "is another capability")


def test_the_picture_of_the_house_is_true():
    """`python -m transferlens.operations.house` draws it anew."""
    assert house.PICTURE.read_text(encoding="utf-8") == house.draw()
