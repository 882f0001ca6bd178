# SPDX-License-Identifier: Apache-2.0
"""Bytes through a passthrough route: all of them, in order, and each end as it was meant."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from copy import deepcopy

import pytest

from conftest import Rig
from rig.client_hello import client_hello
from rig.gateway import Gateway
from rig.process import free_port
from rig.upstream import Upstream, connect, end_of, receive, reset
from rig.wait import LONG_S, until

HELLO = client_hello("istiod.istio-system.svc")
BIG = 24 * 1024 * 1024
PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n"


def open_pair(rig: Rig, upstream: Upstream) -> tuple[socket.socket, socket.socket]:
    """Both ends of a relayed connection, after the ClientHello."""
    vm = rig.connect()
    vm.sendall(HELLO)
    istiod = upstream.accept()
    assert receive(istiod, len(HELLO)) == HELLO
    return vm, istiod


def start(rig: Rig, **upstream: object) -> tuple[Gateway, Upstream]:
    to = rig.upstream()
    return rig.gateway(rig.passthrough(to.endpoint, **upstream)), to


def pump(s: socket.socket, data: bytes) -> None:
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)


def hash_to_the_end(s: socket.socket, out: list[str]) -> None:
    digest = hashlib.sha256()
    while part := s.recv(1 << 16):
        digest.update(part)
    out.append(digest.hexdigest())


def test_big_transfers_both_ways_at_once__byte_exact(rig: Rig) -> None:
    gateway, upstream = start(rig)
    vm, istiod = open_pair(rig, upstream)
    up, down = os.urandom(BIG), os.urandom(BIG)
    at_istiod: list[str] = []
    at_vm: list[str] = []

    threads = [threading.Thread(target=target, args=args, daemon=True) for target, args in [
        (pump, (vm, up)), (pump, (istiod, down)),
        (hash_to_the_end, (istiod, at_istiod)), (hash_to_the_end, (vm, at_vm))]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)

    assert at_istiod == [hashlib.sha256(up).hexdigest()]
    assert at_vm == [hashlib.sha256(down).hexdigest()]
    gateway.await_metric('xdsgate_passthrough_bytes_total{direction="up"}', BIG + len(HELLO))
    gateway.await_metric('xdsgate_passthrough_bytes_total{direction="down"}', BIG)
    gateway.await_log("passthrough connection ended", bytes_up=BIG + len(HELLO), bytes_down=BIG)


def test_half_close_by_the_vm__the_other_direction_goes_on(rig: Rig) -> None:
    gateway, upstream = start(rig)
    vm, istiod = open_pair(rig, upstream)

    vm.sendall(b"last words")
    vm.shutdown(socket.SHUT_WR)

    assert receive(istiod, 10) == b"last words"
    assert end_of(istiod) == "fin"
    gateway.await_metric("xdsgate_passthrough_connections", 1)
    istiod.sendall(b"a long answer")
    assert receive(vm, 13) == b"a long answer"
    istiod.close()
    assert end_of(vm) == "fin"


def test_half_close_by_the_upstream__the_other_direction_goes_on(rig: Rig) -> None:
    gateway, upstream = start(rig)
    vm, istiod = open_pair(rig, upstream)

    istiod.sendall(b"last words")
    istiod.shutdown(socket.SHUT_WR)

    assert receive(vm, 10) == b"last words"
    assert end_of(vm) == "fin"
    gateway.await_metric("xdsgate_passthrough_connections", 1)
    vm.sendall(b"a long answer")
    assert receive(istiod, 13) == b"a long answer"
    vm.close()
    assert end_of(istiod) == "fin"


def test_reset_by_the_vm__reaches_the_upstream(rig: Rig) -> None:
    gateway, upstream = start(rig)
    vm, istiod = open_pair(rig, upstream)

    reset(vm)

    assert end_of(istiod) == "reset"
    gateway.await_metric('xdsgate_connections_ended_total{reason="vm_closed"}', 1)


def test_reset_by_the_upstream__reaches_the_vm(rig: Rig) -> None:
    gateway, upstream = start(rig)
    vm, istiod = open_pair(rig, upstream)

    reset(istiod)

    assert end_of(vm) == "reset"
    gateway.await_metric('xdsgate_connections_ended_total{reason="upstream_closed"}', 1)


def test_reader_stands_still__the_sender_is_stopped_and_nothing_is_lost(rig: Rig) -> None:
    gateway, upstream = start(rig)
    vm, istiod = open_pair(rig, upstream)
    before = gateway.metric("process_resident_memory_bytes")
    block, sent = os.urandom(1 << 16), 0
    vm.settimeout(0.5)  # the sender counts as stopped when nothing goes for so long

    with pytest.raises(TimeoutError):
        while sent < 256 << 20:
            sent += vm.send(block[sent % len(block):])

    assert gateway.metric("process_resident_memory_bytes") < before + (8 << 20)
    vm.settimeout(LONG_S)
    digest: list[str] = []
    reader = threading.Thread(target=hash_to_the_end, args=(istiod, digest), daemon=True)
    reader.start()
    vm.shutdown(socket.SHUT_WR)
    reader.join(LONG_S)
    whole = (block * (sent // len(block) + 1))[:sent]
    assert digest == [hashlib.sha256(whole).hexdigest()]


def test_upstream_speaks_first__heard(rig: Rig) -> None:
    _, upstream = start(rig)
    vm, istiod = open_pair(rig, upstream)

    istiod.sendall(b"hello yourself")

    assert receive(vm, 14) == b"hello yourself"


def test_one_endpoint_down__the_other_takes_all(rig: Rig) -> None:
    upstream, closed = rig.upstream(), free_port()
    gateway = rig.gateway(rig.passthrough(f"127.0.0.1:{closed}", upstream.endpoint))

    for _ in range(40):
        open_pair(rig, upstream)

    gateway.await_metric("xdsgate_passthrough_connections", 40)
    failed = gateway.metric('xdsgate_upstream_connects_total{result="failed"}')
    assert 1 <= failed <= 8  # left alone with backoff, not tried for each connection


def test_endpoint_comes_back__used_again(rig: Rig) -> None:
    upstream, port = rig.upstream(), free_port()
    gateway = rig.gateway(rig.passthrough(f"127.0.0.1:{port}", upstream.endpoint))
    open_pair(rig, upstream)
    gateway.await_at_least('xdsgate_upstream_connects_total{result="failed"}', 1)

    back = rig.upstream(port)

    def arrives_there() -> bool:
        rig.say_hello(None)
        return back.is_reached()

    until(arrives_there, "a connection to the one that is back")


def test_all_endpoints_down__vm_is_closed_and_it_says_so(rig: Rig) -> None:
    gateway = rig.gateway(rig.passthrough(f"127.0.0.1:{free_port()}"))

    end_of(rig.say_hello(None))

    gateway.await_at_least('xdsgate_upstream_connects_total{result="failed"}', 1)
    gateway.await_metric('xdsgate_upstream_usable{upstream="istiod"}', 0)
    status, reasons = gateway.get("/healthz/ready")
    assert status == 503 and "upstream istiod" in reasons


def test_least_connections__spread_evenly(rig: Rig) -> None:
    upstreams = [rig.upstream(), rig.upstream()]
    gateway = rig.gateway({**rig.passthrough(*[u.endpoint for u in upstreams]), "workers": 1})

    for _ in range(6):  # each worker spreads its own
        rig.say_hello(None)
    gateway.await_metric('xdsgate_passthrough_bytes_total{direction="up"}',
                         6 * len(client_hello(None)))

    for upstream in upstreams:
        for _ in range(3):
            assert upstream.accept()


def test_source_address__is_what_the_upstream_sees(rig: Rig) -> None:
    _, upstream = start(rig, source_address=["127.0.0.77"])

    _, istiod = open_pair(rig, upstream)

    assert istiod.getpeername()[0] == "127.0.0.77"


def test_source_address__not_of_this_machine__no_connection_at_all(rig: Rig) -> None:
    gateway, upstream = start(rig, source_address=["192.0.2.77"])
    upstream.listener.settimeout(0.5)

    end_of(rig.say_hello(None))

    with pytest.raises(TimeoutError):
        upstream.listener.accept()
    gateway.await_at_least('xdsgate_upstream_connects_total{result="failed"}', 1)


def test_proxy_v2__says_who_comes(rig: Rig) -> None:
    _, upstream = start(rig, proxy_protocol="v2")
    vm = rig.say_hello("istiod.istio-system.svc", "127.0.7.9")
    istiod = upstream.accept()

    head = receive(istiod, 16)

    assert head[:12] == PROXY_V2
    assert head[12:14] == b"\x21\x11"  # version 2, PROXY; TCP over IPv4
    length = int.from_bytes(head[14:16], "big")
    assert length >= 12
    addresses = receive(istiod, length)
    assert addresses[:4] == socket.inet_aton("127.0.7.9")
    assert addresses[4:8] == socket.inet_aton("127.0.0.1")
    assert int.from_bytes(addresses[8:10], "big") == vm.getsockname()[1]
    assert int.from_bytes(addresses[10:12], "big") == rig.port
    assert receive(istiod, 5)[:3] == b"\x16\x03\x01"  # then the ClientHello, untouched


def test_host_name_as_endpoint__resolved(rig: Rig) -> None:
    upstream = rig.upstream()
    rig.gateway(rig.passthrough(f"localhost:{upstream.port}"))

    open_pair(rig, upstream)


def test_connection_limits__refused_and_counted(rig: Rig) -> None:
    upstream = rig.upstream()
    config = rig.passthrough(upstream.endpoint)
    config["listeners"][0]["limits"] = {"connections": 5, "connections_per_source": 3}
    gateway = rig.gateway(config)
    for i in range(3):
        open_pair(rig, upstream)

    end_of(rig.connect())
    gateway.await_metric('xdsgate_limit_reached_total{limit="connections_per_source"}', 1)
    others = [rig.say_hello(None, "127.0.0.3"), rig.say_hello(None, "127.0.0.4")]
    gateway.await_metric("xdsgate_passthrough_connections", 5)
    end_of(rig.connect("127.0.0.5"))
    gateway.await_metric('xdsgate_limit_reached_total{limit="connections"}', 1)

    other = free_port()  # has limits of its own, also for both of its addresses together
    config["listeners"].append({"name": "other", "bind": [f"127.0.0.1:{other}", f"127.0.0.2:{other}"],
                                "limits": {"connections": 1},
                                "routes": deepcopy(config["listeners"][0]["routes"])})
    gateway.reload(config)
    rig.connect(port=other).sendall(HELLO)
    gateway.await_metric("xdsgate_passthrough_connections", 6)
    end_of(connect(other, "127.0.0.6", "127.0.0.2"))
    gateway.await_metric('xdsgate_limit_reached_total{limit="connections"}', 2)

    reset(others[0])
    gateway.await_metric("xdsgate_passthrough_connections", 5)
    rig.say_hello(None, "127.0.0.5")
    gateway.await_metric("xdsgate_passthrough_connections", 6)


@pytest.mark.parametrize("first", ["vm", "upstream"])
def test_reason_of_an_end__who_closed_first(rig: Rig, first: str) -> None:
    gateway, upstream = start(rig)
    vm, istiod = open_pair(rig, upstream)
    leaver, other = (vm, istiod) if first == "vm" else (istiod, vm)

    leaver.shutdown(socket.SHUT_WR)
    assert end_of(other) == "fin"
    other.shutdown(socket.SHUT_WR)

    gateway.await_log("passthrough connection ended", reason=f"{first}_closed")
