"""The page's part on memories: headline, warnings, the way to the gallery, and the tables that were made."""

from types import SimpleNamespace

import h5py
import numpy as np

from tests.memories.gallery.artefacts import write_memories
from tests.memories.written import write_artefact
from transferlens.core.blocks import Cards, Figure, Link, Warnings
from transferlens.core.run import Run
from transferlens.data.capability import CAPABILITY as DATA
from transferlens.influence.capability import CAPABILITY as INFLUENCE
from transferlens.memories import page
from transferlens.memories.capability import CAPABILITY as MEMORIES
from transferlens.memories.gallery import numbers
from transferlens.memories.remedies.artefacts import REMEDIES
from transferlens.training.capability import CAPABILITY as TRAINING

SOURCES, TARGETS = ["espresso", "hen", "kite"], ["cat", "dog"]
# Without influences there is no agreement to show.
GIVEN = {
    "source": "imagenet",
    "targets": {"pets": {"recipes": ["full"]}},
    "recipes": {"full": {"kind": "full"}},
    "studies": {"influence": None, "repeated": None},
    "memories": {"recipes": ["full"], "models": 1, "choosing": 1, "remedies": ["inside"]},
}


def test_headline_warnings_and_gallery_of_a_study(tmp_path):
    folder = tmp_path / "memories/pets/full"
    folder.mkdir(parents=True)
    study = write_memories(folder, SOURCES, TARGETS, np.zeros((6, 8, 8, 3), np.uint8), tried=3)
    write_artefact(folder / "remedies.h5", REMEDIES, {"comparison": 2}, change_q=[0.2, np.nan])
    run = Run(GIVEN, [DATA, TRAINING, INFLUENCE, MEMORIES])
    overview, remedies = page.sections(run, SimpleNamespace(folder=tmp_path))
    blocks = {type(block): block for block in overview.blocks}
    assert [(c.name, c.value, c.detail) for c in blocks[Cards].cards] == numbers.headline(study)
    assert blocks[Cards].cards
    assert any("Raise memories.models" in text for text in blocks[Warnings].texts)
    assert blocks[Link].address == "pets/full/memories.html"
    assert overview.subject.title == "Detrimental memories: target pets, recipe full"
    (picture,) = remedies.blocks
    assert isinstance(picture, Figure)
    assert picture.path == folder / "remedies.png"
    assert (remedies.method, remedies.tests) == ("remedies", 1)
    with h5py.File(study.probes) as probes, h5py.File(study.interference) as interference:
        q = [*probes["binding_q"][1].flat, *interference["interference_q"][1].flat]
    assert (overview.method, overview.tests) == ("interference-and-binding", np.isfinite(q).sum() + 1)
