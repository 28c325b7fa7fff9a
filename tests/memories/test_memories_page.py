"""The page's part on memories: headline, warnings, the way to the gallery, and the tables that were made."""

from types import SimpleNamespace

import numpy as np

from tests.report.memory_artefacts import write_memories
from transferlens.core.blocks import Cards, Figure, Link, Warnings
from transferlens.memories import page
from transferlens.memories.gallery import numbers

SOURCES, TARGETS = ["espresso", "hen", "kite"], ["cat", "dog"]


def test_headline_warnings_and_gallery_of_a_study(tmp_path):
    study = tmp_path / "memories/pets/full"
    study.mkdir(parents=True)
    write_memories(study, SOURCES, TARGETS, np.zeros((6, 8, 8, 3), np.uint8), shortlist=3)
    run = {"memories": [("pets", "full")], "memory_tables": ["remedies"]}
    overview, remedies = page.sections(run, SimpleNamespace(folder=tmp_path))
    blocks = {type(block): block for block in overview.blocks}
    assert [(c.name, c.value, c.detail) for c in blocks[Cards].cards] == numbers.headline(study)
    assert blocks[Cards].cards
    assert any("Raise memories.models" in text for text in blocks[Warnings].texts)
    assert blocks[Link].address == "pets/full/memories.html"
    assert overview.subject.title == "Detrimental memories: target pets, recipe full"
    (picture,) = remedies.blocks
    assert isinstance(picture, Figure)
    assert picture.path == study / "remedies.png"
