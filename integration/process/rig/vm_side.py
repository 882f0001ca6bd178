# SPDX-License-Identifier: Apache-2.0
"""What a VM has to do with: its bundle, its mesh, and a control plane that answers, or does not, in
each of the usual ways."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .gateway import BINARY
from .jwt import vm_token
from .netns import few_ports
from .pki import NEW_KEY, SERVER_NAME, Pair, issue, openssl
from .server import Server
from .vm_image import VmImage

ADDRESS = "10.9.0.5"
PORT = 15012
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


# ---- what answers there ----

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
        if head == b"":
            return
    if int.from_bytes(head[3:5], "big") < 1200:
        tls(connection, pair)
    else:
        says_nothing(connection)


def says_nothing(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


# ---- fixtures; conftest.py has them, too ----

@pytest.fixture
def mesh(tmp_path: Path) -> Mesh:
    mesh = Mesh(tmp_path, tmp_path / "root.pem", tmp_path / "root.key")
    openssl("req", "-x509", *NEW_KEY, "-subj", "/O=mesh", "-days", "90", "-keyout", mesh.key,
            "-out", mesh.root, "-addext", "keyUsage=critical,keyCertSign")
    return mesh


@pytest.fixture
def network() -> Iterator[None]:
    """One of the test's own, in which the gateway's address is this machine."""
    with few_ports(33000, 43000):
        for command in (["addr", "add", f"{ADDRESS}/32"], ["addr", "add", "fd00::5/128"]):
            subprocess.run(["ip", *command, "dev", "lo"], check=True)
        yield


@pytest.fixture
def bundle(tmp_path: Path, mesh: Mesh) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    for name, text in {
            "mesh.yaml": f"defaultConfig:\n  discoveryAddress: {SERVER_NAME}:{PORT}\n",
            "cluster.env": "ISTIO_NAMESPACE='vms'\nSERVICE_ACCOUNT='web'\n",
            "root-cert.pem": mesh.root.read_text(),
            "istio-token": vm_token(time.time() + 3600),
            "hosts": f"{ADDRESS} {SERVER_NAME}\n"}.items():
        (folder / name).write_text(text)
    (folder / "istio-token").chmod(0o600)
    return folder


@pytest.fixture
def serve() -> Iterator[Callable[..., None]]:
    servers: list[Server] = []

    def start(treat: Callable[[socket.socket], None], address: str = ADDRESS) -> None:
        servers.append(Server(address, PORT, treat))

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def vm(tmp_path: Path, bundle: Path) -> VmImage:
    vm = VmImage(tmp_path / "vm")
    script = tmp_path / "bundle.sh"
    subprocess.run([PACK, "script", bundle, script, str(int(time.time()))], check=True)
    subprocess.run(["sh", script, "--root", vm.root], check=True, capture_output=True)
    shutil.copy(BINARY, vm.root / "local/bin/xdsgate")
    return vm
