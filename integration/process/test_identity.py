# SPDX-License-Identifier: Apache-2.0
"""Who a VM is to istiod, and who does not get that far."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Rig
from rig.wait import until

SPIFFE = "spiffe://cluster.local/ns/vms/sa/vm"
FORGED = "By=spiffe://cluster.local/ns/x/sa/x;URI=spiffe://cluster.local/ns/istio-system/sa/istiod"


def jwt(claims: dict) -> str:
    """Well-formed, and signed by nobody."""
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'RS256', 'kid': 'x'})}.{part(claims)}.c2lnbmF0dXJl"


def test_xfcc__token_first_then_the_certificate_speaks(rig: Rig) -> None:
    istiod = rig.istiod()
    rig.gateway(rig.terminate(istiod))
    vms = rig.vms()

    row = istiod.await_synced(1)[0]

    assert istiod.counter("csr_ok") == 1
    assert row["authenticated_by"] == "xfcc"
    assert row["identities"] == [SPIFFE]
    assert vms.status()[0]["certificate"]["identities"] == [SPIFFE]


def test_xfcc__certificate_alone__goes_on_without_a_token(rig: Rig) -> None:
    istiod = rig.istiod()
    rig.gateway(rig.terminate(istiod))
    vms = rig.vms("--token-once")
    istiod.await_synced(1)

    vms.ask("renew", "all")
    until(lambda: istiod.counter("csr_ok") == 2, "a certificate got by the certificate")
    vms.ask("restart", "all")

    until(lambda: vms.status()[0]["streams_opened"] >= 2, "a second stream")
    assert istiod.await_synced(1)[0]["authenticated_by"] == "xfcc"


def test_forward__only_the_token_speaks(rig: Rig) -> None:
    istiod = rig.istiod()
    rig.gateway(rig.terminate(istiod, identity="forward"))

    rig.vms()

    row = istiod.await_synced(1)[0]
    assert row["authenticated_by"] == "token"
    assert row["identities"] == [SPIFFE]


def test_passthrough__the_certificate_reaches_istiod_itself(rig: Rig) -> None:
    istiod = rig.istiod()
    rig.gateway(rig.passthrough(istiod.endpoint))

    rig.vms()

    assert istiod.await_synced(1)[0]["authenticated_by"] == "cert"


@pytest.mark.parametrize("identity", ["xfcc", "forward"])
@pytest.mark.parametrize("header", ["x-forwarded-client-cert", "X-Forwarded-Client-Cert"])
def test_forged_xfcc__stripped(rig: Rig, identity: str, header: str) -> None:
    istiod = rig.istiod()
    gateway = rig.gateway(rig.terminate(istiod, identity=identity, source_address=["127.0.0.2"]))

    rig.vms("--header", f"{header.lower()}={FORGED}")

    row = istiod.await_synced(1)[0]
    assert row["identities"] == [SPIFFE]
    assert row["authenticated_by"] == {"xfcc": "xfcc", "forward": "token"}[identity]
    assert gateway.metric("xdsgate_xfcc_headers_removed_total") >= 2  # its CSR and its ADS stream


def test_forged_xfcc__without_certificate_and_token__refused_here(rig: Rig) -> None:
    istiod = rig.istiod()
    rig.gateway(rig.terminate(istiod))

    vms = rig.vms("--no-csr", "--header", f"x-forwarded-client-cert={FORGED}", no_token=True)

    assert vms.await_last_end()["code"] == 16
    assert istiod.counter("streams") == 0


def test_forged_xfcc__anonymous_allowed__still_stripped(rig: Rig) -> None:
    istiod = rig.istiod()
    rules = {"namespace": "off", "service_account": "off", "address": "off"}
    rig.gateway(rig.terminate(istiod, route={"anonymous": "allow"},
                              listener={"registration": {"rules": rules}}))

    vms = rig.vms("--no-csr", "--header", f"x-forwarded-client-cert={FORGED}", no_token=True)

    assert vms.await_last_end()["code"] == 16  # this time istiod says so
    assert istiod.counter("unauthenticated") >= 1
    assert istiod.counter("admitted") == 0


def test_neither_certificate_nor_token__16_without_reaching_istiod(rig: Rig) -> None:
    istiod = rig.istiod()
    gateway = rig.gateway(rig.terminate(istiod))

    vms = rig.vms("--no-csr", no_token=True)

    end = vms.await_last_end()
    assert end["code"] == 16
    assert "neither" in end["text"]
    assert istiod.counter("streams") == 0
    gateway.await_at_least("xdsgate_streams_refused_total", 1)


def test_forward__certificate_without_token__16_with_the_reason(rig: Rig) -> None:
    istiod = rig.istiod()
    rig.gateway(rig.terminate(istiod, identity="forward"))

    vms = rig.vms("--token-once")

    end = vms.await_last_end()
    assert end["code"] == 16
    assert "forward" in end["text"]
    assert istiod.counter("streams") == 0


def in_seconds(seconds: int) -> int:
    return int(time.time()) + seconds


TOKENS: dict[str, Callable[[], str]] = {
    "garbage": lambda: "garbage",
    "two parts": lambda: "YQ.YQ",
    "not base64": lambda: "!!.!!.!!",
    "not JSON": lambda: "YQ.YQ.YQ",
    "expired": lambda: jwt({"aud": ["istio-ca"], "exp": in_seconds(-120),
                            "sub": "system:serviceaccount:vms:vm"}),
    "another audience": lambda: jwt({"aud": ["vault"], "exp": in_seconds(600)}),
    "no audience": lambda: jwt({"exp": in_seconds(600)}),
    "no end": lambda: jwt({"aud": "istio-ca"}),
    "huge": lambda: jwt({"aud": ["istio-ca"], "exp": in_seconds(600), "x": "y" * 9000}),
}


@pytest.mark.parametrize("kind", TOKENS)
def test_token_not_worth_a_question__16_without_reaching_istiod(rig: Rig, kind: str) -> None:
    istiod = rig.istiod()
    gateway = rig.gateway(rig.terminate(istiod))
    token = rig.folder / "token"
    text = TOKENS[kind]()
    token.write_text(text)

    vms = rig.vms("--no-csr", token=token)

    assert vms.await_last_end()["code"] == 16
    assert istiod.counter("streams") == 0
    gateway.await_at_least("xdsgate_tokens_refused_total", 1)
    assert text[:40] not in gateway.process.text()


def test_token_that_only_looks_right__istiod_decides(rig: Rig) -> None:
    istiod = rig.istiod()
    gateway = rig.gateway(rig.terminate(istiod))
    token = rig.folder / "token"
    token.write_text(jwt({"aud": ["istio-ca"], "exp": in_seconds(600),
                          "sub": "system:serviceaccount:vms:vm"}))

    vms = rig.vms("--no-csr", token=token)

    assert vms.await_last_end()["code"] == 16
    assert istiod.counter("unauthenticated") >= 1
    assert gateway.metric("xdsgate_tokens_refused_total") == 0


def certificate_of(rig: Rig, identity: str, *options: str) -> tuple[Path, Path]:
    """A client certificate of the mesh's CA, as the sandbox makes it at its start."""
    home = rig.istiods[0].dir / "certs"
    return home / f"{identity}.crt", home / f"{identity}.key"


