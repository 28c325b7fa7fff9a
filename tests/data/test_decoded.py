"""Decoded copies hold FFCV's bytes, are used where they hold, and never where they do not."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import INPUT, changed
from transferlens.data import decoded, ffcv_files, ffcv_writing, pipeline
from transferlens.operations import checked

CPU = torch.device("cpu")
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def storage():
    """How the FFCV file stores images."""
    return "raw"


@pytest.fixture
def val(storage, dataset, tmp_path):
    """(examples, FFCV file) of a private copy of a split without decoded copies."""
    made, files = dataset
    for suffix in (".beton", ".h5"):
        shutil.copy(files[storage]["val"].with_suffix(suffix), tmp_path / f"val{suffix}")
    return made.val, tmp_path / "val.beton"


def evaluated(val, **changes):
    examples, beton = val
    images = pipeline.ResidentImages(beton, examples, changed(INPUT, **changes), CPU)
    return images.bytes_of(np.arange(len(examples)))


def copies(val):
    return sorted((val[1].parent / ".val.decoded").glob("*"))


def never(*arguments, **options):
    raise AssertionError("decoded again")


@pytest.mark.parametrize(
    ("storage", "changes"), [("raw", {}), ("jpg", {}), ("raw", {"resolution": 90, "enlarging": "bicubic"})]
)
def test_what_is_read_from_a_copy_is_what_ffcv_decodes(val, monkeypatch, changes):
    settings = changed(INPUT, **changes)
    first = evaluated(val, **changes)
    if settings.enlarging == "area":
        direct = ffcv_files.decode_all(val[1], settings.resolution, settings.crop_ratio, workers=1)
        np.testing.assert_array_equal(first, direct.numpy())
    assert len(copies(val)) == 1
    monkeypatch.setattr(ffcv_files, "decode_all", never)
    np.testing.assert_array_equal(evaluated(val, **changes), first)
    with pytest.raises(AssertionError, match="decoded again"):
        evaluated(val, **changes | {"crop_ratio": 0.5})


def test_a_damaged_copy_is_made_anew(val):
    expected = evaluated(val)
    (copy,) = copies(val)
    whole = copy.read_bytes()
    end_of_header = whole.index(b"\n")
    for damaged in (
        whole[:-1],
        whole + b"0",
        whole[:-9] + bytes([whole[-9] ^ 16]) + whole[-8:],
        whole[end_of_header:],
        b"",
        b"[]\n" + whole,
        whole.replace(b'"sha256": "', b'"sha256": "0', 1),
    ):
        copy.write_bytes(damaged)
        np.testing.assert_array_equal(evaluated(val), expected)
        assert copy.read_bytes() == whole


def test_a_copy_of_another_file_or_by_other_code_is_not_used(val, monkeypatch):
    examples, beton = val
    before = evaluated(val)
    (copy,) = copies(val)
    kept = copy.read_bytes()
    assert (
        decoded.decoded(beton, (28, 1.0, "area"), ["another decoder"], lambda: before[:1]).shape
        == before[:1].shape
    )
    with beton.open("ab") as file:
        file.write(b"0")
    ffcv_writing.write_manifest(beton.with_suffix(".h5"), beton, len(examples))
    copy.write_bytes(kept)
    monkeypatch.setattr(ffcv_files, "decode_all", never)
    with pytest.raises(AssertionError, match="decoded again"):
        evaluated(val)


def test_where_no_copy_can_be_kept_each_job_decodes(val, monkeypatch):
    (val[1].parent / ".val.decoded").write_text("in the way")
    first = evaluated(val)
    np.testing.assert_array_equal(evaluated(val), first)
    (val[1].parent / ".val.decoded").unlink()
    monkeypatch.setattr(decoded, "_MOST_BYTES", first.nbytes - 1)
    np.testing.assert_array_equal(evaluated(val), first)
    assert not copies(val)


def test_the_doctor_lists_no_copies_and_writing_the_file_anew_removes_them(val):
    evaluated(val)
    found = checked.find_files(val[1].parent)
    assert [path.name for path in found.files] == ["val.beton", "val.h5"]
    assert not found.unfinished
    decoded.forget(val[1])
    assert not copies(val)


OPENS = """
import sys
from pathlib import Path
import numpy as np
import torch
from tests.conftest import INPUT
from transferlens.data import pipeline
from transferlens.data.index import Examples

n = {n}
examples = Examples([str(i) for i in range(n)], np.zeros(n, int), np.zeros(n, np.int8), np.arange(n),
                    np.ones((n, 2), int), np.zeros(n, int))
images = pipeline.open_images(Path({beton!r}), examples, INPUT, torch.device("cpu"))
assert len(torch.cat(list(images.evaluation_batches(16)))) == n
imported = {{"ffcv", "numba", "cv2"}} & set(sys.modules)
assert not imported, imported
"""


def test_a_job_that_finds_a_copy_imports_no_ffcv(val):
    evaluated(val)
    code = OPENS.format(n=len(val[0]), beton=str(val[1]))
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
