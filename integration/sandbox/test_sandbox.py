# SPDX-License-Identifier: Apache-2.0
"""The sandbox control plane and the sandbox VMs against each other, without xdsgate.

What holds here is what a test through xdsgate may take for granted.
"""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from sandbox_harness import ISTIOD, VM, Istiod, SandboxError, Vms, build_dir, free_port, wait_for  # noqa: E402

VARIANTS = ["delta", "sotw"]


class Mesh:
    """One control plane and the VM processes that a test starts."""

    def __init__(self, work: Path):
        self.work = work
        self.children: list[Any] = []

    def start_istiod(self, *flags: str, name: str = "istiod", port: int = 0) -> Istiod:
        self.istiod = Istiod(build_dir(), self.work, *flags, name=name, port=port)
        self.children.append(self.istiod)
        return self.istiod

    def start_vms(self, *flags: str, count: int = 5, name: str = "vms", token: bool = True) -> Vms:
        vms = Vms(build_dir(), self.work, f"127.0.0.1:{self.istiod.port}", self.istiod.dir, *flags,
                  count=count, name=name, token=token)
        self.children.append(vms)
        return vms

    def well(self, count: int) -> Callable[[], bool]:
        """Are so many VMs registered, healthy and synced?"""
        def probe() -> bool:
            return sum(bool(v["entry"]) and v["health"] == "True" and v["synced"]
                       for v in self.istiod.vms()) == count
        return probe

    def stop(self) -> list[str]:
        """Stop all; returns the names of those that did not end well."""
        return [c.name for c in reversed(self.children) if c.running() and c.stop() != 0]


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    if not (build_dir() / ISTIOD).exists():
        pytest.fail(f"{build_dir() / ISTIOD} is not built")
    m = Mesh(tmp_path)
    yield m
    assert m.stop() == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_five_vms_are_registered_healthy_and_synced(mesh: Mesh, variant: str) -> None:
    istiod = mesh.start_istiod()
    vms = mesh.start_vms(f"--{variant}")

    wait_for("five VMs are well", mesh.well(5))

    assert vms.summary() == {"count": 5, "running": 5, "connected": 5, "synced": 5, "certified": 5}
    for seen, vm in zip(istiod.vms(), vms.vms()):
        assert seen["name"] == f"{vm['name']}.vms"
        assert seen["entry"] == f"web-{vm['address']}"
        assert seen["stream"] == variant
        assert seen["authenticated_by"] == "cert"
        assert seen["identities"] == ["spiffe://cluster.local/ns/vms/sa/vm"]
        assert vm["certificate"]["identities"] == ["spiffe://cluster.local/ns/vms/sa/vm"]
        assert 62000 < seen["node_bytes"] < 65000
        assert [vm["types"][t]["resources"] for t in ("CDS", "EDS", "LDS", "RDS")] == [4, 4, 2, 2]
        assert not any(vm["types"][t]["malformed"] for t in vm["types"])
    assert istiod.counters()["csr_ok"] == 5
    assert istiod.counters()["entries_created"] == 5
    # one TCP connection for each stream
    assert len({v["peer"] for v in istiod.vms()}) == 5


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_push_is_acknowledged_by_all(mesh: Mesh, variant: str) -> None:
    istiod = mesh.start_istiod()
    vms = mesh.start_vms(f"--{variant}")
    wait_for("five VMs are well", mesh.well(5))

    version = istiod.ctl("push", 1000000)["version"]

    def all_have_it() -> bool:
        return all(v["synced"] and t["version"] == version
                   for v in vms.vms() for t in v["types"].values())

    wait_for("all have the new version", all_have_it)
    wait_for("five VMs are well", mesh.well(5))
    assert all(v["types"]["CDS"]["bytes"] > 1000000 for v in vms.vms())


