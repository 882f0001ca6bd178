# SPDX-License-Identifier: Apache-2.0
"""identity: token: the gateway gets a token for each account from an API server that has bad days."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from conftest import Rig
from rig.gateway import BINARY, Gateway
from rig.kube_api import KubeApi, status
from rig.sandbox import Vms
from rig.wait import until

PAUSED_S = 60.0  # an agent that was refused pauses for up to 16 s before it comes again
ACCOUNT = {"account": "vms/vm", "audiences": ["istio-ca"], "life": 3600}


class Site:
    """An istiod that trusts no gateway's word, an API server, the daemon between them."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.istiod = rig.istiod()
        self.api = KubeApi(rig.folder, self.istiod.dir / "token-key.pem")

    def config(self, **kubernetes: object) -> dict:
        return {**self.rig.terminate(self.istiod, identity="token"),
                "kubernetes": {"kubeconfig": str(self.api.kubeconfig()), **kubernetes}}

    def gateway(self) -> Gateway:
        return self.rig.gateway(self.config())

    def vm(self, number: int = 1, *options: object) -> Vms:
        """A VM that shows its token until it has a certificate."""
        return self.rig.vms("--token-once", "--name-prefix", f"vm{number}", "--ip-base",
                            f"10.99.{number}.1", *options)


@pytest.fixture
def site(rig: Rig) -> Iterator[Site]:
    site = Site(rig)
    yield site
    rig.leave()
    site.api.stop()


def test_token__vm_with_a_certificate_alone__is_its_account(site: Site) -> None:
    gateway = site.gateway()
    assert "xdsgate_kubernetes_reachable" not in gateway.metrics()  # nobody has asked it
    site.vm()

    row = site.istiod.await_synced(1)[0]

    assert row["authenticated_by"] == "token"
    assert row["identities"] == ["spiffe://cluster.local/ns/vms/sa/vm"]
    assert site.api.requests == [ACCOUNT]
    assert gateway.metric("xdsgate_tokens") == 1
    assert gateway.metric('xdsgate_token_requests_total{result="ok"}') == 1
    assert gateway.metric("xdsgate_kubernetes_reachable") == 1


def test_token__a_dead_token_of_the_vm__does_not_matter(rig: Rig, site: Site) -> None:
    site.gateway()
    token = rig.folder / "token"
    token.write_bytes((site.istiod.dir / "token").read_bytes())
    vms = rig.vms(token=token)
    site.istiod.await_synced(1)
    token.write_text("dead")

    vms.ask("renew", "all")
    until(lambda: site.istiod.counter("csr_ok") == 2, "a certificate got by the certificate")
    vms.ask("restart", "all")

    until(lambda: vms.status()[0]["streams_opened"] >= 2, "a second stream")
    assert site.istiod.await_synced(1)[0]["authenticated_by"] == "token"


def test_token__clock_of_the_api_server_is_behind__its_token_has_not_expired(site: Site) -> None:
    site.api.ahead_s = -7200  # so is the date in its answer
    gateway = site.gateway()
    site.vm()

    assert site.istiod.await_synced(1)[0]["authenticated_by"] == "token"
    assert gateway.metric("xdsgate_tokens") == 1
    assert site.api.requests == [ACCOUNT]


def test_token__many_vms_of_one_account__one_request(site: Site) -> None:
    site.gateway()
    site.vm(1, "--count", 20)

    assert {row["authenticated_by"] for row in site.istiod.await_synced(20)} == {"token"}
    assert site.api.requests == [ACCOUNT]


def test_token__account_refused__vm_hears_why_and_comes_back_by_itself(site: Site) -> None:
    site.api.fail(403, "Forbidden")
    gateway = site.gateway()
    vms = site.vm()

    end = vms.await_last_end()
    assert end["code"] == 7
    assert end["text"].endswith(
        "no token for service account vms/vm: xdsgate has no right to get one")
    line = gateway.await_log("no token for a service account", account="vms/vm")
    assert "403" in line["reason"]
    site.api.succeed()

    # The refusal is remembered for 10 s.
    assert site.istiod.await_synced(1, within=PAUSED_S)[0]["authenticated_by"] == "token"


