"""Headless Chromium for tests and benchmarks of pages, driven by Selenium."""

import importlib.util
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SECONDS = 20  # that a wait may take at most: machines are shared
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def missing() -> list[str]:
    """What keeps a browser from running here, in words."""
    programs = {"chromium": "chromium", "chromedriver": "chromium-driver"}
    found = [package for program, package in programs.items() if shutil.which(program) is None]
    modules = {"selenium": "selenium", "axe_core_python": "axe-core-python"}
    return found + [p for module, p in modules.items() if importlib.util.find_spec(module) is None]


MISSING = missing()
needs_browser = pytest.mark.skipif(bool(MISSING), reason=f"a browser for tests needs {', '.join(MISSING)}")


class Page:
    """A page in the browser, which marks the moment when it is complete."""

    def __init__(self, driver, path, address=""):
        self.driver, self.path = driver, path
        self.open(address)

    def open(self, address=""):
        self.driver.get("about:blank")
        self.driver.get(f"{self.path.as_uri()}{address}")
        self.wait("return performance.getEntriesByName('complete').length")

    def run(self, code, *arguments):
        return self.driver.execute_script(code, *arguments)

    def wait(self, code):
        """Until a script returns something true, which is returned."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, SECONDS, poll_frequency=0.05).until(lambda _: self.run(code))

    def element(self, selector):
        return self.driver.find_element("css selector", selector)

    def fetched(self):
        """Addresses that were asked for since the last call, but for those of the page's own content."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        assert sent
        return [url for url in sent if not url.startswith(("file:", "blob:", "data:", "about:"))]

    def barriers(self):
        """What axe-core finds that keeps people out: (rule, impact, first element) of serious violations.

        Drawings are emptied first, for good: each is one image to axe-core, yet walking their thousands of
        paths takes it minutes.
        """
        (package,) = importlib.util.find_spec("axe_core_python").submodule_search_locations
        self.run("document.querySelectorAll('svg').forEach((drawing) => drawing.replaceChildren())")
        self.run((Path(package) / "axe.min.js").read_text(encoding="utf-8"))
        self.driver.set_script_timeout(3 * SECONDS)
        found = self.driver.execute_async_script(
            "axe.run({resultTypes: ['violations']}).then((found) => arguments[arguments.length - 1]("
            "found.violations.map((v) => [v.id, v.impact, v.nodes[0].html])))"
        )
        return [one for one in found if one[1] in ("serious", "critical")]


@contextmanager
def running_browser(folder: Path, width: int = 1400, height: int = 1000) -> Iterator:
    """A Selenium driver; the browser keeps its profile in `folder` and ends with the block."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (*_FLAGS, f"--user-data-dir={folder}", f"--window-size={width},{height}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()
