# SPDX-License-Identifier: Apache-2.0
"""The page of the real daemon, with sandbox VMs and a sandbox control plane behind it.

XDSGATE_BIN names the daemon (default build/release/xdsgate); the sandbox programs are beside it.
"""

from __future__ import annotations

import http.client
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from selenium import webdriver

from page import Page
from test_hostile import HARMLESS, SHAPE

PROCESS = Path(__file__).resolve().parents[1] / "process"
sys.path.append(str(PROCESS))
from rig.gateway import UnixConnection  # noqa: E402
from rig.process import free_port  # noqa: E402


def process_tests() -> ModuleType:
    """The conftest.py beside the rig: this folder has one of that name, too."""
    spec = importlib.util.spec_from_file_location("process_conftest", PROCESS / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


process = process_tests()
rig, authority = process.rig, process.authority  # fixtures
HOSTILE = "<img src=x onerror=window.pwned=1>"


class Site:
    """A gateway with an admin address, a control plane and VMs."""

    def __init__(self, rig: object) -> None:
        self.rig = rig
        self.istiod = rig.istiod()
        self.port = free_port()
        self.gateway = rig.gateway({**rig.terminate(self.istiod), "admin": {
            "socket": str(rig.folder / "gateway-0/admin.sock"),
            "bind": f"127.0.0.1:{self.port}"}})
        self.url = f"http://127.0.0.1:{self.port}/"

    def order(self, path: str) -> int:
        """On the unix socket."""
        connection = UnixConnection(self.gateway.socket)
        try:
            connection.request("POST", path)
            return connection.getresponse().status
        finally:
            connection.close()


@pytest.fixture
def site(rig: object) -> Site:
    return Site(rig)


@pytest.fixture
def page(driver: webdriver.Chrome, site: Site) -> Iterator[Page]:
    shown = Page(driver, site.url)
    yield shown
    shown.assert_nothing_wrong()
    shown.leave()


def test_daemon__its_page__the_one_that_is_tested(
        site: Site, joined: tuple[bytes, str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
    connection.request("GET", "/")
    answer = connection.getresponse()

    assert (answer.status, answer.read()) == (200, joined[0])
    headers = {name.lower(): value for name, value in answer.getheaders()}
    assert headers["content-security-policy"] == joined[1]
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    connection.close()


def await_seen(page: Page, look: Callable[[], object], wanted: object) -> None:
    """Without waiting for the page's next round."""
    def ask_and_look() -> object:
        page.ask_now()
        return look()

    page.wait_equal(ask_and_look, wanted)


def test_daemon__a_day_in_the_life_of_vms__seen(page: Page, site: Site) -> None:
    vms = site.rig.vms("--count", 3)
    site.istiod.await_synced(3)
    page.open()
    synced = ["SYNCED", "SYNCED", "SYNCED", "SYNCED", "IGNORED"]
    page.wait_equal(lambda: [row[4:10] for row in page.rows()], [[*synced, "healthy"]] * 3)
    assert page.names() == ["vm-1.vms", "vm-2.vms", "vm-3.vms"]
    assert page.count("state", "connected") == "3"
    page.wait(lambda: "usable istiod 3" in page.text("glance-upstreams"), "their istiod")

    vms.ask("health", 1, "off")
    await_seen(page, lambda: page.row("vm-1.vms")[9], "unhealthy")
    vms.ask("nack", 2, "LDS")
    site.istiod.ask("push")
    await_seen(page, lambda: page.row("vm-2.vms")[5], "ERROR")
    page.click("link text", "vm-2.vms")
    page.wait(lambda: page.text("nack").startswith("LDS"), "the rejection")
    assert "rejected LDS" in page.text("stands-out")
    assert "sidecar~10.99.0.2~vm-2.vms~" in page.text("who")
    assert page.js("return document.querySelectorAll('#sync tbody tr').length") >= 4

    page.click("id", "back")
    which = page.js("return document.querySelectorAll('#rows tr[id]')[2].id").removeprefix("row-")
    assert site.order(f"/api/v1/vms/{which}/revoke") == 200
    await_seen(page, lambda: page.row("vm-3.vms")[4], "revoked")
    vms.stop()
    await_seen(page, lambda: page.count("state", "disconnected"), "2")


def test_daemon__hostile_vm__its_words_are_text(page: Page, site: Site) -> None:
    site.rig.vms("--istio-version", HOSTILE, "--meta", f"CLUSTER_ID={HOSTILE}\u202e",
                 "--meta", f"NETWORK={HOSTILE}", "--no-csr")
    page.open()

    page.wait(lambda: HOSTILE in sum(page.rows(), []), "its version")
    assert page.js(SHAPE) == HARMLESS
    page.click("link text", "vm-1.vms")
    page.wait(lambda: HOSTILE in page.text("who"), "its details")

    assert "\u202e" not in page.driver.page_source
    assert page.js(SHAPE) == HARMLESS
