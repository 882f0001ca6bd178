# SPDX-License-Identifier: Apache-2.0
"""One VM, the istiods, and how all views look: dark, light, narrow."""

from __future__ import annotations

from selenium.webdriver.common.keys import Keys

from fake_admin import FakeAdmin
from fake_fleet import TYPES, id_of, refused, stamp, vm
from page import Page

VMS = 40
PHONE = (375, 720)

FACTS = """
return Object.fromEntries([...document.querySelectorAll("#vm dl > div")].map((pair) =>
    [pair.querySelector("dt").textContent, pair.querySelector("dd").textContent]));
"""


def facts(page: Page) -> dict[str, str]:
    return page.js(FACTS)


def items(page: Page, which: str) -> list[str]:
    return page.js("return [...document.querySelectorAll(`#${arguments[0]} li`)]"
                   ".map((e) => e.textContent)", which)


def sync_rows(page: Page) -> list[list[str]]:
    return page.js("return [...document.querySelectorAll('#sync tbody tr')].map((row) =>"
                   "[...row.cells].map((cell) => cell.textContent))")


def show(page: Page, name: str) -> None:
    page.go(f"#/vm/{id_of(name)}")
    page.wait(lambda: page.text("vm-body"), "its details")


def test_vm__all_there_is__shown(page: Page) -> None:
    show(page, "vm29.vms")

    assert page.text("vm-name") == "vm29.vms" and page.driver.title == "vm29.vms – xdsgate"
    shown = facts(page)
    assert shown["Identity"] == "spiffe://cluster.local/ns/vms/sa/vm by its certificate"
    assert shown["Node"] == "sidecar~10.0.0.29~vm29.vms~vms.svc"
    assert shown["Labels"] == "app=webversion=v1"
    assert shown["State"] == "● connected"
    assert shown["Connected since"].endswith("(30m ago)")
    assert shown["By reason"] == "upstream_retired 2limit 1"
    assert shown["Serial"] == "0a1b2c3d4e5f" and shown["Public key"] == "5f" * 32
    assert "(in 1h" in shown["Certificate expires"] and "(in 59m" in shown["Token expires"]
    assert set(shown) >= {"WorkloadGroup", "Network", "Cluster", "Locality", "Istio", "Endpoint",
                          "Comes from", "Reconnects", "Last end", "Health", "Health message"}


def test_vm__types__state_and_bytes_of_each(page: Page) -> None:
    show(page, "vm29.vms")

    rows = sync_rows(page)

    assert [row[0] for row in rows] == list(TYPES)
    assert [row[1] for row in rows] == ["SYNCED", "ERROR", "SYNCED", "SYNCED", "SYNCED"]
    assert rows[1][4:] == ["87.9 KiB", "879 KiB", "12", "3", "1"]
    assert "6.2 MiB in 22 messages from istiod" in page.text("sync")


def test_vm__rejection__whole_text_and_it_stands_out(page: Page) -> None:
    show(page, "vm29.vms")

    assert items(page, "stands-out") == ["■ Its Envoy rejected LDS; the text is below."]
    assert page.js("return document.querySelector('#nack pre').innerText") == (
        "Error adding/updating listener(s) 10.0.0.1_80: filter\n"
        "envoy.filters.http.wasm: unable to create")


def test_vm__what_is_wrong__said_first(page: Page) -> None:
    for name, text in {
        "vm0.vms": "● Nothing.",
        "vm7.vms": "▲ It has no stream to istiod; the last one ended with upstream_retired.",
        "vm11.vms": "▲ istiod has not answered its stream yet.",
        "vm13.vms": "■ Refused by the rule address, 4 times: it says 10.9.9.9 and comes from "
                    "10.1.1.1",
        "vm17.vms": "■ An operator has revoked it.",
        "vm19.vms": "■ It reports that it is unhealthy: without a reason",
        "vm23.vms": "▲ It has not answered EDS for more than a minute.",
        "vm31.vms": "▲ Its certificate expires within the hour; agents renew at half of its life.",
        "vm37.vms": "■ Its certificate has expired.",
    }.items():
        show(page, name)
        page.wait_equal(lambda: items(page, "stands-out"), [text])


