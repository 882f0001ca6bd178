# SPDX-License-Identifier: Apache-2.0
"""Every VM is seen, and what an operator orders happens at once: `xdsgate vm`, `upstream`, `log-level`."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
import yaml

from conftest import Rig
from rig.gateway import BINARY, Gateway
from rig.operated import Site
from rig.process import free_port, ordinary_user
from rig.wait import until

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
TYPES = {"CDS": "SYNCED", "EDS": "SYNCED", "LDS": "SYNCED", "RDS": "SYNCED"}


@pytest.fixture
def site(rig: Rig) -> Site:
    site = Site(rig)
    site.await_listed(3)
    return site


# ---- looking ----


@pytest.mark.parametrize("variant", ["--delta", "--sotw"])
def test_list__each_vm_as_istiod_sees_it(rig: Rig, variant: str) -> None:
    site = Site(rig, 3, variant)
    rows = {row["name"]: row for row in site.istiod.await_synced(3)}

    def agrees() -> bool:
        vms = site.list()
        return vms.keys() == rows.keys() and all(
            vm["state"] == "connected" and vm["health"] == "healthy" and vm["types"] == TYPES
            for vm in vms.values())
    until(agrees, "vm list says what istiod says")

    for name, vm in site.list().items():
        assert vm["variant"] == variant[2:]
        assert vm["identity"] == rows[name]["identities"][0] and vm["verified"]
        assert rows[name]["entry"] == f"{vm['group']}-{vm['address']}"
        assert vm["endpoint"] == site.istiod.endpoint
        assert vm["certificate_expires"] and not vm["refused"] and not vm["last_nack"]


def test_list__forms__the_same_vms(site: Site) -> None:
    table = site.run("vm", "list").splitlines()
    assert [line for line in README.splitlines() if line.split() == table[0].split()]
    assert [line.split()[0] for line in table[1:]] == ["vm-1.vms", "vm-2.vms", "vm-3.vms"]
    assert all(line.split()[4:8] == ["SYNCED"] * 4 for line in table[1:])
    assert "10.99.0.2" in site.run("vm", "list", "vm-2", "-o", "wide")
    assert len(yaml.safe_load(site.run("vm", "list", "-n", "vms", "-o", "yaml"))["vms"]) == 3
    assert site.run("vm", "list", "-n", "elsewhere").splitlines()[1:] == []
    assert "no VM is called nobody" in site.run("vm", "list", "nobody", code=1)


def test_list__registry_disabled__relays_all_the_same_and_knows_nobody(rig: Rig) -> None:
    istiod = rig.istiod()
    config = rig.terminate(istiod)
    del config["listeners"][0]["registration"]
    gateway = rig.gateway({**config, "registry": {"enabled": False}})
    rig.vms("--count", 2)
    istiod.await_synced(2)

    said = subprocess.run([BINARY, "vm", "list", "--admin", str(gateway.folder / "admin.sock")],
                          capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[1:] == []
    gateway.await_log("nobody looks at what VMs say: no rule is held, and no VM can be revoked")


def test_list__nobody_answers__3(site: Site) -> None:
    assert "is xdsgate running" in site.run("vm", "list", code=3, admin="/nowhere/admin.sock")
    assert "vm-1.vms" in subprocess.run(  # the other one is shown all the same
        [BINARY, "vm", "list", "--admin", f"{site.socket},127.0.0.1:{free_port()}"],
        capture_output=True, text=True).stdout


def test_list__two_gateways__one_fleet(rig: Rig, site: Site) -> None:
    other = free_port()
    config = {**site.config, "listeners": [
        {**site.config["listeners"][0], "bind": [f"127.0.0.1:{other}"]}]}
    second = rig.gateway({**config, "registry": {}})
    rig.port = other
    rig.vms("--count", 1, "--ip-base", "10.99.1.1", "--name-prefix", "far-")
    site.istiod.await_synced(4)
    both = f"{site.socket},{second.folder / 'admin.sock'}"

    def names() -> set[str]:
        return {line.split()[0] for line in site.run("vm", "list", admin=both).splitlines()[1:]}
    until(lambda: len(names()) == 4, "all are listed")
    assert str(second.folder) in site.run("vm", "list", admin=both)


def test_describe__one_screen_and_what_to_do(site: Site) -> None:
    said = site.run("vm", "describe", "vm-1.vms")
    for word in ("spiffe://cluster.local/ns/vms/sa/vm", "10.99.0.1", "SYNCED", "Nothing stands out"):
        assert word in said
    site.vms.ask("health", 1, "off")
    until(lambda: site.list()["vm-1.vms"]["health"] == "unhealthy", "it is unhealthy")
    assert "It reports that it is unhealthy" in site.run("vm", "describe", "vm-1")
    assert "no VM is called vm-9" in site.run("vm", "describe", "vm-9", code=1)


# ---- what a VM has ----


def keeping(rig: Rig, room: str = "16MiB", *options: object) -> Site:
    site = Site(rig, 2, *options, keep_config=room)
    site.istiod.await_synced(2)
    return site


def config(site: Site, *words: str, code: int = 0) -> dict:
    return json.loads(site.run("vm", "config", "vm-1", *words, code=code))


def states(site: Site) -> dict[str, str]:
    return {one["type"]: one["state"] for one in config(site)["xdsgate"]["types"]}


@pytest.mark.parametrize("variant", ["--delta", "--sotw"])
def test_config__all_that_the_vm_has_acknowledged(rig: Rig, variant: str) -> None:
    site = keeping(rig, "16MiB", variant)
    until(lambda: states(site) == {kind: "kept" for kind in TYPES}, "all is kept")

    dump = config(site)
    kinds = {one["@type"].rpartition(".")[2]: one for one in dump["configs"]}
    assert kinds.keys() == {"ClustersConfigDump", "EndpointsConfigDump", "ListenersConfigDump",
                            "RoutesConfigDump"}
    listener = kinds["ListenersConfigDump"]["dynamic_listeners"][0]
    assert listener["active_state"]["listener"]["name"] == listener["name"] != ""
    assert dump["xdsgate"]["name"] == "vm-1.vms" and dump["xdsgate"]["state"] == "connected"
    assert yaml.safe_load(site.run("vm", "config", "vm-1", "-o", "yaml")) == dump


def test_config_diff__resource_by_resource(rig: Rig) -> None:
    site = keeping(rig)
    until(lambda: states(site) == {kind: "kept" for kind in TYPES}, "all is kept")
    assert "Nothing has changed" in site.run("vm", "config", "vm-1", "--diff")

    site.istiod.ask("push", 20000)

    until(lambda: "LDS, " in site.run("vm", "config", "vm-1", "--diff"), "the change is seen")
    said = site.run("vm", "config", "vm-1", "--diff")
    assert " changed, " in said and "\n~ " in said and " -> " in said, said
    changes = config(site, "--diff", "-o", "json")["changes"]
    newest = [one["changed"] for one in changes]
    assert newest == sorted(newest, reverse=True)
    row = next(row for one in changes for row in one["resources"] if row["what"] == "changed")
    assert row["before"] != row["after"]


def test_config__not_kept__says_what_to_do(site: Site) -> None:
    assert "keep_config: 64MiB" in site.run("vm", "config", "vm-1", code=1)
    assert "no VM is called nobody" in site.run("vm", "config", "nobody", code=1)


def test_config__no_room__says_so_and_loses_nothing_else(rig: Rig) -> None:
    site = keeping(rig, "4KiB")
    site.istiod.ask("push", 20000)
    site.istiod.await_synced(2)
    until(lambda: "full" in _states_and_gaps(site), "there was no room")

    done = subprocess.run([BINARY, "vm", "config", "vm-1", "--admin", str(site.socket)],
                          capture_output=True, text=True)
    assert done.returncode == 1 and "registry.keep_config" in done.stderr
    assert "xdsgate" in json.loads(done.stdout)
    assert {vm["state"] for vm in site.list().values()} == {"connected"}


def _states_and_gaps(site: Site) -> set[str]:
    done = subprocess.run([BINARY, "vm", "config", "vm-1", "--admin", str(site.socket)],
                          capture_output=True, text=True)
    return {one["state"] for one in json.loads(done.stdout)["xdsgate"]["types"]}


def test_config__gone_vm__what_it_had_last_until_it_is_switched_off(rig: Rig) -> None:
    site = keeping(rig)
    until(lambda: states(site) == {kind: "kept" for kind in TYPES}, "all is kept")
    site.vms.stop()
    site.await_state("vm-1.vms", "disconnected")
    assert states(site) == {kind: "kept" for kind in TYPES}

    site.gateway.reload({**site.config, "registry": {}})
    assert "keep_config" in site.run("vm", "config", "vm-1", code=1)


# ---- istiods ----


def test_upstreams__endpoint_and_its_vms(site: Site) -> None:
    upstream = json.loads(site.run("upstream", "list", "-o", "json"))["upstreams"][0]
    assert upstream["name"] == "istiod" and upstream["usable"]
    assert upstream["endpoints"] == [{"address": site.istiod.endpoint, "istiod": None, "vms": 3}]
    assert site.run("upstream", "list").splitlines()[1].split()[0] == "istiod"


def test_log_level__of_one_scope__until_a_reload(site: Site) -> None:
    site.run("log-level", "relay=debug")
    assert "relay=debug" in site.run("log-level")
    assert "upstream=info" in site.run("log-level")
    site.gateway.await_log("log level changed", scope="relay", level="debug")
    site.gateway.reload(site.config)
    assert "relay=info" in site.run("log-level")
    assert "SCOPE" in site.run("log-level", "relay=loud", code=2)


def test_vm_that_goes__is_shown_as_gone(site: Site) -> None:
    site.vms.stop()
    vm = site.await_state("vm-1.vms", "disconnected")
    assert vm["connected_since"] is None and vm["last_end"]


# ---- orders ----


def test_revoke__at_once_for_the_process_after_and_until_taken_back(site: Site) -> None:
    site.run("vm", "revoke", "vm-2")
    site.await_state("vm-2.vms", "revoked")
    until(lambda: len(site.istiod.await_synced(2)) == 2, "istiod has lost it")
    until(lambda: (site.list()["vm-2.vms"]["refused"] or {}).get("rule") == "revoked",
          "it came back and was refused")
    line = site.gateway.await_log("VM revoked", vm="vm-2.vms")
    assert line["by"].startswith("uid ")
    assert json.loads(site.deny_list.read_text())["version"] == 1

    site.gateway.hand_over()
    site.gateway.await_ready()
    site.istiod.await_synced(2)
    site.await_state("vm-2.vms", "revoked")

    site.run("vm", "unrevoke", "vm-2.vms")
    site.istiod.await_synced(3)
    site.await_state("vm-2.vms", "connected")


def test_reregister__it_stays_away_and_comes_back(site: Site) -> None:
    before = site.list()["vm-3.vms"]["connected_since"]
    vm = site.reregister("vm-3.vms")
    assert vm["connected_since"] > before and vm["last_end"] == "reregister"


def test_orders__not_over_tcp(rig: Rig) -> None:
    site = Site(rig, 1)
    admin = free_port()
    site.gateway.reload({**site.config, "admin": {"socket": str(site.socket),
                                                  "bind": f"127.0.0.1:{admin}"}})
    site.await_state("vm-1.vms", "connected")
    said = site.run("vm", "revoke", "vm-1", code=1, admin=f"127.0.0.1:{admin}")
    assert "goes over the unix socket" in said
    assert site.list()["vm-1.vms"]["state"] == "connected"


# ---- the deny list ----


def spoil(path: Path) -> str:
    """Cut the file, as a full disk would; what was there."""
    whole = path.read_text()
    path.write_text(whole[:len(whole) // 2])
    return whole


def test_deny_list_unreadable__no_start(rig: Rig) -> None:
    site = Site(rig, 2)
    site.istiod.await_synced(2)
    site.run("vm", "revoke", "vm-1")
    assert site.gateway.stop() == 0
    whole = spoil(site.deny_list)

    for command in ("check", "run"):
        done = subprocess.run([BINARY, command, "--config", site.gateway.file], timeout=60,
                              capture_output=True, text=True)
        assert done.returncode == 2, done
        assert f"`deny_list` cannot be used: {site.deny_list}: " in done.stderr

    site.deny_list.write_text(whole)
    site.gateway.start()
    site.istiod.await_synced(1)
    site.await_state("vm-1.vms", "revoked")


def test_deny_list_unreadable__old_configuration_stays_and_so_does_its_list(site: Site) -> None:
    bad = site.rig.folder / "bad.json"
    bad.write_text("{")
    site.gateway.reload({**site.config, "registry": {"deny_list": str(bad)}}, ok=False)
    assert f"`deny_list` cannot be used: {bad}: " in \
        site.gateway.await_log("configuration refused")["error"]

    site.run("vm", "revoke", "vm-2")
    assert json.loads(site.deny_list.read_text())["revoked"][0]["name"] == "vm-2.vms"
    assert bad.read_text() == "{"


def test_deny_list_unreadable__no_handover(site: Site) -> None:
    site.run("vm", "revoke", "vm-2")
    site.await_state("vm-2.vms", "revoked")
    spoil(site.deny_list)
    site.gateway.process.signal(signal.SIGUSR2)

    said = site.gateway.await_log("the new program did not take over; this one goes on")
    assert "exit code 2" in said["detail"]
    assert str(site.deny_list) in site.gateway.await_log("configuration refused")["error"]
    site.await_state("vm-2.vms", "revoked")
    site.istiod.await_synced(2)


def test_deny_list__that_an_ordinary_user_cannot_have__check_says_so(rig: Rig) -> None:
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        folder.chmod(0o755)
        shutil.copy(BINARY, folder / "xdsgate")
        (folder / "etc").mkdir(mode=0o555)
        secret = folder / "deny.json"
        secret.write_text('{"version": 1, "revoked": []}')
        secret.chmod(0)
        gateway = Gateway(folder, rig.passthrough("127.0.0.1:1"))
        for path, what in ((secret, "Permission denied"),
                           (folder / "etc/deny.json", "/var/lib/xdsgate"),
                           (folder / "none/deny.json", "No such file or directory")):
            gateway.write({**gateway.config, "registry": {"deny_list": str(path)}})
            done = subprocess.run([*ordinary_user(), folder / "xdsgate", "check", "--config",
                                   gateway.file], capture_output=True, text=True, timeout=60)
            assert done.returncode == 2, done
            assert f"`deny_list` cannot be used: {path}: " in done.stderr and what in done.stderr


# ---- rules ----


def test_address_of_another__refused_shown_and_told(rig: Rig) -> None:
    site = Site(rig, 1, registration={"address_networks": ["10.98.0.0/16"]})
    vm = site.await_state("vm-1.vms", "refused")

    assert vm["refused"]["rule"] == "address" and "10.99.0.1" in vm["refused"]["detail"]
    end = site.vms.await_last_end()
    assert end["code"] == 7 and "registration refused (address)" in end["text"]
    assert site.istiod.counter("streams") == 0
    site.gateway.await_at_least('xdsgate_registration_refused_total{rule="address"}', 1)
    assert "refused (address)" in site.run("vm", "list")
    assert "docs/registration.md" in site.run("vm", "describe", "vm-1") or \
        "report" in site.run("vm", "describe", "vm-1")


def test_address_of_another__only_reported__comes_in(rig: Rig) -> None:
    site = Site(rig, 1, registration={"rules": {"address": "report"}})
    site.istiod.await_synced(1)
    assert site.await_state("vm-1.vms", "connected")["refused"]["rule"] == "address"
    site.gateway.await_at_least('xdsgate_registration_reported_total{rule="address"}', 1)


# ---- the shell ----


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion__script__has_every_command(shell: str) -> None:
    done = subprocess.run([BINARY, "completion", shell], capture_output=True, text=True, check=True)
    for word in ("upstream", "reregister", "log-level", "bundle"):
        assert word in done.stdout


def test_completion__bash__completes_commands_options_and_words(rig: Rig) -> None:
    script = rig.folder / "completion"
    script.write_text(subprocess.run([BINARY, "completion", "bash"], capture_output=True,
                                     text=True, check=True).stdout)

    def complete(*words: str) -> set[str]:
        done = subprocess.run(
            ["bash", "-c", 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _xdsgate; '
             'printf "%s\\n" "${COMPREPLY[@]}"', "bash", str(script), *words],
            capture_output=True, text=True, check=True)
        return set(done.stdout.split())
    assert {"vm", "run", "log-level"} <= complete("xdsgate", "")
    assert {"list", "revoke"} <= complete("xdsgate", "vm", "")
    assert complete("xdsgate", "vm", "l") == {"list"}
    assert {"--output", "--watch", "--admin"} <= complete("xdsgate", "vm", "list", "--")
    assert complete("xdsgate", "vm", "list", "-o", "") == {"table", "wide", "json", "yaml"}
    assert complete("xdsgate", "completion", "") == {"bash", "zsh", "fish"}
    assert complete("xdsgate", "man", "") == complete("xdsgate", "") - {"--help", "--version"}
    assert complete("xdsgate", "man", "vm", "") == complete("xdsgate", "vm", "")
    assert complete("xdsgate", "man", "vm", "list", "") == set()
    assert complete("xdsgate", "man", "--") == {"--help", "--output"}
    for words in (["upstream", "list"], ["log-level"], ["version"]):
        assert complete("xdsgate", *words, "") == set(), words  # no file is an argument of them
    for words in (["check", "--config"], ["cert", "show"], ["bundle", "verify"], ["man", "-o"]):
        assert str(script) in complete("xdsgate", *words, str(script)[:-1]), words


def test_man__every_page__is_good_roff() -> None:
    overview = subprocess.run([BINARY, "man"], capture_output=True, text=True, check=True).stdout
    page = subprocess.run([BINARY, "man", "vm", "list"], capture_output=True, text=True,
                          check=True).stdout
    assert ".SH NAME" in overview and "xdsgate\\-vm\\-list" in overview
    assert page.startswith(".TH XDSGATE\\-VM\\-LIST 8") and "\\-\\-watch" in page
    assert subprocess.run([BINARY, "man", "nothing"], capture_output=True).returncode == 2


def test_man__output__a_file_for_each_command(tmp_path: Path) -> None:
    subprocess.run([BINARY, "man", "--output", tmp_path], check=True)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"xdsgate.8", "xdsgate-run.8", "xdsgate-vm-list.8"} <= names
    overview = (tmp_path / "xdsgate.8").read_text()
    for name in names - {"xdsgate.8"}:
        assert name.removesuffix(".8").replace("-", "\\-") in overview
    page = subprocess.run([BINARY, "man", "vm", "list"], capture_output=True, text=True).stdout
    assert (tmp_path / "xdsgate-vm-list.8").read_text() == page
    for bad in ([tmp_path / "none"], [tmp_path, "vm", "list"]):
        done = subprocess.run([BINARY, "man", "--output", *bad], capture_output=True, text=True)
        assert done.returncode == (1 if len(bad) == 1 else 2) and "xdsgate man: " in done.stderr


def test_audit__who_did_what(site: Site) -> None:
    site.run("vm", "revoke", "vm-1")
    site.run("vm", "unrevoke", "vm-1.vms")
    site.await_state("vm-2.vms", "connected")
    site.run("vm", "reregister", "vm-2", "--hold", "1s")
    site.run("log-level", "relay=debug")
    site.gateway.reload(site.config)
    for audit, message in (("revoke", "VM revoked"), ("unrevoke", "VM is not revoked any more"),
                           ("reregister", "VM is to register anew"),
                           ("log-level", "log level changed")):
        assert site.gateway.await_log(message, audit=audit)["by"].startswith("uid ")
    site.gateway.await_log("configuration in force", audit="configuration")
    site.gateway.await_log("certificate issued", audit="certificate")
    site.deny_list.write_text('{"version": 1, "revoked": []}')
    site.gateway.await_log("deny list was changed by others", audit="deny-list")


def test_audit__whatever_the_log_level_is(rig: Rig) -> None:
    site = Site(rig, 2)
    site.istiod.await_synced(2)
    site.run("log-level", "error")
    before = len(site.gateway.log())
    site.run("vm", "revoke", "vm-1")
    site.run("vm", "unrevoke", "vm-1.vms")
    site.run("vm", "reregister", "vm-2", "--hold", "1s")
    site.deny_list.write_text('{"version": 1, "revoked": []}')
    site.gateway.await_log("deny list was changed by others")
    site.run("log-level", "upstream=error")

    levels = {"log": {"format": "json", "level": "error"}}
    site.gateway.reload({**site.config, **levels})
    seen = [line["audit"] for line in site.gateway.log()[before:] if "audit" in line]
    assert seen == ["revoke", "unrevoke", "reregister", "deny-list", "log-level", "configuration"]


def test_audit__many_at_once__each_has_its_line(rig: Rig) -> None:
    site = Site(rig, 120)
    site.istiod.await_synced(120)
    issued = [line for line in site.gateway.log() if line.get("audit") == "certificate"]
    assert len(issued) == site.gateway.metric("xdsgate_certificates_issued_total") >= 120
