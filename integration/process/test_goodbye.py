# SPDX-License-Identifier: Apache-2.0
"""VMs that leave, are gone, or may not stay: noticed, and counted as what it was."""

from __future__ import annotations

import socket
import ssl
import time
from copy import deepcopy
from pathlib import Path

import pytest

from conftest import Rig
from rig.client_hello import client_hello
from rig.gateway import Gateway
from rig.http2 import CSR, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, Http2
from rig.http2 import header_block, message
from rig.pki import Pair, issue_between, openssl, request
from rig.sandbox import Istiod
from rig.upstream import Upstream, end_of, receive, reset
from rig.wait import LONG_S, until

NO_ERROR, REFUSED_STREAM, ENHANCE_YOUR_CALM = 0, 7, 11  # RFC 9113, 7
VM_URI = "spiffe://cluster.local/ns/vms/sa/vm"
HELLO = client_hello("istiod.istio-system.svc")
LOOK_S = 15  # how often the daemon looks at a side of a passthrough connection that may be gone


def ended(reason: str) -> str:
    return f'xdsgate_connections_ended_total{{reason="{reason}"}}'


def relay(rig: Rig, *options: object, **limits: object) -> tuple[Gateway, Istiod]:
    istiod = rig.istiod("--rate", 0, *options)
    return rig.gateway(rig.terminate(istiod, listener={"limits": limits})), istiod


def connect(rig: Rig, token: str | None = None, pair: Pair | None = None) -> Http2:
    vm = Http2(rig.port, token, pair=(pair.certificate, pair.private_key) if pair else None)
    rig.sockets.append(vm.tls)
    return vm.begin()


def token_of(istiod: Istiod) -> str:
    return (istiod.dir / "token").read_text().strip()


def test_goaway_without_error__vm_closed(rig: Rig) -> None:
    gateway, _ = relay(rig)
    vm = connect(rig)

    vm.send(GOAWAY, 0, 0, bytes(4) + NO_ERROR.to_bytes(4, "big"))

    assert vm.read_until_closed() in (None, NO_ERROR)
    vm.close()
    gateway.await_metric(ended("vm_closed"), 1)
    assert gateway.metric(ended("http2_error")) == 0


def test_trailers_on_a_refused_stream__connection_goes_on(rig: Rig) -> None:
    _, istiod = relay(rig, streams_per_connection=3)
    vm = connect(rig, token_of(istiod))

    for stream in [1, 3, 5, 7]:
        vm.request(stream)  # one too many
    for stream in [1, 3]:
        vm.send(RST_STREAM, 0, stream, bytes([0, 0, 0, 8]))
    vm.request(9)  # a later one is taken before the refused one ends
    vm.send(HEADERS, END_STREAM | END_HEADERS, 7, header_block([("x-trailer", "1")]))
    vm.request(11, "/no.Such/Method", end=True)

    assert vm.read_until_ended(11)["grpc-status"] == "12"
    assert vm.reset[7] == REFUSED_STREAM
    assert vm.goaway is None and not vm.closed


def test_streams_without_credentials__one_after_the_other__flood(rig: Rig) -> None:
    gateway, _ = relay(rig, frame_flood=100, streams_per_connection=1000,
                       new_streams_per_second=1000000)
    vm = connect(rig)
    streams = range(1, 601, 2)

    vm.request(1, CSR, end=True)
    assert vm.read_until_ended(1)["grpc-status"] == "16"
    for stream in streams[1:]:
        vm.request(stream, CSR, end=True)
    while not vm.closed and len(vm.ended) < len(streams):
        vm.read_frame()

    assert vm.goaway == ENHANCE_YOUR_CALM
    gateway.await_metric('xdsgate_limit_reached_total{limit="frame_flood"}', 1)
    gateway.await_metric(ended("frame_flood"), 1)


# ---- certificates that expire ----


