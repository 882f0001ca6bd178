# SPDX-License-Identifier: Apache-2.0
"""Certificates by `xdsgate cert` in the daemon: what Python's TLS and VMs say, also when one ends
and when roots change."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from conftest import Rig
from rig.cert import cert, verify
from rig.gateway import Gateway
from rig.pki import SERVER_NAME, Pair
from rig.sandbox import GATEWAY_IP, Istiod, Vms
from rig.upstream import connect
from rig.wait import until


def from_istiod(istiod: Istiod, out: Path, *more: object, code: int = 0) -> str:
    """What is said; GATEWAY_IP is the address that it trusts."""
    return cert("issue", "--from-istiod", istiod.endpoint, "--root-cert",
                istiod.dir / "root-cert.pem", "--output", out, *more, code=code).stderr


def test_from_istiod__trusted_address__openssl_and_the_daemon_take_it(rig: Rig) -> None:
    istiod, out = rig.istiod(), rig.folder / "tls"

    from_istiod(istiod, out, "--source", GATEWAY_IP, "--revision", "canary")

    verify(out)
    verify(out, name="istiod-canary.istio-system.svc")
    rig.gateway(rig.terminate(istiod, pair=Pair(out / "tls.crt", out / "tls.key")))
    rig.vms()
    istiod.await_synced(1)
    first = (out / "tls.crt").read_bytes()
    from_istiod(istiod, out, "--source", GATEWAY_IP, "--renew")
    verify(out, name="istiod-canary.istio-system.svc")
    assert (out / "tls.crt").read_bytes() != first


@pytest.mark.parametrize("key", ["ecdsa-p256", "rsa-2048", "rsa-3072"])
def test_daemon_serves_what_was_issued(rig: Rig, tmp_path: Path, key: str) -> None:
    istiod = rig.istiod()
    out = tmp_path / "tls"
    cert("issue", "--self-signed-ca", tmp_path / "ca", "--output", out, "--key", key)
    rig.gateway(rig.terminate(istiod, pair=Pair(out / "tls.crt", out / "tls.key")))
    context = ssl.create_default_context(cafile=str(out / "root-cert.pem"))
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    context.set_alpn_protocols(["h2"])

    with connect(rig.port) as s, context.wrap_socket(s, server_hostname=SERVER_NAME) as tls:
        assert tls.selected_alpn_protocol() == "h2"
        assert ("DNS", SERVER_NAME) in tls.getpeercert()["subjectAltName"]


# ---- the daemon, when certificates end or roots change ----


def test_daemon_warns_once__renewed_under_it__is_content(rig: Rig, tmp_path: Path) -> None:
    istiod = rig.istiod()
    out, ca = tmp_path / "tls", tmp_path / "ca"
    cert("issue", "--self-signed-ca", ca, "--output", out, "--validity", "5d")
    gateway = rig.gateway(rig.terminate(istiod, pair=Pair(out / "tls.crt", out / "tls.key")))
    gateway.await_log("certificate expires soon", name="istiod", days_left=4,
                      what="a serving certificate of the listener")
    row = 'xdsgate_certificate_expiry_timestamp_seconds{listener="istiod"}'
    before = gateway.metric(row)

    gateway.reload()  # the same certificate: nothing new to be said
    cert("issue", "--self-signed-ca", ca, "--output", out, "--renew")

    until(lambda: gateway.metric(row) > before + 80 * 86400, "the new certificate is in force")
    assert len([line for line in gateway.log() if line["msg"] == "certificate expires soon"]) == 1
    metrics = gateway.metrics()
    assert metrics['xdsgate_client_roots_expiry_timestamp_seconds{listener="istiod"}'] > before
    assert metrics['xdsgate_upstream_roots_expiry_timestamp_seconds{upstream="istiod"}'] > before


def come_again(gateway: Gateway, vms: Vms) -> None:
    """On new connections, without the token: the certificate has to be believed."""
    vms.ask("stop", "all")
    gateway.await_idle()
    vms.ask("start", "all")
    gateway.await_metric("xdsgate_streams", 1)


def test_rotation_of_the_root__both_are_accepted_on_both_sides(rig: Rig, tmp_path: Path) -> None:
    old = rig.istiod()
    new = Istiod(tmp_path / "new")  # with a root of its own
    roots = tmp_path / "roots.pem"
    rig.istiods.append(new)
    roots.write_bytes((old.dir / "root-cert.pem").read_bytes())

    def config(istiod: Istiod) -> dict:
        config = rig.terminate(istiod)  # with a serving certificate of its root
        config["listeners"][0]["tls"]["client_roots"] = [str(roots)]
        config["upstreams"][0]["tls"]["roots"] = [str(roots)]
        return config

    gateway = rig.gateway(config(old))
    first = rig.vms("--token-once")
    old.await_synced(1)
    until(lambda: first.status()[0]["certificate"], "it has a certificate of the old root")

    roots.write_bytes((new.dir / "root-cert.pem").read_bytes() + roots.read_bytes())
    gateway.await_log("configuration in force", generation=2)

    come_again(gateway, first)
    old.await_synced(1)
    first.stop()
    gateway.await_idle()
    gateway.reload(config(new))
    rig.istiods.reverse()  # VMs are of the first one
    second = rig.vms("--token-once", "--name-prefix", "later")
    new.await_synced(1)
    until(lambda: second.status()[0]["certificate"], "it has a certificate of the new root")
    come_again(gateway, second)
    new.await_synced(1)
