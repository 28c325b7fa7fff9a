"""`snakemake datasets`: prepares data and nothing else, again only when it must."""

import tarfile

import h5py
import pytest
from PIL import Image

from tests.workflow.conftest import copy_project, snakemake

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose source is a tar of an image folder in the data root, with its data prepared."""
    folder = copy_project(tmp_path_factory.mktemp("project"))
    images = folder / "images"
    for split, count in (("train", 4), ("val", 4)):
        for label in range(10):
            (images / split / str(label)).mkdir(parents=True)
            for i in range(count):
                Image.new("L", (9, 9), 20 * label + i).save(images / split / str(label) / f"{i}.png")
    (folder / "data").mkdir()
    with tarfile.open(folder / "data/kmnist.tar", "w") as file:
        for split in ("train", "val"):
            file.add(images / split, split)
    prepared = datasets(folder, "--cores", "2")
    assert prepared.returncode == 0, prepared.stdout + prepared.stderr
    return folder


def datasets(folder, *options, root="data", complete=False):
    given = f"datasets={{kmnist: {{complete: {complete}}}, optdigits: {{val_per_class: 10}}}}"
    config = (
        "source=kmnist",
        "studies={counterfactual: {handpicked: null, ks: [2], step_check: null}}",
        given,
    )
    return snakemake(folder, *options, "--config", *config, f"data_root={root}", "--", "datasets")


def test_data_are_prepared_and_nothing_else(project):
    assert sorted(p.name for p in (project / "results").iterdir()) == ["benchmarks", "data", "logs"]
    for name, classes in (("kmnist", 10), ("optdigits", 10)):
        with h5py.File(project / f"results/data/{name}/index.h5") as file:
            assert len(file["class"]) == classes
        for split in ("train", "val"):
            assert (project / f"results/data/{name}/{split}.beton").stat().st_size > 0
    with h5py.File(project / "results/data/kmnist/index.h5") as file:
        assert file["class"].asstr()[0] == "kuzushiji o"
        assert len(file["train_example"]) == 40


def test_moved_data_and_other_checks_remake_nothing(project):
    for changes in ({"root": "elsewhere"}, {"complete": True}):
        done = datasets(project, "--dry-run", **changes)
        assert "Nothing to be done" in done.stdout + done.stderr


def test_absent_data_are_named_by_the_first_job(project):
    done = snakemake(
        project,
        "--cores",
        "1",
        "--config",
        "targets={birdsnap: {}}",
        "--",
        "results/data/birdsnap/index.h5",
    )
    assert done.returncode != 0
    assert "data set birdsnap: not in data; looked for" in done.stdout + done.stderr


def test_a_study_is_planned_before_its_data_are_there(project):
    done = snakemake(
        project,
        "--dry-run",
        "--config",
        "source=imagenet",
        "targets={sun397: {}, fruits-360: {}}",
        "studies={influence: {models: 2000, shard_size: 16}, counterfactual: {handpicked: [n01443537]}}",
    )
    assert done.returncode == 0, done.stdout + done.stderr
