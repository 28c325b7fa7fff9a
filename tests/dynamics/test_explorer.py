"""The interactive page of feature dynamics in a real browser, from disk, without a network."""

import base64
import re

import numpy as np
import pytest

from tests import browser
from tests.browser import needs_browser
from tests.dynamics import similarities, unit_files
from tests.dynamics.similarities import LAYERS, SOURCE_CLASSES, STEPS
from transferlens.core import labelled
from transferlens.dynamics.explorer import content, html
from transferlens.dynamics.told.artefacts import SIMILARITY

NO_UNITS = "Units were not looked at."
TEXTS = "[...document.querySelectorAll(arguments[0])].map((one) => one.textContent)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Similarities and units, and the page of both."""
    folder = tmp_path_factory.mktemp("dynamics")
    made = similarities.write(folder)
    units = unit_files.write(folder, LAYERS[:2], STEPS)
    html.write_page(folder / "dynamics.html", made, units, "Dynamics of <pets>", NO_UNITS)
    return folder


@pytest.fixture(scope="module")
def made(folder):
    return labelled.read(similarities.path_of(folder), SIMILARITY)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with browser.running_browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


class Page(browser.Page):
    """The page in the browser."""

    def slide(self, name, value):
        """Set a field as a user does."""
        self.run(
            "const f = document.querySelector(`[name=${arguments[0]}]`);"
            "f.value = arguments[1]; f.dispatchEvent(new Event('input', {bubbles: true}));",
            name,
            str(value),
        )

    def grid(self, name):
        """The numbers that a grid shows: float64[rows, columns], NaN where there is a dash."""
        rows = self.run(
            "return [...document.querySelectorAll(`#${arguments[0]}-frame tbody tr`)]"
            ".map((r) => [...r.querySelectorAll('td')].map((c) => c.textContent))",
            name,
        )
        return np.array([[float(text.replace("−", "-").replace("–", "nan")) for text in row] for row in rows])

    def cell(self, name, row, column):
        return self.element(f'#{name}-frame td[data-row="{row}"][data-column="{column}"]')


@pytest.fixture
def page(driver, folder):
    return Page(driver, folder / "dynamics.html")


@needs_browser
def test_the_step_slider_moves_both_grids_and_numbers_are_those_of_the_file(page, made):
    for step in (1, 4, len(STEPS) - 1):
        page.slide("step", step)
        assert page.element("#step-told").text.startswith(f"step {STEPS[step]}")
        heads = page.run(f"return {TEXTS}", "#heatmap-frame thead th.here")
        assert heads == [str(STEPS[step])]
        expected = made.cka.isel(domain=0, step=step, other_step=0).mean("model").values
        np.testing.assert_allclose(page.grid("matrix"), expected, atol=0.0051)
        np.testing.assert_allclose(page.grid("heatmap"), made.mean_excess.isel(domain=0), atol=0.0051)
    page.slide("other", 3)
    page.slide("domain", 1)
    page.slide("model", 2)
    page.slide("quantity", 2)
    expected = made.cka.isel(domain=1, model=1, step=-1, other_step=3).values
    np.testing.assert_allclose(page.grid("matrix"), expected, atol=0.0051)
    np.testing.assert_allclose(page.grid("heatmap"), made.to_end.isel(domain=1, model=1), atol=0.0051)


@needs_browser
def test_what_is_not_told_from_the_null_is_hatched_and_intervals_say_what_they_are_about(page, made):
    hatched = page.run(
        "return [...document.querySelectorAll('#heatmap-frame td.hatched')]"
        ".map((c) => [+c.dataset.row, +c.dataset.column])"
    )
    assert hatched == np.argwhere(made.mean_to_start_q.isel(domain=0).values > 0.05).tolist() != []
    assert "not told from the null" in page.cell("heatmap", *hatched[0]).get_attribute("aria-label")
    mean = made.isel(domain=0, layer=1, step=2)
    page.run("arguments[0].focus()", page.cell("heatmap", 1, 2))
    told = page.element("#told").text
    low, high = (f"{float(mean[f'mean_to_start_{end}']):.3f}" for end in ("low", "high"))
    assert f"{float(mean.mean_to_start):.3f} (95 % over models: {low} to {high})" in told
    page.slide("model", 1)
    one = mean.isel(model=0)
    page.run("arguments[0].focus()", page.cell("heatmap", 1, 2))
    low, high = (f"{float(one[f'to_start_{end}']):.3f}" for end in ("low", "high"))
    assert f"95 % over images: {low} to {high}" in page.element("#told").text


