"""What the doctor finds in files that are whole but not what their place says."""

import errno
import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from transferlens.capabilities import run_of
from transferlens.core import artefacts, digests, files, provenance, studies
from transferlens.core.studies import MASKS, Rows
from transferlens.data.artefacts import INDEX, MANIFEST
from transferlens.estimation import designs
from transferlens.operations import checked, datasets, doctor
from transferlens.operations.asked import Job
from transferlens.training.artefacts import TRANSFER_RUNS

RUN = run_of(
    {
        "source": "digits-and-clothes",
        "targets": {"optdigits": {}, "mnist": {}},
        "studies": {"influence": {"models": 32, "shard_size": 16}},
    }
)
MASK = "results/studies/influence/masks/{}.h5"
DIGITS, MNIST = "results/data/optdigits", "results/data/mnist"


def write_masks(shard, numbers):
    """A shard of masks as its job writes it, of rows with these numbers."""
    names = [f"class {i}" for i in range(20)]
    provenance.begin(json.loads(RUN.settings_of("draw_masks", {"study": "influence", "shard": shard})))
    count = len(numbers)
    rows = Rows(
        designs.draw_masks("hadamard", len(names), 0.5, RUN.seed, numbers),
        np.array(numbers),
        np.arange(count),
        [studies.SUBSET] * count,
        np.full(count, -1),
        [""] * count,
        np.zeros(count, np.int64),
        names,
        [""] * len(names),
    )
    with artefacts.create(MASK.format(shard), MASKS) as out:
        studies.write_rows(out, rows)
        out.write("unit_of_image", np.arange(40) % 20)


def write_dataset(name, images, content=b"images"):
    """An index, an FFCV file and its manifest, as their jobs leave them."""
    folder = Path("results/data") / name
    provenance.begin(json.loads(RUN.settings_of("dataset", {"dataset": name})))
    with artefacts.create(folder / "index.h5", INDEX) as out:
        for field in INDEX.fields:
            count = images if field.dims[0].endswith("_example") else 1
            shape = (count, 2) if len(field.dims) == 2 else (count,)
            ones = np.ones(shape, np.int64)
            out.write(field.name, ones.astype(str) if field.dtype is str else ones)
        out.attribute("data_set", name)
    beton = folder / "train.beton"
    beton.write_bytes(content)
    settings = json.loads(RUN.settings_of("beton", {"dataset": name, "split": "train"}))
    provenance.begin(settings, [folder / "index.h5"])
    with artefacts.create(folder / "train.h5", MANIFEST) as out:
        out.attribute("bytes", len(content))
        out.attribute("sha256", files.sha256(beton))
        out.attribute("examples", images)


def found(jobs=()):
    """The problems of the results folder here, by path."""
    return {problem.path: problem.words for problem in doctor.find_problems(RUN, read(), jobs)}


def read():
    """Every file of the results folder here, as the doctor reads it."""
    folder = Path("results")
    return checked.check_files(RUN, folder, checked.find_files(folder).files, workers=1)


@pytest.fixture(autouse=True)
def sound(tmp_path, monkeypatch):
    """A results folder with two shards and two data sets, in which nothing is wrong."""
    monkeypatch.chdir(tmp_path)
    write_masks("0000", range(16))
    write_masks("0001", range(16, 32))
    write_dataset("optdigits", 3)
    write_dataset("mnist", 5, b"other images")
    yield
    provenance.begin({})


def test_nothing_is_wrong_in_a_sound_folder():
    assert found() == {}


def test_a_shard_copied_over_another_one_is_named():
    shutil.copy(MASK.format("0000"), MASK.format("0001"))
    assert found() == {MASK.format("0001"): "was made as studies/influence/masks/0000.h5, and copied here"}


def test_rows_that_belong_to_another_shard_are_named():
    write_masks("0001", range(16))
    words = found()[MASK.format("0001")]
    assert words == "holds rows 0 to 15 of its study, where 16 to 31 belong"


