# SPDX-License-Identifier: Apache-2.0
"""`xdsgate bundle verify`: files of a bundle in a folder and installed on a VM, and a control plane
that answers, or does not, in each of the usual ways. Needs root."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from rig.doctor import with_silence
from rig.gateway import BINARY, ROOT
from rig.jwt import vm_token
from rig.pki import NEW_KEY, SERVER_NAME, Pair, issue, openssl
from rig.vm_image import VmImage
from rig.vm_side import ADDRESS, PORT, Mesh, loses_large_packets, says_nothing, tls

GOLDEN = ROOT / "tests/bootstrap/golden"
GATEWAY_NAME = "gw.example.com"
GATEWAY_ROOT_AT = "/var/lib/istio/envoy/gateway-root.pem"


# ---- the command ----

def token(seconds: int, account: str = "web") -> str:
    return vm_token(time.time() + seconds, account)


def verify(*options: object, code: int = 0) -> str:
    done = subprocess.run([BINARY, "bundle", "verify", *map(str, options)], text=True, check=False,
                          capture_output=True, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stderr == "" or code == 2
    return done.stdout + done.stderr


def test_verify__usage__a_folder_or_installed() -> None:
    assert "name the folder of a bundle, or say --installed" in verify(code=2)
    assert "name the folder" in verify("x", "--installed", code=2)


def test_verify__good_folder_without_network__good(bundle: Path) -> None:
    assert verify(bundle, "--no-network") == "good\n"


def test_verify__bad_folder__says_what_and_what_to_do_and_exits_1(bundle: Path) -> None:
    (bundle / "istio-token").write_text(token(-7200))
    (bundle / "hosts").unlink()

    said = verify(bundle, "--no-network", code=1)

    assert said.splitlines() == [
        "bad      hosts: is missing",
        "         -> make the bundle anew with xdsgate bundle create",
        "bad      istio-token: ran out 2 h ago",
        "         -> xdsgate bundle renew makes a new one",
        "not good"]


def test_verify__json__has_the_same(bundle: Path) -> None:
    (bundle / "istio-token").unlink()

    answer = json.loads(verify(bundle, "--no-network", "-o", "json"))

    assert answer["verdict"] == "warning"
    [finding] = answer["findings"]
    assert finding["level"] == "warning"
    assert finding["what"] == "istio-token"
    assert set(finding) == {"level", "what", "text", "cure"}


def test_verify__never_shows_the_token(bundle: Path) -> None:
    secret = (bundle / "istio-token").read_text()
    for broken in [secret, secret + "\nx", secret[:-5] + "*", "x" + secret]:
        (bundle / "istio-token").write_text(broken)
        said = verify(bundle, "--no-network", code=0 if broken == secret else 1)
        assert said == "good\n" or said.startswith("bad      istio-token: ")
        assert secret[30:60] not in said


# ---- with a network ----

def test_network__control_plane_answers__good(bundle: Path, mesh: Mesh, network: None,
                                              serve: Callable[..., None]) -> None:
    pair = mesh.pair()
    serve(lambda connection: tls(connection, pair))

    said = verify(bundle).splitlines()

    assert said[0].startswith(f"good     network: {ADDRESS}:{PORT} ({SERVER_NAME}) answers with a "
                              "certificate that is believed (")
    assert said[1:] == ["good"]


def test_network__two_gateways_one_is_down__it_is_named(bundle: Path, mesh: Mesh, network: None,
                                                        serve: Callable[..., None]) -> None:
    (bundle / "hosts").write_text(f"{ADDRESS} {SERVER_NAME}\nfd00::5 {SERVER_NAME}\n")
    pair = mesh.pair()
    serve(lambda connection: tls(connection, pair), "fd00::5")

    said = verify(bundle, code=1)

    assert f"bad      network: {ADDRESS}:{PORT} ({SERVER_NAME}): connection refused\n" in said
    assert f"good     network: [fd00::5]:{PORT} ({SERVER_NAME}) answers" in said


@pytest.mark.parametrize(("treat", "text", "patience"), [
    (lambda c, p: c.close(), "it closed the connection", "20s"),
    (lambda c, p: says_nothing(c), "no answer to TLS within 1 s", "1s"),
    (lambda c, p: (c.sendall(b"HTTP/1.1 400 Bad\r\n\r\n"), says_nothing(c)),
     "wrong version number", "20s"),
    (lambda c, p: tls(c, p, "http/1.1"), "it does not speak HTTP/2", "20s"),
])
def test_network__no_xdsgate_there__said(bundle: Path, mesh: Mesh, network: None,
                                         serve: Callable[..., None],
                                         treat: Callable[[socket.socket, Pair], None],
                                         text: str, patience: str) -> None:
    pair = mesh.pair("http1")
    serve(lambda connection: treat(connection, pair))

    assert f"bad      network: {ADDRESS}:{PORT} ({SERVER_NAME}): {text}" in \
        verify(bundle, "--timeout", patience, code=1)


def test_network__certificate_of_another_mesh_or_name__not_believed(
        bundle: Path, mesh: Mesh, network: None, serve: Callable[..., None],
        tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Mesh(tmp_path / "other", tmp_path / "other/root.pem", tmp_path / "other/root.key")
    openssl("req", "-x509", *NEW_KEY, "-subj", "/O=other", "-days", "9", "-keyout", other.key,
            "-out", other.root, "-addext", "keyUsage=critical,keyCertSign")
    stranger = other.pair()
    serve(lambda connection: tls(connection, stranger))
    assert "unable to get local issuer certificate" in verify(bundle, code=1)

    good = mesh.pair()
    serve(lambda connection: tls(connection, good), "fd00::5")
    (bundle / "hosts").write_text("fd00::5 istiod-canary.istio-system.svc\n")
    (bundle / "cluster.env").write_text("ISTIO_NAMESPACE=vms\nSERVICE_ACCOUNT=web\n"
                                        f"PILOT_ADDRESS=istiod-canary.istio-system.svc:{PORT}\n")
    assert "hostname mismatch" in verify(bundle, code=1).lower()


@pytest.fixture
def private(tmp_path: Path) -> Mesh:
    """An authority of the gateway's own."""
    folder = tmp_path / "private"
    folder.mkdir()
    authority = Mesh(folder, folder / "root.pem", folder / "root.key")
    openssl("req", "-x509", *NEW_KEY, "-subj", "/O=gateway", "-days", "90", "-keyout",
            authority.key, "-out", authority.root, "-addext", "keyUsage=critical,keyCertSign")
    return authority


