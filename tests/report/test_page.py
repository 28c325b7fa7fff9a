"""The page lays out whatever blocks it is given: escaped, in order, with pictures inside and true links."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from transferlens.core import blocks
from transferlens.core.blocks import Place, Section, Subject
from transferlens.pictures import figures
from transferlens.report import frame

EVIL = "<script>alert('x')</script> & \"more\""
ONE, TWO = Subject(f"One {EVIL}", "one", f"1 {EVIL}"), Subject("Two", "two", "2")
HEAD = (blocks.Column("name"), blocks.Column("count", number=True))


class Tree(HTMLParser):
    """Every opened tag with its attributes, the words shown, and whether tags are well nested."""

    VOID = ("meta", "img", "path", "use", "rect")

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, text):
        if not {"style", "script"} & set(self.open):
            self.texts.append(text)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.texts))

    def attributes(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def pictures(tmp_path):
    for name in ("x.svg", "x.png"):
        figure = figures.figure(2, 1)
        figure.subplots().plot([1, 2])
        figures.save(figure, tmp_path / name)
    return tmp_path


def every_block(folder: Path) -> tuple[blocks.Block, ...]:
    """One of each kind of block, with words that look like HTML."""
    return (
        blocks.Cards((blocks.Card(f"card {EVIL}", "0.5", f"95 % {EVIL}"),), f"note of cards {EVIL}"),
        blocks.Table(HEAD, ((EVIL, "7"), ("b", blocks.Verdict("holds", True))), "note of a `table.csv`"),
        blocks.Figure(folder / "x.svg", f"caption {EVIL}", f"words {EVIL}"),
        blocks.Figure(folder / "x.png", "an image", f"words {EVIL}"),
        blocks.Link("a/b.html", f"Open {EVIL}", f"what is there {EVIL}"),
        blocks.Warnings((f"careful {EVIL}", "and again")),
        blocks.Prose(f"prose {EVIL}"),
        blocks.Details(f"Settings {EVIL}", f'{{"a": "{EVIL}"}}'),
    )


def write(folder, *sections, methods=()):
    frame.write_page(folder / "index.html", f"Title {EVIL}", f"lead {EVIL}", sections, methods)
    return Tree((folder / "index.html").read_text())


def test_every_kind_of_block_is_shown_and_no_text_becomes_html(pictures):
    shown = every_block(pictures)
    assert {type(block) for block in shown} == set(blocks.Block.__args__)
    section = Section(f"Heading {EVIL}", "all", shown, ONE, warnings=(f"first of all {EVIL}",))
    tree = write(pictures, section)
    assert len(tree.attributes("script")) == 1  # the page's own
    for words in ("card", "95 %", "note of cards", "caption", "Open", "what is there", "careful", "prose"):
        assert f"{words} {EVIL}" in tree.text
    for words in ("Title", "lead", "One", "1", "Heading", "Settings", "first of all"):
        assert f"{words} {EVIL}" in tree.text
    assert f'{{"a": "{EVIL}"}}' in tree.text
    assert "note of a table.csv" in re.sub(r"\s+", " ", tree.text)
    assert "code" in [name for name, _ in tree.tags]
    assert {"class": "yes"} in tree.attributes("td")
    assert {"class": "number"} in tree.attributes("td")
    (image,) = tree.attributes("img")
    assert image["alt"] == f"words {EVIL}"
    assert image["src"].startswith("data:image/png;base64,")
    (drawing,) = tree.attributes("svg")
    assert drawing["aria-label"] == f"words {EVIL}"


def test_too_many_bytes_of_pictures_stay_in_their_files(pictures, monkeypatch):
    (pictures / "a b").mkdir()
    moved = (pictures / "x.svg").rename(pictures / "a b/x.svg")
    size = moved.stat().st_size
    section = Section("s", "s", (blocks.Figure(moved, "caption", f"words {EVIL}"),), ONE)
    monkeypatch.setattr(frame, "EMBEDDED_BYTES", size)
    assert len(write(pictures, section).attributes("svg")) == 1
    monkeypatch.setattr(frame, "EMBEDDED_BYTES", size - 1)
    tree = write(pictures, section)
    (image,) = tree.attributes("img")
    assert (image["src"], image["alt"], image["loading"]) == ("a%20b/x.svg", f"words {EVIL}", "lazy")
    assert "pass on the whole results folder" in tree.text


def test_contents_lead_to_every_subject_and_section_and_anchors_are_unique(pictures):
    sections = [Section(f"s{i}", f"a{i}", (blocks.Prose("p"),), s) for s in (ONE, TWO) for i in range(2)]
    tree = write(pictures, *sections)
    ids = [attributes["id"] for _, attributes in tree.tags if "id" in attributes]
    links = [a["href"].removeprefix("#") for a in tree.attributes("a")]
    assert links == ["content", "one", "one-a0", "one-a1", "two", "two-a0", "two-a1"]
    assert set(links) <= set(ids)
    assert len(ids) == len(set(ids))


def test_sections_stand_by_subject_then_place_then_capability():
    def section(subject, anchor, place=Place.BODY):
        return Section(anchor, anchor, (), subject, place)

    given = [
        section(ONE, "influence"),
        section(TWO, "influence"),
        section(ONE, "removals"),
        section(ONE, "checks", Place.CHECKS),
        section(ONE, "headline", Place.HEADLINE),
        section(TWO, "checks", Place.CHECKS),
    ]
    order = [(c.subject, [s.anchor for s in c.sections]) for c in frame.chapters(given)]
    assert order == [
        (ONE, ["headline", "checks", "influence", "removals"]),
        (TWO, ["checks", "influence"]),
    ]


def test_sections_of_two_capabilities_with_one_anchor_become_one_and_so_do_their_tables():
    def checks(cell, note, *more):
        return Section("Checks", "checks", (blocks.Table(HEAD, ((cell, "1"),), note), *more), ONE)

    other_head = blocks.Table((blocks.Column("else"),), (("c",),))
    (chapter,) = frame.chapters([checks("a", "same"), checks("b", "same", other_head), checks("c", "own")])
    (section,) = chapter.sections
    assert [len(table.rows) for table in section.blocks] == [3, 1]
    assert section.blocks[0].note == "same own"


def test_warnings_stand_at_the_head_once_each(pictures):
    sections = [Section("s", str(i), (), ONE, warnings=("of every target", f"of {i}")) for i in range(2)]
    tree = write(pictures, *sections)
    assert tree.text.count("of every target") == 1
    assert tree.text.index("of 1") < tree.text.rindex(f"One {EVIL}")
    assert "Before you use" not in write(pictures, Section("s", "s", (), ONE)).text


def test_a_row_that_does_not_fit_its_head_is_refused():
    with pytest.raises(ValueError, match="1 cells under 2 columns"):
        blocks.Table(HEAD, (("alone",),))


def test_a_single_backtick_stands_for_itself():
    assert frame.words("a `b` c") == "a <code>b</code> c"
    assert frame.words("class ` <b>") == "class ` &lt;b&gt;"


def test_the_head_says_how_many_tests_the_page_holds_and_how_many_to_expect_by_chance(pictures):
    sections = [Section("s", str(i), (), ONE, tests=tests) for i, tests in enumerate((1000, 0, 240))]
    text = write(pictures, *sections).text
    assert text.index("Before you use these numbers") < text.index("This page holds 1,240 tests.")
    assert "about 62 p-values would lie below 0.05 by chance" in text
    assert "to 5 % within each table" in text
    assert "tests" not in write(pictures, Section("s", "s", (), ONE)).text


def test_sections_that_become_one_keep_their_tests_and_their_method():
    one = [Section("s", "s", (), ONE, tests=3), Section("s", "s", (), ONE, method="scores", tests=4)]
    ((section,),) = [chapter.sections for chapter in frame.chapters(one)]
    assert (section.method, section.tests) == ("scores", 7)


def test_a_section_links_its_method_where_the_page_of_methods_has_it(pictures):
    sections = [Section("s", name, (), ONE, method=name, tests=1) for name in ("scores", "unknown", "")]

    def links(tree):
        return [a["href"] for a in tree.attributes("a") if not a["href"].startswith("#")]

    known = {"scores", "tests-on-a-page"}
    expected = ["statistics.html#tests-on-a-page", "statistics.html#scores"]
    assert links(write(pictures, *sections, methods=known)) == expected
    assert links(write(pictures, *sections)) == []


def test_without_a_script_all_is_open_but_long_texts(pictures):
    tree = write(pictures, Section("s", "s", (blocks.Details("Settings", "{}"),), ONE))
    assert [a for a in tree.attributes("details") if "open" not in a] == [{}]
