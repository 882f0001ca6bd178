# SPDX-License-Identifier: Apache-2.0
"""Keys, and that the page stays right while things change or the daemon is away."""

from __future__ import annotations

import re

from selenium.webdriver.common.keys import Keys

from fake_admin import FakeAdmin
from fake_fleet import TYPES, id_of, vm
from page import Page

VMS = 130


def test_table__another_type_is_asked_for__a_column_more(page: Page, admin: FakeAdmin) -> None:
    admin.fleet.put(vm("other.vms", admin.fleet.now, types={"CDS": "SYNCED", "NDS": "NOT SENT"}))
    page.ask_now()

    page.wait(lambda: "NDS" in page.text("columns"), "a column for it")
    page.js("location.hash = '#/?q=other.vms'")

    page.wait_equal(lambda: page.row("other.vms")[4:10],
                    ["SYNCED", "IGNORED", "IGNORED", "IGNORED", "IGNORED", "NOT SENT"])


def test_keys__nothing_but_keys__from_the_list_to_a_vm_and_back(page: Page) -> None:
    page.keys("/")
    page.wait_equal(page.focused, "filter")
    page.keys("vm12", Keys.ARROW_DOWN)
    page.wait_equal(page.focused, "vms")
    page.wait_equal(page.active, "vm12.vms")
    page.keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_UP)
    page.wait_equal(page.active, "vm120.vms")

    page.keys(Keys.ENTER)
    page.wait_equal(lambda: page.text("vm-name"), "vm120.vms")
    assert page.focused() == "vm-name"

    page.keys(Keys.ESCAPE)
    page.wait_equal(page.focused, "vms")
    assert page.active() == "vm120.vms"
    assert page.driver.find_element("id", "filter").get_attribute("value") == "vm12"

    page.keys(Keys.ESCAPE)
    page.wait_equal(lambda: page.text("shown"), "130 VMs")
    page.keys(Keys.END)
    page.wait_equal(page.active, "vm129.vms")
    page.wait(lambda: page.names()[-1] == "vm129.vms", "it is in sight")
    page.keys(Keys.PAGE_UP)
    page.wait(lambda: page.active() not in ("", "vm129.vms"), "a page up")
    page.keys(Keys.HOME, "/")
    page.wait_equal(page.focused, "filter")
    page.keys("a/b")
    assert page.driver.find_element("id", "filter").get_attribute("value") == "a/b"


def test_keys__tab__everything_once_in_the_order_of_the_page(page: Page) -> None:
    def place() -> str:
        return page.js("const e = document.activeElement;"
                       "return e.id || e.dataset.word || e.className || e.innerText")

    page.js("document.getElementById('skip').focus()")
    seen = [place()]
    while seen[-1] != "vms" and len(seen) < 40:
        page.keys(Keys.TAB)
        seen.append(place())

    assert seen[:4] == ["skip", "to-fleet", "to-istiods", "connected"]
    assert seen[4:18] == ["connecting", "disconnected", "refused", "revoked", "healthy",
                          "unhealthy", "unknown", "synced", "stale", "error", "good", "soon",
                          "expired", "none"]
    assert seen[18:] == ["count", "filter", "vms"]  # nothing to clear: not a stop
    page.keys(Keys.TAB)
    assert place().startswith("NAME")
    for _ in range(13):
        page.keys(Keys.TAB)
    assert page.js("return document.activeElement.closest('thead') === null")  # past the table


def test_skip__first_stop__to_the_first_vm(page: Page) -> None:
    page.js("document.getElementById('skip').focus()")
    page.keys(Keys.ENTER)

    page.wait_equal(page.focused, "vms")
    assert page.active() == "vm0.vms"


def test_names__controls__have_one(page: Page) -> None:
    nodes = page.cdp("Accessibility.getFullAXTree")["nodes"]

    def value(node: dict, key: str) -> str:
        return str(node.get(key, {}).get("value", ""))

    roles = {"button", "link", "searchbox", "grid", "columnheader", "group", "navigation", "main"}
    found = [node for node in nodes if value(node, "role") in roles and not node["ignored"]]
    assert {value(node, "role") for node in found} == roles
    assert [node for node in found if not value(node, "name")] == []


