# SPDX-License-Identifier: Apache-2.0
"""VMs that misbehave: each limit of a listener is held, counted, and hurts nobody else."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable

import pytest

from conftest import Rig
from rig.gateway import Gateway
from rig.http2 import (ADS, CSR, RST_STREAM, Http2, first_request, frame, header_block, integer,
                       message)
from rig.upstream import connect, end_of
from rig.wait import until

NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, ENHANCE_YOUR_CALM = 0, 1, 7, 11  # RFC 9113, 7
NODE = message(b"\x12\x04node")  # what is in it is no business of the relay


class Site:
    """A daemon with limits, a sandbox control plane, and a well-behaved VM."""

    def __init__(self, rig: Rig, **limits: object) -> None:
        self.rig = rig
        self.istiod = rig.istiod("--rate", 0)
        config = rig.terminate(self.istiod, listener={"limits": limits})
        self.gateway: Gateway = rig.gateway(config)
        self.token = (self.istiod.dir / "token").read_text().strip()
        self.good = rig.vms("--no-csr", "--node-bytes", 2000)
        self.istiod.await_synced(1)
        self.good_streams = self.good.status()[0]["streams_opened"]  # until it was in

    def attacker(self, *settings: tuple[int, int], token: bool = True) -> Http2:
        attacker = Http2(self.rig.port, self.token if token else None)
        self.rig.sockets.append(attacker.tls)
        return attacker.begin(*settings)

    def count(self, limit: str) -> float:
        return self.gateway.metric(f'xdsgate_limit_reached_total{{limit="{limit}"}}')

    def await_counted(self, limit: str) -> None:
        self.gateway.await_at_least(f'xdsgate_limit_reached_total{{limit="{limit}"}}', 1)

    def assert_others_unharmed(self) -> None:
        row = self.good.status()[0]
        assert row["streams_opened"] == self.good_streams and row["connected"]
        pushed = row["types"]["CDS"]["received"]
        self.istiod.ask("push")
        until(lambda: self.good.status()[0]["types"]["CDS"]["received"] > pushed, "a push")


def test_streams_per_connection__more_are_refused(rig: Rig) -> None:
    site = Site(rig, streams_per_connection=3, ads_streams_per_vm=100)
    vm = site.attacker()

    for stream in [1, 3, 5, 7]:
        vm.request(stream)

    assert vm.read_until_ended(7)[":reset"] == str(REFUSED_STREAM)
    site.await_counted("streams_per_connection")
    site.assert_others_unharmed()


def test_ads_streams_per_vm__more_get_8(rig: Rig) -> None:
    site = Site(rig, ads_streams_per_vm=2)
    vm = site.attacker()

    for stream in [1, 3, 5]:
        vm.request(stream)

    assert vm.read_until_ended(5)["grpc-status"] == "8"
    site.await_counted("ads_streams_per_vm")
    site.assert_others_unharmed()


def test_new_streams_per_second__more_get_8(rig: Rig) -> None:
    site = Site(rig, new_streams_per_second=1, ads_streams_per_vm=100)
    vm = site.attacker()

    with vm.at_once():
        for stream in range(1, 16, 2):
            vm.request(stream)

    assert vm.read_until_ended(15)["grpc-status"] == "8"
    site.await_counted("new_streams_per_second")
    site.assert_others_unharmed()


def test_headers__too_many__refused(rig: Rig) -> None:
    site = Site(rig, headers=20)
    vm = site.attacker()

    vm.request(1, more=[(f"x-{i}", "y") for i in range(30)])

    answer = vm.read_until_ended(1)
    assert answer.get(":status") == "431" or answer.get("grpc-status") or ":reset" in answer
    site.await_counted("headers")
    site.assert_others_unharmed()


def test_header_bytes__too_many__refused(rig: Rig) -> None:
    site = Site(rig, header_bytes="4KiB")
    vm = site.attacker()

    vm.request(1, more=[("x-big", "y" * 6000)])

    answer = vm.read_until_ended(1)
    assert answer.get(":status") == "431" or answer.get("grpc-status") or ":reset" in answer
    site.await_counted("header_bytes")
    site.assert_others_unharmed()


def test_endless_header_block__connection_ends(rig: Rig) -> None:
    site = Site(rig)
    vm = site.attacker()
    block = header_block([(f"x-{i}", "y" * 4000) for i in range(4)])

    vm.send(1, 0, 1, block[:16000])  # HEADERS, and never END_HEADERS
    for _ in range(200):
        vm.send(9, 0, 1, block[:16000])

    assert vm.read_until_closed() != NO_ERROR
    site.assert_others_unharmed()


def test_message_bytes__longer_message_gets_8_at_its_first_bytes(rig: Rig) -> None:
    site = Site(rig, message_bytes="64KiB")
    vm = site.attacker()

    vm.request(1)
    vm.send_data(1, message(b"x" * 70_000)[:100])

    assert vm.read_until_ended(1)["grpc-status"] == "8"
    site.await_counted("message_bytes")
    site.assert_others_unharmed()


def test_first_request_timeout__stream_ends(rig: Rig) -> None:
    site = Site(rig, first_request_timeout="300ms")
    vm = site.attacker()
    streams = site.istiod.counter("streams")

    vm.request(1)
    vm.send_data(1, NODE[:3])

    assert "grpc-status" in vm.read_until_ended(1)
    site.await_counted("first_request_timeout")
    assert site.istiod.counter("streams") == streams  # istiod has seen nothing of it
    site.assert_others_unharmed()


def test_zero_window_forever__stream_ends_after_stall_timeout(rig: Rig) -> None:
    site = Site(rig, stall_timeout="500ms")
    initial_window = 4
    vm = site.attacker((initial_window, 0))

    vm.request(1, CSR, end=False)
    vm.send_data(1, message(b""), end=True)  # the answer is an error without a body, or a body
    vm.request(3, ADS)
    vm.send_data(3, message(first_request()))

    site.await_counted("stall_timeout")
    site.assert_others_unharmed()


def end_of_all(s: socket.socket) -> None:
    """Read until it is ended, in whatever way."""
    with contextlib.suppress(ConnectionError):
        while s.recv(65536):
            pass


def test_handshake_timeout__tls_without_http2__ended(rig: Rig) -> None:
    site = Site(rig, handshake_timeout="300ms")
    silent = until(lambda: Http2(rig.port), "a TLS handshake that was in time")
    rig.sockets.append(silent.tls)

    end_of_all(silent.tls)  # no answer to its SETTINGS

    site.await_counted("handshake_timeout")
    site.assert_others_unharmed()


def test_unauthenticated_streams__limited_over_all_connections(rig: Rig) -> None:
    site = Site(rig, unauthenticated_streams_per_second=1, new_streams_per_second=1000,
                streams_per_connection=1000, ads_streams_per_vm=1000)
    statuses = []

    for _ in range(4):
        vm = site.attacker()
        with vm.at_once():
            for stream in [1, 3, 5]:
                vm.request(stream, CSR)
                vm.send_data(stream, message(b""), end=True)
        statuses += [vm.read_until_ended(stream).get("grpc-status") for stream in [1, 3, 5]]

    assert "14" in statuses
    site.await_counted("unauthenticated_streams_per_second")
    site.assert_others_unharmed()


def floods() -> dict[str, object]:
    def pings(vm: Http2) -> None:
        vm.send_raw(b"".join([b"\0\0\x08\x06\0\0\0\0\0" + b"x" * 8] * 500))

    def settings(vm: Http2) -> None:
        vm.send_raw(b"\0\0\0\x04\0\0\0\0\0" * 500)

    def resets(vm: Http2) -> None:
        for i in range(50):
            vm.next_stream = getattr(vm, "next_stream", -1) + 2
            vm.request(vm.next_stream)
            vm.send(RST_STREAM, 0, vm.next_stream, b"\0\0\0\x08")

    def empty_data(vm: Http2) -> None:
        if not hasattr(vm, "next_stream"):
            vm.next_stream = 1
            vm.request(1)
        vm.send_raw(b"\0\0\0\0\0\0\0\0\x01" * 500)

    def window_updates(vm: Http2) -> None:
        vm.send_raw(b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x01" * 500)

    def priorities(vm: Http2) -> None:
        vm.send_raw(b"\0\0\x05\x02\0\0\0\0\x03\0\0\0\0\x10" * 500)

    return {f.__name__: f for f in [pings, settings, resets, empty_data, window_updates, priorities]}


@pytest.mark.parametrize("kind", floods())
def test_flood_of_frames__connection_ends(rig: Rig, kind: str) -> None:
    site = Site(rig, frame_flood=1000, new_streams_per_second=1000000)
    vm = site.attacker()
    sent = 0

    while sent < 40 and not vm.closed:
        floods()[kind](vm)
        sent += 1
        vm.look(0.05)

    assert vm.read_until_closed() in (None, ENHANCE_YOUR_CALM, PROTOCOL_ERROR)
    site.gateway.await_at_least('xdsgate_limit_reached_total{limit="frame_flood"}', 1)
    site.assert_others_unharmed()


def flood_it(vm: Http2) -> None:
    vm.send_raw(b"\0\0\0\x04\0\0\0\0\0" * 1100)
    vm.read_until_closed()


def break_the_protocol(vm: Http2) -> None:
    vm.send_raw(b"\0\0\x01\x06\0\0\0\0\0x")  # a PING of one octet
    vm.read_until_closed()


def ask_nothing(vm: Http2) -> None:
    vm.tls.shutdown(socket.SHUT_WR)
    vm.read_until_closed()


@pytest.mark.parametrize("bad,most", [(flood_it, 3), (break_the_protocol, 4), (ask_nothing, 40)])
def test_bad_connections__their_source_is_closed_at_the_door(
        rig: Rig, bad: Callable[[Http2], None], most: int) -> None:
    site = Site(rig, bad_connections_per_second=1, frame_flood=1000)

    done = 0
    while not site.gateway.has_logged("connection refused") and done <= most:
        try:
            vm = Http2(rig.port, site.token, source="127.0.0.9").begin()
        except OSError:
            break
        rig.sockets.append(vm.tls)
        bad(vm)
        vm.close()
        done += 1

    assert 1 <= done <= most
    assert end_of(rig.connect("127.0.0.9")) in ("fin", "reset")
    site.await_counted("bad_connections_per_second")
    site.gateway.await_log("connection refused", limit="bad_connections_per_second")
    late = rig.vms("--no-csr", "--name-prefix", "late", "--ip-base", "10.99.2.1")
    site.istiod.await_synced(2)
    assert late.status()[0]["streams_opened"] == 1
    site.assert_others_unharmed()


def test_header_bomb__connection_ends(rig: Rig) -> None:
    site = Site(rig)
    vm = site.attacker()
    value = b"y" * 3900

    vm.send(1, 4, 1, b"\x40\x01x" + integer(len(value), 7) + value + b"\xbe" * 12000)

    assert vm.read_until_closed() == ENHANCE_YOUR_CALM
    site.await_counted("header_bytes")
    site.assert_others_unharmed()


def test_message_in_tiny_frames__connection_ends(rig: Rig) -> None:
    site = Site(rig, frame_flood=100)
    vm = site.attacker()

    vm.request(1)
    vm.send_raw(b"".join(frame(0, 0, 1, bytes([byte])) for byte in message(b"x" * 200)))

    assert vm.read_until_closed() == ENHANCE_YOUR_CALM
    site.await_counted("frame_flood")
    site.assert_others_unharmed()


# ---- what is no gRPC call of an agent ----


@pytest.mark.parametrize("path", ["/envoy.service.discovery.v3.AggregatedDiscoveryService/Nothing",
                                  "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/"])
def test_other_methods__12_without_reaching_istiod(rig: Rig, path: str) -> None:
    site = Site(rig)
    streams = site.istiod.counter("unimplemented")
    vm = site.attacker()

    vm.request(1, path)
    vm.send_data(1, NODE, end=True)

    assert vm.read_until_ended(1)["grpc-status"] == "12"
    assert site.istiod.counter("unimplemented") == streams


def test_not_grpc__415(rig: Rig) -> None:
    site = Site(rig)
    vm = site.attacker()

    vm.request(1, replace={"content-type": "text/html"}, end=True)

    assert vm.read_until_ended(1)[":status"] == "415"


def test_xfcc_in_trailers__gone(rig: Rig) -> None:
    site = Site(rig)
    vm = site.attacker()
    ok = site.istiod.counter("csr_failed")

    vm.request(1, CSR)
    vm.send_data(1, message(b""))
    vm.send(1, 5, 1, header_block([("x-forwarded-client-cert", "URI=spiffe://a/ns/b/sa/c")]))

    assert "grpc-status" in vm.read_until_ended(1)
    site.gateway.await_at_least("xdsgate_xfcc_headers_removed_total", 1)
    assert site.istiod.counter("csr_failed") >= ok


@pytest.mark.parametrize("offer", [[], ["http/1.1"]])
def test_alpn_without_h2__handshake_fails(rig: Rig, offer: list[str]) -> None:
    site = Site(rig)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if offer:
        context.set_alpn_protocols(offer)

    with connect(rig.port) as s, pytest.raises(ssl.SSLError):
        context.wrap_socket(s, server_hostname="istiod.istio-system.svc")

    site.gateway.await_at_least('xdsgate_handshakes_total{result="failed"}', 1)


def test_garbage_instead_of_http2__ended(rig: Rig) -> None:
    site = Site(rig)
    vm = Http2(rig.port)
    rig.sockets.append(vm.tls)

    vm.send_raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    vm.read_until_closed()
    site.gateway.await_at_least('xdsgate_connections_ended_total{reason="http2_error"}', 1)
    site.assert_others_unharmed()


def test_silent_connections__do_not_keep_others_out(rig: Rig) -> None:
    site = Site(rig, handshakes_in_flight=4)

    for _ in range(50):
        rig.connect()
    late = rig.vms("--no-csr", "--name-prefix", "late", "--ip-base", "10.99.2.1")

    site.istiod.await_synced(2)
    assert late.status()[0]["streams_opened"] == 1


def real_client_hello() -> bytes:
    """As a VM sends it, and nothing more."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2"])
    out = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="istiod.istio-system.svc")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


def test_handshakes_that_stop_in_the_middle__do_not_keep_others_out(rig: Rig) -> None:
    site = Site(rig, handshakes_in_flight=4)

    for _ in range(12):
        rig.connect().sendall(real_client_hello())
    site.await_counted("handshakes_in_flight")
    late = rig.vms("--no-csr", "--name-prefix", "late", "--ip-base", "10.99.2.1")

    site.istiod.await_synced(2)
    assert late.status()[0]["streams_opened"] == 1


def test_gone_while_it_waited_for_its_handshake__is_skipped(rig: Rig) -> None:
    site = Site(rig, handshakes_in_flight=1, handshake_timeout="60s")

    hello = real_client_hello()
    waiting = [rig.connect() for _ in range(100)]  # two a second are let in all the same
    for connection in waiting:
        connection.sendall(hello)
    site.await_counted("handshakes_in_flight")
    for connection in waiting:
        connection.close()

    site.gateway.await_log("connection refused", detail="while it waited for its handshake")
    site.assert_others_unharmed()
