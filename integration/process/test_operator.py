# SPDX-License-Identifier: Apache-2.0
"""An operator's commands when something is not as usual: VMs that are gone, gateways that share VMs,
addresses that are none."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from conftest import Rig
from rig.gateway import BINARY, ROOT, Gateway, UnixConnection
from rig.operated import Site
from rig.process import free_port
from rig.wait import until


@pytest.fixture
def site(rig: Rig) -> Site:
    site = Site(rig, 1)
    site.await_listed(1)
    return site


# ---- VMs that the daemon has not in its table ----


def test_unrevoke__not_seen_since_the_start__comes_back(rig: Rig, site: Site) -> None:
    site.run("vm", "revoke", "vm-1")
    site.await_state("vm-1.vms", "revoked")
    site.vms.stop()
    site.gateway.stop()
    site.gateway.start()
    assert site.list() == {}

    assert "no revoked VM has this name" in site.run("vm", "unrevoke", "vm-9", code=1)
    assert "no revoked VM" in site.run("vm", "unrevoke", "vm-1", "-n", "elsewhere", code=1)
    assert "may come back" in site.run("vm", "unrevoke", "vm-1", "-n", "vms")
    rig.vms("--count", 1)
    site.await_state("vm-1.vms", "connected")


def test_revoke__same_name_and_identity__all_named_and_let_in_by_any_id(
        rig: Rig, site: Site) -> None:
    rig.vms("--count", 1, "--ip-base", "10.99.3.1")
    ids = until(lambda: (lambda vms: len(vms) == 2 and {vm["address"]: vm["id"] for vm in vms})(
        site.one("vm", "list")["vms"]), "both are there")

    said = site.run("vm", "revoke", ids["10.99.0.1"])
    assert "vm-1.vms revoked" in said and f"and so is id {ids['10.99.3.1']}, at 10.99.3.1" in said
    until(lambda: {vm["state"] for vm in site.one("vm", "list")["vms"]} == {"revoked"},
          "both are revoked")
    assert f"xdsgate vm unrevoke {ids['10.99.3.1']}" in site.run("vm", "describe", ids["10.99.3.1"])
    site.run("vm", "unrevoke", ids["10.99.3.1"])
    until(lambda: {vm["state"] for vm in site.one("vm", "list")["vms"]} == {"connected"},
          "both are back")


# ---- addresses that are none ----


def test_admin__metrics_address__is_not_taken_for_an_empty_fleet(site: Site) -> None:
    metrics, admin = free_port(), free_port()
    site.gateway.reload({**site.config, "metrics": {"bind": f"127.0.0.1:{metrics}"},
                         "admin": {"socket": str(site.socket), "bind": f"127.0.0.1:{admin}"}})
    for words in (["vm", "list"], ["vm", "describe", "vm-1"], ["upstream", "list"], ["log-level"],
                  ["log-level", "debug"], ["vm", "revoke", "vm-1"], ["vm", "unrevoke", "vm-1"]):
        said = site.run(*words, code=3, admin=f"127.0.0.1:{metrics}")
        assert f"127.0.0.1:{metrics} is no admin address of xdsgate" in said, said
    assert "no VM is called" in site.run("vm", "describe", "nobody", code=1,
                                         admin=f"127.0.0.1:{admin}")


def test_admin__no_socket__says_why_and_which_key_makes_it(site: Site, tmp_path: Path) -> None:
    said = site.run("vm", "list", code=3, admin=tmp_path / "admin.sock")
    assert "No such file or directory" in said and "localhost" not in said
    assert f"`admin: {{socket: {tmp_path}/admin.sock}}`" in said
    stale = tmp_path / "stale.sock"
    site.socket.rename(stale)
    os.link(stale, site.socket)
    assert "vm-1.vms" in site.run("vm", "list", admin=stale)
    if os.geteuid() == 0:
        said = as_nobody(site, site.socket)
        assert "Permission denied" in said and "`admin: {socket_mode: ...}`" in said
    assert "File name too long" in site.run("vm", "list", code=3, admin="/" + "a" * 200)


def as_nobody(site: Site, socket: Path) -> str:
    """What somebody hears who may find the socket, and not use it."""
    place = socket.parent
    while place != place.parent and place.stat().st_uid == os.geteuid() and \
            not place.stat().st_mode & 1:
        place.chmod(place.stat().st_mode | 0o11)
        place = place.parent
    done = subprocess.run([BINARY, "vm", "list", "--admin", str(socket)], capture_output=True,
                          text=True, user=65534, group=65534)
    assert done.returncode == 3, done
    return done.stderr


# ---- several gateways ----


def names_of(deny_list: Path) -> list[str]:
    return [row["name"] for row in json.loads(deny_list.read_text())["revoked"]]


class Pair:
    """Two gateways of one istiod; the VM was at the first one and is now at the second."""

    def __init__(self, rig: Rig) -> None:
        self.site = Site(rig, 1, keep_config="16MiB")
        self.site.await_state("vm-1.vms", "connected")
        self.site.vms.stop()
        self.site.await_state("vm-1.vms", "disconnected")
        rig.port = free_port()
        listener = {**self.site.config["listeners"][0], "bind": [f"127.0.0.1:{rig.port}"]}
        self.deny_list = rig.folder / "second.json"
        self.second: Gateway = rig.gateway({
            **self.site.config, "listeners": [listener],
            "registry": {"deny_list": str(self.deny_list), "keep_config": "16MiB"}})
        self.both = f"{self.site.socket},{self.second.socket}"
        self.vms = rig.vms("--count", 1)
        self.await_state("connected")

    def run(self, *words: object, code: int = 0) -> str:
        return self.site.run(*words, code=code, admin=self.both)

    def row(self) -> dict:
        rows = self.site.one("vm", "list", admin=self.both)["vms"]
        assert len(rows) == 1, rows
        return rows[0]

    def await_state(self, state: str) -> None:
        until(lambda: self.row()["state"] == state, f"it is {state}")

    def revoked(self) -> list[list[str]]:
        """The names on both deny lists."""
        return [names_of(self.site.deny_list), names_of(self.deny_list)]


@pytest.fixture
def pair(rig: Rig) -> Pair:
    return Pair(rig)


def test_fleet__vm_that_both_know__is_one_at_the_gateway_where_it_is(pair: Pair) -> None:
    assert pair.row()["gateway"] == str(pair.second.socket)
    assert "State:          connected" in pair.run("vm", "describe", "vm-1")
    until(lambda: json.loads(pair.run("vm", "config", "vm-1"))["xdsgate"]["types"], "it is kept")
    assert json.loads(pair.run("vm", "config", "vm-1"))["xdsgate"]["state"] == "connected"
    pair.vms.stop()
    pair.await_state("disconnected")
    assert pair.row()["gateway"] == str(pair.second.socket)  # was seen there last


def test_fleet__revoke_and_unrevoke__at_both(pair: Pair) -> None:
    said = pair.run("vm", "revoke", "vm-1")
    assert f"({pair.site.socket})" in said and f"({pair.second.socket})" in said
    assert pair.revoked() == [["vm-1.vms"], ["vm-1.vms"]]
    pair.await_state("revoked")
    pair.run("vm", "unrevoke", "vm-1")
    assert pair.revoked() == [[], []]
    pair.await_state("connected")
    pair.site.run("vm", "revoke", "vm-1")
    pair.run("vm", "unrevoke", "vm-1")  # which the second one never was told
    assert pair.revoked() == [[], []]

    pair.run("vm", "revoke", "vm-1")
    pair.deny_list.write_text("no list")
    said = pair.run("vm", "unrevoke", "vm-1", code=1)
    assert f"{pair.second.socket}: " in said
    assert names_of(pair.site.deny_list) == []


def test_fleet__revoke__also_where_the_vm_has_never_been(rig: Rig, pair: Pair) -> None:
    rig.vms("--count", 1, "--ip-base", "10.99.1.1", "--name-prefix", "far")
    until(lambda: "far-1.vms" in pair.run("vm", "list"), "it is there")
    assert "far-1.vms" not in pair.site.list()

    pair.run("vm", "revoke", "far-1")
    assert pair.revoked() == [["far-1.vms"], ["far-1.vms"]]


def test_fleet__reregister__where_it_is(pair: Pair) -> None:
    said = pair.run("vm", "reregister", "vm-1", "--hold", "1s")
    assert said.count("sent away") == 1 and f"({pair.second.socket})" in said
    until(lambda: pair.row()["last_end"] == "reregister" and pair.row()["state"] == "connected",
          "it is back")
    pair.vms.stop()
    pair.await_state("disconnected")
    assert "is not connected" in pair.run("vm", "reregister", "vm-1", code=1)


def test_fleet__one_gateway_does_not_answer__the_other_obeys_and_3(pair: Pair) -> None:
    pair.site.gateway.stop()
    said = pair.run("vm", "revoke", "vm-1", code=3)
    assert f"no daemon answers at {pair.site.socket}" in said
    assert names_of(pair.deny_list) == ["vm-1.vms"]


# ---- refusals ----


def test_list__another_of_the_same_name_was_refused__shown_beside_the_vm(
        rig: Rig, site: Site) -> None:
    assert "RULE" not in site.run("vm", "list").splitlines()[0]
    twin = rig.vms("--count", 1)
    until(lambda: (site.list()["vm-1.vms"]["refused"] or {}).get("rule") == "duplicate",
          "its twin is refused")

    head, row = site.run("vm", "list").splitlines()
    assert head.split()[-1] == "RULE" and row.endswith("   duplicate (another)")
    assert "SYNCED" in row
    said = site.run("vm", "describe", "vm-1")
    assert "another one that says it is this VM was refused by the rule `duplicate`" in said
    site.vms.stop()  # the twin comes in now, and its refusal is over
    until(lambda: "Nothing stands out" in site.run("vm", "describe", "vm-1"), "it is well")
    assert "RULE" not in site.run("vm", "list").splitlines()[0]
    twin.stop()


def test_list__rule_that_reports__shown_beside_the_vm(rig: Rig) -> None:
    site = Site(rig, 1, registration={"rules": {"address": "report"}})
    site.await_state("vm-1.vms", "connected")
    assert site.run("vm", "list").splitlines()[1].endswith("   address (reported)")
    assert "which only reports" in site.run("vm", "describe", "vm-1")


def test_describe__registered_anew__nothing_of_it_is_advice(site: Site) -> None:
    site.reregister("vm-1.vms")
    until(lambda: "Nothing stands out" in site.run("vm", "describe", "vm-1"), "it is well")


# ---- JSON ----


def check(name: str, body: object) -> None:
    """Is it as docs/api.schema.json says?"""
    definitions = json.loads((ROOT / "docs/api.schema.json").read_text())["$defs"]
    Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions}).validate(body)


def test_json__what_commands_print__as_the_schema_says(rig: Rig, pair: Pair) -> None:
    for admin in (pair.second.socket, pair.both):
        def ask(*words: str, of: object = admin) -> dict:
            return pair.site.one(*words, admin=of)
        check("vm_list", ask("vm", "list"))
        check("vm_describe", ask("vm", "describe", "vm-1"))
        check("upstream_list", ask("upstream", "list"))
        until(lambda: ask("vm", "config", "vm-1")["configs"], "something is kept")
        check("config", ask("vm", "config", "vm-1"))
        check("changes", ask("vm", "config", "vm-1", "--diff"))
        assert ("gateway" in ask("vm", "describe", "vm-1")) == (admin == pair.both)
    version = subprocess.run([BINARY, "version", "-o", "json"], capture_output=True, check=True)
    check("version", json.loads(version.stdout))


@pytest.mark.parametrize("path, name", [
    ("vms", "list"), ("vms?since=1", "list"), ("vms/vm-1", "found"), ("upstreams", "upstreams"),
    ("log-level", "log_levels"), ("version", "version"), ("vms/nobody", "error"),
    ("nothing", "error"), ("vms?since=x", "error")])
def test_json__what_the_daemon_answers__as_the_schema_says(
        site: Site, path: str, name: str) -> None:
    status, body = site.gateway.get(f"/api/v1/{path}")
    assert (status == 200) == (name != "error")
    check(name, json.loads(body))


@pytest.mark.parametrize("method, path, name", [
    ("POST", "vms/vm-1/revoke", "done"), ("POST", "log-level?set=info", "log_levels"),
    ("POST", "vms/vm-9/unrevoke", "error"), ("DELETE", "vms/vm-1", "error")])
def test_json__orders__as_the_schema_says(site: Site, method: str, path: str, name: str) -> None:
    connection = UnixConnection(site.socket)
    connection.request(method, f"/api/v1/{path}")
    answer = connection.getresponse()
    check(name, json.loads(answer.read()))
    assert answer.headers["Content-Type"] == "application/json"
    connection.close()


# ---- wrong usage ----


def test_log_level__one_of_several_is_wrong__named_and_none_is_in_force(site: Site) -> None:
    said = site.run("log-level", "relay=debug", "nope=debug", code=2)
    assert "'nope=debug': " in said and "[SCOPE=]LEVEL" in said
    assert "relay=info" in site.run("log-level")
    assert "'loud'" in site.run("log-level", "loud", code=2)