def test_data_sets_swapped_with_their_manifests_are_named():
    for name in ("train.beton", "train.h5"):
        shutil.move(f"{DIGITS}/{name}", "kept")
        shutil.move(f"{MNIST}/{name}", f"{DIGITS}/{name}")
        shutil.move("kept", f"{MNIST}/{name}")
    problems = found()
    assert set(problems) == {f"{f}/train.{s}" for f in (DIGITS, MNIST) for s in ("h5", "beton")}
    assert problems[f"{DIGITS}/train.h5"] == "was made as data/mnist/train.h5, and copied here"


def test_ffcv_files_swapped_alone_are_named():
    shutil.copy(f"{MNIST}/train.beton", f"{DIGITS}/train.beton")
    assert found() == {f"{DIGITS}/train.beton": "its content is not what was written (SHA-256)"}


def test_a_manifest_of_another_number_of_images_is_named():
    write_dataset("optdigits", 3)
    with h5py.File(f"{DIGITS}/train.h5", "r+") as file:
        file.attrs["examples"] = 4
    assert found() == {f"{DIGITS}/train.h5": f"of 4 images, but {DIGITS}/index.h5 has 3"}


def test_training_in_progress_is_told_and_is_no_damage():
    folder = Path("results/studies/influence/source/.0001.h5.progress")
    folder.mkdir(parents=True)
    (folder / "model-3-run-0-state.pt").write_bytes(b"tensors")
    there = checked.find_files(Path("results"))
    assert there.unfinished == [folder]
    assert found() == {}
    (told,) = doctor.notices(there.unfinished, there.files)
    assert "training in progress left by a killed job" in told.words
    assert not told.damaged


def test_an_artefact_of_another_target_is_named():
    place = "results/studies/influence/transfer/{}/fixed/0000.h5"
    write_one(Path(place.format("mnist")), TRANSFER_RUNS)
    Path(place.format("optdigits")).parent.mkdir(parents=True)
    shutil.copy(place.format("mnist"), place.format("optdigits"))
    words = found()[place.format("optdigits")]
    assert words == "was made as studies/influence/transfer/mnist/fixed/0000.h5, and copied here"


def write_one(path, kind):
    """A whole file of a kind, with one of everything."""
    with artefacts.create(path, kind) as out:
        for field in kind.fields:
            if not field.optional:
                one = np.ones([1] * len(field.dims))
                out.write(field.name, one.astype(str) if field.dtype is str else one)


def test_a_bit_flipped_in_an_index_hides_no_other_damage():
    flip(Path(DIGITS) / "index.h5", "train_label")
    flip(Path(MASK.format("0001")), "unit_of_image")
    artefacts.refuse_other_versions("results")  # planning goes on
    problems = found()
    assert set(problems) == {f"{DIGITS}/index.h5", MASK.format("0001")}
    assert problems[f"{DIGITS}/index.h5"].startswith("damaged")


def flip(path, dataset):
    with h5py.File(path) as file:
        offset = file[dataset].id.get_chunk_info(0).byte_offset + 5
    content = bytearray(path.read_bytes())
    content[offset] ^= 16
    path.write_bytes(content)


def test_a_folder_of_another_version_is_refused():
    with h5py.File(f"{DIGITS}/index.h5", "r+") as file:
        file.attrs["schema_version"] = 1
    with pytest.raises(artefacts.ArtefactError, match=r"written by Transferlens 0\.1"):
        artefacts.refuse_other_versions("results")