def test_vm__noticed_by_a_rule_that_only_reports__said_and_found(
        page: Page, admin: FakeAdmin) -> None:
    at = admin.fleet.now
    admin.fleet.change(id_of("vm5.vms"), cut=True,
                       refused={**refused("labels", "app=db", at), "passed": True})
    old = {"connected_since": stamp(at - 29)}  # a refusal is 30 s old
    admin.fleet.change(id_of("vm6.vms"), refused=refused("labels", "app=db", at), **old)
    admin.fleet.change(id_of("vm8.vms"), **old,
                       refused={**refused("labels", "app=db", at), "passed": True})
    page.ask_now()

    page.go("#/?q=noticed")
    page.wait_equal(page.names, ["vm5.vms"])
    show(page, "vm5.vms")
    assert items(page, "stands-out") == [
        "▲ Noticed by the rule labels, which only reports: app=db",
        "▲ It has claimed more, or longer texts, than are kept."]
    for name in ("vm6.vms", "vm8.vms"):
        show(page, name)
        page.wait_equal(lambda: items(page, "stands-out"), ["● Nothing."])


def test_vm__another_in_its_name_was_refused__said_and_found(
        page: Page, admin: FakeAdmin) -> None:
    at = admin.fleet.now
    admin.fleet.change(id_of("vm5.vms"), refused=refused("duplicate", "not the same key", at))
    admin.fleet.change(id_of("vm6.vms"), refused=refused("type", "istio.io/debug", at))
    page.ask_now()

    page.go("#/?q=another")
    page.wait_equal(page.names, ["vm5.vms", "vm6.vms"])
    for name, text in {
        "vm5.vms": "▲ While it is connected, another one that says it is this VM was refused by the "
                   "rule duplicate: not the same key",
        "vm6.vms": "▲ While it is connected, a request of its was refused by the rule "
                   "type: istio.io/debug",
    }.items():
        show(page, name)
        page.wait_equal(lambda: items(page, "stands-out"), [text])


def test_vm__timeline__newest_first_and_goes_on(page: Page, admin: FakeAdmin) -> None:
    show(page, "vm0.vms")
    lines = items(page, "events")
    assert [line.split(") ")[1] for line in lines] == ["○ istiod sent LDS", "● healthy ",
                                                       "● connected "]

    at = admin.fleet.now
    admin.fleet.change(id_of("vm0.vms"), health="unhealthy", health_message="503 of /ready",
                       events=[{"at": stamp(at - 9), "what": "connected", "detail": ""},
                               {"at": stamp(at), "what": "unhealthy", "detail": ""}])
    page.ask_now()

    page.wait(lambda: "unhealthy" in items(page, "events")[0], "the new event")
    assert "503 of /ready" in items(page, "stands-out")[0]
    assert facts(page)["Health message"] == "503 of /ready"


def test_vm__forgotten__said_and_no_question_is_answered_with_404(
        page: Page, admin: FakeAdmin) -> None:
    page.go("#/vm/nobody")
    page.wait_equal(lambda: page.text("vm-missing"),
                    "There is no such VM, or it was forgotten.")
    show(page, "vm0.vms")
    admin.fleet.forget(id_of("vm0.vms"))
    page.ask_now()

    page.wait_equal(lambda: page.text("vm-missing"),
                    "There is no such VM, or it was forgotten.")

    if page.wrong():  # it may have gone between two questions
        page.wait(lambda: page.wrong() == [], "no more of it")


def test_vm__address_that_was_sent_on__shown_after_loading(page: Page) -> None:
    page.load(f"#/vm/{id_of('vm29.vms')}")
    page.wait(lambda: page.text("vm-body"), "its details")
    page.load("#/vm/vm29.vms")  # as people write it
    page.wait(lambda: page.text("vm-body"), "its details")
    assert page.text("vm-name") == "vm29.vms"

    page.keys(Keys.ESCAPE)

    page.wait_equal(lambda: page.text("shown"), "40 VMs")


def test_vm__name_of_several__asks_which(page: Page, admin: FakeAdmin) -> None:
    for identity in ("a", "b"):
        twin = vm("twin.vms", admin.fleet.now, identity=identity)
        admin.fleet.put({**twin, "id": identity * 16})
    page.ask_now()
    page.wait_equal(lambda: page.text("shown"), "42 VMs")

    page.go("#/vm/twin.vms")

    page.wait(lambda: "Several VMs have this name" in page.text("vm-missing"), "a choice")
    page.click("link text", f"twin.vms ({'b' * 16})")
    page.wait(lambda: facts(page).get("Id") == "b" * 16, "the one that was chosen")


