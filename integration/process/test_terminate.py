# SPDX-License-Identifier: Apache-2.0
"""Sandbox VMs and a sandbox control plane through a terminating route."""

from __future__ import annotations

import pytest

from conftest import Rig
from rig.pki import SERVER_NAME, issue
from rig.sandbox import SANDBOX_NETWORK
from rig.site import OTHER, TRUSTED, Site
from rig.wait import until


@pytest.mark.parametrize("variant", ["--delta", "--sotw"])
def test_vms__registered_healthy_and_synced(rig: Rig, variant: str) -> None:
    istiod = rig.istiod()
    gateway = rig.gateway(rig.terminate(istiod))

    vms = rig.vms(variant, "--count", 3)

    rows = istiod.await_synced(3)
    assert {r["stream"] for r in rows} == {variant[2:]}
    assert {r["name"] for r in rows} == {"vm-1.vms", "vm-2.vms", "vm-3.vms"}
    assert {r["entry"] for r in rows} == {"web-10.99.0.1", "web-10.99.0.2", "web-10.99.0.3"}
    until(lambda: all(vm["synced"] and vm["certificate"] for vm in vms.status()), "synced VMs")
    gateway.await_metric("xdsgate_streams", 3)
    assert gateway.metric("xdsgate_stream_retries_total") == 0
    gateway.await_ready()


@pytest.mark.parametrize("variant", ["--delta", "--sotw"])
def test_push_nack_health__reach_the_other_end(rig: Rig, variant: str) -> None:
    istiod = rig.istiod()
    rig.gateway(rig.terminate(istiod))
    vms = rig.vms(variant)
    istiod.await_synced(1)

    vms.ask("nack", "all", "LDS")
    until(lambda: istiod.vms()[0]["types"]["LDS"]["state"] == "ERROR", "the NACK has arrived")
    assert istiod.vms()[0]["types"]["LDS"]["error"]
    vms.ask("ack", "all", "LDS")
    istiod.ask("push")
    istiod.await_synced(1)

    vms.ask("health", "all", "off")
    until(lambda: istiod.vms()[0]["health"] == "False", "unhealthy")
    vms.ask("health", "all", "on")
    until(lambda: istiod.vms()[0]["health"] == "True", "healthy again")


@pytest.mark.parametrize("variant", ["--delta", "--sotw"])
def test_big_pushes__arrive_whole(rig: Rig, variant: str) -> None:
    istiod = rig.istiod()
    gateway = rig.gateway(rig.terminate(istiod))
    vms = rig.vms(variant, "--count", 2)
    istiod.await_synced(2)

    for size in [100_000, 3_000_000]:  # below and far above the windows
        istiod.ask("push", size)
        istiod.await_synced(2)

    for vm in vms.status():
        assert vm["types"]["CDS"]["bytes"] > 3_000_000
        assert not [t for t in vm["types"].values() if t["malformed"]]
    assert gateway.metric('xdsgate_relayed_bytes_total{direction="down"}') > 2 * 3_000_000


def test_vm_gone__its_stream_ends_upstream_at_once(rig: Rig) -> None:
    istiod = rig.istiod("--grace", 60)
    gateway = rig.gateway(rig.terminate(istiod))
    vms = rig.vms("--count", 2)
    istiod.await_synced(2)

    vms.ask("stop", 1)

    until(lambda: [r["name"] for r in istiod.vms()] == ["vm-2.vms"], "one stream is left")
    gateway.await_metric("xdsgate_streams", 1)


def test_vm_killed__its_stream_ends_upstream_at_once(rig: Rig) -> None:
    istiod = rig.istiod("--grace", 60)
    rig.gateway(rig.terminate(istiod))
    vms = rig.vms("--count", 2)
    istiod.await_synced(2)

    vms.process.kill()

    until(lambda: istiod.vms() == [], "no stream is left")


def test_stream_ended_by_istiod__vm_sees_its_status_and_comes_back(rig: Rig) -> None:
    istiod = rig.istiod()
    gateway = rig.gateway(rig.terminate(istiod))
    vms = rig.vms()
    istiod.await_synced(1)

    istiod.ask("drop-all", 7)

    assert vms.await_last_end()["code"] == 7
    istiod.await_synced(1)
    gateway.await_at_least('xdsgate_streams_ended_total{reason="upstream_ended"}', 1)


def test_istiod_killed__vms_get_14_and_come_back(rig: Rig) -> None:
    istiod = rig.istiod()
    gateway = rig.gateway(rig.terminate(istiod))
    vms = rig.vms("--count", 3)
    istiod.await_synced(3)

    istiod = rig.restart(istiod)

    until(lambda: all(vm["last_end"] for vm in vms.status()), "each VM's stream has ended")
    assert {vm["last_end"]["code"] for vm in vms.status()} == {14}
    istiod.await_synced(3)
    gateway.await_at_least('xdsgate_streams_ended_total{reason="upstream_closed"}', 3)
    gateway.await_at_least('xdsgate_vm_reconnects_total{reason="upstream_closed"}', 3)