def test_inputs_and_settings_that_are_others_now_are_named_unless_they_are_re_made():
    write_dataset("optdigits", 3)
    path = Path(DIGITS) / "index.h5"
    provenance.begin({**json.loads(RUN.settings_of("dataset", {"dataset": "optdigits"})), "seed": 5})
    with h5py.File(path) as old, artefacts.create(path, INDEX) as out:
        for field in INDEX.fields:
            values = old[field.name]
            out.write(field.name, artefacts.names(values) if field.dtype is str else values[:])
        out.attribute("data_set", "optdigits")
    assert found() == {
        f"{DIGITS}/index.h5": "made with seed 5, the configuration has 0",
        f"{DIGITS}/train.h5": f"made from another {DIGITS}/index.h5 than is there now",
    }
    outdated = Job("dataset", [f"{DIGITS}/index.h5"], [], ["params have changed since last execution"])
    assert set(found([outdated])) == {f"{DIGITS}/train.h5"}


TABLE = Path("results/report/mnist/fixed/counterfactual.csv")
RECORD = Path("results/digests/report/mnist/fixed/counterfactual.csv.sha256")


def write_table(text="class,gain\ncat,0.25\n"):
    """A table with its digest, as its job leaves them."""
    digests.forget([TABLE])
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text(text)
    digests.record([TABLE])


def test_one_letter_changed_in_a_table_is_named():
    write_table()
    assert found() == {}
    TABLE.write_text("class,gain\ncat,0.35\n")
    where = "SHA-256 in results/digests/report/mnist/fixed/counterfactual.csv.sha256"
    assert found() == {
        str(TABLE): f"not as it was made ({where}); if somebody edited it, keep a copy elsewhere"
    }


def test_what_has_no_digest_is_told_and_is_no_damage():
    write_table()
    digests.forget([TABLE])
    assert found() == {}
    assert f"Of 1 no digest is recorded, so only their format was checked: {TABLE}" in doctor.conclusion(
        RUN, read(), [], []
    )
    TABLE.write_text("class,gain\ncat")
    assert "cut off" in found()[str(TABLE)]


@pytest.mark.parametrize(
    "spoil", [lambda line: line[:-1], lambda line: line.replace("mnist", "other"), str.upper]
)
def test_a_digest_that_is_damaged_or_of_another_file_is_named(spoil):
    write_table()
    record = Path("results/digests/report/mnist/fixed/counterfactual.csv.sha256")
    record.write_text(spoil(record.read_text()))
    assert found() == {str(TABLE): f"{record}: damaged, or the digest of another file"}


def test_the_digest_of_a_file_that_is_gone_harms_nobody():
    write_table()
    TABLE.unlink()
    assert found() == {}


@pytest.mark.parametrize(
    "path", ["results/data/mnist/train.beton", "results/data/mnist/index.h5", str(TABLE)]
)
def test_a_pipe_in_the_place_of_a_file_is_named_and_not_waited_for(path):
    write_table()
    Path(path).unlink()
    os.mkfifo(path)
    assert "no regular file" in found()[path]


def test_a_problem_is_one_line_whatever_a_file_is_called():
    problem = doctor.Problem("results/a\n\x1b[2J.h5", "cut off", "rm it")
    assert str(problem) == r"results/a\n\x1b[2J.h5: cut off; cure: rm it"


@contextmanager
def as_a_user():
    """As somebody whom permissions concern; root is above them."""
    is_root = os.geteuid() == 0
    try:
        os.seteuid(65534 if is_root else os.geteuid())
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_what_may_not_be_read_is_named_and_not_to_be_deleted():
    write_table()
    for path, mode in ((".", 0o755), (TABLE, 0), (DIGITS, 0), (MASK.format("0000"), 0)):
        os.chmod(path, mode)
    with as_a_user():
        there, checked_files = checked.find_files(Path("results")), read()
        problems = doctor.find_problems(RUN, checked_files, [])
    os.chmod(DIGITS, 0o755)
    assert there.closed == [Path(DIGITS)]
    assert {p.path: p.cure for p in problems} == {
        path: f"chmod u+r {path}, as its owner" for path in (str(TABLE), MASK.format("0000"))
    }
    assert doctor.of_closed(Path(DIGITS)).cure == f"chmod -R u+rX {DIGITS}, as its owner"


