"""Archives are unpacked whole or not at all, and never outside their folder."""

import io
import os
import tarfile
import zipfile

import numpy as np
import pytest

from transferlens.core.errors import DataError
from transferlens.data import archive


def tar(path, members, mode="w"):
    """A tar of (name, content or type and link target) members."""
    with tarfile.open(path, mode) as file:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = content
                file.addfile(info)
    return path


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


GOOD = [("train/cat/1.jpg", b"cat"), ("train/dog/1.jpg", b"dog"), ("val/cat/2.jpg", b"c"), ("notes", b"")]


@pytest.mark.parametrize("suffix", archive.SUFFIXES)
def test_every_kind_is_unpacked_and_lists_its_classes(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    modes = {".tar": "w", ".zip": None}
    mode = modes.get(suffix, "w:" + suffix.rpartition(".")[2].replace("tgz", "gz"))
    zipped(path, GOOD) if mode is None else tar(path, GOOD, mode)
    archive.extract(path, tmp_path / "out", 1)
    assert (tmp_path / "out/train/cat/1.jpg").read_bytes() == b"cat"
    assert archive.class_names(path) == ["cat", "dog"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", path.name]


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (("../out.txt", b"x"), "its member '../out.txt' would land outside"),
        (("a/../../out.txt", b"x"), "would land outside"),
        (("/etc/out.txt", b"x"), "its member '/etc/out.txt' would land outside"),
        (("link", (tarfile.SYMTYPE, "/etc/passwd")), "unsafe"),
        (("link", (tarfile.SYMTYPE, "../../out.txt")), "unsafe"),
        (("link", (tarfile.LNKTYPE, "../out.txt")), "unsafe"),
        (("null", (tarfile.CHRTYPE, "")), "unsafe"),
    ],
)
def test_unsafe_members_are_refused_and_nothing_stays(tmp_path, member, message):
    path = tar(tmp_path / "x.tar", [*GOOD, member])
    with pytest.raises(DataError, match=message) as raised:
        archive.extract(path, tmp_path / "out", 1)
    assert str(path) in str(raised.value)
    assert [p.name for p in tmp_path.iterdir()] == ["x.tar"]


def test_unsafe_zips_are_refused(tmp_path):
    path = zipped(tmp_path / "x.zip", [*GOOD, ("../out.txt", b"x")])
    with pytest.raises(DataError, match="would land outside"):
        archive.extract(path, tmp_path / "out", 1)
    assert [p.name for p in tmp_path.iterdir()] == ["x.zip"]


@pytest.mark.parametrize("make", [tar, zipped])
def test_archives_that_hold_more_than_the_limit_are_refused(tmp_path, make):
    path = make(tmp_path / ("x.tar" if make is tar else "x.zip"), [("a", bytes(3000)), ("b", bytes(3000))])
    with pytest.raises(DataError, match=r"holds more than 5e-06 GB; .* archive_limit_gb"):
        archive.extract(path, tmp_path / "out", 5e-6)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".zip"])
def test_half_an_archive_is_refused(tmp_path, suffix):
    members = [(f"train/a/{i}", os.urandom(3000)) for i in range(20)]
    path = tmp_path / f"x{suffix}"
    if suffix == ".zip":
        zipped(path, members)
    else:
        tar(path, members, "w" if suffix == ".tar" else "w:gz")
    os.truncate(path, 3584 * 10)  # for .tar, exactly between two members
    with pytest.raises(DataError, match="half-downloaded or damaged: fetch it again"):
        archive.extract(path, tmp_path / "out", 1)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_checksum_names_file_expected_and_found(tmp_path):
    (tmp_path / "x").write_bytes(b"hello")
    archive.check(tmp_path / "x", "md5:5d41402abc4b2a76b9719d911017c592")
    with pytest.raises(DataError, match=r"/x: md5 is 5d41402abc4b2a76b9719d911017c592, but 00 is published"):
        archive.check(tmp_path / "x", "md5:00")


def test_left_overs_of_killed_jobs_go(tmp_path):
    path = tar(tmp_path / "x.tar", GOOD)
    with archive.whole(tmp_path / "out") as temporary:
        alive = temporary.name
    dead = tmp_path / alive.replace(str(os.getpid()), "4194305")  # above Linux's largest process id
    dead.mkdir()
    archive.extract(path, tmp_path / "other", 1)
    assert dead.exists()
    (tmp_path / "out").rmdir()
    archive.extract(path, tmp_path / "out", 1)
    assert not dead.exists()


@pytest.mark.parametrize(
    "again", ["train/cat/1.jpg", "./train/cat/1.jpg", "train//cat/1.jpg", "train/./cat/1.jpg"]
)
@pytest.mark.parametrize("make", [tar, zipped])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused_by_whatever_spelling(tmp_path, make, again):
    path = make(tmp_path / ("x.tar" if make is tar else "x.zip"), [*GOOD, (again, b"other")])
    with pytest.raises(DataError, match=f"refused, its member '{again}' is there twice"):
        archive.extract(path, tmp_path / "out", 1)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_spellings_that_the_disk_does_not_tell_apart_are_the_same_member(tmp_path, monkeypatch):
    """As on a disk that knows no capitals; where it does, these are two images."""
    path = tar(tmp_path / "x.tar", [*GOOD, ("train/cat/1.JPG", b"other")])
    archive.extract(path, tmp_path / "two", 1)
    assert (tmp_path / "two/train/cat/1.JPG").read_bytes() == b"other"
    exists = os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda place: exists(str(place).replace("JPG", "jpg")))
    with pytest.raises(DataError, match=r"its member 'train/cat/1.JPG' is there twice"):
        archive.extract(path, tmp_path / "out", 1)


def test_a_link_is_not_written_through_and_folders_may_be_there_twice(tmp_path):
    members = [("train", (tarfile.DIRTYPE, "")), *GOOD, ("train/", (tarfile.DIRTYPE, ""))]
    archive.extract(tar(tmp_path / "x.tar", members), tmp_path / "fine", 1)
    members = [*GOOD, ("link", (tarfile.SYMTYPE, "train/cat/1.jpg")), ("link", b"through")]
    with pytest.raises(
        DataError, match=r"its member 'link' is there twice|'link' is neither file nor folder"
    ):
        archive.extract(tar(tmp_path / "y.tar", members), tmp_path / "out", 1)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_names_without_end_are_refused_before_they_are_read(tmp_path, kind):
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 1 << 40
    (tmp_path / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    message = r"x.tar: cannot be unpacked \(.*a name or note of 1,099,511,627,776 bytes.*\)"
    with pytest.raises(DataError, match=message):
        archive.extract(tmp_path / "x.tar", tmp_path / "out", 1)
    with pytest.raises(DataError, match=r"x.tar: cannot be read \(.*a name or note"):
        archive.class_names(tmp_path / "x.tar")


@pytest.mark.parametrize("suffix", archive.SUFFIXES)
def test_any_bytes_are_one_line(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    magic = {".gz": b"\x1f\x8b\x08\x00", "tgz": b"\x1f\x8b\x08\x00", "bz2": b"BZh9", ".xz": b"\xfd7zXZ\x00"}
    for seed in range(3):
        noise = bytes(np.random.default_rng(seed).integers(0, 256, 2000, np.uint8))
        path.write_bytes(magic.get(suffix[-3:], b"") + noise)
        for read in (lambda: archive.extract(path, tmp_path / "out", 1), lambda: archive.class_names(path)):
            with pytest.raises(DataError) as caught:
                read()
            assert len(str(caught.value).splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
