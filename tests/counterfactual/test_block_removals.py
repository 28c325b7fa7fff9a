"""Removals of blocks of source images: which are asked for, which rows, and what the page says."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.runs import small_run
from tests.summaries import write_summary
from transferlens.core import artefacts, labelled
from transferlens.core.artefacts import Artefact, Field
from transferlens.core.blocks import Table
from transferlens.core.errors import ConfigError
from transferlens.core.studies import Reference, repeat_seed
from transferlens.counterfactual import block_page, curves
from transferlens.counterfactual.artefacts import BLOCK_REMOVALS
from transferlens.counterfactual.block_orders import BlockRemovals
from transferlens.counterfactual.orders import Cells
from transferlens.data.index import Examples, Index
from transferlens.data.units import block_units

OWN = "block_removals/optdigits/fixed"
PLACE = {"target": "optdigits", "recipe": "fixed"}
PLANTED = Artefact(
    "example influence", "e.h5", (Field("*/overall_effect", ("half", "source_class"), np.float64, "planted"),)
)
# Eight images of two classes, in blocks of two.
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
EFFECT = np.array([0.2, -0.3, 0.1, 0.5])


def studies(ks=(10, 50), examples=None, **given):
    blocks = {"examples": {"images_a_block": 5} if examples is None else examples}
    return {"studies": {**blocks, "block_removals": {"ks": list(ks), **given}}}


@pytest.fixture
def evidence(tmp_path):
    """Influences of blocks, of which only those of the select half count."""
    with artefacts.create(tmp_path / "e.h5", PLANTED) as out:
        out.write("p_true/overall_effect", np.stack([EFFECT, -EFFECT]))
    return {"example_influence": tmp_path / "e.h5"}


def draw(evidence, ks, rows):
    train = Examples([""] * 8, *[LABELS] * 5)
    source = Index(["a", "b"], ["", ""], train, train, ["a", "b"])
    settings = {"orders": ["top", "bottom"], "ks": ks, "output": "p_true", "units": 2, "seed": 3}
    return BlockRemovals.draw(settings, block_units(source, 2), rows, evidence, source)


def test_a_study_is_ranked_by_influences_of_blocks_and_paired_with_the_reference():
    run = small_run(**studies(ks=[50, 10], repeats=2))
    study = run.studies[OWN]
    assert (study.rows, study.masks["ks"], study.masks["units"]) == (3 * 2 * 2, [10, 50], 5)
    assert study.share_seen(300) == pytest.approx(1 - 30 / 300)
    assert dict(study.evidence) == {"example_influence": "results/example_influence/optdigits/fixed.h5"}
    assert (OWN, "optdigits", "fixed") in run.transfers
    assert run.jobs_of("block_removals") == run.jobs_of("block_removal_figures") == [PLACE]
    assert run.inputs("block_removals", PLACE)["reference"].startswith("results/studies/reference/")


def test_without_the_study_nothing_is_made():
    run = small_run()
    assert OWN not in run.studies
    assert run.jobs_of("block_removals") == []
    assert list(block_page.sections(run, None)) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"studies": {"block_removals": {"ks": [5]}}}, "needs studies.examples, which ranks the blocks"),
        (studies(repeats=9), "repeats is 9, but each repeat is paired .* studies.reference.repeats is 8"),
        (studies(output="correct"), "studies.block_removals.output is 'correct'"),
        (studies(orders=["matched"]), "matched"),
    ],
)
def test_impossible_settings_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        small_run(**given)


def test_more_blocks_than_there_can_be_are_refused_before_anything_is_trained():
    """400 images of each of 20 classes at the most: 1,600 blocks of five."""
    small_run(**studies(ks=[1600])).check_data()
    with pytest.raises(ConfigError, match=r"ks contains 1620, but of at most 8000 .* 1619 blocks of 5"):
        small_run(**studies(ks=[1620])).check_data()


def test_rows_miss_the_most_helpful_and_the_most_harmful_blocks(evidence):
    rows = draw(evidence, [1, 3], range(8))
    missing = [np.flatnonzero(~mask).tolist() for mask in rows.masks]
    assert missing == 2 * [[3], [0, 2, 3], [1], [0, 1, 2]]
    assert rows.unit_names == ["a / 0-1", "a / 2-3", "b / 0-1", "b / 2-3"]
    assert rows.training_seeds.tolist() == [repeat_seed(3, r) for r in (0, 0, 0, 0, 1, 1, 1, 1)]


def test_more_blocks_than_there_are_is_one_line(evidence):
    with pytest.raises(ConfigError, match="ks contains 5, but the source has 4 blocks of 2 images"):
        draw(evidence, [5], range(2))


def test_gains_are_paired_and_shown(tmp_path, evidence):
    cells, repeats = Cells(["top", "bottom"], [1, 3]), 3
    rng = np.random.default_rng(0)
    full = rng.normal(0.8, 0.05, repeats)
    shift = np.array([-0.1, -0.2, 0.1, 0.0])  # of the cells: top 1 and 3, bottom 1 and 3
    rows = draw(evidence, [1, 3], range(4 * repeats))
    reference = Reference.draw({"seed": 3}, block_units_of(rows), range(2 * repeats), {}, None)
    both = np.repeat(full, 2) - np.tile([0, 0.3], repeats)
    removed = (full[:, None] + shift).ravel()
    for name, of, accuracy in (("s.h5", rows, removed), ("r.h5", reference, both)):
        accuracy = np.repeat(accuracy[:, None], 2, axis=1)
        write_summary(tmp_path / name, of, [0, 0], [0, 1], ["t"], accuracy=accuracy)
    read = curves.read_reference(tmp_path / "r.h5", "p_true")
    retrained = curves.read_retrained(tmp_path / "s.h5", read, cells, "p_true")
    curves.write_counterfactual(tmp_path / "b.h5", BLOCK_REMOVALS, read, retrained)
    found = labelled.read(tmp_path / "b.h5", BLOCK_REMOVALS)
    np.testing.assert_allclose(found.gain_mean.sel(half="report").values.ravel(), shift, atol=1e-12)
    assert found.best_k.values.tolist() == [1, 1]
    results = SimpleNamespace(folder=tmp_path, block_removals=lambda *_: found)
    (section,) = block_page.sections(small_run(**studies(ks=[1, 3])), results)
    figure, table = section.blocks
    assert figure.caption.startswith("Blocks of 5 source images of one class")
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["top", "bottom"]


def block_units_of(rows):
    """What the reference's rows switch: only the numbers of units count."""
    return SimpleNamespace(names=rows.unit_names, groups=rows.unit_groups)