@pytest.mark.parametrize("variant", VARIANTS)
def test_nack_is_an_error_until_the_ack(mesh: Mesh, variant: str) -> None:
    istiod = mesh.start_istiod()
    vms = mesh.start_vms(f"--{variant}", count=2)
    wait_for("two VMs are well", mesh.well(2))

    def states() -> list[str]:
        return [v["types"]["LDS"]["state"] for v in istiod.vms()]

    vms.ctl("nack", 2, "LDS")
    wait_for("the NACK has come", lambda: states() == ["SYNCED", "ERROR"])
    assert istiod.vms()[1]["types"]["LDS"]["error"] == "sandbox: rejected on command"
    istiod.ctl("push")
    wait_for("the push is rejected, too", lambda: istiod.vms()[1]["types"]["LDS"]["nacks"] == 2)
    vms.ctl("ack", 2, "LDS")
    wait_for("the ACK has come", lambda: states() == ["SYNCED", "SYNCED"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_health_follows_the_application(mesh: Mesh, variant: str) -> None:
    istiod = mesh.start_istiod()
    vms = mesh.start_vms(f"--{variant}", count=2)
    wait_for("two VMs are well", mesh.well(2))
    # an agent that starts reports unhealthy, then healthy
    assert [v["health_reports"] for v in istiod.vms()] == [2, 2]

    vms.ctl("health", 1, "off")
    wait_for("one is unhealthy", lambda: [v["health"] for v in istiod.vms()] == ["False", "True"])
    assert istiod.entries()[0]["health_message"] == "sandbox: application is down"
    vms.ctl("health", "all", "on")
    wait_for("two VMs are well", mesh.well(2))


def test_health_is_told_again_on_a_new_stream(mesh: Mesh) -> None:
    istiod = mesh.start_istiod()
    vms = mesh.start_vms(count=1)
    wait_for("the VM is well", mesh.well(1))
    vms.ctl("health", 1, "off")
    wait_for("it is unhealthy", lambda: istiod.vms()[0]["health"] == "False")

    istiod.ctl("drop-all")

    wait_for("it has a new stream and said so again",
             lambda: [v["health_reports"] for v in istiod.vms()] == [1])
    assert istiod.vms()[0]["health"] == "False"
    assert vms.vms()[0]["last_end"]["code"] == 14


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_vm_that_does_not_read_holds_up_nobody_else(mesh: Mesh, variant: str) -> None:
    istiod = mesh.start_istiod()
    vms = mesh.start_vms(f"--{variant}", count=3)
    wait_for("three VMs are well", mesh.well(3))

    vms.ctl("pause", 2)
    for _ in range(3):
        istiod.ctl("push", 4000000)
        wait_for("the others have it", lambda: [v["synced"] for v in istiod.vms()]
                 == [True, False, True])
    vms.ctl("resume", 2)
    wait_for("three VMs are well", mesh.well(3))


def test_delta_reconnect_names_what_it_holds(mesh: Mesh) -> None:
    istiod = mesh.start_istiod()
    vms = mesh.start_vms("--delta", count=1)
    wait_for("the VM is well", mesh.well(1))

    istiod.ctl("drop-all")
    wait_for("it has a new stream", lambda: vms.vms()[0]["streams_established"] == 2)
    wait_for("the VM is well", mesh.well(1))

    # 4 clusters, 4 endpoints and 2 listeners, 2 routes; each named once
    assert istiod.vms()[0]["held_at_start"] == 12


def test_a_vm_that_is_gone_for_the_grace_is_deleted(mesh: Mesh) -> None:
    istiod = mesh.start_istiod("--grace", "1")
    vms = mesh.start_vms(count=2)
    wait_for("two VMs are well", mesh.well(2))

    vms.ctl("stop", 1)
    wait_for("its entry is gone", lambda: [e["name"] for e in istiod.entries()] == ["web-10.99.0.2"])
    vms.ctl("start", 1)
    wait_for("two VMs are well", mesh.well(2))
    assert istiod.counters()["entries_created"] == 3
    assert istiod.counters()["entries_deleted"] == 1


def test_vms_back_within_the_grace_keep_their_entries(mesh: Mesh) -> None:
    istiod = mesh.start_istiod("--grace", "600")
    mesh.start_vms()
    wait_for("five VMs are well", mesh.well(5))

    istiod.ctl("drop-all")

    wait_for("five are back", lambda: istiod.counters()["reconnects_in_grace"] == 5)
    wait_for("five VMs are well", mesh.well(5))
    assert istiod.counters()["entries_created"] == 5
    assert istiod.counters()["entries_deleted"] == 0


def test_a_killed_process_is_noticed_at_once(mesh: Mesh) -> None:
    istiod = mesh.start_istiod("--grace", "0")
    vms = mesh.start_vms()
    wait_for("five VMs are well", mesh.well(5))

    vms.kill()

    wait_for("their entries are gone", lambda: istiod.entries() == [])


def test_new_streams_above_the_rate_are_refused_and_come_back(mesh: Mesh) -> None:
    istiod = mesh.start_istiod("--rate", "2")
    vms = mesh.start_vms(count=10)

    def refused() -> bool:
        ends = [v["last_end"] for v in vms.vms()]
        return any(e and (e["code"], e["text"]) == (8, "request rate limit exceeded") for e in ends)

    wait_for("some are refused", refused)
    wait_for("ten VMs are well", mesh.well(10), 120)
    assert istiod.counters()["rate_limited"] > 0


@pytest.mark.parametrize("variant, code", [("delta", 2), ("sotw", 14)])
def test_not_ready_has_the_code_of_its_variant(mesh: Mesh, variant: str, code: int) -> None:
    istiod = mesh.start_istiod()
    istiod.ctl("fault", "not-ready", "on")
    vms = mesh.start_vms(f"--{variant}", count=1)

    end = wait_for("it is refused", lambda: vms.vms()[0]["last_end"])
    assert (end["code"], end["text"]) == (code, "server is not ready")
    istiod.ctl("fault", "not-ready", "off")
    wait_for("the VM is well", mesh.well(1))


def test_refuse_next_counts_down(mesh: Mesh) -> None:
    istiod = mesh.start_istiod()
    istiod.ctl("fault", "refuse-next", 2, 7)
    vms = mesh.start_vms(count=1)

    wait_for("the VM is well", mesh.well(1))
    assert istiod.counters()["refused"] == 2
    assert vms.vms()[0]["streams_opened"] == 3
    assert vms.vms()[0]["last_end"]["code"] == 7


def test_connections_end_at_their_age_and_no_entry_is_lost(mesh: Mesh) -> None:
    istiod = mesh.start_istiod("--max-connection-age", "1", "--grace", "600")
    vms = mesh.start_vms(count=3)
    wait_for("three VMs are well", mesh.well(3))

    # age 1 s and grace 10 s, then each comes back on a new connection
    wait_for("all have reconnected", lambda: istiod.counters()["reconnects_in_grace"] >= 3, 120)
    wait_for("three VMs are well", mesh.well(3))
    assert all(v["last_end"]["code"] == 14 for v in vms.vms())
    assert istiod.counters()["entries_deleted"] == 0


def test_restarted_istiod_gets_all_back_with_the_same_root(mesh: Mesh) -> None:
    first = mesh.start_istiod(port=free_port())  # no connection takes it meanwhile
    vms = mesh.start_vms()
    wait_for("five VMs are well", mesh.well(5))

    first.kill()
    wait_for("all have noticed", lambda: vms.summary()["connected"] == 0)
    mesh.start_istiod(name="istiod2", port=first.port)

    wait_for("five VMs are well", mesh.well(5), 120)
    assert all(v["csr_ok"] == 1 for v in vms.vms())


def test_missing_group_is_failed_precondition_until_it_is_there(mesh: Mesh) -> None:
    istiod = mesh.start_istiod()
    vms = mesh.start_vms("--group", "api", count=1)

    end = wait_for("it is refused", lambda: vms.vms()[0]["last_end"])
    assert end["code"] == 9
    assert "cannot find WorkloadGroup vms/api" in end["text"]
    istiod.ctl("group", "vms/api")
    wait_for("the VM is well", mesh.well(1), 120)


def test_health_of_an_entry_written_by_hand(mesh: Mesh) -> None:
    istiod = mesh.start_istiod("--entry", "vms/db-1", "--grace", "0")
    vms = mesh.start_vms("--group", "", "--workload-entry", "db-1", count=1)
    wait_for("the VM is well", mesh.well(1))

    vms.ctl("stop", 1)

    wait_for("it lost its condition",
             lambda: [(e["name"], e["health"]) for e in istiod.entries()] == [("db-1", "Unknown")])


def test_wrong_namespace_is_permission_denied(mesh: Mesh) -> None:
    mesh.start_istiod("--group", "other/web")
    vms = mesh.start_vms("--namespace", "other", count=1)

    end = wait_for("it is refused", lambda: vms.vms()[0]["last_end"])
    assert end["code"] == 7
    # the certificate is for the token's identity, whatever the request says
    assert vms.vms()[0]["certificate"]["identities"] == ["spiffe://cluster.local/ns/vms/sa/vm"]


def test_nobody_without_credentials(mesh: Mesh) -> None:
    istiod = mesh.start_istiod()
    vms = mesh.start_vms(count=1, token=False)

    end = wait_for("its CSR is refused", lambda: vms.vms()[0]["last_csr"])
    assert (end["code"], end["text"]) == (16, "request authenticate failure")
    ads_only = mesh.start_vms("--no-csr", count=1, name="ads", token=False)
    end = wait_for("its stream is refused", lambda: ads_only.vms()[0]["last_end"])
    assert (end["code"], end["text"]) == (16, "authentication failure")
    assert istiod.vms() == []


@pytest.mark.parametrize("seconds, audience, code", [(600, "istio-ca", None), (-30, "istio-ca", None),
                                                     (-120, "istio-ca", 16), (600, "other", 16)])
def test_token_age_and_audience(mesh: Mesh, tmp_path: Path, seconds: int, audience: str,
                                code: int | None) -> None:
    istiod = mesh.start_istiod()
    token = tmp_path / "token"
    token.write_text(istiod.ctl("mint", "vms/vm", seconds, audience)["token"])
    vms = mesh.start_vms("--no-csr", "--token-file", str(token), count=1, token=False)

    if code is None:
        wait_for("the VM is well", mesh.well(1))
        assert istiod.vms()[0]["authenticated_by"] == "token"
    else:
        assert wait_for("it is refused", lambda: vms.vms()[0]["last_end"])["code"] == code


def test_certificate_lasts_when_the_token_is_gone(mesh: Mesh, tmp_path: Path) -> None:
    istiod = mesh.start_istiod()
    token = tmp_path / "token"
    token.write_text((istiod.dir / "token").read_text())
    vms = mesh.start_vms("--token-file", str(token), count=1, token=False)
    wait_for("the VM is well", mesh.well(1))

    token.unlink()
    vms.ctl("restart", 1)

    wait_for("it has a new certificate", lambda: vms.vms()[0]["csr_ok"] == 2)
    wait_for("the VM is well", mesh.well(1))
    assert istiod.vms()[0]["authenticated_by"] == "cert"


XFCC = "x-forwarded-client-cert=URI=spiffe://cluster.local/ns/vms/sa/vm"


@pytest.mark.parametrize("flags, header, by", [
    ([], XFCC, None),
    (["--trusted-gateway-cidr", "10.77.0.2/32"], XFCC, "xfcc"),
    (["--trusted-gateway-cidr", "10.77.0.2/32"], XFCC.replace("URI", "By=x; URI"), None),
])
def test_forwarded_identity_only_from_a_trusted_peer(mesh: Mesh, flags: list[str], header: str,
                                                     by: str | None) -> None:
    istiod = mesh.start_istiod(*flags)
    vms = mesh.start_vms("--no-csr", "--header", header, count=1, token=False)

    if by is None:
        assert wait_for("it is refused", lambda: vms.vms()[0]["last_end"])["code"] == 16
    else:
        wait_for("the VM is well", mesh.well(1))
        assert istiod.vms()[0]["authenticated_by"] == by


def test_first_of_two_forwarded_headers_counts(mesh: Mesh) -> None:
    istiod = mesh.start_istiod("--trusted-gateway-cidr", "10.77.0.2/32")
    mesh.start_vms("--no-csr", "--header", XFCC, "--header", XFCC.replace("sa/vm", "sa/other"),
                   count=1, token=False)

    wait_for("the VM is well", mesh.well(1))
    assert istiod.vms()[0]["identities"] == ["spiffe://cluster.local/ns/vms/sa/vm"]


def test_forwarded_names_of_any_kind_are_certified(mesh: Mesh) -> None:
    """As istiod does: what a trusted gateway asserts becomes the certificate's names."""
    mesh.start_istiod("--trusted-gateway-cidr", "10.77.0.2/32")
    vms = mesh.start_vms("--header", f"{XFCC};DNS=istiod.istio-system.svc", count=1, token=False)

    cert = wait_for("it has a certificate", lambda: vms.vms()[0]["certificate"])
    assert cert["identities"] == ["spiffe://cluster.local/ns/vms/sa/vm", "istiod.istio-system.svc"]


def test_csr_without_an_answer_does_not_end_the_process(mesh: Mesh) -> None:
    istiod = mesh.start_istiod()
    istiod.ctl("fault", "csr-hang", "on")
    vms = mesh.start_vms(count=1)
    wait_for("its stream is open", lambda: "left without an answer" in istiod.log_tail())

    istiod.ctl("fault", "csr-hang", "off")
    vms.ctl("restart", 1)

    wait_for("the VM is well", mesh.well(1))


def test_server_name_that_the_certificate_lacks_is_not_trusted(mesh: Mesh) -> None:
    mesh.start_istiod()
    vms = mesh.start_vms("--server-name", "istiod.elsewhere.svc", count=1)

    assert wait_for("it does not connect", lambda: vms.vms()[0]["last_csr"])["code"] == 14
    assert vms.vms()[0]["certificate"] is None


def test_unknown_commands_are_refused(mesh: Mesh) -> None:
    istiod = mesh.start_istiod()
    vms = mesh.start_vms(count=1)

    for command in (["frobnicate"], ["fault", "rate", "x"], ["fault"], ["push", "-1"]):
        with pytest.raises(SandboxError):
            istiod.ctl(*command)
    for command in (["health", "2", "on"], ["health", "1"], ["nack", "1", "XDS"], ["stop", "0"]):
        with pytest.raises(SandboxError):
            vms.ctl(*command)


@pytest.mark.parametrize("program", [ISTIOD, VM])
def test_help_and_log_say_that_it_is_a_sandbox(program: str) -> None:
    path = build_dir() / program
    shown = subprocess.run([path, "--help"], capture_output=True, text=True, check=True)
    assert "SANDBOX" in shown.stdout and " not " in shown.stdout
    wrong = subprocess.run([path, "--frobnicate"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2


def test_status_and_logs_hold_no_secret(mesh: Mesh) -> None:
    istiod = mesh.start_istiod("--verbose")
    vms = mesh.start_vms("--verbose", count=1)
    wait_for("the VM is well", mesh.well(1))

    token = (istiod.dir / "token").read_text()
    told = istiod.log_tail(1000) + vms.log_tail(1000) + str(istiod.status()) + str(vms.status())
    assert token not in told
    assert "PRIVATE KEY" not in told
    assert "SANDBOX" in istiod.log_tail(1000) and "SANDBOX" in vms.log_tail(1000)
    modes = {f.name: os.stat(f).st_mode & 0o777 for f in istiod.dir.glob("*.key")}
    assert modes == {"istiod.key": 0o600, "xdsgate.key": 0o600, "vm.key": 0o600}
