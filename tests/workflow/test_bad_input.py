"""Bad input is met before work starts, with one line that names it."""

import multiprocessing
import os
import shutil

import h5py
import pytest
import yaml
from snakemake.common.configfile import load_configfile
from snakemake.utils import update_config

from tests.workflow.conftest import REPOSITORY, copy_project, run_snakemake, snakemake
from transferlens.capabilities import run_of
from transferlens.core import artefacts, files
from transferlens.core.configuration import architecture_of
from transferlens.core.errors import ArtefactError, TransferlensError

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("project"))


BAD_SETTINGS = [
    ("sede=1", "unknown key 'sede' (did you mean 'seed'?)"),
    ("source_training={epoch: 3}", "unknown key 'source_training.epoch' (did you mean 'epochs'?)"),
    ("seed=True", "'seed' is True (bool); it must be of type integer"),
    (
        "source_training={epochs: 2.0}",
        "'source_training.epochs' is 2.0 (float); it must be of type integer",
    ),
    ("download=1", "'download' is 1 (int); it must be of type boolean"),
    (
        "source=digits-and-cloths",
        "unknown data set 'digits-and-cloths' (did you mean 'digits-and-clothes'?)",
    ),
    ("architecture={name: resnet19}", "'architecture.name' is 'resnet19' (did you mean 'resnet18'?)"),
    ("architecture={file: nowhere.py:net}", "architecture.file: there is no file 'nowhere.py'"),
    (
        "architecture={name: resnet18, norm_layers: 1}",
        "got an unexpected keyword argument 'norm_layers' (did you mean 'norm_layer'?)",
    ),
    ("architecture={name: vit_b_16}", "vit_b_16 cannot take images of 28 px"),
    ("architecture={name: resnet18, parts: {head: fcs}}", "no linear layer 'fcs' (did you mean 'fc'?)"),
    ("studies={counterfactual: {ks: [10, 21]}}", "ks contains 21, but the source has 20 classes"),
    (
        "influence={estimator: least_squares}",
        "'least_squares' needs at least 56 models for 20 units, but there are 48",
    ),
    (
        "studies={influence: {keep: 0.4}}",
        "keep is 0.4, but design 'complementary' pairs every mask with its complement",
    ),
    (
        "studies={counterfactual: {handpicked: [digit 1, digits 2]}}",
        "names 'digits 2', which the source does not have (did you mean 'digit 2'?)",
    ),
    ("datasets={optdigits: {groups: /nowhere.csv}}", "/nowhere.csv: cannot be read as a table of groups"),
    ("studies={repeated: {models: 64}}", "studies.repeated.models is 64, more than the 48 masks"),
    ("heatmaps={layer: blok3}", "the network has no layer 'blok3' (did you mean 'block3'?)"),
    ("memories={overlap: /nowhere.csv}", "/nowhere.csv: no such table of overlapping classes"),
    ("datasets={mine: {path: /nowhere}}", "/nowhere: no such folder or file; it is datasets.mine.path"),
]


@pytest.mark.parametrize(("override", "message"), BAD_SETTINGS)
def test_a_bad_setting_is_refused_before_any_job_is_planned(monkeypatch, override, message):
    """As `checked_run` of workflow/rules/config.smk reads it, without the start of Snakemake."""
    monkeypatch.chdir(REPOSITORY)
    key, value = override.split("=", 1)
    layers = [
        load_configfile("config.yaml"),
        load_configfile("configs/smoke.yaml"),
        {key: yaml.safe_load(value)},
    ]
    given = {}
    for layer in layers:
        update_config(given, layer)
    given["architecture"] = architecture_of(layers)
    with pytest.raises(TransferlensError) as refusal:
        check(given)
    assert message in str(refusal.value)


def check(given):
    run = run_of(given)
    run.check_networks()
    run.check_data()


# Of the keys, of a network, of the number of models, and of data.
@pytest.mark.parametrize(("override", "message"), [BAD_SETTINGS[n] for n in (1, 7, 12, 19)])
def test_a_bad_setting_stops_snakemake(project, override, message):
    done = snakemake(project, "--cores", "1", "--config", override)
    assert done.returncode != 0
    lines = [line for line in (done.stdout + done.stderr).splitlines() if message in line]
    assert len(lines) == 1
    assert not (project / "results").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--config", "seed"], "--config 'seed': is not understood; write KEY=VALUE"),
        (["--config", "a.b=3"], "--config 'a.b=3': is not understood; write KEY=VALUE"),
        (["--configfile", "/nowhere.yaml"], "/nowhere.yaml: cannot be read (No such file or directory)"),
        (
            ["--configfile", "own.yaml"],
            "own.yaml, line 3: the key 'seed' stands there twice (first in line 1)",
        ),
        (["--configfile", "itself.yaml"], "itself.yaml, line 1: an anchor holds itself"),
        # Without the profile, which is read before --configfile, a file that Snakemake can read is, too.
        (
            ["--workflow-profile", "none", "--configfile", "own.yaml"],
            "line 3: the key 'seed' stands there twice",
        ),
    ],
)
def test_what_snakemake_would_read_first_is_refused_in_one_line(project, given, message):
    (project / "own.yaml").write_text("seed: 1\nsource: optdigits\nseed: 2\n")
    (project / "itself.yaml").write_text("report: &x {title: *x}\n")
    done = run_snakemake(project, "--cores", "1", *given)
    assert done.returncode != 0
    printed = done.stdout + done.stderr
    assert [line.startswith("transferlens: ") for line in printed.splitlines() if message in line] == [True]
    assert "Traceback" not in printed