@pytest.fixture
def gateway_bundle(bundle: Path, private: Mesh) -> Path:
    """As `bundle create --gateway-name gw.example.com --gateway-root FILE` makes it."""
    (bundle / "mesh.yaml").write_text("defaultConfig:\n"
                                      f"  discoveryAddress: {GATEWAY_NAME}:{PORT}\n")
    with open(bundle / "cluster.env", "a", encoding="ascii") as env:
        env.write(f"CA_ADDR='{GATEWAY_NAME}:{PORT}'\nXDS_ROOT_CA='{GATEWAY_ROOT_AT}'\n"
                  f"CA_ROOT_CA='{GATEWAY_ROOT_AT}'\n")
    (bundle / "gateway-root.pem").write_text(private.root.read_text())
    (bundle / "hosts").write_text(f"{ADDRESS} {SERVER_NAME} {GATEWAY_NAME}\n")
    return bundle


def serve_as_gateway(serve: Callable[..., None], authority: Mesh) -> None:
    pair = issue(authority.folder, "gw", authority.root, authority.key, 30, f"DNS:{GATEWAY_NAME}")
    serve(lambda connection: tls(connection, pair))


def test_network__gateway_with_a_root_of_its_own__good(
        gateway_bundle: Path, private: Mesh, network: None, serve: Callable[..., None]) -> None:
    serve_as_gateway(serve, private)

    said = verify(gateway_bundle).splitlines()

    assert said[0].startswith(f"good     network: {ADDRESS}:{PORT} ({GATEWAY_NAME}) answers")
    assert said[1:] == ["good"]


def test_network__gateway_shows_the_meshs_certificate__not_believed(
        gateway_bundle: Path, mesh: Mesh, network: None, serve: Callable[..., None]) -> None:
    """It is not the root that this VM judges by."""
    serve_as_gateway(serve, mesh)

    assert verify(gateway_bundle, code=1).splitlines() == [
        f"bad      network: {ADDRESS}:{PORT} ({GATEWAY_NAME}): certificate: unable to get local "
        "issuer certificate: by no root in gateway-root.pem",
        "         -> xdsgate cert show on the gateway says by whom its certificate is and whether its "
        "chain is whole; another root comes by xdsgate bundle renew --gateway-root FILE; a route that "
        "passes through shows istiod's certificate",
        "not good"]