def test_token__no_such_account__vm_hears_nothing_of_the_api_server(site: Site) -> None:
    site.api.fail(404, "NotFound")
    gateway = site.gateway()
    vms = site.vm()

    end = vms.await_last_end()
    assert end["code"] == 7
    assert end["text"].endswith("vms/vm: there is no such account")
    line = gateway.await_log("no token for a service account", account="vms/vm")
    assert f"127.0.0.1:{site.api.port}" in line["reason"]


@pytest.mark.parametrize("code,headers", [(401, {}), (429, {"Retry-After": "1"}),
                                          (500, {}), (503, {})])
def test_token__api_server_fails__connected_vms_stay_and_others_come_later(
        site: Site, code: int, headers: dict[str, str]) -> None:
    gateway = site.gateway()
    first = site.vm(1)
    site.istiod.await_synced(1)
    site.api.fail(code, "Bad", headers)
    gateway.reload(site.config(cluster_id="Kubernetes"))  # the same cluster: its tokens stay
    gateway.reload({**site.config(), "kubernetes": {
        "kubeconfig": str(site.api.kubeconfig("other"))}})  # another: they do not
    second = site.vm(2)

    end = second.await_last_end()
    assert end["code"] == 14
    assert end["text"].endswith(
        "no token for service account vms/vm: Kubernetes gives none now")
    until(lambda: gateway.metric('xdsgate_token_requests_total{result="failed"}') >= 2,
          "it was tried again")
    assert first.status()[0]["streams_opened"] == 1
    assert len([line for line in gateway.log()
                if line["msg"] == "Kubernetes cannot be asked"]) == 1
    assert gateway.metric("xdsgate_kubernetes_reachable") == 0
    site.api.succeed()

    site.istiod.await_synced(2, within=PAUSED_S)
    assert first.status()[0]["streams_opened"] == 1
    gateway.await_log("Kubernetes answers again")


def test_token__answer_makes_no_sense__said_and_the_api_server_is_there(site: Site) -> None:
    site.api.fail(409, "Conflict")
    gateway = site.gateway()
    vms = site.vm()

    assert vms.await_last_end()["code"] == 14
    assert "409" in gateway.await_log("no token for a service account", account="vms/vm")["reason"]
    assert gateway.metric("xdsgate_kubernetes_reachable") == 1
    assert not gateway.has_logged("Kubernetes cannot be asked")
    site.api.succeed()

    site.istiod.await_synced(1)


def test_token__api_server_away_and_back__connected_vms_stay(site: Site) -> None:
    site.api.stop()
    gateway = site.gateway()
    vms = site.vm()

    end = vms.await_last_end()
    assert end["code"] == 14
    gateway.await_log("Kubernetes cannot be asked")
    site.api.start()

    site.istiod.await_synced(1, within=PAUSED_S)
    streams = vms.status()[0]["streams_opened"]
    site.api.stop()
    site.vm(2)  # the token is there

    site.istiod.await_synced(2, within=PAUSED_S)
    assert vms.status()[0]["streams_opened"] == streams


def test_token__api_server_hangs__vm_waits_and_gets_in(site: Site) -> None:
    gateway = site.gateway()
    site.api.free.clear()
    vms = site.vm()
    gateway.await_metric("xdsgate_streams_waiting", 1)
    assert vms.status()[0]["last_end"] is None
    site.api.free.set()

    site.istiod.await_synced(1)
    assert vms.status()[0]["streams_opened"] == 1


def test_token__another_cluster_while_a_vm_waits__it_goes_on_waiting(site: Site) -> None:
    gateway = site.gateway()
    site.api.free.clear()
    vms = site.vm()
    gateway.await_metric("xdsgate_streams_waiting", 1)
    until(lambda: site.api.connections, "it is asked for")

    gateway.reload({**site.config(), "kubernetes": {
        "kubeconfig": str(site.api.kubeconfig("other"))}})
    until(lambda: len(site.api.connections) >= 2, "it is asked for again")
    site.api.free.set()

    site.istiod.await_synced(1)
    assert vms.status()[0]["streams_opened"] == 1


def test_token__one_connection_is_dead__asked_on_another_while_the_vm_waits(site: Site) -> None:
    first, over = Event(), Event()

    def hang_once(path: str) -> None:
        if not first.is_set():
            first.set()
            over.wait(60)

    site.api.instead = hang_once
    site.gateway()
    vms = site.vm()

    site.istiod.await_synced(1)
    over.set()
    assert first.is_set()
    assert vms.status()[0]["streams_opened"] == 1