@needs_browser
def test_the_keyboard_walks_the_grid_and_chooses_a_layer_and_step(page):
    from selenium.webdriver.common.keys import Keys

    page.run("arguments[0].focus()", page.cell("heatmap", 3, 6))
    for key in (Keys.ARROW_UP, Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ENTER):
        page.driver.switch_to.active_element.send_keys(key)
    assert page.element("#told h3").text == f"layer3.0, step {STEPS[4]}"
    assert page.run("return document.activeElement.dataset.column") == "4"  # the focus stays
    assert "step=4" in page.driver.current_url
    assert page.element("#row-step").text == f"step {STEPS[4]}"


@needs_browser
def test_a_unit_is_clicked_to_see_its_strips_and_a_view_can_be_linked(page):
    page.open("#layer=1&step=2")
    first, second = page.driver.find_elements("css selector", "#unit-list button")
    assert first.get_attribute("aria-pressed") == "true"
    assert second.text == "unit 5 (drawn at random)"
    second.click()
    page.wait("return [...document.querySelectorAll('#unit img')].every((i) => i.complete && i.naturalWidth)")
    sizes = page.run("return [...document.querySelectorAll('#unit img')].map((i) => [i.naturalWidth, i.alt])")
    assert [width for width, _ in sizes] == [len(STEPS) * unit_files.TILE] * 3
    assert all(alt for _, alt in sizes)
    here = page.run(f"return {TEXTS}", "#unit .here")
    assert here == [str(STEPS[2])] * 3 + [str(STEPS[2]), ".80", *here[5:]]  # strips, then the table
    moved = page.run(f"return {TEXTS}", "#unit tr:nth-child(3) td")
    assert moved == [".00", "2.00", "4.00", "6.00", "8.00", "10.00", "12.00"]
    page.open("#layer=1&unit=unit+5")
    assert "unit 5" in page.element("#unit h3").text
    page.slide("layer", 3)
    assert "no grid of cells" in page.element("#units-about").text


@needs_browser
def test_nothing_is_fetched_nothing_fails_and_a_page_without_units_says_so(driver, folder, tmp_path):
    one = similarities.write(tmp_path, models=1, domains=["pets"], classes=False)
    html.write_page(tmp_path / "dynamics.html", one, None, "Small", NO_UNITS)
    for log in ("browser", "performance"):
        driver.get_log(log)
    Page(driver, folder / "dynamics.html", "#step=99&layer=x&model=-1")  # a stale link
    page = Page(driver, tmp_path / "dynamics.html")
    assert not page.fetched()
    assert page.element("#units-about").text == NO_UNITS
    assert "one model was followed" in page.element(".warning").text
    assert page.run("return document.querySelectorAll('[name=model] option').length") == 1
    assert driver.get_log("browser") == []


def test_similarities_are_packed_to_the_last_digit_and_the_undefined_stays_so(made):
    cka = made.cka.values.copy()
    cka[0, 0, 1, 2, :, :] = np.nan
    (packed, *_), *_ = content._packed(cka)
    found = np.frombuffer(base64.b64decode(packed), "<i2")
    side = len(LAYERS) * len(STEPS)
    expected = cka[0, 0].reshape(side, side)[np.tril_indices(side)]
    known = found != content.UNKNOWN
    assert (known == np.isfinite(expected)).all()
    np.testing.assert_allclose(found[known] * content.UNIT, expected[known], atol=content.UNIT / 2 + 1e-7)


def test_names_are_text_whatever_is_in_them_and_no_address_is_foreign(folder):
    text = (folder / "dynamics.html").read_text()
    assert "&lt;pets&gt;" in text
    assert SOURCE_CLASSES[0] not in text
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", text)
