"""The read API refuses what is not there, not whole or not asked for rightly, in one line that helps."""

import os
import shutil

import numpy as np
import pytest

from tests.conftest import rows_of
from tests.summaries import write_summary
from transferlens import open_results
from transferlens.core import artefacts, studies
from transferlens.core.errors import ArtefactError
from transferlens.training.artefacts import TRAINING_RECORDS

ROWS, SHARDS = 4, 3


def write_records(path, rows):
    classes = len(rows.unit_names)
    with artefacts.create(path, TRAINING_RECORDS) as out:
        studies.write_rows(out, rows)
        out.write("log_quantity", ["loss", "accuracy", "learning_rate"])
        out.write("log", np.zeros((len(rows), 2, 3)))
        out.write("source_class", rows.unit_names)
        out.write("train_images", np.zeros(len(rows)))
        out.write("accuracy", np.zeros(len(rows)))
        out.write("class_accuracy", np.zeros((len(rows), classes)))
        out.attribute("implementation", "none")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Two studies of three shards, one transferred to two targets."""
    folder = tmp_path_factory.mktemp("project") / "results"
    for study in ("influence", "steps/optdigits/fixed"):
        for shard in range(SHARDS):
            rows = rows_of(np.ones((ROWS, 3)), first=ROWS * shard)
            write_records(folder / f"studies/{study}/training/{shard:04d}.h5", rows)
            with artefacts.create(folder / f"studies/{study}/masks/{shard:04d}.h5", studies.MASKS) as out:
                studies.write_rows(out, rows)
                out.write("unit_of_image", np.zeros(5))
    for target in ("optdigits", "usps"):
        rows = rows_of(np.ones((ROWS * SHARDS, 3)))
        path = folder / f"studies/influence/summary/{target}/fixed.h5"
        write_summary(path, rows, [0, 1], [0, 1], ["a", "b"])
    return folder


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "results")


def test_a_study_of_which_a_shard_is_missing_is_not_taken_for_whole(folder):
    results = open_results(folder)
    assert results.source_models("influence").sizes["model"] == ROWS * SHARDS
    (folder / "studies/influence/training/0001.h5").unlink()
    told = r"of the 12 models of study 'influence' 4 are missing, from row 4 on \(shard 0001\); run snakemake"
    with pytest.raises(ArtefactError, match=told):
        results.source_models("influence")
    assert results.source_models("influence", partial=True).sizes["model"] == ROWS * (SHARDS - 1)
    (folder / "studies/influence/training/0002.h5").unlink()
    for shard in ("0001", "0002"):
        (folder / f"studies/influence/masks/{shard}.h5").unlink()
    with pytest.raises(ArtefactError, match="8 are missing, from row 4 on; run"):
        results.source_models("influence")
    assert results.source_models("steps/optdigits/fixed").sizes["model"] == ROWS * SHARDS


@pytest.mark.parametrize(
    "study",
    [
        "*",
        "influ*",
        "[i]nfluence",
        ".",
        "..",
        "",
        "influence/",
        "../studies/influence",
        "/",
        "a\0b",
        "x" * 5000,
    ],
)
def test_names_match_only_themselves(written, study):
    results = open_results(written)
    for read in (results.source_models, results.training_records, results.summary, results.dataset):
        places = [("0000",), ("optdigits", "fixed"), ()]
        wanted = {"training_records": places[0], "summary": places[1]}.get(read.__name__, ())
        with pytest.raises(ArtefactError) as error:
            read(study, *wanted)
        assert len(str(error.value)) <= 2000


def test_ways_to_other_folders_are_no_names(written):
    results = open_results(written)
    with pytest.raises(ArtefactError, match="no such file"):
        results.summary("influence", "../summary/optdigits", "fixed")
    with pytest.raises(ArtefactError, match="no such file"):
        results.summary("steps/../influence", "optdigits", "fixed")
    with pytest.raises(ArtefactError, match=r"did you mean 'studies/influence/summary/optdigits/fixed.h5'"):
        results.summary("influence", "optdigit", "fixed")
    with pytest.raises(ArtefactError, match=r"no source models of 'influense' \(did you mean 'influence'"):
        results.source_models("influense")
    with pytest.raises(ArtefactError, match=r"data/optdigits/index.h5: no such file; run snakemake"):
        results.dataset("optdigits")


def test_outputs_and_arguments_are_named(written):
    results = open_results(written)
    with pytest.raises(ArtefactError, match=r"no output 'magin' \(did you mean 'margin'"):
        results.summary("influence", "optdigits", "fixed", outputs=("magin",))
    with pytest.raises(TypeError, match="outputs is 'margin'; give a list"):
        results.summary("influence", "optdigits", "fixed", outputs="margin")
    for values, named, told in (
        (("a",), {}, "missing a required argument: 'recipe'; give target, recipe, output"),
        (("a", "b", "c", "d"), {}, "too many positional arguments; give target, recipe, output"),
        (("a", "b"), {"target": "c"}, "multiple values for argument 'target'"),
        (("a", "b", "c"), {"output": "d"}, "multiple values for argument 'output'"),
        (("a",), {"recip": "b"}, "missing a required argument: 'recipe'"),
        (("a", 3), {}, "recipe is 3, no text"),
    ):
        with pytest.raises(TypeError, match=f"influence: {told}"):
            results.influence(*values, **named)
    with pytest.raises(AttributeError, match=r"no 'influense' \(did you mean 'influence'"):
        results.influense  # noqa: B018


def test_a_project_a_file_and_nothing_are_no_results(written):
    with pytest.raises(ArtefactError, match=r"did you mean '.*project\d*/results'\?"):
        open_results(written.parent)
    with pytest.raises(ArtefactError, match="is a file"):
        open_results(next(written.rglob("*.h5")))
    with pytest.raises(ArtefactError, match="no such results folder; run snakemake"):
        open_results(written / "nothing")


def test_damaged_files_are_one_line_with_a_cure(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    path = folder / "studies/influence/summary/optdigits/fixed.h5"
    whole, random = path.read_bytes(), np.random.default_rng(0)
    results = open_results(folder)
    expected = results.summary("influence", "optdigits", "fixed")
    told = []
    for place in random.integers(len(whole), size=150):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << random.integers(8)
        path.write_bytes(flipped)
        try:
            # Parts of a file hold nothing.
            assert results.summary("influence", "optdigits", "fixed").identical(expected)
        except ArtefactError as error:
            told.append(str(error))
    assert told
    assert all(str(path) in line and "\n" not in line and ";" in line for line in told)
    for size in (0, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole)
        os.truncate(path, size)
        with pytest.raises(ArtefactError, match=r"damaged .*rm "):
            results.summary("influence", "optdigits", "fixed")