def test_the_configuration_of_the_project_is_read_strictly_too(project):
    usual = (project / "config.yaml").read_text()
    (project / "config.yaml").write_text(f"{usual}seed: 2\n")
    done = run_snakemake(project, "--cores", "1")
    (project / "config.yaml").write_text(usual)
    assert "config.yaml, line" in done.stderr
    assert "the key 'seed' stands there twice (first in line 3)" in done.stderr


def test_a_right_override_is_taken_with_its_type(project):
    done = snakemake(project, "--dry-run", "--config", "seed=3", "source_training={flip: True}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_newer_results_folder_is_refused(finished):
    with h5py.File(finished / "results/data/optdigits/index.h5", "r+") as file:
        file.attrs["schema_version"] = artefacts.SCHEMA_VERSION + 1
    done = snakemake(finished, "--cores", "1")
    assert done.returncode != 0
    assert "written by a newer Transferlens" in done.stdout + done.stderr


def test_a_truncated_summary_is_named_with_its_cure(finished):
    path = finished / "results/studies/influence/summary/optdigits/fixed.h5"
    os.truncate(path, path.stat().st_size // 2)
    done = snakemake(finished, "--cores", "1", "--forcerun", "influence", "--until", "influence")
    assert done.returncode != 0
    assert "summary/optdigits/fixed.h5: damaged" in done.stdout + done.stderr
    assert "delete it" in done.stdout + done.stderr


def test_a_truncated_beton_is_named_with_its_cure(finished):
    path = finished / "results/data/digits-and-clothes/train.beton"
    os.truncate(path, path.stat().st_size - 1)
    done = snakemake(finished, "--cores", "1", "--forcerun", "train_source", "--until", "train_source")
    assert done.returncode != 0
    assert "train.beton: truncated or damaged" in done.stdout + done.stderr


def _image_folder(root, images):
    from PIL import Image

    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for i in range(images):
                Image.new("RGB", (32, 32), (i * 40, 0, 0)).save(root / split / name / f"{i}.png")


def _index_job(project, root, **settings):
    given = ", ".join(f"{k}: {v}" for k, v in {"path": root, **settings}.items())
    shutil.rmtree(project / "results", ignore_errors=True)
    return snakemake(
        project,
        "--cores",
        "1",
        "--config",
        f"datasets={{mine: {{{given}}}}}",
        "targets={mine: {}}",
        "--",
        "results/data/mine/index.h5",
    )


def test_a_class_without_training_images_is_named(project, tmp_path):
    _image_folder(tmp_path, 3)
    for image in (tmp_path / "train/dog").iterdir():
        image.unlink()
    done = _index_job(project, tmp_path)
    assert done.returncode != 0
    assert "class 'dog' has no images in train" in done.stdout + done.stderr


def test_an_undecodable_image_is_named_or_skipped_and_counted(project, tmp_path):
    _image_folder(tmp_path, 4)
    broken = tmp_path / "train/cat/2.png"
    broken.write_bytes(broken.read_bytes()[:60])
    done = _index_job(project, tmp_path)
    assert done.returncode != 0
    assert f"{broken} (image 2 of train): cannot be decoded" in done.stdout + done.stderr
    done = _index_job(project, tmp_path, unreadable="skip")
    assert done.returncode == 0, done.stdout + done.stderr
    with h5py.File(project / "results/data/mine/index.h5") as file:
        assert list(file["skipped"].asstr()) == ["train/cat/2.png"]


def _refused_as_nobody(folder, queue):
    os.setuid(65534)
    try:
        files.refuse_unwritable(folder)
        queue.put("")
    except ArtefactError as error:
        queue.put(str(error))


@pytest.mark.skipif(os.name != "posix", reason="needs Unix permissions")
def test_a_folder_without_write_permission_is_named(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir(mode=0o555)
    if os.getuid():
        with pytest.raises(ArtefactError, match="no write permission"):
            files.refuse_unwritable(folder)
        return
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_refused_as_nobody, args=(folder, queue))
    child.start()
    assert "no write permission" in queue.get(timeout=10)
    child.join()
