"""The page's part on memories: what may be said, the headline, the way to the gallery, the tables."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.memories.gallery.artefacts import write_memories
from tests.memories.test_seen import compared
from tests.memories.written import write_artefact
from transferlens.core.blocks import Cards, Figure, Link, Prose, Table, Warnings
from transferlens.core.run import Run
from transferlens.data.capability import CAPABILITY as DATA
from transferlens.influence.capability import CAPABILITY as INFLUENCE
from transferlens.memories import page
from transferlens.memories.capability import CAPABILITY as MEMORIES
from transferlens.memories.gallery import numbers
from transferlens.memories.images.artefacts import PREDICTORS, RANKING
from transferlens.memories.remedies.artefacts import REMEDIES
from transferlens.memories.seen import stored, told
from transferlens.memories.words import words
from transferlens.training.capability import CAPABILITY as TRAINING

SOURCES, TARGETS = ["espresso", "hen", "kite"], ["cat", "dog"]


def run_with(memories, studies=None):
    # Without influences there is no agreement to show.
    given = {
        "source": "imagenet",
        "targets": {"pets": {"recipes": ["full"]}},
        "recipes": {"full": {"kind": "full"}},
        "studies": {"influence": None, "repeated": None, **(studies or {})},
        "memories": {"recipes": ["full"], "models": 1, "choosing": 1, **memories},
    }
    return Run(given, [DATA, TRAINING, INFLUENCE, MEMORIES])


@pytest.fixture
def study(tmp_path):
    """Artefacts of a study, but those of the causal test."""
    folder = tmp_path / "memories/pets/full"
    folder.mkdir(parents=True)
    written = write_memories(folder, SOURCES, TARGETS, np.zeros((6, 8, 8, 3), np.uint8), tried=3)
    areas = np.linspace(0.5, 0.9, len(PREDICTORS))
    known = {"predictor": list(PREDICTORS), "failures_auc": areas, "failures_auc_low": areas - 0.1}
    known |= {"failures_auc_high": areas + 0.1, "added_auc": 0.02, "added_auc_low": -0.01}
    known |= {"added_auc_high": 0.05, "added_auc_p": 0.2}
    write_artefact(folder / "ranking.h5", RANKING, {"example": 2, "predictor": len(areas)}, **known)
    q = np.array([0.01, np.nan])
    write_artefact(folder / "remedies.h5", REMEDIES, {"comparison": 2}, change_q=q)
    return tmp_path, written


def sections(run, folder):
    return list(page.sections(run, SimpleNamespace(folder=folder)))


def texts(section):
    return " ".join(block.text for block in section.blocks if isinstance(block, Prose))


def test_without_a_causal_test_nothing_is_called_a_memory(study):
    folder, written = study
    overview, ranking, remedies = sections(run_with({"remedies": ["inside"]}), folder)
    blocks = {type(block): block for block in overview.blocks}
    assert [(c.name, c.value, c.detail) for c in blocks[Cards].cards] == numbers.headline(written)
    assert blocks[Cards].cards
    assert any("Raise memories.models" in text for text in blocks[Warnings].texts)
    assert blocks[Link].address == "pets/full/memories.html"
    assert overview.subject.title == "What source classes do: target pets, recipe full"
    assert "No causal test was made" in overview.blocks[0].text
    said = " ".join([overview.subject.title, texts(overview), ranking.title, texts(ranking)])
    assert "memor" not in said.replace("`memories.without`", "").lower()
    (picture,) = remedies.blocks
    assert isinstance(picture, Figure)
    assert picture.path == folder / "memories/pets/full/remedies.png"
    assert (remedies.method, remedies.tests) == ("remedies", 1)


def test_the_headline_is_the_causal_test(study):
    folder, _ = study
    stored.write(folder / "memories/pets/full/seen.h5", compared())
    overview, seen, _ = sections(run_with({"without": 1, "repeats": 1}), folder)
    assert overview.blocks[0].text == told.headline(folder / "memories/pets/full/seen.h5")
    assert "is a memory of these classes" in overview.blocks[0].text
    assert (overview.method, seen.method) == ("seen-and-unseen", "seen-and-unseen")


def test_ranking_claims_what_distraction_adds_and_no_more(study):
    folder, _ = study
    _, ranking = sections(run_with({}), folder)
    assert "is not shown: +0.02 (95 % -0.01 to +0.05)" in texts(ranking)
    (table,) = (block for block in ranking.blocks if isinstance(block, Table))
    assert table.rows[0][1] == "0.500"
    assert len(table.rows) == len(PREDICTORS)
    assert (ranking.method, ranking.tests) == ("ranking", 1)


def test_a_pretrained_source_is_set_against_scratch():
    run = run_with({"source": "pretrained"}, {"pretrained": {"weights": "w.pt", "repeats": 2}})
    assert words(run).title == "Pretrained against scratch"
    assert "memory" not in words(run).untested