def test_network__gateway_does_not_send_its_intermediate__not_called_another_root(
        gateway_bundle: Path, private: Mesh, network: None, serve: Callable[..., None],
        tmp_path: Path) -> None:
    """The root is there, so a renewal would bring nothing."""
    folder = tmp_path / "between"
    folder.mkdir()
    between = Mesh(folder, folder / "ca.pem", folder / "ca.key")
    (folder / "ca.cnf").write_text("basicConstraints=critical,CA:true\n")
    openssl("req", "-new", *NEW_KEY, "-subj", "/O=between", "-keyout", between.key, "-out",
            folder / "ca.csr")
    openssl("x509", "-req", "-in", folder / "ca.csr", "-CA", private.root, "-CAkey", private.key,
            "-days", "9", "-extfile", folder / "ca.cnf", "-out", between.root)
    serve_as_gateway(serve, between)

    said = verify(gateway_bundle, code=1)

    assert "unable to get local issuer certificate: by no root in gateway-root.pem\n" in said
    assert "-> xdsgate cert show on the gateway says by whom its certificate is and whether its " \
        "chain is whole; " in said


def test_network__gateway_has_a_new_authority__renewal_brings_its_root(
        gateway_bundle: Path, private: Mesh, network: None, serve: Callable[..., None],
        tmp_path: Path) -> None:
    """One of the same name, whose signature tells. A name that is wrong is no matter of roots."""
    (tmp_path / "new").mkdir()
    new = Mesh(tmp_path / "new", tmp_path / "new/root.pem", tmp_path / "new/root.key")
    openssl("req", "-x509", *NEW_KEY, "-subj", "/O=gateway", "-days", "90", "-keyout", new.key,
            "-out", new.root, "-addext", "keyUsage=critical,keyCertSign")
    serve_as_gateway(serve, new)
    assert "by no root in gateway-root.pem" in verify(gateway_bundle, code=1)
    (tmp_path / "group.yaml").write_text(
        "metadata: {name: web, namespace: vms}\nspec: {template: {serviceAccount: web}}\n")

    subprocess.run([BINARY, "bundle", "renew", "-f", tmp_path / "group.yaml", "--rootCert",
                    gateway_bundle / "root-cert.pem", "--token", gateway_bundle / "istio-token",
                    "--gateway-name", f"{GATEWAY_NAME}:{PORT}", "--gateway-root", new.root, "-o",
                    gateway_bundle], check=True, capture_output=True)
    assert verify(gateway_bundle).splitlines()[1:] == ["good"]

    (gateway_bundle / "mesh.yaml").write_text(
        f"defaultConfig: {{discoveryAddress: 'other.example.com:{PORT}'}}\n")
    (gateway_bundle / "hosts").write_text(f"{ADDRESS} other.example.com {GATEWAY_NAME}\n")
    said = verify(gateway_bundle, code=1)
    assert "(other.example.com): certificate: hostname mismatch\n" in said.lower()
    assert "--gateway-root" not in said


def test_network__gateways_root_is_missing__named_and_nobody_called(
        gateway_bundle: Path, private: Mesh, network: None, serve: Callable[..., None]) -> None:
    serve_as_gateway(serve, private)
    (gateway_bundle / "gateway-root.pem").unlink()

    assert verify(gateway_bundle, code=1).splitlines() == [
        "bad      gateway-root.pem: is missing: cluster.env names it (XDS_ROOT_CA), and the agent "
        "ends without it",
        "         -> make the bundle anew with --gateway-root",
        "not good"]


def test_network__certificate_expired__clock_or_renewal(bundle: Path, mesh: Mesh, network: None,
                                                        serve: Callable[..., None]) -> None:
    pair = mesh.pair("old", days=-1)
    serve(lambda connection: tls(connection, pair))

    said = verify(bundle, code=1)

    assert (f"bad      clock: the certificate of {ADDRESS}:{PORT} ({SERVER_NAME}) has expired, or "
            "this machine's clock is ahead") in said


def test_network__certificate_is_from_the_future__clock_is_behind(
        bundle: Path, mesh: Mesh, network: None, serve: Callable[..., None]) -> None:
    pair = mesh.from_tomorrow()
    serve(lambda connection: tls(connection, pair))

    said = verify(bundle, code=1)

    assert f"this machine's clock is behind: the certificate of {ADDRESS}:{PORT}" in said
    assert "set the clock: timedatectl" in said


def test_network__certificate_expires_soon__warning(bundle: Path, mesh: Mesh, network: None,
                                                    serve: Callable[..., None]) -> None:
    pair = mesh.pair("short", days=1)
    serve(lambda connection: tls(connection, pair))

    said = verify(bundle)

    assert "warning  network: the certificate of" in said
    assert said.endswith("good, with warnings\n")


def test_network__large_packets_are_lost__mtu(bundle: Path, mesh: Mesh, network: None,
                                              serve: Callable[..., None]) -> None:
    pair = mesh.pair()
    serve(lambda connection: loses_large_packets(connection, pair))

    said = with_silence(lambda patience: verify(bundle, "--timeout", patience, code=1),
                        lambda said: "MTU" in said)

    assert f"bad      MTU: large packets to {ADDRESS}:{PORT} ({SERVER_NAME}) get lost" in said