def test_token__api_server_has_another_certificate__kubeconfig_is_read_again(site: Site) -> None:
    gateway = site.gateway()
    site.api.stop()
    site.api.new_ca()
    site.api.start()
    site.vm()

    site.istiod.await_synced(1, within=PAUSED_S)
    assert gateway.metric("xdsgate_kubernetes_reachable") == 1


def test_token__wrong_server_certificate__never_talked_to(site: Site) -> None:
    gateway = site.gateway()
    site.api.stop()
    trusted = site.api.ca.read_bytes()
    site.api.new_ca()
    site.api.ca.write_bytes(trusted)
    site.api.start()
    vms = site.vm()

    assert vms.await_last_end()["code"] == 14
    gateway.await_log("Kubernetes cannot be asked")
    assert site.api.requests == []


def test_token__tokens_are_in_no_log(rig: Rig, site: Site) -> None:
    loud = {"log": {"format": "json", "level": "debug"}}
    gateway = rig.gateway({**site.config(), **loud})
    site.vm()
    site.istiod.await_synced(1)
    site.api.fail(401)
    gateway.reload({**site.config(), **loud, "kubernetes": {
        "kubeconfig": str(site.api.kubeconfig("other"))}})
    site.vm(2).await_last_end()

    assert "401" in gateway.await_log("Kubernetes cannot be asked")["reason"]
    text = gateway.folder.joinpath("xdsgate.log").read_text()
    assert "of-the-gateway" not in text
    assert "eyJ" not in text


def test_token__api_server_wants_to_be_left_alone__it_is(site: Site) -> None:
    wanted_s = 11  # longer than one call lasts
    asked: list[float] = []

    def busy(path: str) -> tuple[int, dict[str, str], bytes]:
        if path.endswith("/token"):
            asked.append(time.monotonic())
        return 429, {"Retry-After": str(wanted_s)}, status(429, "TooManyRequests", "busy")

    site.api.instead = busy
    site.gateway()
    site.vm(1, "--count", 3)

    until(lambda: len(asked) >= 2, "it is asked again", within=PAUSED_S)
    site.api.succeed()
    assert asked[1] - asked[0] >= wanted_s
    assert len(site.istiod.await_synced(3, within=PAUSED_S)) == 3


def test_kubernetes__a_kubeconfig_that_is_none__refused_by_check(rig: Rig, site: Site) -> None:
    bad, path = rig.folder / "bad-kubeconfig", rig.folder / "bad.yaml"
    bad.write_text("users: [{name: a, user: {exec: {command: aws}}}]\n")
    path.write_text(json.dumps({"version": 1, **site.config(),
                                "kubernetes": {"kubeconfig": str(bad)}}))

    done = subprocess.run([BINARY, "check", "--config", path], capture_output=True, text=True)

    assert done.returncode == 2
    assert done.stderr.startswith(f"{path}:1:")
    assert str(bad) in done.stderr


def test_kubernetes__taken_out_of_the_file__its_metrics_go(rig: Rig, site: Site) -> None:
    gateway = site.gateway()
    site.vm()
    site.istiod.await_synced(1)
    assert {"xdsgate_kubernetes_reachable", "xdsgate_tokens"} <= gateway.metrics().keys()

    gateway.reload(rig.terminate(site.istiod))

    assert not {"xdsgate_kubernetes_reachable", "xdsgate_tokens"} & gateway.metrics().keys()


def sockets(pid: int) -> set[str]:
    """The inodes of a process's sockets, but for those that listen."""
    net = Path(f"/proc/{pid}/net")
    links = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            links.append(os.readlink(fd))
    tcp = [line.split() for name in ("tcp", "tcp6")
           for line in (net / name).read_text().splitlines()[1:]]
    unix = [line.split() for line in (net / "unix").read_text().splitlines()[1:]]
    listen = {row[9] for row in tcp if row[3] == "0A"} | {row[6] for row in unix
                                                          if row[3] == "00010000"}
    return {link[8:-1] for link in links if link.startswith("socket:")} - listen


def test_token__handover__no_connection_is_inherited(site: Site) -> None:
    gateway = site.gateway()
    vms = site.vm()
    site.istiod.await_synced(1)
    before = sockets(gateway.process.pid)

    assert gateway.hand_over().await_end() == 0

    until(lambda: vms.status()[0]["streams_opened"] >= 2, "the VM is back")
    assert before
    assert not sockets(gateway.process.pid) & before
