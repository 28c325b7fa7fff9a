"""Names and foreign messages reach the terminal, the log and files as one line that is shown, not obeyed."""

import logging

import pytest

from transferlens.core import artefacts, files, job
from transferlens.core.artefacts import Artefact, Field
from transferlens.core.errors import DataError, TransferlensError, printable

HOSTILE = "a\x1b[31m\r\nerror: b\u202ecba\x00\udcff\u2028\x9b"
SHOWN = r"a\x1b[31m\r\nerror: b\u202ecba\x00\udcff\u2028\x9b"
NAMED = Artefact("named", "named.h5", (Field("name", ("name",), str, "name of a class"),))


def test_messages_are_one_printable_line_of_bounded_length():
    assert str(DataError(f"class '{HOSTILE}'; rename it")) == f"class '{SHOWN}'; rename it"
    assert printable(printable(HOSTILE)) == SHOWN
    fine = "Blåhai 鮫 \U0001f988\u200d\tname"
    assert printable(fine) == fine
    long = str(TransferlensError(f"begins {'x' * 1_000_000} cure"))
    assert len(long) == 2000
    assert (long[:6], long[-4:]) == ("begins", "cure")


def test_the_log_and_the_terminal_show_and_do_not_obey(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(job, "log", logging.Logger("of this test"))
    job._set_up_logging(tmp_path / "job.log")
    job.log.warning("%s: left out", HOSTILE)
    job.say("one\ntwo", f"class {HOSTILE}".replace("\n", ""))
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        job.log.exception("unexpected")
    printed = capsys.readouterr()
    said = [*(tmp_path / "job.log").read_text().split("\n"), *(printed.out + printed.err).split("\n")]
    assert all(printable(line) == line for line in said)
    assert sum(f"{SHOWN}: left out" in line for line in said) == 2
    assert printed.out.startswith("one\ntwo\nclass a\\x1b")


def test_names_that_cannot_be_shown_enter_no_artefact(tmp_path):
    for name in ("a\nb", "a\x1b[31m", "a\u202eb", "a\udcff"):
        with (
            pytest.raises(DataError, match=r"name: 'a\\.* \(name of a class\) holds .*; rename it"),
            artefacts.create(tmp_path / "named.h5", NAMED) as out,
        ):
            out.write("name", ["fine", name])
    assert list(tmp_path.iterdir()) == []
    with artefacts.create(tmp_path / "named.h5", NAMED) as out:
        out.write("name", ["<script>", "鮫\u200d"])


@pytest.mark.parametrize(
    ("foreign", "said"),
    [
        (
            "Unable to open file (truncated file: eof = 1)\nmore",
            "Unable to open file (truncated file: eof = 1)",
        ),
        ("Load failed. Use weights_only=False if you trust it. Done", "Load failed. Done"),
        ("It is broken! Please report a bug; thanks", "It is broken! thanks"),
        (
            "[Errno 13] Permission denied: 'results/report/a. b'",
            "[Errno 13] Permission denied: 'results/report/a. b'",
        ),
        ("weights_only=False", "ValueError"),
        ("\nsecond", "ValueError"),
    ],
)
def test_advice_of_libraries_is_not_passed_on(foreign, said):
    assert files.first_line(ValueError(foreign)) == said