# ---- installed on a VM ----

def verify_vm(vm: VmImage, *options: str, code: int = 0) -> str:
    done = vm.enter("xdsgate", "bundle", "verify", "--installed", *options)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_installed__by_the_script__good(vm: VmImage, mesh: Mesh, network: None,
                                        serve: Callable[..., None]) -> None:
    pair = mesh.pair()
    serve(lambda connection: tls(connection, pair))

    said = verify_vm(vm).splitlines()

    assert said[0].startswith(f"good     network: {ADDRESS}:{PORT} ({SERVER_NAME}) answers")
    assert said[1:] == ["good"]


def test_installed__gateway_with_a_root_of_its_own__good(
        gateway_bundle: Path, vm: VmImage, private: Mesh, network: None,
        serve: Callable[..., None]) -> None:
    serve_as_gateway(serve, private)
    assert verify_vm(vm).splitlines()[1:] == ["good"]
    (vm.root / GATEWAY_ROOT_AT.lstrip("/")).write_text("broken\n")

    said = verify_vm(vm, code=1)

    assert f"bad      {GATEWAY_ROOT_AT}: has neither" in said
    assert "-> xdsgate bundle renew --gateway-root FILE brings another" in said
    (vm.root / GATEWAY_ROOT_AT.lstrip("/")).write_bytes(
        (gateway_bundle / "root-cert.pem").read_bytes())

    said = verify_vm(vm, code=1)

    assert f"by no root in {GATEWAY_ROOT_AT}" in said


@pytest.mark.parametrize("case", ["single_network", "quoting", "dual_stack", "revision"])
def test_installed__from_create_over_the_script__good(tmp_path: Path, mesh: Mesh, bundle: Path,
                                                      case: str) -> None:
    given = yaml.safe_load((GOLDEN / case / "case.yaml").read_text())
    account = yaml.safe_load(given["group"])["spec"].get("template", {}).get("serviceAccount")
    for name in ["group", "mesh"]:
        (tmp_path / f"{name}.yaml").write_text(given[name])
    (tmp_path / "token").write_text(token(3600, account or "default"))
    vm = VmImage(tmp_path / "vm")
    shutil.copy(BINARY, vm.root / "local/bin/xdsgate")
    script = vm.root / "tmp/bundle.sh"

    subprocess.run([BINARY, "bundle", "create", "-f", tmp_path / "group.yaml", "--meshConfig",
                    tmp_path / "mesh.yaml", "--clusterID", "c", "--rootCert", mesh.root, "--token",
                    tmp_path / "token", "--gateway", "192.0.2.1,2001:db8::1", "--format", "script",
                    "-o", script], check=True, capture_output=True)
    installed = vm.enter("sh", "/tmp/bundle.sh")

    assert installed.returncode == 0, installed.stderr
    assert verify_vm(vm, "--no-network") == "good\n"


def test_installed__token_not_for_the_agent_to_read__said(vm: VmImage) -> None:
    path = vm.root / "run/secrets/tokens/istio-token"
    shutil.chown(path, 0, 0)

    said = verify_vm(vm, "--no-network", code=1)

    assert said.splitlines() == [
        "bad      /var/run/secrets/tokens/istio-token: the user istio-proxy cannot read it",
        "         -> chown istio-proxy /var/run/secrets/tokens/istio-token",
        "not good"]


def test_installed__name_is_not_known__said(vm: VmImage, network: None) -> None:
    (vm.root / "etc/hosts").write_text("127.0.0.1 localhost\n")

    said = verify_vm(vm, code=1)

    assert f"warning  /etc/hosts: has no line for {SERVER_NAME}" in said
    assert f"bad      name: {SERVER_NAME} is not known:" in said


def test_installed__not_root__network_is_not_tried_and_that_is_said(vm: VmImage,
                                                                    network: None) -> None:
    done = vm.enter("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "xdsgate",
                    "bundle", "verify", "--installed")

    assert "warning  network: was not tried: Istio's iptables" in done.stdout
    assert f"{ADDRESS}:{PORT}" not in done.stdout


def test_installed__nothing__every_file_is_missing(vm: VmImage, tmp_path: Path) -> None:
    subprocess.run(["sh", tmp_path / "bundle.sh", "--root", vm.root, "--undo"], check=True,
                   capture_output=True)

    said = verify_vm(vm, "--no-network", code=1)

    assert "bad      /var/lib/istio/envoy/cluster.env: is missing" in said
    assert "bad      agent: neither a token nor a certificate says who this VM is" in said
