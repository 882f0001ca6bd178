# SPDX-License-Identifier: Apache-2.0
"""One headless browser for all tests, and for each an admin server of its own to look at.

Each test ends with an empty browser log: no script failed, nothing broke the page's policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from fake_admin import FakeAdmin, join_page
from page import Page


def pytest_configure(config: pytest.Config) -> None:
    for name in ("/usr/bin/chromium", "/usr/bin/chromedriver"):
        if not Path(name).exists():
            raise pytest.UsageError(f"{name} is missing: apt-get install chromium chromium-driver")


@pytest.fixture(scope="session")
def driver() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    # Without its sandbox it runs as root, too; it is shown nothing but our page.
    for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                   "--hide-scrollbars", "--lang=en-US"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
    yield chrome
    chrome.quit()


@pytest.fixture(scope="session")
def joined(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    """The page and its policy."""
    return join_page(tmp_path_factory.mktemp("page"))


@pytest.fixture
def admin(joined: tuple[bytes, str], request: pytest.FixtureRequest) -> Iterator[FakeAdmin]:
    """Knows as many VMs as the test's file says."""
    server = FakeAdmin(*joined)
    server.fleet.fill(request.module.VMS)
    yield server
    server.stop()


@pytest.fixture
def page(driver: webdriver.Chrome, admin: FakeAdmin) -> Iterator[Page]:
    """A window of 1280 x 800, light, on the fleet."""
    shown = Page(driver, admin.url)
    shown.open()
    yield shown
    shown.assert_nothing_wrong()
    shown.leave()