@pytest.mark.parametrize("identity", ["istio-system/istiod", "other/vm"])
def test_certificate_not_in_vm_identities__does_not_come_in(rig: Rig, identity: str) -> None:
    istiod = rig.istiod("--identity", "vms/vm", "--identity", identity)
    gateway = rig.gateway(rig.terminate(istiod))
    certificate, key = certificate_of(rig, identity.replace("/", "."))

    vms = rig.vms("--no-csr", "--cert", certificate, "--key", key)

    assert vms.await_last_end()["code"] == 14
    assert istiod.counter("streams") == 0
    gateway.await_at_least('xdsgate_handshakes_total{result="failed"}', 1)


def test_certificate_of_another_root__does_not_come_in(rig: Rig, other_root) -> None:
    istiod = rig.istiod()
    config = rig.terminate(istiod)
    config["listeners"][0]["tls"]["client_roots"] = [str(other_root[0])]
    gateway = rig.gateway(config)
    certificate, key = certificate_of(rig, "vms.vm")

    vms = rig.vms("--no-csr", "--cert", certificate, "--key", key)

    assert vms.await_last_end()["code"] == 14
    assert istiod.counter("streams") == 0
    gateway.await_at_least('xdsgate_handshakes_total{result="failed"}', 1)


def test_token_of_another_beside_a_certificate__the_certificate_speaks(rig: Rig) -> None:
    istiod = rig.istiod("--identity", "vms/vm", "--identity", "vms/other")
    rig.gateway(rig.terminate(istiod))
    certificate, key = certificate_of(rig, "vms.vm")

    rig.vms("--no-csr", "--cert", certificate, "--key", key,
            token=istiod.dir / "tokens/vms.other")

    assert istiod.await_synced(1)[0]["identities"] == [SPIFFE]
