# SPDX-License-Identifier: Apache-2.0
"""A gateway's site for doctor and guard. Its addresses are those of a network of the test's own,
because istiod trusts loopback."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from .doctor import PATIENCE, Cluster, Said, doctor
from .http2 import (ACK, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, SETTINGS, Inflater, frame,
                    header_block)
from .netns import few_ports
from .pki import SERVER_NAME, Pair, issue
from .process import Process
from .sandbox import PROGRAMS, Istiod
from .server import Server
from .wait import LONG_S

if TYPE_CHECKING:
    from conftest import Rig

ISTIOD, TRUSTED, OTHER, EDGE = "10.77.0.1", "10.77.0.2", "10.77.0.3", "10.77.0.4"
PORT = 15012


class Remote(Istiod):
    """A sandbox istiod at an address that is not loopback."""

    def __init__(self, folder: Path, *options: object) -> None:
        self.dir = folder
        self.control = folder / "istiod.sock"
        self.endpoint = f"{ISTIOD}:{PORT}"
        self.process = Process(
            "sandbox istiod",
            [PROGRAMS / "xdsgate-sandbox-istiod", "--dir", folder, "--listen", self.endpoint,
             "--control", self.control, *map(str, options)], folder / "istiod.log")
        self.process.await_control(self.control)


class Site:
    """What a gateway has: an istiod, addresses, a configuration, a cluster."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.home = rig.folder / "site"
        shutil.copytree(rig.authority, self.home)
        self.root = self.home / "root-cert.pem"
        self.file = rig.folder / "xdsgate.yaml"
        self.fakes: list[FakeIstiod] = []
        self.api: Cluster | None = None
        self.others: list[Cluster] = []
        self.config = self.base()

    def base(self) -> dict:
        """xfcc for terminated VMs, passthrough for the others."""
        tls = {"server_name": SERVER_NAME, "roots": [str(self.root)]}
        return {
            "version": 1, "trust_domain": "cluster.local",
            "listeners": [{
                "name": "istiod", "bind": [f"{EDGE}:{PORT}"],
                "tls": {"certificates": [{"certificate": str(self.home / "xdsgate.crt"),
                                          "private_key": str(self.home / "xdsgate.key")}],
                        "client_roots": [str(self.root)]},
                "vm_identities": ["ns/vms/sa/vm"],
                "routes": [{"sni": [SERVER_NAME], "mode": "terminate", "upstream": "istiod"},
                           {"sni": ["*"], "mode": "passthrough", "upstream": "raw"}]}],
            "upstreams": [
                {"name": "istiod", "endpoints": [f"{ISTIOD}:{PORT}"], "tls": tls,
                 "identity": "xfcc", "source_address": [TRUSTED]},
                {"name": "raw", "endpoints": [f"{ISTIOD}:{PORT}"], "source_address": [OTHER]}]}

    def upstream(self, i: int = 0) -> dict:
        return self.config["upstreams"][i]

    def istiod(self, *cidrs: str, names: Sequence[str] = ()) -> Remote:
        options = [part for cidr in cidrs for part in ("--trusted-gateway-cidr", cidr)]
        options += [part for name in names for part in ("--server-name", name)]
        istiod = Remote(self.home, *options)
        self.rig.istiods.append(istiod)
        return istiod

    def fake(self, fields: dict[str, str] | str | None, **tls: object) -> FakeIstiod:
        self.fakes.append(FakeIstiod(self.serving(), fields, **tls))
        return self.fakes[-1]

    def serving(self) -> Pair:
        return Pair(self.home / "istiod.crt", self.home / "istiod.key")

    def pair(self, name: str, **how: object) -> Pair:
        return issue(self.home, name, self.root, self.home / "root-key.pem", **how)

    def serve_with(self, pair: Pair) -> None:
        self.config["listeners"][0]["tls"]["certificates"] = [
            {"certificate": str(pair.certificate), "private_key": str(pair.private_key)}]

    def token(self) -> "Site":
        """identity: token instead, and no second way."""
        del self.config["upstreams"][1], self.config["listeners"][0]["routes"][1]
        del self.upstream()["source_address"]
        self.upstream()["identity"] = "token"
        self.config["kubernetes"] = {"kubeconfig": str(self.cluster().kubeconfig())}
        return self

    def cluster(self) -> Cluster:
        if self.api is None:
            self.api = Cluster(self.rig.folder, self.home / "token-key.pem")
        return self.api

    def other_cluster(self) -> Cluster:
        """One more, of the same accounts."""
        folder = self.rig.folder / "other cluster"
        folder.mkdir()
        self.others.append(Cluster(folder, self.home / "token-key.pem"))
        return self.others[-1]

    def doctor(self, *options: object, patience: str = PATIENCE) -> Said:
        self.file.write_text(yaml.safe_dump(self.config))
        return doctor("--config", self.file, *options, patience=patience)

    def look(self, *options: object) -> Said:
        """By somebody who may read the cluster; nothing but that is connected to."""
        return self.doctor("--no-network", "--kubeconfig", self.cluster().kubeconfig("admin"),
                           *options)


class FakeIstiod:
    """Answers each call of HTTP/2 with these fields; with None never, with "reset" by a reset of
    the stream, and with "hang up" by the end of the connection."""

    def __init__(self, pair: Pair, fields: dict[str, str] | str | None, alpn: str = "h2",
                 client_root: Path | None = None, port: int = PORT) -> None:
        self.fields = fields
        self.calls: list[dict[str, str]] = []  # the headers of each
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pair.certificate, pair.private_key)
        self.context.set_alpn_protocols([alpn])
        if client_root:
            self.context.load_verify_locations(client_root)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.server = Server(ISTIOD, port, self.serve)
        self.stop = self.server.stop

    def serve(self, connection: socket.socket) -> None:
        connection.settimeout(LONG_S)
        with self.context.wrap_socket(connection, server_side=True) as tls:
            self.talk(tls)

    def talk(self, tls: ssl.SSLSocket) -> None:
        buffer, inflater = b"", Inflater()
        tls.sendall(frame(SETTINGS, 0, 0))
        while part := tls.recv(65536):
            buffer = (buffer + part).removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            while len(buffer) >= 9 and len(buffer) >= 9 + int.from_bytes(buffer[:3], "big"):
                kind, flags = buffer[3], buffer[4]
                stream = int.from_bytes(buffer[5:9], "big")
                end = 9 + int.from_bytes(buffer[:3], "big")
                payload, buffer = buffer[9:end], buffer[end:]
                if kind == HEADERS:
                    self.calls.append(dict(inflater.fields(payload)))
                if kind == SETTINGS and not flags & ACK:
                    tls.sendall(frame(SETTINGS, ACK, 0))
                if kind == HEADERS and self.fields == "hang up":
                    return
                if kind == HEADERS and self.fields == "reset":
                    tls.sendall(frame(RST_STREAM, 0, stream, b"\0\0\0\2"))
                elif kind == HEADERS and isinstance(self.fields, dict):
                    tls.sendall(frame(HEADERS, END_HEADERS | END_STREAM, stream,
                                      header_block(self.fields.items())))


@pytest.fixture
def site(rig: Rig) -> Iterator[Site]:
    with few_ports(33000, 43000):
        for address in [ISTIOD, TRUSTED, OTHER, EDGE]:
            subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", "lo"], check=True)
        site = Site(rig)
        yield site
        rig.end()  # while the network is there
        for fake in site.fakes:
            fake.stop()
        for api in [site.api, *site.others]:
            if api:
                api.stop()
