"""The page of results in a real browser: found, folded, sorted, enlarged, printed, and closed to nobody."""

import base64

import pytest

from tests import browser
from tests.browser import needs_browser
from transferlens.core import blocks
from transferlens.core.blocks import Section, Subject
from transferlens.pictures import figures
from transferlens.report import frame

pytestmark = needs_browser
HEAD = (blocks.Column("name"), blocks.Column("effect", number=True))
ROWS = (
    ("b", "+0.5 (0.4 to 0.6)"),
    ("a", "−1.5e-2"),
    ("d", "–"),
    ("c", "1,240"),
    ("e", "2.0×10⁻³"),
    ("f", "<0.001"),
)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with browser.running_browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A page with two chapters of two sections, each longer than the screen."""
    folder = tmp_path_factory.mktemp("report")
    figure = figures.figure(2, 1)
    figure.subplots().plot([1, 2])
    figures.save(figure, folder / "x.svg")
    shown = (
        blocks.Table(HEAD, ROWS),
        blocks.Figure(folder / "x.svg", "caption", "a line"),
        blocks.Details("Settings", "{}\n" * 99),
        *[blocks.Prose("prose")] * 30,
    )
    subjects = Subject("One", "one", "1"), Subject("Two", "two", "2")
    sections = [Section(name, name, shown, subject) for subject in subjects for name in ("a", "b")]
    frame.write_page(folder / "index.html", "Title", "lead", sections)
    return folder / "index.html"


@pytest.fixture
def page(driver, path):
    return browser.Page(driver, path)


def current(page):
    """Where the contents say that the reader is."""
    return page.run("return document.querySelector('nav [aria-current]')?.hash")


def closed(page):
    return page.run("return document.querySelectorAll('main details:not([open])').length")


def test_links_open_what_is_folded_and_the_contents_mark_where_the_reader_is(page):
    texts = closed(page)  # long texts are closed from the start
    page.element("#fold-all").click()
    assert closed(page) == texts + 6
    page.element("nav a[href='#two-b']").click()
    page.wait("return document.querySelector('nav [aria-current]')?.hash === '#two-b'")
    assert closed(page) == texts + 4
    assert page.run("return document.getElementById('two-b').getBoundingClientRect().top") < 200
    page.element("#open-all").click()
    assert closed(page) == texts
    page.open("#one-b")
    page.wait("return document.querySelector('nav [aria-current]')?.hash === '#one-b'")


def test_tables_sort_by_value_and_say_so_with_what_is_missing_last(page):
    def names():
        return "".join(
            page.run("return [...document.querySelector('tbody').rows].map((r) => r.cells[0].textContent)")
        )

    button = page.element("th.number button")
    button.click()
    assert names() == "cbefad"
    assert page.run("return [...document.querySelector('thead tr').cells].map((c) => c.ariaSort)") == [
        None,
        "descending",
    ]
    button.click()
    assert names() == "afebcd"
    page.element("th button").click()
    assert names() == "abcdef"


def test_enter_enlarges_a_figure_and_escape_gives_the_focus_back(page):
    from selenium.webdriver.common.keys import Keys

    figure = page.element("figure button")
    figure.send_keys(Keys.ENTER)
    assert (
        page.run("return document.querySelector('dialog[open] svg').getAttribute('aria-label')") == "a line"
    )
    wide = "return document.querySelector(arguments[0]).getBoundingClientRect().width"
    assert page.run(wide, "dialog svg") > 2 * page.run(wide, "figure svg")
    page.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    page.wait("return !document.querySelector('dialog').open")
    assert page.run("return document.activeElement.closest('figure') !== null")


def test_a_printed_page_shows_what_was_folded_and_folds_it_again(page):
    page.element("#fold-all").click()
    folded = closed(page)
    page.run(
        "addEventListener('beforeprint', () =>"
        "(window.left = document.querySelectorAll('main details:not([open])').length))"
    )
    assert base64.b64decode(page.driver.execute_cdp_cmd("Page.printToPDF", {})["data"]).startswith(b"%PDF")
    assert page.run("return window.left") == 0
    assert closed(page) == folded


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (420, "dark")])
def test_the_smoke_study_s_page_has_no_barriers_and_fits_the_screen(driver, smoke, width, scheme):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get_log("performance")  # what came before, of the browser's own pages
    page = browser.Page(driver, smoke / "results/report/index.html")
    assert page.run("return document.documentElement.scrollWidth") == width
    # At a narrow width contents are a menu that waits to be opened.
    assert page.run("return document.getElementById('contents').open") == (width == 1400)
    assert page.barriers() == []
    assert page.fetched() == []
