# SPDX-License-Identifier: Apache-2.0
"""How the daemon ends: streams one by one with status 14, and always in time."""

from __future__ import annotations

import signal

import pytest

from conftest import Rig
from rig.upstream import Upstream, end_of
from rig.wait import until


def is_refused(rig: Rig) -> bool:
    try:
        rig.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def slowly(rig: Rig, upstream: Upstream) -> dict:
    """Drained one a second, or in most of `drain_timeout`, so that there is time for a look."""
    return rig.passthrough(upstream.endpoint, max_new_streams_per_second=1)


@pytest.mark.parametrize("variant", ["--delta", "--sotw"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_drain__every_vm_gets_14_and_exit_is_0(rig: Rig, variant: str, number) -> None:
    istiod = rig.istiod("--grace", 60)
    gateway = rig.gateway({**rig.terminate(istiod), "drain_timeout": "20s"})
    vms = rig.vms(variant, "--count", 5)
    istiod.await_synced(5)

    gateway.process.signal(number)

    assert gateway.process.await_end() == 0
    until(lambda: all(vm["last_end"] for vm in vms.status()), "each VM's stream has ended")
    assert {vm["last_end"]["code"] for vm in vms.status()} == {14}
    until(lambda: istiod.vms() == [], "no stream is left upstream")
    ends = [line for line in gateway.log() if line["msg"] == "stream ended"]
    assert [line["reason"] for line in ends if line["kind"] == "ads"] == ["drain"] * 5
    assert gateway.has_logged("xdsgate has stopped")


def test_drain__passthrough_is_ended_and_no_new_vm_comes_in(rig: Rig) -> None:
    upstream = rig.upstream()
    gateway = rig.gateway({**slowly(rig, upstream), "drain_timeout": "10s"})
    relayed = [rig.say_hello(None) for _ in range(60)]
    half = rig.connect()
    half.sendall(b"\x16\x03\x01")
    gateway.await_metric("xdsgate_passthrough_connections", 60)
    gateway.await_metric("xdsgate_connections_accepted_total", 61)

    gateway.process.signal(signal.SIGTERM)
    gateway.await_log("stopping", because="SIGTERM")

    until(lambda: gateway.get("/healthz/ready")[0] == 503, "not ready while it drains")
    assert "stopping" in gateway.get("/healthz/ready")[1]
    assert gateway.get("/healthz/live")[0] == 200
    until(lambda: is_refused(rig), "every worker has closed its listener")
    for s in [*relayed, half]:
        end_of(s)
    assert gateway.process.await_end() == 0


def test_drain_timeout_over__the_rest_ends_at_once(rig: Rig) -> None:
    upstream = rig.upstream()
    gateway = rig.gateway({**rig.passthrough(upstream.endpoint), "drain_timeout": "100ms"})
    relayed = [rig.say_hello(None) for _ in range(60)]
    gateway.await_metric("xdsgate_passthrough_connections", 60)

    gateway.process.signal(signal.SIGTERM)

    assert gateway.process.await_end() == 0
    for s in relayed:
        end_of(s)


def test_second_sigint__ends_at_once(rig: Rig) -> None:
    upstream = rig.upstream()
    gateway = rig.gateway({**slowly(rig, upstream), "drain_timeout": "3600s"})
    relayed = [rig.say_hello(None) for _ in range(150)]
    gateway.await_metric("xdsgate_passthrough_connections", 150)

    gateway.process.signal(signal.SIGINT)
    gateway.await_log("stopping", because="SIGINT")
    gateway.process.signal(signal.SIGINT)

    assert gateway.process.await_end() == 0
    assert gateway.has_logged("ending at once")
    for s in relayed:
        end_of(s)


def test_sigterm_twice__still_graceful(rig: Rig) -> None:
    upstream = rig.upstream()
    gateway = rig.gateway({**slowly(rig, upstream), "drain_timeout": "10s"})
    for _ in range(30):
        rig.say_hello(None)
    gateway.await_metric("xdsgate_passthrough_connections", 30)

    gateway.process.signal(signal.SIGTERM)
    gateway.await_log("stopping", because="SIGTERM")
    gateway.process.signal(signal.SIGTERM)

    assert gateway.process.await_end() == 0
    assert not gateway.has_logged("ending at once")


def test_nothing_open__ends_at_once(rig: Rig) -> None:
    gateway = rig.gateway({**rig.passthrough(rig.upstream().endpoint), "drain_timeout": "3600s"})

    assert gateway.stop() == 0


def test_stream_that_waits_for_istiod__drained_too(rig: Rig) -> None:
    istiod = rig.istiod()
    gateway = rig.gateway({**rig.terminate(istiod), "drain_timeout": "10s"})
    istiod.process.kill()
    vms = rig.vms("--no-csr")
    gateway.await_metric("xdsgate_streams_waiting", 1)

    assert gateway.stop() == 0

    assert vms.await_last_end()["code"] == 14