def csr_body(csr: str) -> bytes:
    n = len(csr.encode())
    assert 128 <= n < 1 << 14
    return message(bytes([0x0a, n & 127 | 128, n >> 7]) + csr.encode())


def ask_certificate(vm: Http2, stream: int, body: bytes) -> dict[str, str]:
    vm.request(stream, CSR)
    vm.send_data(stream, body, end=True)
    return vm.read_until_ended(stream)


def expiry(certificate: Path) -> float:
    end = openssl("x509", "-in", certificate, "-noout", "-enddate").strip().partition("=")[2]
    return ssl.cert_time_to_seconds(end)


def connect_shortly_before_the_end(rig: Rig, istiod: Istiod, csr: str) -> tuple[Http2, Pair]:
    """A connection on which a stream went well, and its certificate. A machine that has no time for
    that within the certificate's last seconds gets twice as many."""
    root, key = istiod.dir / "root-cert.pem", istiod.dir / "root-key.pem"
    for left in (4, 8, 16, 32):
        now = time.time()
        pair = issue_between(rig.folder, f"vm-{left}", root, key, VM_URI, now - 60, now + left)
        try:
            vm = connect(rig, pair=pair)
            status = ask_certificate(vm, 1, csr_body(csr)).get("grpc-status")
        except (OSError, AssertionError):  # no answer at all
            status = None
        is_over = time.time() >= expiry(pair.certificate)
        assert is_over or status == "0", f"a good certificate is refused: {status}"
        if not is_over:
            return vm, pair
    raise AssertionError("the certificate was always over before its first stream")


def test_certificate_expires_on_an_open_connection__no_new_stream(rig: Rig, tmp_path: Path) -> None:
    gateway, istiod = relay(rig)
    csr, _ = request(tmp_path, "fresh", VM_URI)
    vm, pair = connect_shortly_before_the_end(rig, istiod, csr)
    taken, over = istiod.counter("csr_ok"), gateway.metric(ended("certificate_expired"))

    until(lambda: time.time() >= expiry(pair.certificate), "the certificate has expired")
    vm.request(3, CSR)
    vm.send_data(3, csr_body(csr), end=True)

    assert vm.read_until_closed() == NO_ERROR
    assert vm.headers.get(3, {}).get("grpc-status") in ("14", None)  # None: the GOAWAY was quicker
    vm.close()
    assert istiod.counter("csr_ok") == taken
    gateway.await_at_least(ended("certificate_expired"), over + 1)


def test_certificate_expires_soon__said_once_of_the_vm(rig: Rig, tmp_path: Path) -> None:
    """Whose agent should have renewed it long ago; not of one that has half of it left."""
    gateway, istiod = relay(rig)
    now = time.time()
    root = istiod.dir / "root-cert.pem"
    for name, age, left in (("old", 86400, 3000), ("half", 3600, 3600)):
        pair = issue_between(tmp_path, name, root, istiod.dir / "root-key.pem", VM_URI, now - age,
                             now + left)
        rig.vms("--no-csr", "--name-prefix", name, "--ip-base",
                "10.99.1.1" if name == "old" else "10.99.2.1", "--cert", pair.certificate, "--key",
                pair.private_key, no_token=True)
    istiod.await_synced(2)

    line = gateway.await_log("certificate of a VM expires soon")
    assert line["level"] == "warning" and line["vm"] == "old-1.vms"
    assert line["spiffe_id"] == VM_URI and line["expires"]
    rig.vm_programs[0].stop()
    rig.vms("--no-csr", "--name-prefix", "old", "--ip-base", "10.99.1.1", "--cert",
            tmp_path / "old.crt", "--key", tmp_path / "old.key", no_token=True)
    istiod.await_synced(2)
    assert [line["vm"] for line in gateway.log()
            if line["msg"] == "certificate of a VM expires soon"] == ["old-1.vms"]


# ---- passthrough ----


