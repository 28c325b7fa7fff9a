"""The gallery in a real browser: everything on the page, from disk, without a network."""

import base64
import io
import re
import shutil

import h5py
import numpy as np
import pytest
from PIL import Image

from tests import browser
from tests.browser import needs_browser
from tests.conftest import CLASSES, draw
from tests.memories.gallery.artefacts import write_memories
from transferlens.core import labelled
from transferlens.data.artefacts import positions
from transferlens.memories.gallery import html, numbers
from transferlens.memories.gallery.numbers import Study
from transferlens.memories.images.artefacts import PANELS
from transferlens.memories.kept import binding

SOURCES = ["espresso", "hen", "hen of the woods", "tench", "cello", "watch", "<i>agaric</i>", "tortoise"]
TARGETS = ["cat", "dog", "fox"]
ROWS, SIDE = 120, 48


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study with one planted memory (espresso distracts from cat), and its page beside it."""
    folder, rng = tmp_path_factory.mktemp("study"), np.random.default_rng(0)
    images = np.stack([draw(CLASSES[i % 3], rng, SIDE, SIDE) for i in range(ROWS)])
    made = write_memories(folder, SOURCES, TARGETS, images, tried=6)
    (folder / "agreement.csv").write_text("measure,value,low,high,p\nspearman,0.412,0.2,0.6,0.01\n")
    tables = {"agreement": folder / "agreement.csv"}
    html.write_gallery(folder / "memories.html", made, "Memories of <pets>", "No <test> was made.", tables)
    return folder


@pytest.fixture(scope="module")
def table(study):
    """What the page should know of its rows."""
    panels = labelled.read(study / "panels.h5", PANELS)
    classes = {"true": TARGETS, "predicted": TARGETS, "memory": SOURCES}
    scores = ("score", "overlap", "removal_effect_q", "cell_effect_q")
    return {
        "composite": panels.kind.values == "composite",
        **{name: positions(panels[name].values, among) for name, among in classes.items()},
        **{name: panels[name].values for name in scores},
    }


@pytest.fixture(scope="module")
def driver(study, tmp_path_factory):
    with browser.running_browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def page(driver, study):
    """The page, opened afresh without a filter."""
    return Page(driver, study / "memories.html")


class Page(browser.Page):
    """A gallery in the browser."""

    @property
    def shown(self):
        """The number of rows that the page says it shows."""
        return int(self.element("#shown").text.split()[0].replace(",", ""))

    def first(self, count=3):
        """Examples of the first rows, once they are on screen."""
        self.run("document.getElementById('examples').scrollIntoView()")
        rows = self.wait("const r = document.querySelectorAll('#list .row'); return r.length ? [...r] : null")
        return [int(row.get_attribute("data-example")) for row in rows[:count]]

    def choose(self, name, value):
        """Set a field of the toolbar as a user does."""
        self.run(
            "const f = document.querySelector(`[name=${arguments[0]}]`);"
            "if (f.type === 'checkbox') f.click();"
            "else { f.value = arguments[1]; f.dispatchEvent(new Event('input', {bubbles: true})); }",
            name,
            value,
        )


def of_pair(table, memory, target):
    """Rows of a cell: its composites, and natural images of the class or predicted as it."""
    of_class = (table["true"] == target) | ((table["predicted"] == target) & ~table["composite"])
    return (table["memory"] == memory) & of_class


@needs_browser
def test_filters_and_sorting_show_the_rows_that_the_artefact_has(page, table):
    assert page.shown == ROWS
    score = np.where(np.isnan(table["score"]), -np.inf, table["score"])
    assert page.first() == (-score).argsort(kind="stable")[:3].tolist()
    page.choose("sort", "overlap")
    page.element("#direction").click()
    overlap = np.where(np.isnan(table["overlap"]), np.inf, table["overlap"])
    assert page.first() == overlap.argsort(kind="stable")[:3].tolist()
    wrong = table["true"] != table["predicted"]
    page.choose("wrong", None)
    assert page.shown == wrong.sum()
    page.choose("target", "dog")
    page.choose("match", "predicted")
    assert page.shown == (wrong & (table["predicted"] == 1)).sum()
    page.choose("kind", "composite")
    assert page.shown == (wrong & (table["predicted"] == 1) & table["composite"]).sum()
    page.element("#clear").click()
    page.choose("memory", "hen")  # a whole name comes before names that contain it
    assert page.shown == (table["memory"] == 1).sum()
    page.choose("memory", "t")
    assert page.shown == np.isin(table["memory"], [i for i, n in enumerate(SOURCES) if "t" in n]).sum()
    page.element("#clear").click()
    page.choose("significant", None)
    q = np.where(table["composite"], table["cell_effect_q"], table["removal_effect_q"])
    assert page.shown == (q < 0.05).sum() > 0


@needs_browser
def test_a_cell_of_the_matrix_leads_to_its_examples_by_mouse_and_by_keyboard(page, table):
    from selenium.webdriver.common.keys import Keys

    cell = page.element('td[data-row="0"][data-column="0"]')
    assert "significant" in cell.get_attribute("class")
    assert "+0.45 (95 % +0.33 to +0.57), q <0.001, n 30" in cell.get_attribute("aria-label")
    cell.click()
    assert page.shown == of_pair(table, 0, 0).sum()
    assert "memory=espresso" in page.driver.current_url
    page.element('td[data-row="0"][data-column="0"]').send_keys(Keys.ARROW_RIGHT)
    assert page.run("return document.activeElement.dataset.column") == "1"
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert page.shown == of_pair(table, 0, 1).sum()
    assert page.element("#cell h3").text == "espresso × dog"
    assert page.element('td[data-row="2"][data-column="0"]').get_attribute("class") == "empty"  # overlap
    page.wait("return [...document.querySelectorAll('#list img')].every((i) => i.complete && i.naturalWidth)")
    picture = Image.open(io.BytesIO(page.driver.get_screenshot_as_png()))
    assert picture.width >= 1300
    assert len(np.unique(np.asarray(picture.convert("L")))) > 100  # photographs are drawn


@needs_browser
def test_a_view_can_be_linked_and_thousands_of_rows_cost_only_those_on_screen(page, study, table):
    page.open("#memory=espresso&target=cat&wrong=1&sort=overlap&colours=magma")
    expected = of_pair(table, 0, 0) & (table["true"] != table["predicted"])
    assert page.shown == expected.sum()
    assert page.run("return document.querySelector('[name=colours]').value") == "magma"
    page.element("#clear").click()
    assert page.run("return document.querySelectorAll('#list .row').length") < 12
    page.run("scrollTo(0, document.body.scrollHeight)")
    last = page.wait(
        "return [...document.querySelectorAll('#list .row')].find((r) => r.ariaPosInSet === r.ariaSetSize)"
    )
    assert last.find_element("css selector", ".place").text == str(ROWS)
    # A class name is text, whatever is in it.
    assert page.run("return document.querySelector('#matrix th i')") is None
    assert "<i>agaric</i>" in page.element("#binding-table").text


@needs_browser
def test_maps_are_drawn_in_every_colour_and_zero_ones_are_told(page):
    def pixels(role):
        return page.run(
            "const row = document.querySelector('[data-example=\"1\"]');"
            "const c = row.querySelectorAll('canvas')[arguments[0]];"
            "return c.hidden ? [] : [...c.getContext('2d').getImageData(0, 0, 64, 64).data]",
            role,
        )

    page.open("#memory=espresso&target=cat&wrong=1&kind=natural")
    page.wait("return document.querySelector('[data-example=\"1\"] img')?.complete")
    words = page.element('[data-example="1"]').find_elements("css selector", ".picture em")
    assert [w.text for w in words if w.text] == ["the map is zero"]
    assert pixels(3) == []
    drawn = {}
    for colours in ("RdBu_r", "magma", "jet"):
        page.choose("colours", colours)
        drawn[colours] = np.array(pixels(4)).reshape(64, 64, 4)
    assert page.element("#jet-warning").is_displayed()
    assert drawn["RdBu_r"][..., 3].min() < 40  # clear where there is no evidence
    assert (drawn["magma"][..., 3] == 255).all()
    strongest = np.unravel_index(drawn["magma"][..., :3].sum(-1).argmax(), (64, 64))
    red, _, blue = drawn["jet"][strongest][:3]
    assert red > blue  # the hot end, where magma is bright


@needs_browser
def test_nothing_is_fetched_and_nothing_fails(page):
    for log in ("browser", "performance"):
        page.driver.get_log(log)  # what came before, of the browser's own pages
    page.open("#memory=espresso&colours=jet")
    page.wait("return document.querySelector('#list img')?.complete")
    assert not page.fetched()
    page.open("#sort=nothing&target=nobody&colours=pink&other=1")  # a stale link
    assert page.shown == ROWS
    assert page.driver.get_log("browser") == []


@needs_browser
def test_without_composites_the_page_says_why_and_shows_natural_images(driver, tmp_path):
    driver.get_log("browser")  # what came before: Chromium warns of tests that read pixels
    images = np.zeros((6, SIDE, SIDE, 3), np.uint8)
    study = write_memories(tmp_path, SOURCES, TARGETS, images, tried=0)
    html.write_gallery(tmp_path / "memories.html", study, "Small", "", {})
    page = Page(driver, tmp_path / "memories.html")
    assert "images are too small for composites" in page.element(".warning").text
    assert page.element("#matrix-frame").text == "No composites were made."
    assert page.shown == 6
    assert driver.get_log("browser") == []


def test_blobs_hold_the_images_and_the_signed_maps(study):
    text = (study / "memories.html").read_text()
    pixels, maps = re.search(r'id="e7">(\S+) (\S+)</script>', text).groups()
    row = labelled.read(study / "panels.h5", PANELS).isel(row=7)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(pixels)))), row.image)
    found = np.frombuffer(base64.b64decode(maps), np.int8).reshape(len(html.ROLES), 7, 7)
    for role, values in zip(html.ROLES, found, strict=True):
        stored = row.sel(role=role)
        unit = max(abs(float(stored[key])) for key in ("raw_max", "raw_min")) / 127
        np.testing.assert_allclose(values * unit, stored.class_map.astype(float), atol=0.51 * unit + 0.01)
    assert "&lt;pets&gt;" in text
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", text)


def test_the_class_that_the_page_names_as_bound_is_the_one_that_every_room_means(study, tmp_path):
    """Where the strongest tie is to a class of the same meaning, it is no binding."""
    shutil.copy(study / "probes.h5", tmp_path)
    with h5py.File(tmp_path / "probes.h5", "r+") as file:
        same = int(file["overlap"][:].any(1).argmax())
        effect = file["binding"][:]
        effect[0, same] = [0.9, 0.1, 0.5]
        file["binding"][...] = effect
        expected = binding.bound_class(effect, file["overlap"][:])
    table = numbers.binding_table(Study.of(tmp_path))
    assert table.target_class.tolist() == expected.tolist()
    assert table.target_class[same] == 2
    assert table.binding[same] == effect[1, same, 2]


def test_headline_counts_what_is_significant_and_measures_the_strongest_pair_on_the_other_half(
    study, tmp_path
):
    cards = {what: value for what, value, _ in numbers.headline(Study.of(study))}
    assert cards["pairs that distract"] == "1"
    with h5py.File(study / "probes.h5") as file:
        before, after = (file[f"accuracy_{when}"][:, 1].sum() for when in ("before", "after"))
    assert cards["source accuracy kept by fine-tuning"] == f"{after / before:.0%}"
    assert cards["pairs of a source and a target class that are bound"] == "1"
    assert cards["net interference of the 1 strongest pairs of the select half together"] == "+0.450"
    for name in ("probes.h5", "interference.h5"):
        shutil.copy(study / name, tmp_path)
    with h5py.File(tmp_path / "interference.h5", "r+") as file:
        file["interference"][1, 0, 0], file["interference_low"][1, 0, 0] = 0.125, -0.5
    what, value, interval = numbers.headline(Study.of(tmp_path))[-1]
    assert what == "strongest pair of the select half: espresso on cat"
    assert value == "+0.12"
    assert interval.startswith("95 % -0.50 to")


def test_where_few_models_test_only_some_pairs_the_cards_say_which(study, tmp_path):
    folder = shutil.copytree(study, tmp_path / "study")
    with h5py.File(folder / "interference.h5", "r+") as file:
        file.attrs["untested"] = "4 pairs of models are too few"
        file["interference_q"][1] = np.nan
    cards = {what: told for what, *told in numbers.headline(Study.of(folder))}
    assert cards["pairs that distract"] == ["not tested", "4 pairs of models are too few"]
    with h5py.File(folder / "interference.h5", "r+") as file:
        file["interference_q"][1, :2, 1] = 0.2, 0.01
        file["interference"][1, :2, 1] = 0.3
    cards = {what: told for what, *told in numbers.headline(Study.of(folder))}
    assert cards["pairs that distract"][0] == "1"
    assert cards["pairs that distract"][1].startswith("of the 2 strongest of the select half")


def test_a_control_with_an_effect_of_its_own_is_told(study, tmp_path):
    folder = shutil.copytree(study, tmp_path / "study")
    assert not [line for line in numbers.warnings(Study.of(folder)) if "scrambled" in line]
    with h5py.File(folder / "interference.h5", "r+") as file:
        net, objects, scrambled = (
            file[name] for name in ("interference", "beyond_canvas", "scrambled_beyond_canvas")
        )
        net[1], objects[1], scrambled[1] = -0.1, -0.02, 0.08
        objects[1, 0, 0] = 0.01
        pairs = net[1].size
    (told,) = [line for line in numbers.warnings(Study.of(folder)) if "scrambled" in line]
    assert f"In 1 of {pairs} pairs" in told


def test_csv_twins_are_read_with_intervals_beside_their_values(study):
    headings, rows = numbers.readable_table(study / "agreement.csv")
    assert headings == ["measure", "value", "p"]
    assert rows == [["spearman", "0.412 (0.2 to 0.6)", "0.01"]]


def test_what_the_causal_test_says_stands_first(study):
    text = (study / "memories.html").read_text(encoding="utf-8")
    assert text.index("No &lt;test&gt; was made.") < text.index('class="card"')