def test_two_istiods_one_killed__all_move(rig: Rig) -> None:
    first, second = rig.istiod(), rig.istiod()
    gateway = rig.gateway(rig.terminate(first, second, streams_per_connection=2))
    rig.vms("--count", 6)
    until(lambda: len(first.vms()) + len(second.vms()) == 6, "all have come")
    assert first.vms() and second.vms()

    first.process.kill()

    second.await_synced(6)
    gateway.await_ready()


def test_streams_per_connection__bounds_who_shares_one(rig: Rig) -> None:
    istiod = rig.istiod()
    gateway = rig.gateway(rig.terminate(istiod, streams_per_connection=2))

    rig.vms("--count", 6, "--no-csr")

    peers = [r["peer"] for r in istiod.await_synced(6)]
    assert max(peers.count(p) for p in peers) == 2
    assert gateway.metric('xdsgate_connections{side="up"}') >= 3


def test_source_address__is_what_istiod_sees(rig: Rig) -> None:
    istiod = rig.istiod()
    rig.gateway(rig.terminate(istiod, source_address=["127.0.0.2"]))

    rig.vms()

    assert istiod.await_synced(1)[0]["peer"].startswith("127.0.0.2:")


def test_source_address__not_of_this_machine__no_stream_upstream(rig: Rig) -> None:
    istiod = rig.istiod()
    gateway = rig.gateway(rig.terminate(istiod, source_address=["192.0.2.77"]))

    rig.vms("--no-csr")

    gateway.await_metric("xdsgate_streams_waiting", 1)
    gateway.await_at_least('xdsgate_upstream_connects_total{result="failed"}', 1)
    assert istiod.counter("streams") == 0


def test_istiod_of_another_root__refused_before_any_request(rig: Rig, other_root) -> None:
    istiod = rig.istiod()
    config = rig.terminate(istiod)
    config["upstreams"][0]["tls"]["roots"] = [str(other_root[0])]
    gateway = rig.gateway(config)

    rig.vms("--no-csr")

    gateway.await_at_least('xdsgate_upstream_connects_total{result="failed"}', 1)
    gateway.await_log("upstream endpoint failed", upstream="istiod")
    assert istiod.counter("streams") == 0


def test_istiod_of_another_name__refused_before_any_request(rig: Rig) -> None:
    istiod = rig.istiod()
    config = rig.terminate(istiod)
    config["upstreams"][0]["tls"]["server_name"] = "istiod.other.svc"
    gateway = rig.gateway(config)

    rig.vms("--no-csr")

    gateway.await_at_least('xdsgate_upstream_connects_total{result="failed"}', 1)
    assert istiod.counter("streams") == 0


def test_serving_certificate_of_another_root__vm_does_not_come_in(rig: Rig, other_root) -> None:
    istiod = rig.istiod()
    gateway = rig.gateway(rig.terminate(istiod, pair=issue(rig.folder, "foreign", *other_root)))

    vms = rig.vms("--no-csr")

    assert vms.await_last_end()["code"] == 14
    gateway.await_at_least('xdsgate_handshakes_total{result="failed"}', 1)
    assert istiod.counter("streams") == 0


def test_passthrough_and_terminate_on_one_port__by_name(site: Site) -> None:
    """Not on loopback, from where istiod believes everybody."""
    rig, listener = site.rig, site.config["listeners"][0]
    istiod = site.istiod(f"{TRUSTED}/32", names=(SERVER_NAME, "canary.svc"))
    gateway = rig.gateway({**site.config, "listeners": [
        {**listener, "bind": [f"127.0.0.1:{rig.port}"],
         "registration": {"address_networks": [SANDBOX_NETWORK]}}]})

    rig.vms("--no-csr")
    rig.vms("--no-csr", "--server-name", "canary.svc", "--name-prefix", "canary", "--ip-base",
            "10.99.1.1")

    rows = {r["name"]: r["peer"].rpartition(":")[0] for r in istiod.await_synced(2)}
    assert rows == {"vm-1.vms": TRUSTED, "canary-1.vms": OTHER}
    gateway.await_metric("xdsgate_passthrough_connections", 1)
    gateway.await_metric("xdsgate_streams", 1)


def test_two_workers__both_serve(rig: Rig) -> None:
    istiod = rig.istiod()
    gateway = rig.gateway({**rig.terminate(istiod), "workers": 2})

    rig.vms("--count", 20, "--no-csr", "--node-bytes", 2000)

    peers = {r["peer"] for r in istiod.await_synced(20)}
    assert len(peers) == 2  # one upstream connection each: 20 connections never fall on one worker
    gateway.await_metric("xdsgate_streams", 20)
