"""Headless Chromium for tests and benchmarks of pages, driven by Selenium."""

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
    return found + ["selenium"] * (importlib.util.find_spec("selenium") is None)


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
