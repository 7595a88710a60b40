"""A headless Chromium to look at pages with, as a person would: open, type, drag, and see what changes."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class NoBrowserError(Exception):
    """Chromium, its driver or selenium is not installed; the text says which."""


class Browser:
    """An open browser that finds no host but this one.

    Attributes:
      driver: selenium's.
    """

    def __init__(self, driver: Any):
        self.driver = driver

    def open(self, address: str) -> None:
        """Loads a page."""
        self.driver.get(address)

    def find(self, selector: str) -> Any:
        """The first element that a CSS selector names."""
        return self.driver.find_element("css selector", selector)

    def value(self, expression: str, *arguments: Any) -> Any:
        """What an expression in the page is, its arguments being a0, a1, ..."""
        names = "".join(f"const a{number} = arguments[{number}]; " for number in range(len(arguments)))
        return self.driver.execute_script(f"{names}return {expression}", *arguments)

    def wait(self, expression: str, *arguments: Any) -> Any:
        """Waits until an expression is true, and returns it."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, 30, 0.02).until(lambda _: self.value(expression, *arguments))

    def push(self, slider: Any, share: float) -> None:
        """Drags a slider to a share of its way, as a hand does."""
        from selenium.webdriver import ActionChains

        self.value("a0.scrollIntoView({block: 'center'})", slider)
        value, least, most = (float(slider.get_property(name)) for name in ("value", "min", "max"))
        way = slider.size["width"] - 16  # of the middle of the knob
        start, end = (round((part - 0.5) * way) for part in ((value - least) / (most - least), share))
        hand = ActionChains(self.driver).move_to_element_with_offset(slider, start, 0).click_and_hold()
        hand.move_to_element_with_offset(slider, end, 0).release().perform()

    def complaints(self) -> list[str]:
        """What pages wrote to the console since it was last asked."""
        lines = self.driver.get_log("browser")
        return [line["message"] for line in lines if line["level"] in ("SEVERE", "WARNING")]

    def fetched(self) -> list[str]:
        """The addresses that the page loaded."""
        return self.value("performance.getEntriesByType('resource').map((entry) => entry.name)")

    @contextlib.contextmanager
    def narrow(self, width: int) -> Iterator[None]:
        """A screen of so many pixels across, as of a telephone."""
        metrics = {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": True}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        yield
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@contextlib.contextmanager
def chromium(folder: Path, width: int = 1100, height: int = 1400) -> Iterator[Browser]:
    """Opens a browser that keeps its files in a folder.

    Raises:
      NoBrowserError: see there.
    """
    try:
        from selenium import webdriver
    except ImportError:
        raise NoBrowserError("selenium is not installed") from None
    binary, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if binary is None or driver is None:
        raise NoBrowserError("chromium and chromedriver are not on the PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        f"--user-data-dir={folder}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--window-size={width},{height}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(driver, env=os.environ | {"HOME": str(folder)})
    opened = webdriver.Chrome(options=options, service=service)
    try:
        yield Browser(opened)
    finally:
        opened.quit()
