# SPDX-License-Identifier: Apache-2.0
"""Out of file descriptors or ports: it waits, says why, and goes on when there are some."""

from __future__ import annotations

import os
import resource
import socket
from pathlib import Path

import pytest

from conftest import Rig
from rig.gateway import Gateway
from rig.http2 import ADS, Http2, first_request, message
from rig.netns import few_ports, take_all_ports
from rig.sandbox import GATEWAY_IP
from rig.wait import until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root")

NO_FILES, NO_PORT = "out of file descriptors", "no free local port"


class Files:
    """The file descriptors of a daemon."""

    def __init__(self, gateway: Gateway) -> None:
        self.pid = gateway.process.pid
        self.before = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)

    def in_use(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def allow(self, count: int) -> None:
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (count, self.before[1]))

    def allow_all(self) -> None:
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, self.before)


def vm(rig: Rig) -> Http2:
    """A connection without a stream."""
    token = (rig.istiods[0].dir / "token").read_text().strip()
    fresh = Http2(rig.port, token).begin()
    rig.sockets.append(fresh.tls)
    return fresh


def ask(connection: Http2) -> None:
    connection.request(1, ADS)
    connection.send_data(1, message(first_request()))


def crowd(rig: Rig, gateway: Gateway) -> list[socket.socket]:
    """Connections that say nothing, until no more are accepted."""
    silent = []

    def come() -> bool:
        silent.append(rig.connect())
        return gateway.has_logged("not accepting for a moment")

    until(come, "nobody is accepted any more")
    return silent


def test_files__vms_use_up_theirs__admin_and_upstream_have_some(rig: Rig) -> None:
    istiod = rig.istiod("--rate", 0)
    gateway = rig.gateway(rig.terminate(istiod, streams_per_connection=1))
    early = vm(rig)
    files = Files(gateway)
    files.allow(files.in_use() + 20)

    crowd(rig, gateway)
    ask(early)  # needs a connection to istiod

    gateway.await_log("not accepting for a moment", reason=NO_FILES)
    until(lambda: istiod.vms(), "a stream at istiod")
    gateway.await_metric("xdsgate_streams", 1)
    assert not gateway.has_logged("cannot connect to upstream endpoint")


def test_files__vms_use_up_theirs_and_go__others_come_in(rig: Rig) -> None:
    istiod = rig.istiod("--rate", 0)
    gateway = rig.gateway(rig.terminate(istiod))
    files = Files(gateway)
    files.allow(files.in_use() + 20)
    silent = crowd(rig, gateway)
    late = rig.vms("--no-csr")

    for s in silent:
        s.close()

    istiod.await_synced(1)
    assert late.status()[0]["streams_opened"] == 1


def test_files__passthrough__waits_in_the_backlog_and_comes_in(rig: Rig) -> None:
    upstream = rig.upstream()
    gateway = rig.gateway(rig.passthrough(upstream.endpoint))
    gateway.await_ready()
    files = Files(gateway)
    files.allow(files.in_use() + 20)
    silent = crowd(rig, gateway)
    late = rig.say_hello("a.example")

    for s in silent:
        s.close()

    assert b"a.example" in upstream.accept().recv(1 << 16)
    assert late.fileno() >= 0 and not gateway.has_logged("cannot connect to upstream endpoint")


def test_files__none_for_a_connection_to_istiod__stream_waits(rig: Rig) -> None:
    istiod = rig.istiod("--rate", 0)
    gateway = rig.gateway(rig.terminate(istiod))
    early = vm(rig)
    files = Files(gateway)
    files.allow(3)

    ask(early)
    gateway.await_log("cannot connect to upstream endpoint", reason=NO_FILES)
    assert not istiod.vms()
    files.allow_all()

    until(lambda: istiod.vms(), "the stream reaches istiod")
    gateway.await_log("upstream endpoint is back")
    assert early.goaway is None and not early.reset


@needs_root
def test_ports__none_towards_istiod__stream_waits(rig: Rig) -> None:
    with few_ports(40000, 40099):
        istiod = rig.istiod("--rate", 0)
        gateway = rig.gateway(rig.terminate(istiod))
        gateway.await_ready()
        taken = take_all_ports(GATEWAY_IP, ("127.0.0.1", istiod.port))

        vms = rig.vms("--no-csr")
        gateway.await_log("cannot connect to upstream endpoint", endpoint=istiod.endpoint,
                          reason=NO_PORT)
        until(lambda: gateway.get("/healthz/ready")[0] == 503, "not ready")
        for s in taken:
            s.close()

        istiod.await_synced(1)
        gateway.await_log("upstream endpoint is back", endpoint=istiod.endpoint)
        gateway.await_ready()
        assert vms.status()[0]["streams_opened"] == 1
        rig.leave()
        gateway.await_idle()


@needs_root
def test_ports__none_towards_one_istiod__the_other_is_asked(rig: Rig) -> None:
    with few_ports(40000, 40099):
        first, second = rig.istiod("--rate", 0), rig.istiod("--rate", 0)
        gateway = rig.gateway(rig.terminate(first, second))
        gateway.await_ready()
        taken = take_all_ports(GATEWAY_IP, ("127.0.0.1", first.port))

        vms = rig.vms("--no-csr", "--count", 4)

        second.await_synced(4)
        assert [row["streams_opened"] for row in vms.status()] == [1] * 4
        for s in taken:
            s.close()
        rig.leave()
        gateway.await_idle()


def test_source_address__not_of_this_machine__said_so(rig: Rig) -> None:
    istiod = rig.istiod("--rate", 0)
    gateway = rig.gateway(rig.terminate(istiod, source_address=["192.0.2.7"]))
    ask(vm(rig))

    gateway.await_log("cannot connect to upstream endpoint",
                      reason="not an address of this machine")
