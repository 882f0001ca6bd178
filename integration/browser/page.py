# SPDX-License-Identifier: Apache-2.0
"""What a person sees of the page and does with it. Waiting is for a condition, never for a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from selenium import webdriver
from selenium.common.exceptions import (
    NoSuchElementException, StaleElementReferenceException, TimeoutException)
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.support.ui import WebDriverWait

T = TypeVar("T")

LONG_S = 20.0
PICTURES = Path(__file__).resolve().parents[2] / "build/test"

# Before any script of the page: what breaks the policy, fails or moves what one looks at.
RECORD = """
window.recorded = {wrong: [], shift: 0};
addEventListener("securitypolicyviolation",
    (e) => recorded.wrong.push(`policy: ${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
addEventListener("error", (e) => recorded.wrong.push(`error: ${e.message}`), true);
addEventListener("unhandledrejection", (e) => recorded.wrong.push(`rejection: ${e.reason}`));
new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
        recorded.shift += entry.hadRecentInput ? 0 : entry.value;
    }
}).observe({type: "layout-shift", buffered: true});
"""

ROWS = """
return [...document.querySelectorAll("#rows tr:not(.space)")].filter(
    (row) => row.offsetParent !== null).map((row) =>
    [...row.cells].filter((cell) => cell.offsetWidth > 0).map((cell) => cell.textContent));
"""


class Page:
    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        self.url = url
        self.recorder = ""

    # ---- coming and going ----

    def open(self, address: str = "", width: int = 1280, height: int = 800) -> None:
        """Load the page, until it shows VMs, or what else the address names."""
        self.leave()
        self.driver.get_log("browser")
        self.recorder = self.cdp("Page.addScriptToEvaluateOnNewDocument", source=RECORD)[
            "identifier"]
        self.resize(width, height)
        self.prefer("light")
        self.load(address)

    def load(self, address: str = "") -> None:
        self.driver.get("about:blank")
        self.driver.get(self.url + address)
        self.wait(lambda: "live" in self.text("fresh"), "the first answer")

    def leave(self) -> None:
        if self.recorder:
            self.cdp("Page.removeScriptToEvaluateOnNewDocument", identifier=self.recorder)
            self.recorder = ""
        self.driver.get("about:blank")

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=phone)

    def prefer(self, scheme: str) -> None:
        self.cdp("Emulation.setEmulatedMedia",
                 features=[{"name": "prefers-color-scheme", "value": scheme}])

    def go(self, address: str) -> None:
        """By the address, without loading anything."""
        self.js("location.hash = arguments[0]", address)

    # ---- looking ----

    def cdp(self, command: str, **parameters: object) -> dict:
        return self.driver.execute_cdp_cmd(command, parameters)

    def js(self, script: str, *arguments: object) -> object:
        return self.driver.execute_script(script, *arguments)

    def text(self, which: str) -> str:
        """All of an element's text, or "" while it is not shown."""
        return self.js("const e = document.getElementById(arguments[0]);"
                       "return e.offsetParent === null ? '' : e.textContent", which)

    def rows(self) -> list[list[str]]:
        """The cells in sight of all rows in sight; none while a VM's page hides them."""
        return self.js(ROWS)

    def names(self) -> list[str]:
        return [row[0] for row in self.rows()]

    def row(self, name: str) -> list[str]:
        return next((row for row in self.rows() if row[0] == name), [])

    def count(self, group: str, word: str) -> str:
        return self.js("return document.querySelector(`[data-group=${arguments[0]}]"
                       "[data-word=${arguments[1]}] b`).textContent", group, word)

    def focused(self) -> str:
        return self.js("return document.activeElement.id")

    def active(self) -> str:
        """The name in the row that the arrows are on."""
        return self.js("const id = document.getElementById('vms').getAttribute("
                       "'aria-activedescendant'); return id === null ? '' :"
                       "document.getElementById(id).cells[0].textContent")

    def picture(self, name: str) -> None:
        """For people to look at."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(PICTURES / f"browser-{name}.png"))

    # ---- doing ----

    def keys(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def click(self, by: str, which: str) -> None:
        """As soon as it is there; the page may put another in its place meanwhile."""
        def found_and_clicked() -> bool:
            self.driver.find_element(by, which).click()
            return True

        self.wait(found_and_clicked, f"something to click: {which}")

    def choose(self, group: str, word: str) -> None:
        self.click("css selector", f"[data-group={group}][data-word={word}]")

    def sort_by(self, column: str) -> None:
        self.click("css selector", f"th.k-{column} button")

    def ask_now(self) -> None:
        """As when one comes back to its tab: it does not wait for the next round."""
        self.js("document.dispatchEvent(new Event('visibilitychange'))")

    # ---- waiting ----

    def wait(self, check: Callable[[], T], what: str) -> T:
        """Until the check holds; one that looks at a row or cell that is not there does not yet."""
        not_there = (IndexError, NoSuchElementException, StaleElementReferenceException)
        try:
            return WebDriverWait(self.driver, LONG_S, 0.05, not_there).until(lambda _: check())
        except TimeoutException:
            raise AssertionError(f"not within {LONG_S:g} s: {what}") from None

    def wait_equal(self, look: Callable[[], object], wanted: object) -> None:
        seen: list[object] = [None]

        def check() -> bool:
            seen[0] = look()
            return seen[0] == wanted

        try:
            self.wait(check, "")
        except AssertionError:
            raise AssertionError(f"{seen[0]!r} instead of {wanted!r}") from None

    # ---- faults ----

    def wrong(self) -> list[str]:
        """What went wrong so far, and is not asked for again."""
        said = [entry["message"] for entry in self.driver.get_log("browser")]
        return said + self.js("return window.recorded ? recorded.wrong.splice(0) : []")

    def assert_nothing_wrong(self) -> None:
        assert self.wrong() == []

    def expect_wrong(self, *texts: str) -> None:
        """Something went wrong, and only things that have one of these texts in them."""
        said = self.wrong()
        assert said
        assert [each for each in said if not any(text in each for text in texts)] == []
