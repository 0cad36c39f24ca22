"""Headless Chromium, for tests of pages."""

import json
import shutil

import pytest

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_DRIVER = shutil.which("chromedriver")
needs_chromium = pytest.mark.skipif(
    not (_CHROMIUM and _DRIVER), reason="there is no chromium with its driver"
)


def open_chromium(*arguments):
    """Starts a browser, which logs its requests and its console."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = _CHROMIUM
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", *arguments):
        options.add_argument(f"--{argument}")
    kinds = {"performance": "ALL", "browser": "ALL"}
    options.set_capability("goog:loggingPrefs", kinds)
    return webdriver.Chrome(options, webdriver.ChromeService(_DRIVER))


def requested_urls(browser):
    """Returns the URLs that the browser asked for since the last call."""
    entries = (
        json.loads(e["message"])["message"] for e in browser.get_log("performance")
    )
    return [
        entry["params"]["request"]["url"]
        for entry in entries
        if entry["method"] == "Network.requestWillBeSent"
    ]
