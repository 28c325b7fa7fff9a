"""The page of methods: headings with anchors, links that work beside the report, none that need a network."""

import ast

import pytest

from tests.docs import REPOSITORY
from tests.report.test_page import EVIL, Tree
from tests.test_docs import anchors
from transferlens.report import methods
from transferlens.report.capability import EXPLAINED

PAGE = f"""# Statistics

## Seen and unseen (`p`, q)

Words {EVIL}, [here](#a-table), [a file](memories.md#x), [elsewhere](https://example.org/x),
![a picture](images/x.png).

### A table

| a | b |
|---|---|
| 1 | `2` |
"""


@pytest.fixture
def written(tmp_path):
    (tmp_path / "x.md").write_text(PAGE, encoding="utf-8")
    found = methods.write_methods(tmp_path / "statistics.html", tmp_path / "x.md")
    return found, Tree((tmp_path / "statistics.html").read_text(encoding="utf-8"))


def test_headings_get_the_anchors_that_github_gives_them(written, tmp_path):
    found, tree = written
    ids = [attributes["id"] for _, attributes in tree.tags if "id" in attributes]
    assert found == set(ids) == {"statistics", "seen-and-unseen-p-q", "a-table"} == anchors(tmp_path / "x.md")


def test_links_lead_within_the_page_or_to_addresses_and_no_text_becomes_html(written):
    _, tree = written
    assert [a["href"] for a in tree.attributes("a")] == ["index.html", "#a-table", "https://example.org/x"]
    assert not tree.attributes("script")
    assert not tree.attributes("img")
    assert f"Words {EVIL}, here , a file, elsewhere , a picture." in tree.text
    assert tree.attributes("table")


def test_without_it_the_page_says_so(tmp_path):
    found = methods.write_methods(tmp_path / "statistics.html", None)
    assert found == {"statistics"}
    assert "lacks its page on statistics" in (tmp_path / "statistics.html").read_text(encoding="utf-8")


def methods_of_sections() -> dict[str, str]:
    """Every anchor that the source gives to a section, and where."""
    found = {}
    for path in sorted((REPOSITORY / "transferlens").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Section":
                named = {k.arg: k.value for k in node.keywords}
                if isinstance(value := named.get("method"), ast.Constant):
                    found[value.value] = path.name
    return found


def test_every_section_names_a_heading_of_the_page_of_methods():
    named = methods_of_sections()
    assert "variance-components" in named
    assert named.keys() - anchors(EXPLAINED) == set()
