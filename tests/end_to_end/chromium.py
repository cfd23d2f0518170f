"""A real Chromium without a window, and what it says of a page: errors, requests, places."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)


@contextmanager
def chromium(folder: Path) -> Iterator[Any]:
    """A browser that keeps its profile and downloads in `folder`; skips the test where there is none."""
    webdriver = pytest.importorskip(
        "selenium.webdriver", reason="selenium is not installed: pip install .[dev]"
    )
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("no Chromium with its chromedriver on this machine: the page is not opened")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*_FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        allowed = {"behavior": "allow", "downloadPath": str(folder), "eventsEnabled": False}
        opened.execute_cdp_cmd("Browser.setDownloadBehavior", allowed)
        opened.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
        yield opened
    finally:
        opened.quit()


def widen(browser: Any, width: int) -> None:
    """Make the window `width` pixels wide; of a telephone below 500."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def requested(browser: Any) -> list[str]:
    """Addresses asked for since the last call that are not inside the page itself."""
    found = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            found.append(message["params"]["request"]["url"])
        elif message["method"] == "Network.webSocketCreated":
            found.append(message["params"]["url"])
    return [url for url in found if not url.startswith(("data:", "blob:"))]


def complaints(browser: Any) -> list[str]:
    """What the console said since the last call."""
    return [f"{entry['level']}: {entry['message']}" for entry in browser.get_log("browser")]
