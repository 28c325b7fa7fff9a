"""What the pages say exists: links, files, keys of the configuration, files that commands ask for."""

import re
from pathlib import Path

import pytest
import yaml

from tests.docs import PAGES, REPOSITORY, blocks, name_of
from transferlens.capabilities import run_of
from transferlens.core.configuration import architecture_of, merged

PREFIXES = ("", "transferlens/")
FILES = r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|md|yaml|smk|txt|lock|sh|rst))`"
DEFAULT = yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not re.match(r"\w+:", link):
            path, _, anchor = link.partition("#")
            place = page.parent / path if path else page
            assert place.exists(), link
            assert not anchor or anchor in anchors(place), link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_are_named_exist(page):
    for path in re.findall(FILES, page.read_text(encoding="utf-8")):
        assert any((REPOSITORY / prefix / path).exists() for prefix in PREFIXES), path


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_that_are_quoted_can_be_laid_over_the_default_study(page):
    for block in blocks(page, "yaml"):
        given = yaml.safe_load(block)
        laid = {**merged(DEFAULT, given), "architecture": architecture_of([DEFAULT, given])}
        run_of(given if {"source", "targets"} <= given.keys() else laid)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_ask_for_files_that_the_default_study_makes(page):
    run = run_of(DEFAULT)
    made = {
        output.at(**wildcards)
        for name, step in run.steps.items()
        for wildcards in run.jobs_of(name)
        for output in step.outputs.values()
    }
    for command in re.findall(r"snakemake [^`\n]*", page.read_text(encoding="utf-8")):
        asked = {word for word in command.split() if re.fullmatch(r"results/\S+\.\w+", word)}
        assert asked <= made, command


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_name_files_that_are_there(page):
    for command in re.findall(r"(?:snakemake|python) [^`\n]*", page.read_text(encoding="utf-8")):
        for path in re.findall(r"(?:configs|scripts|benchmarks)/[\w.-]+", command):
            assert (REPOSITORY / path).exists(), command
