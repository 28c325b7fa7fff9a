"""A run as a Workflow Run RO-Crate, read back."""

import json
import shutil
import zipfile

import pytest

from transferlens.core import files
from transferlens.core.errors import ArtefactError
from transferlens.operations.crate import PROFILES, write_crate

rocrate = pytest.importorskip("rocrate.rocrate")


@pytest.fixture
def project(smoke, tmp_path):
    """The parts of a finished study that are small."""
    folder = tmp_path / "project"
    for part in ("report", "influence", "digests/report"):
        shutil.copytree(smoke / "results" / part, folder / "results" / part)
    (folder / "workflow").mkdir()
    (folder / "workflow/common.smk").write_text("")
    (folder / "Snakefile").write_text("rule all: input: []\n")
    (folder / "mine.yaml").write_text("seed: 0\n")
    return folder


def test_a_crate_read_back_tells_of_the_run_what_its_profile_asks_for(project, tmp_path):
    out = tmp_path / "crate"
    write_crate(project / "results", out, [project / "mine.yaml"], "https://example.org/terms")
    crate = rocrate.ROCrate(out)
    root, run, workflow = crate.root_dataset, crate.get("#run"), crate.mainEntity
    assert {entity.id for entity in root["conformsTo"]} == {*PROFILES}
    assert all(root[name] for name in ("name", "description", "datePublished", "license"))
    assert {"File", "SoftwareSourceCode", "ComputationalWorkflow"} <= {*workflow.type}
    assert workflow["programmingLanguage"].id.endswith("#snakemake")
    assert (run.type, run["instrument"].id) == ("CreateAction", "Snakefile")
    assert [entity.id for entity in run["object"]] == ["configuration/1-mine.yaml"]
    results = {entity.id: entity for entity in run["result"]}
    recorded = [*(project / "results/digests").rglob("*.sha256")]
    assert len(results) == len(recorded) + 1
    page = results["results/report/index.html"]
    assert page["sha256"] == files.sha256(out / page.id) == files.sha256(project / page.id)
    record = json.loads((out / "artefacts.json").read_text())
    made = record["influence/optdigits/fixed.h5"]
    assert made["sha256"] == files.sha256(project / "results/influence/optdigits/fixed.h5")
    assert made["settings"]["estimator"] == "difference_of_means"
    assert run["startTime"] <= made["created"] <= run["endTime"]


def test_a_crate_with_data_is_a_zip_of_the_hdf5_files_too(project, tmp_path):
    write_crate(project / "results", tmp_path / "crate.zip", with_data=True)
    with zipfile.ZipFile(tmp_path / "crate.zip") as archive:
        stored = archive.read("results/influence/optdigits/fixed.h5")
    assert stored == (project / "results/influence/optdigits/fixed.h5").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"project", "crate.zip"}
    with pytest.raises(ArtefactError, match="is there already"):
        write_crate(project / "results", tmp_path / "crate.zip")


def test_a_changed_or_unfinished_run_is_not_packed(project, tmp_path):
    page = project / "results/report/index.html"
    page.write_text(page.read_text() + " ")
    with pytest.raises(ArtefactError, match="changed since it was made"):
        write_crate(project / "results", tmp_path / "crate")
    page.unlink()
    with pytest.raises(ArtefactError, match="no such file"):
        write_crate(project / "results", tmp_path / "crate")
    assert not (tmp_path / "crate").exists()
