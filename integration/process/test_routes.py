# SPDX-License-Identifier: Apache-2.0
"""Which route a connection takes: by source and by the name in its ClientHello."""

from __future__ import annotations

import pytest

from conftest import Rig
from rig.client_hello import client_hello
from rig.process import free_port
from rig.upstream import Upstream, end_of, receive


def config_of(rig: Rig, rows: list[tuple[list[str] | None, list[str]]]) -> tuple[dict, list[Upstream]]:
    """One passthrough route with an upstream of its own for each (from, sni)."""
    upstreams = [rig.upstream() for _ in rows]
    routes = []
    for i, (sources, names) in enumerate(rows):
        route: dict = {"sni": names, "mode": "passthrough", "upstream": f"u{i}"}
        if sources:
            route["from"] = sources
        routes.append(route)
    return {"listeners": [rig.listener(*routes)],
            "upstreams": [{"name": f"u{i}", "endpoints": [u.endpoint]}
                          for i, u in enumerate(upstreams)]}, upstreams


def assert_arrives(rig: Rig, upstream: Upstream, sni: str | None, source: str = "127.0.0.1") -> None:
    hello = client_hello(sni)
    s = rig.connect(source)
    s.sendall(hello)
    assert receive(upstream.accept(), len(hello)) == hello
    s.close()


def test_sni__first_match_decides(rig: Rig) -> None:
    config, (exact, wildcard, rest) = config_of(rig, [
        (None, ["istiod.istio-system.svc", "second.example"]),
        (None, ["*.mesh.example"]),
        (None, ["*"])])
    rig.gateway(config)

    for sni, upstream in [("istiod.istio-system.svc", exact), ("second.example", exact),
                          ("ISTIOD.Istio-System.svc", exact),
                          ("a.mesh.example", wildcard), ("a.b.mesh.example", wildcard),
                          ("mesh.example", rest), ("xmesh.example", rest),
                          ("istiod.istio-system.svc.cluster.local", rest), (None, rest)]:
        assert_arrives(rig, upstream, sni)


def test_source__network_and_name_must_both_match(rig: Rig) -> None:
    config, (moved, one, rest) = config_of(rig, [
        (["127.0.7.0/24"], ["istiod.istio-system.svc"]),
        (["127.0.8.9", "127.0.9.0/30"], ["*"]),
        (None, ["*"])])
    rig.gateway(config)

    for source, sni, upstream in [
            ("127.0.7.1", "istiod.istio-system.svc", moved),
            ("127.0.7.255", "istiod.istio-system.svc", moved),
            ("127.0.6.255", "istiod.istio-system.svc", rest),
            ("127.0.7.1", "other.example", rest),
            ("127.0.8.9", None, one), ("127.0.9.3", "x.example", one),
            ("127.0.8.8", None, rest), ("127.0.9.4", "x.example", rest)]:
        assert_arrives(rig, upstream, sni, source)


def test_no_route__closed_and_counted(rig: Rig) -> None:
    config, (only,) = config_of(rig, [(["127.0.7.0/24"], ["istiod.istio-system.svc"])])
    gateway = rig.gateway(config)

    ends = [end_of(rig.say_hello(sni, source)) for sni, source in [
        ("other.example", "127.0.7.1"), (None, "127.0.7.1"),
        ("istiod.istio-system.svc", "127.0.8.1")]]

    assert len(ends) == 3
    gateway.await_metric("xdsgate_connections_without_route_total", 3)
    gateway.await_metric('xdsgate_connections_ended_total{reason="no_route"}', 3)
    gateway.await_log("connection refused", reason="no_route")
    assert_arrives(rig, only, "istiod.istio-system.svc", "127.0.7.1")


def test_hello__byte_by_byte__still_routed(rig: Rig) -> None:
    config, (named, _) = config_of(rig, [(None, ["istiod.istio-system.svc"]), (None, ["*"])])
    gateway = rig.gateway(config)
    hello = client_hello("istiod.istio-system.svc")
    s = rig.connect()
    s.setsockopt(6, 1, 1)  # TCP_NODELAY

    for i in range(len(hello)):
        s.sendall(hello[i:i + 1])
        if i == len(hello) // 2:
            gateway.await_metric("xdsgate_connections_accepted_total", 1)

    assert receive(named.accept(), len(hello)) == hello


def test_hello__in_many_tls_records__still_routed(rig: Rig) -> None:
    config, (named, _) = config_of(rig, [(None, ["istiod.istio-system.svc"]), (None, ["*"])])
    rig.gateway(config)
    message = client_hello("istiod.istio-system.svc")[5:]
    records = b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part
                       for part in (message[i:i + 7] for i in range(0, len(message), 7)))
    s = rig.connect()

    s.sendall(records)

    assert receive(named.accept(), len(records)) == records


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                                   b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x00\x00",
                                   b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", b"\0" * 600])
def test_not_a_hello__closed_and_counted(rig: Rig, first: bytes) -> None:
    config, (only,) = config_of(rig, [(None, ["*"])])
    gateway = rig.gateway(config)
    s = rig.connect()

    s.sendall(first)

    end_of(s)
    gateway.await_metric('xdsgate_connections_ended_total{reason="not_tls"}', 1)
    assert_arrives(rig, only, None)


def test_hello_never_complete__closed_after_handshake_timeout(rig: Rig) -> None:
    config, _ = config_of(rig, [(None, ["*"])])
    config["listeners"][0]["limits"] = {"handshake_timeout": "200ms"}
    gateway = rig.gateway(config)
    silent, half = rig.connect(), rig.connect()

    half.sendall(client_hello("x.example")[:40])

    for s in [silent, half]:
        end_of(s)
    gateway.await_metric('xdsgate_connections_ended_total{reason="handshake_timeout"}', 2)
    gateway.await_metric('xdsgate_limit_reached_total{limit="handshake_timeout"}', 2)


def test_peer_gone_before_its_hello__nothing_left(rig: Rig) -> None:
    config, _ = config_of(rig, [(None, ["*"])])
    gateway = rig.gateway(config)

    for _ in range(5):
        rig.connect().close()

    gateway.await_metric("xdsgate_connections_accepted_total", 5)
    gateway.await_idle()


def test_two_addresses__each_with_its_own_listener(rig: Rig) -> None:
    config, (first,) = config_of(rig, [(None, ["*"])])
    second, port = rig.upstream(), free_port()
    config["listeners"].append({"name": "eastwest", "bind": [f"127.0.0.1:{port}", f"[::1]:{port}"],
                                "routes": [{"sni": ["*"], "mode": "passthrough", "upstream": "ew"}]})
    config["upstreams"].append({"name": "ew", "endpoints": [second.endpoint]})
    rig.gateway(config)

    assert_arrives(rig, first, "a.example")
    s = rig.connect(port=port)
    s.sendall(client_hello("a.example"))
    assert second.accept()
