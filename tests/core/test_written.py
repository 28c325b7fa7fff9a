"""Files of settings, and entries of --config, that cannot mean what they say are refused in one line."""

import json
import os

import pytest
import yaml

from transferlens.core import written
from transferlens.core.configuration import typed
from transferlens.core.errors import ConfigError

LAUGHS = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))

FILES = {
    "seed: 1\nsource: a\nseed: 2\n": "line 3: the key 'seed' stands there twice (first in line 1)",
    "input: {std: 1, std: 2}": "line 1: the key 'std' stands there twice",
    '{"a": {"b": 1, "b": 2}}': "the key 'b' stands there twice; remove one",
    "a: &x {b: *x}": "line 1: an anchor holds itself",
    "a: &x [*x]": "line 1: an anchor holds itself",
    f"a0: &a0 [1]\n{LAUGHS}": "anchors make more than 100,000 values",
    f"a: {'[' * 60}{']' * 60}": "goes more than 50 levels deep",
    f"a: {'[' * 600}": "goes more than 50 levels deep",
    f'{{"a": {"[" * 100_000}': "goes more than 50 levels deep",
    "[1, 2]": "holds a list in place of settings; write lines `key: value`",
    "settings": "holds a single value in place of settings",
    "": "holds nothing in place of settings",
    "input:\n\tstd: 1": "line 2: is no YAML: found character '\\t' that cannot start any token",
    "a: 1\n---\nb: 2": "line 2: is no YAML: but found another document",
    "a: x\0y": "is no YAML: special characters are not allowed",
    r'a: "x\0y"': r"line 1: 'x\x00y' holds the control character '\x00'; remove it",
    r'"a\e": 1': r"holds the control character '\x1b'",
    r'a: "\ud800"': "is not written in UTF-8",
    "1: a": "the key '1' is no text to YAML (int); put it in quotes",
    "~: a": "the key '~' is no text to YAML (null)",
    "on: a": "the key 'on' is no text to YAML (bool)",
    "2026-01-01: a": "the key '2026-01-01' is no text to YAML (timestamp)",
    "? [a, b]\n: 1": "a list in place of a key; write a name there",
    "a: 2026-13-45": "'2026-13-45' is a date to YAML; put it in quotes",
    "a: 010": "010 is 8 to YAML; write a number without ':' and without 0 in front",
    "a: 1:30": "1:30 is 90 to YAML",
    "a: 1e3": "1e3 is text to YAML, no number; write 1.0e+3, or quotes for a name",
    f"a: {'9' * 5000}": "has 5,000 letters; no text of settings is longer",
    f"a: {'9' * 500}": "a number of 500 digits; no key takes one so long",
    "a: !!python/object/apply:os.getcwd []": "is no kind of value that settings have; remove the tag",
    "a: !!binary aGFsbG8=": "is no kind of value that settings have",
}


@pytest.mark.parametrize(("text", "message"), FILES.items(), ids=range(len(FILES)))
def test_a_file_that_cannot_mean_what_it_says_is_named_with_its_line(tmp_path, text, message):
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        written.check_file(file)
    told = str(refused.value)
    assert told.startswith(str(file))
    assert message in told
    assert told.isprintable()
    assert len(told) < 400


def test_what_is_no_file_of_text_is_named(tmp_path):
    (tmp_path / "latin.yaml").write_bytes("seed: 1\nsource: caf\xe9\n".encode("latin-1"))
    os.mkfifo(tmp_path / "pipe")
    for name, message in {
        "latin.yaml": "line 2: is not written in UTF-8",
        "nowhere.yaml": "cannot be read (No such file or directory); name a file of settings",
        ".": "is no regular file",
        "pipe": "is no regular file",
    }.items():
        with pytest.raises(ConfigError, match=f"^{tmp_path}.*") as refused:
            written.check_file(tmp_path / name)
        assert message in str(refused.value)


def test_what_means_what_it_says_is_taken(tmp_path):
    text = 'a: &x {b: "010", c: 0x10}\nd: {<<: *x, b: 1.0e-3}\ne: [*x, *x]\nf: >\n  two\n  lines\ng: "1"\n'
    (tmp_path / "own.yaml").write_text(text)
    written.check_file(tmp_path / "own.yaml")
    indented = json.dumps({**yaml.safe_load(text), "path": "a/b"}, indent="\t").replace("/", "\\/")
    (tmp_path / "own.json").write_text(indented)
    written.check_file(tmp_path / "own.json")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("seed", "--config 'seed': is not understood; write KEY=VALUE, as seed=3"),
        ("a.b=3", "--config 'a.b=3': is not understood"),
        ("=3", "is not understood"),
        ("input={std: 1, std: 2}", "--config 'input': the key 'std' stands there twice; remove one"),
        ("input=[&x [*x]]", "an anchor holds itself"),
        (f"input={'[' * 600}", "goes more than 50 levels deep"),
        ("seed=1:30", "1:30 is 90 to YAML"),
        ("data_root=\udce9", r"'\udce9' is not written in UTF-8"),
        ("report={title: \x1b[31m}", r"holds the control character '\x1b'"),
    ],
)
def test_an_entry_that_cannot_mean_what_it_says_is_named(entry, message):
    with pytest.raises(ConfigError) as refused:
        written.check_entry(entry)
    assert message in str(refused.value)
    assert str(refused.value).isprintable()


def test_entries_are_typed_by_their_spelling_and_empty_ones_are_no_null():
    for entry in ("seed=3", "data_root=", "report={title: 2026-13-45}", "report={title: a: b}", "ab={1: 2}"):
        written.check_entry(entry)
    assert typed({"path": "", "title": "2026-13-45", "null": "null"}) == {
        "path": "",
        "title": "2026-13-45",
        "null": None,
    }