def test_istiods__their_load__and_what_is_wrong(page: Page, admin: FakeAdmin) -> None:
    page.go("#/istiods")
    page.wait(lambda: "10.0.0.12:15012" in page.text("upstreams"), "endpoints")
    assert page.js("return [...document.querySelectorAll('#upstreams tbody tr')].map((row) =>"
                   "[...row.cells].map((cell) => cell.textContent))") == [
        ["10.0.0.11:15012", "istiod-6d9f7c5b8-x2x9k", "2,600"], ["10.0.0.12:15012", "–", "2,200"]]
    assert "25 new streams a second" in page.text("upstreams")

    admin.fleet.upstreams[0]["usable"] = False
    admin.fleet.upstreams.append({"name": "raw", "usable": True, "identity": "xfcc",
                                  "unsafe": "istiod believes 10.77.0.3", "endpoints": [],
                                  "new_streams_per_second": 3.25})
    page.ask_now()

    page.wait(lambda: "istiod ■ unusable" in page.text("upstreams"), "it is unusable")
    assert "raw ■ unsafe" in page.text("upstreams")
    assert "istiod believes 10.77.0.3" in page.text("upstreams")


# ---- looks ----

# WCAG 2.2, 1.4.3: the least contrast of any text in sight with what is behind it.
LEAST_CONTRAST = """
function parts(color) { return color.match(/[\\d.]+/g).map(Number); }
function light(color) {
    const [r, g, b] = parts(color).slice(0, 3).map((v) => v / 255).map(
        (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function behind(element) {
    for (let e = element; e !== null; e = e.parentElement) {
        const color = getComputedStyle(e).backgroundColor;
        if (parts(color)[3] !== 0) { return color; }
    }
    return "rgb(255, 255, 255)";
}
let least = [99, ""];
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (texts.currentNode.data.trim() === "" || element.offsetParent === null) { continue; }
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < least[0]) { least = [ratio, texts.currentNode.data]; }
}
return least;
"""

VIEWS = {"fleet": "#/", "vm": f"#/vm/{id_of('vm29.vms')}", "istiods": "#/istiods"}


def look_at(page: Page, view: str) -> None:
    page.go(VIEWS[view])
    ready = {"fleet": "shown", "vm": "vm-body", "istiods": "upstreams"}[view]
    page.wait(lambda: page.text(ready), f"the view {view}")


def test_look__light_and_dark__every_text_can_be_read(page: Page) -> None:
    for scheme in ("light", "dark"):
        page.prefer(scheme)
        background = page.js("return getComputedStyle(document.body).backgroundColor")
        assert (int(background.removeprefix("rgb(").split(",")[0]) > 127) == (scheme == "light")
        for view in VIEWS:
            look_at(page, view)
            page.picture(f"{view}-{scheme}")
            ratio, text = page.js(LEAST_CONTRAST)
            assert ratio >= 4.5, (scheme, view, text)


def test_look__away__every_text_can_be_read(page: Page, admin: FakeAdmin) -> None:
    for scheme in ("light", "dark"):
        admin.status = 500
        page.ask_now()
        page.prefer(scheme)
        page.wait(lambda: "stale" in page.text("fresh"), "it is said")
        ratio, text = page.js(LEAST_CONTRAST)
        assert ratio >= 4.5, text
    page.expect_wrong("500 (Internal Server Error)")


def test_look__narrow__nothing_sticks_out(page: Page) -> None:
    page.resize(*PHONE, phone=True)
    for view in VIEWS:
        look_at(page, view)
        page.picture(f"{view}-narrow")
        assert page.js("return [document.documentElement.scrollWidth, innerWidth,"
                       "visualViewport.scale]") == [PHONE[0], PHONE[0], 1], view
        small = page.js("return [...document.querySelectorAll('button, nav a, input, #rows tr')]"
                        ".filter((e) => e.offsetParent && !e.closest('.space, #skip') &&"
                        "e.getBoundingClientRect().height < 24).map((e) => e.outerHTML)")
        assert small == [], view  # WCAG 2.2, 2.5.8


def test_look__narrow__name_state_health_and_certificate_are_there(page: Page) -> None:
    page.resize(*PHONE, phone=True)

    page.js("scrollTo(0, 400)")
    page.wait_equal(lambda: page.row("vm13.vms")[:3], ["vm13.vms", "refused (address)", "unknown"])
    assert page.row("vm2.vms")[:3] == ["vm2.vms", "SYNCED", "healthy"]
    assert len(page.row("vm2.vms")) == 4
    page.go("#/?config=error")
    page.wait_equal(lambda: page.row("vm29.vms")[1:2], ["ERROR LDS"])


def test_look__without_colours__every_state_is_a_word_or_a_sign(page: Page) -> None:
    signs = page.js("return [...document.querySelectorAll('.count[data-word]')].map((e) =>"
                    "[e.dataset.tone, e.querySelector('.mark').textContent])")

    assert len({sign for _, sign in signs}) == len({tone for tone, _ in signs}) == 4
    for name in ("vm2.vms", "vm11.vms", "vm13.vms"):
        assert all(page.row(name)[:6])
