"""The Python of README and docs/, run on the smoke study."""

import pytest

from tests.docs import PAGES, blocks, name_of

pytestmark = pytest.mark.workflow
START = "from transferlens import open_results\nresults = open_results('results')\n"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name_of)
def test_python_blocks_run(smoke, monkeypatch, page):
    monkeypatch.chdir(smoke)
    whole = "\n".join([START, *blocks(page, "python")])
    exec(compile(whole, name_of(page), "exec"), {})
