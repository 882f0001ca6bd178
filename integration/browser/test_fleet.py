# SPDX-License-Identifier: Apache-2.0
"""The fleet: counts, filters, order, keys; and that it stays right while things change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from selenium import webdriver

from fake_admin import FakeAdmin
from fake_fleet import TYPES, stamp
from page import Page

VMS = 5000


@pytest.fixture(scope="module")
def admin(joined: tuple[bytes, str]) -> Iterator[FakeAdmin]:
    """One for all tests here: they change nothing."""
    server = FakeAdmin(*joined)
    server.fleet.fill(VMS)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def loaded(driver: webdriver.Chrome, admin: FakeAdmin) -> Iterator[Page]:
    shown = Page(driver, admin.url)
    shown.open()
    yield shown
    shown.leave()


@pytest.fixture
def page(loaded: Page) -> Iterator[Page]:
    loaded.go("#/")
    loaded.wait_equal(lambda: loaded.text("shown"), "5,000 VMs")
    loaded.js("scrollTo(0, 0)")
    loaded.wait(lambda: loaded.names()[:1] == ["vm0.vms"], "the first VM")
    yield loaded
    loaded.assert_nothing_wrong()


def summaries(admin: FakeAdmin) -> list[dict]:
    return [summary for _, summary in admin.fleet.vms.values()]


def with_commas(n: int) -> str:
    return f"{n:,}"


def test_glance__five_thousand_vms__every_count_is_right(page: Page, admin: FakeAdmin) -> None:
    vms = summaries(admin)
    connected = [set(v["types"].values()) for v in vms if v["state"] == "connected"]
    soon = [v for v in vms if stamp(admin.fleet.now) < v["certificate_expires"] <
            stamp(admin.fleet.now + 3590)]
    gone = [v for v in vms if v["certificate_expires"] < stamp(admin.fleet.now)]
    expected = {
        **{("state", word): n for word, n in Counter(v["state"] for v in vms).items()},
        **{("health", word): n for word, n in Counter(v["health"] for v in vms).items()},
        ("config", "error"): sum("ERROR" in types for types in connected),
        ("config", "stale"): sum("STALE" in types for types in connected),
        ("config", "synced"): sum(types <= {"SYNCED"} for types in connected),
        ("certificate", "soon"): len(soon),
        ("certificate", "expired"): len(gone),
        ("certificate", "none"): 0,
    }
    assert len(expected) == 14 and min(n for key, n in expected.items() if key[1] != "none") > 0

    shown = {key: page.count(*key) for key in expected}

    assert shown == {key: with_commas(n) for key, n in expected.items()}
    page.wait_equal(lambda: page.text("shown"), "5,000 VMs")
    assert "usable istiod 4,800" in page.text("glance-upstreams")


def test_table__five_thousand_vms__only_those_in_sight_exist(page: Page) -> None:
    n = page.js("return document.querySelectorAll('#rows tr').length")

    assert 20 < n < 80
    assert page.js("return document.getElementById('vms').getAttribute('aria-rowcount')") == str(
        VMS + 1)
    assert page.names()[:3] == ["vm0.vms", "vm1.vms", "vm2.vms"]


def test_table__columns__those_of_vm_list_or_why_it_is_not_connected(page: Page) -> None:
    head = page.js("return [...document.querySelectorAll('#columns th')]"
                   ".filter((e) => e.offsetWidth > 0).map((e) => e.innerText.trim())")

    assert [title.rstrip("▲▼") for title in head] == [
        "NAME", "CLUSTER", "ISTIOD", "VERSION", *TYPES, "HEALTH", "GROUP", "AGE", "CERT"]
    row = page.row("vm2.vms")
    assert row[:10] == ["vm2.vms", "cl1", "istiod-6d9f7c5b8-x2x9k", "1.29.0", *["SYNCED"] * 5,
                        "healthy"]
    assert row[10] == "batch" and row[11].startswith("3m") and row[12].startswith("1h1")

    assert page.row("vm13.vms")[4:6] == ["refused (address)", "unknown"]
    assert page.row("vm7.vms")[4:6] == ["disconnected", "unknown"]
    assert page.row("vm11.vms")[4:6] == ["connecting", "unknown"]
    assert page.row("vm17.vms")[4:6] == ["revoked", "unknown"]




def test_filter__words__all_of_them_in_any_field(page: Page) -> None:
    field = page.driver.find_element("id", "filter")

    field.send_keys("CL2 vm49")
    page.wait_equal(lambda: page.text("shown"), "56 of 5,000 VMs")
    assert page.names()[:3] == ["vm49.vms", "vm491.vms", "vm493.vms"]
    field.send_keys("99")
    page.wait_equal(lambda: page.names(), ["vm4999.vms"])
    field.send_keys("x")
    page.wait(lambda: page.text("none"), "a word that there is none")

    page.click("id", "clear")
    page.wait_equal(lambda: page.text("shown"), "5,000 VMs")


def test_filter__state_and_more__in_the_address_and_there_again_after_loading(page: Page) -> None:
    page.choose("state", "refused")
    page.wait_equal(lambda: len(page.rows()), 10)
    page.choose("certificate", "good")
    page.driver.find_element("id", "filter").send_keys("vm1")
    page.wait_equal(lambda: page.names(), ["vm13.vms", "vm1013.vms", "vm1513.vms"])
    page.sort_by("name")
    page.sort_by("cert")
    address = page.driver.current_url
    assert address.endswith("#/?q=vm1&state=refused&certificate=good&sort=cert")

    page.load(address.removeprefix(page.url))

    page.wait_equal(lambda: sorted(page.names()), ["vm1013.vms", "vm13.vms", "vm1513.vms"])
    assert page.js("return document.querySelector('[data-word=refused]').ariaPressed") == "true"
    page.choose("state", "refused")
    page.choose("certificate", "good")
    page.wait_equal(lambda: page.text("shown"), "1,111 of 5,000 VMs")


def test_sort__each_way__numbers_as_numbers_and_faults_first(page: Page) -> None:
    def is_sorted(column: str, how: str | None) -> bool:
        return page.js("return document.querySelector(`th.k-${arguments[0]}`).ariaSort",
                       column) == how

    assert is_sorted("name", "ascending")
    page.sort_by("name")
    page.wait_equal(lambda: page.names()[:3], ["vm4999.vms", "vm4998.vms", "vm4997.vms"])
    assert is_sorted("name", "descending")

    page.sort_by("LDS")
    page.wait_equal(lambda: [row[5] for row in page.rows()][:6], ["ERROR"] * 5 + ["SYNCED"])
    assert is_sorted("name", None) and is_sorted("LDS", "ascending")
    page.sort_by("cert")
    page.wait_equal(lambda: [row[-1] for row in page.rows()][:4], ["expired"] * 4)
    page.sort_by("health")
    page.wait_equal(lambda: page.rows()[0][9], "unhealthy")
    page.sort_by("age")
    page.wait(lambda: page.rows()[0][-2].startswith("1m"), "the newest connection first")
    page.sort_by("age")
    page.wait(lambda: page.rows()[0][-2].startswith("23h"), "the oldest connection first")


def test_scroll__to_any_place__the_rows_of_that_place(page: Page) -> None:
    page.js("scrollTo(0, document.documentElement.scrollHeight)")
    page.wait(lambda: page.names()[-1:] == ["vm4999.vms"], "the last row")
    page.js("scrollTo(0, document.documentElement.scrollHeight / 2)")
    page.wait(lambda: "vm2500.vms" in page.names(), "the middle")

    names = page.names()

    first = int(names[0].removeprefix("vm").removesuffix(".vms"))
    assert names == [f"vm{first + i}.vms" for i in range(len(names))]
    top = page.js("return document.querySelector('#columns th').getBoundingClientRect().top")
    assert 0 < top < 60  # the head stays in sight


def test_work__a_key_or_a_turn_of_the_wheel__draws_the_rows_in_sight(page: Page) -> None:
    """So that it takes no pause: all 5,000 rows would be a hundred times as much."""
    steps, rows, changes = page.driver.execute_async_script("""
        const done = arguments[0], field = document.getElementById("filter");
        const steps = ["v", "vm", "vm4", "vm49", "", "c", "cl1", ""].map((text) => () => {
            field.value = text;
            field.dispatchEvent(new Event("input"));
        }).concat([1000, 50000, 20000, 90000, 0].map((y) => () => scrollTo(0, y)));
        const n = steps.length;
        let rows = 0, changes = 0;
        const count = new MutationObserver((list) => {
            changes += list.length;
            rows = Math.max(rows, document.getElementById("rows").rows.length);
        });
        count.observe(document.body, {
            subtree: true, childList: true, attributes: true, characterData: true});
        const next = () => {
            if (steps.length === 0) { return done([n, rows, changes]); }
            steps.shift()();
            requestAnimationFrame(() => requestAnimationFrame(next));
        };
        next();""")

    assert steps == 13
    assert 0 < rows < 60 and 0 < changes / steps < 60 * 14 * 4  # cells, each text and attributes


def test_click__on_a_row__opens_it_and_back_is_where_it_was(page: Page) -> None:
    page.js("scrollTo(0, 30000)")
    page.wait(lambda: "vm1055.vms" in page.names(), "its row")
    page.click("link text", "vm1070.vms")
    page.wait_equal(lambda: page.text("vm-name"), "vm1070.vms")
    assert page.names() == []

    page.click("id", "back")

    page.wait(lambda: "vm1055.vms" in page.names(), "the same place")
    assert page.js("return scrollY") == 30000 and page.active() == "vm1070.vms"