def open_pair(rig: Rig, upstream: Upstream) -> tuple[socket.socket, socket.socket]:
    vm = rig.connect()
    vm.sendall(HELLO)
    istiod = upstream.accept()
    assert receive(istiod, len(HELLO)) == HELLO
    return vm, istiod


def fill(s: socket.socket) -> None:
    """Send until nothing goes any more."""
    s.settimeout(0.5)
    with pytest.raises(TimeoutError):
        while True:
            s.send(bytes(1 << 16))


def test_side_that_is_not_read_resets__noticed_in_time(rig: Rig) -> None:
    upstream = rig.upstream()
    gateway = rig.gateway(rig.passthrough(upstream.endpoint))
    still, sender = open_pair(rig, upstream)  # the VM does not read, and its upstream resets
    leaver, silent = open_pair(rig, upstream)  # the VM half-closes and then resets
    fill(sender)
    leaver.shutdown(socket.SHUT_WR)
    assert end_of(silent) == "fin"

    reset(sender)
    reset(leaver)

    until(lambda: gateway.metric("xdsgate_passthrough_connections") == 0, "both are ended",
          LOOK_S + LONG_S)
    gateway.await_metric(ended("upstream_closed"), 1)
    gateway.await_metric(ended("vm_closed"), 1)
    with pytest.raises(ConnectionResetError):
        while still.recv(1 << 16):
            pass


# ---- certificates that are not accepted any more ----


def test_identity_no_longer_allowed__its_vms_leave_at_the_reload(rig: Rig) -> None:
    istiod = rig.istiod()
    config = rig.terminate(istiod)
    gateway = rig.gateway(config)
    vms = rig.vms("--count", 3)
    istiod.await_synced(3)
    with_none = deepcopy(config)
    with_none["listeners"][0]["vm_identities"] = ["ns/others/sa/*"]

    gateway.reload(with_none)

    until(lambda: istiod.vms() == [], "no VM is left upstream")
    until(lambda: all(vm["last_end"] for vm in vms.status()), "each VM's stream has ended")
    assert {vm["last_end"]["code"] for vm in vms.status()} == {14}
    assert "not in vm_identities" in gateway.await_log("a VM has to leave")["detail"]
    gateway.await_at_least(ended("reload"), 3)
    gateway.reload(config)
    istiod.await_synced(3)


def test_reload_that_changes_nothing_for_them__vms_stay(rig: Rig) -> None:
    istiod = rig.istiod()
    config = rig.terminate(istiod)
    gateway = rig.gateway(config)
    vms = rig.vms("--count", 3)
    istiod.await_synced(3)
    wider = deepcopy(config)
    wider["listeners"][0]["vm_identities"] = ["ns/others/sa/*", "ns/vms/sa/*"]

    gateway.reload(wider)
    gateway.reload(config)
    rig.vms("--name-prefix", "late", "--ip-base", "10.99.2.1")
    istiod.await_synced(4)

    assert [vm["streams_opened"] for vm in vms.status()] == [1, 1, 1]


def test_root_no_longer_trusted__its_vms_leave_at_the_reload(rig: Rig, other_root) -> None:
    istiod = rig.istiod()
    config = rig.terminate(istiod)
    gateway = rig.gateway(config)
    rig.vms("--count", 2)
    istiod.await_synced(2)
    changed = deepcopy(config)
    changed["listeners"][0]["tls"]["client_roots"] = [str(other_root[0])]

    gateway.reload(changed)

    assert "certificate" in gateway.await_log("a VM has to leave")["detail"]
    until(lambda: istiod.vms() == [], "no VM is left upstream")


def test_certificate_expires__open_streams_end(rig: Rig) -> None:
    istiod = rig.istiod("--cert-ttl", 4)
    gateway = rig.gateway(rig.terminate(istiod))
    rig.vms()

    gateway.await_log("a VM has to leave", reason="certificate_expired")
    gateway.await_at_least('xdsgate_streams_ended_total{reason="certificate_expired"}', 1)
