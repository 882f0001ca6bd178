# SPDX-License-Identifier: Apache-2.0
"""`xdsgate bundle verify`: files of a bundle in a folder and installed on a VM, and a control plane
that answers, or does not, in each of the usual ways. Needs root."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from rig.gateway import BINARY
from rig.netns import few_ports
from rig.pki import NEW_KEY, SERVER_NAME, Pair, issue, openssl
from rig.vm_image import VmImage

ADDRESS = "10.9.0.5"
PORT = 15012
GOLDEN = Path(__file__).resolve().parents[2] / "tests/bootstrap/golden"
PACK = BINARY.parent / "tests/pack_bundle"


@dataclass(frozen=True)
class Mesh:
    folder: Path
    root: Path
    key: Path

    def pair(self, name: str = "good", days: int = 30) -> Pair:
        return issue(self.folder, name, self.root, self.key, days=days)

    def from_tomorrow(self) -> Pair:
        """Only `openssl ca` gives a certificate another first day."""
        pair = self.pair("future")
        (self.folder / "index").touch()
        (self.folder / "ca.cnf").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={self.folder}/index\nnew_certs_dir={self.folder}\n"
            "default_md=sha256\npolicy=p\nrand_serial=yes\n[p]\ncommonName=optional\n")
        dates = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + days * 86400))
                 for days in (1, 9)]
        openssl("ca", "-batch", "-notext", "-config", self.folder / "ca.cnf", "-cert", self.root,
                "-keyfile", self.key, "-in", self.folder / "future.csr", "-extfile",
                self.folder / "future.cnf", "-startdate", dates[0], "-enddate", dates[1], "-subj",
                "/CN=future", "-out", pair.certificate)
        return pair


@pytest.fixture
def mesh(tmp_path: Path) -> Mesh:
    mesh = Mesh(tmp_path, tmp_path / "root.pem", tmp_path / "root.key")
    openssl("req", "-x509", *NEW_KEY, "-subj", "/O=mesh", "-days", "90", "-keyout", mesh.key,
            "-out", mesh.root, "-addext", "keyUsage=critical,keyCertSign")
    return mesh


@pytest.fixture
def network() -> Iterator[None]:
    """One of the test's own, in which the gateway's address is this machine."""
    with few_ports(20000, 30000):
        for command in (["addr", "add", f"{ADDRESS}/32"], ["addr", "add", "fd00::5/128"]):
            subprocess.run(["ip", *command, "dev", "lo"], check=True)
        yield


def token(seconds: int, account: str = "web") -> str:
    claims = {"exp": int(time.time()) + seconds, "aud": ["istio-ca"],
              "sub": f"system:serviceaccount:vms:{account}"}
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256"}, claims)]
    return ".".join([base64.urlsafe_b64encode(p).decode().rstrip("=") for p in parts] + ["c2ln"])


@pytest.fixture
def bundle(tmp_path: Path, mesh: Mesh) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    for name, text in {
            "mesh.yaml": f"defaultConfig:\n  discoveryAddress: {SERVER_NAME}:{PORT}\n",
            "cluster.env": "ISTIO_NAMESPACE='vms'\nSERVICE_ACCOUNT='web'\n",
            "root-cert.pem": mesh.root.read_text(),
            "istio-token": token(3600),
            "hosts": f"{ADDRESS} {SERVER_NAME}\n"}.items():
        (folder / name).write_text(text)
    (folder / "istio-token").chmod(0o600)
    return folder


# ---- control planes, good and bad ----

def tls(connection: socket.socket, pair: Pair, alpn: str = "h2") -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.private_key)
    context.set_alpn_protocols([alpn])
    with context.wrap_socket(connection, server_side=True) as secure:
        secure.recv(1)


def loses_large_packets(connection: socket.socket, pair: Pair) -> None:
    """Answers a TLS hello that fits into one packet, and never a larger one."""
    head = b""
    while len(head) < 5:
        head = connection.recv(5, socket.MSG_PEEK)
    if int.from_bytes(head[3:5], "big") < 1200:
        tls(connection, pair)
    else:
        says_nothing(connection)


def says_nothing(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


class Server:
    """Takes every connection and treats it as told."""

    def __init__(self, address: str, treat: Callable[[socket.socket], None]) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.create_server((address, PORT), family=family)
        self.treat = treat
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(connection,), daemon=True).start()

    def one(self, connection: socket.socket) -> None:
        with connection:
            try:
                self.treat(connection)
            except OSError:
                pass

    def stop(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[..., None]]:
    servers: list[Server] = []

    def start(treat: Callable[[socket.socket], None], address: str = ADDRESS) -> None:
        servers.append(Server(address, treat))

    yield start
    for server in servers:
        server.stop()


# ---- the command ----

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
        said = subprocess.run([BINARY, "bundle", "verify", bundle, "--no-network"], text=True,
                              capture_output=True, check=False)
        assert secret[30:60] not in said.stdout + said.stderr


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


@pytest.mark.parametrize(("treat", "text"), [
    (lambda c, m: c.close(), "it closed the connection"),
    (lambda c, m: says_nothing(c), "no answer to TLS within 1 s"),
    (lambda c, m: (c.sendall(b"HTTP/1.1 400 Bad\r\n\r\n"), says_nothing(c)),
     "wrong version number"),
    (lambda c, m: tls(c, m.pair("http1"), "http/1.1"), "it does not speak HTTP/2"),
])
def test_network__no_xdsgate_there__said(bundle: Path, mesh: Mesh, network: None,
                                         serve: Callable[..., None],
                                         treat: Callable[[socket.socket, Mesh], None],
                                         text: str) -> None:
    serve(lambda connection: treat(connection, mesh))

    assert f"bad      network: {ADDRESS}:{PORT} ({SERVER_NAME}): {text}" in \
        verify(bundle, "--timeout", "1s", code=1)


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

    said = verify(bundle, "--timeout", "1s", code=1)

    assert f"bad      MTU: large packets to {ADDRESS}:{PORT} ({SERVER_NAME}) get lost" in said


# ---- installed on a VM ----

@pytest.fixture
def vm(tmp_path: Path, bundle: Path) -> VmImage:
    vm = VmImage(tmp_path / "vm")
    script = tmp_path / "bundle.sh"
    subprocess.run([PACK, "script", bundle, script, str(int(time.time()))], check=True)
    subprocess.run(["sh", script, "--root", vm.root], check=True, capture_output=True)
    shutil.copy(BINARY, vm.root / "local/bin/xdsgate")
    return vm


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
                    tmp_path / "mesh.yaml", "--rootCert", mesh.root, "--token", tmp_path / "token",
                    "--gateway", "192.0.2.1,2001:db8::1", "--format", "script", "-o", script],
                   check=True, capture_output=True)
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


def test_installed__nothing__every_file_is_missing(vm: VmImage, tmp_path: Path) -> None:
    subprocess.run(["sh", tmp_path / "bundle.sh", "--root", vm.root, "--undo"], check=True,
                   capture_output=True)

    said = verify_vm(vm, "--no-network", code=1)

    assert "bad      /var/lib/istio/envoy/cluster.env: is missing" in said
    assert "bad      agent: neither a token nor a certificate says who this VM is" in said