def test_update__what_changed_and_who_is_gone__shown_in_place(page: Page, admin: FakeAdmin) -> None:
    fleet = admin.fleet
    page.driver.execute_async_script(  # what the scrolling itself moves is no matter
        "window.mark = 1; scrollTo(0, 300); const done = arguments[0]; requestAnimationFrame(() =>"
        "requestAnimationFrame(() => setTimeout(() => { recorded.shift = 0; done() })))")
    fleet.change(id_of("vm20.vms"), health="unhealthy", types={**dict.fromkeys(TYPES, "SYNCED"),
                                                             "RDS": "ERROR"})
    fleet.forget(id_of("vm100.vms"))
    fleet.forget(id_of("vm101.vms"))
    fleet.put(vm("zz-new.vms", fleet.now))

    page.wait_equal(lambda: page.row("vm20.vms")[4:10],
                    ["SYNCED", "SYNCED", "SYNCED", "ERROR", "SYNCED", "unhealthy"])

    assert page.text("shown") == "129 VMs"
    assert page.count("health", "unhealthy") == "2"
    assert page.count("config", "error") == "2"
    lists = [path for path in admin.asked if path.split("?")[0] == "/api/v1/vms"]
    assert lists[0] == "/api/v1/vms" and len(lists) > 1
    assert all("?since=" in path for path in lists[1:])
    assert page.js("return [window.mark, scrollY]") == [1, 300]
    assert page.js("return recorded.shift") == 0
    fleet.put(vm("vm100.vms", fleet.now))  # one that was gone comes again
    page.ask_now()
    page.wait_equal(lambda: page.text("shown"), "130 VMs")


def test_update__the_marked_row__stays_the_same_vm(page: Page, admin: FakeAdmin) -> None:
    page.keys("/", "vm1", Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    page.wait_equal(page.active, "vm10.vms")

    admin.fleet.forget(id_of("vm1.vms"))
    admin.fleet.put(vm("a-vm1.vms", admin.fleet.now))
    admin.fleet.put(vm("b-vm1.vms", admin.fleet.now))
    page.ask_now()

    page.wait_equal(lambda: page.names()[:3], ["a-vm1.vms", "b-vm1.vms", "vm10.vms"])
    assert page.active() == "vm10.vms" and page.focused() == "vms"
    page.keys(Keys.ARROW_UP)
    page.wait_equal(page.active, "b-vm1.vms")


def test_update__another_process_answers__everything_is_new(page: Page, admin: FakeAdmin) -> None:
    with admin.fleet.lock:
        admin.fleet.vms = dict(list(admin.fleet.vms.items())[:10])
        admin.fleet.restarted = True
    page.ask_now()

    page.wait_equal(lambda: page.text("shown"), "10 VMs")


def test_update__it_is_not_known_who_is_gone__everything_is_asked_for_again(
        page: Page, admin: FakeAdmin) -> None:
    good = admin.fleet.collect
    with admin.fleet.lock:
        admin.fleet.vms = dict(list(admin.fleet.vms.items())[:10])

    admin.fleet.collect = lambda since: {**good(since), **({"gone": None} if since else {})}
    page.ask_now()

    page.wait_equal(lambda: page.text("shown"), "10 VMs")
    assert admin.asked.count("/api/v1/vms") >= 2


def test_away__the_daemon_ends__stale_data_says_since_when_and_all_is_new_after(
        page: Page, admin: FakeAdmin) -> None:
    admin.stop()
    page.wait(lambda: "cannot be reached: stale since" in page.text("fresh"), "it is said")
    since = page.text("fresh").split("stale since ")[1].split()[0]
    assert "cannot be reached" in page.js("return document.getElementById('announce').textContent")
    age = page.row("vm2.vms")[-2]
    page.picture("away")
    page.wait(lambda: int(re.findall(r"\((\d+)s\)", page.text("fresh"))[0]) >= 3, "time goes on")
    assert page.row("vm2.vms")[-2] == age  # but not for what is not known any more
    assert page.text("fresh").split("stale since ")[1].split()[0] == since

    other = admin.again()
    try:
        other.fleet.put(vm("back.vms", other.fleet.now))
        page.wait_equal(lambda: page.text("shown"), "131 VMs")
        page.wait(lambda: page.text("fresh").startswith("live"), "it is live again")
        assert other.asked[0] == "/api/v1/vms"
    finally:
        page.expect_wrong("net::ERR_")
        page.leave()
        other.stop()


def test_away__answers_with_an_error__said_with_its_status(page: Page, admin: FakeAdmin) -> None:
    admin.status = 503
    page.ask_now()
    page.wait(lambda: "it answers with status 503" in page.text("fresh"), "it is said")
    admin.status = 200
    page.ask_now()
    page.wait(lambda: page.text("fresh").startswith("live"), "it is live again")

    page.expect_wrong("503 (Service Unavailable)")


def test_empty__no_vm_at_all__said(page: Page, admin: FakeAdmin) -> None:
    with admin.fleet.lock:
        admin.fleet.vms = {}
        admin.fleet.restarted = True
    page.ask_now()

    page.wait_equal(lambda: page.text("none"), "No VM has come yet.")
    assert page.count("state", "connected") == "0"