def test_a_folder_that_may_not_be_written_ends_a_job_with_the_cure():
    write_table()
    os.chmod(".", 0o755)
    os.chmod(RECORD.parent, 0o555)
    cure = "make it writable or run with --directory on a folder that is"
    with as_a_user():
        for write in (digests.forget, digests.record):
            with pytest.raises(artefacts.ArtefactError) as caught:
                write([TABLE])
            assert str(caught.value) == f"{RECORD}: no write permission in {RECORD.parent}; {cure}"
    read_only = files.unwritable(TABLE, OSError(errno.EROFS, "Read-only file system"))
    assert str(read_only).endswith(cure)
    assert not list(Path("results").rglob("*.tmp"))


def test_a_record_of_an_artefact_makes_nobody_read_or_delete_a_strangers_file(tmp_path):
    """Its inputs may name any file at all, a device that never ends among them."""
    write_masks("0001", range(16, 32))
    secret = tmp_path / "own.txt"
    secret.write_text("mine")
    with h5py.File(MASK.format("0001"), "r+") as file:
        file.attrs["inputs"] = json.dumps({"/dev/zero": "0", str(secret): "0", "results/../own.txt": "0"})
    assert found() == {}


@pytest.mark.parametrize("path", ["/etc/passwd", "results/../own.h5", "own.h5", "../results/x.h5"])
def test_no_cure_deletes_what_is_not_a_result(path):
    assert artefacts.remake("results/./x y.h5").endswith("rm 'results/x y.h5'")
    assert "rm " not in artefacts.remake(path)
    assert "delete" not in artefacts.remake(path)


def test_an_index_damaged_anywhere_is_named_with_its_cure_and_stops_no_plan():
    index = Path(DIGITS) / "index.h5"
    content, length = index.read_bytes(), index.stat().st_size
    spoilt = [content[:i] + bytes([content[i] ^ 16]) + content[i + 1 :] for i in range(0, length, 307)]
    spoilt += [content[:i] for i in range(0, length, 3001)]
    sound, named = datasets.describe(RUN, "optdigits", Path("results")), 0
    for spoilt_content in spoilt:
        index.write_bytes(spoilt_content)
        artefacts.refuse_other_versions("results")
        known = datasets.describe(RUN, "optdigits", Path("results"))
        if known != sound:
            named += 1
            assert known.problem.startswith(f"{index}: damaged")
            assert known.problem.endswith(f"; delete it and run snakemake again to remake it: rm {index}")
    assert named > len(spoilt) / 4


def put(name, **stored):
    """Another array in the place of one, as `h5py` stores it."""

    def change(file):
        del file[name]
        file.create_dataset(name, **stored)

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda file: file.attrs.__delitem__("place"), "not written by Transferlens (it names no place)"),
        (lambda file: file.attrs.create("schema_version", [1, 2]), "its schema is no number"),
        (lambda file: file.__delitem__("train_label"), "has no 'train_label'"),
        (put("train_label", data=np.zeros(3, complex)), "'train_label' holds complex128"),
        (put("train_size", data=3), "'train_size' has not the 2 axes"),
        (put("train_label", data=np.zeros(2, int)), "'train_label' has 2 along 'train_example'"),
        (put("train_label", shape=(10**13,), dtype=int, chunks=True), "declares 8e+13 bytes in a file of"),
        (put("class", data=[1]), "'class' holds int64"),
        (put("train_label", data=np.zeros(3, int)), "'train_label' has lost its dimensions train_example"),
    ],
)
def test_an_index_that_is_not_as_declared_is_named_with_its_cure(change, reason):
    index = Path(DIGITS) / "index.h5"
    with h5py.File(index, "r+") as file:
        change(file)
    artefacts.refuse_other_versions("results")
    problem = datasets.describe(RUN, "optdigits", Path("results")).problem
    assert reason in problem
    assert problem.endswith(f"rm {index}")
    assert reason in found()[str(index)]
