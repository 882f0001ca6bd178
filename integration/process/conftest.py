# SPDX-License-Identifier: Apache-2.0
"""A rig for each test: whatever it started is gone at its end, and the daemon has nothing left open.

XDSGATE_BIN names the daemon (default build/release/xdsgate), XDSGATE_SANDBOX_PROGRAMS the folder of
the sandbox programs (default: where the daemon is).
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rig.client_hello import client_hello
from rig.gateway import Gateway
from rig.golden import cluster, server_key  # noqa: F401
from rig.notify import Notify
from rig.pki import NEW_KEY, Pair, openssl
from rig.process import Process, free_port
from rig.sandbox import GATEWAY_IP, SANDBOX_NETWORK, Istiod, Vms
from rig.site import site  # noqa: F401
from rig.upstream import Upstream, connect
from rig.vm_side import bundle, mesh, network, serve, vm  # noqa: F401


class Rig:
    """Starts things and ends them. Files go to its folder."""

    def __init__(self, folder: Path, authority: Path) -> None:
        self.folder = folder
        self.authority = authority
        self.gateways: list[Gateway] = []
        self.istiods: list[Istiod] = []
        self.vm_programs: list[Vms] = []
        self.upstreams: list[Upstream] = []
        self.sockets: list[socket.socket] = []
        self.others: list[Process] = []
        self.port = free_port()  # the daemon's listener

    # ---- configurations ----

    def listener(self, *routes: dict, **more: object) -> dict:
        return {"name": "istiod", "bind": [f"127.0.0.1:{self.port}"], "routes": list(routes),
                **more}

    def passthrough(self, *endpoints: str, **upstream: object) -> dict:
        """Everything to one upstream, byte by byte."""
        route = {"sni": ["*"], "mode": "passthrough", "upstream": "istiod"}
        return {"listeners": [self.listener(route)],
                "upstreams": [{"name": "istiod", "endpoints": list(endpoints), **upstream}]}

    def terminate(self, *istiods: Istiod, identity: str = "xfcc", route: dict | None = None,
                  pair: Pair | None = None, listener: dict | None = None,
                  **upstream: object) -> dict:
        """Everything ended here and relayed to sandbox control planes of one root."""
        home = istiods[0].dir
        pair = pair or Pair(home / "xdsgate.crt", home / "xdsgate.key")
        tls = {"certificates": [{"certificate": str(pair.certificate),
                                 "private_key": str(pair.private_key)}],
               "client_roots": [str(home / "root-cert.pem")]}
        to = {"name": "istiod", "endpoints": [i.endpoint for i in istiods], "identity": identity,
              "tls": {"server_name": "istiod.istio-system.svc",
                      "roots": [str(home / "root-cert.pem")]},
              "max_new_streams_per_second": 1000, **upstream}
        if identity == "xfcc":
            to.setdefault("source_address", [GATEWAY_IP])
        main = {"sni": ["*"], "mode": "terminate", "upstream": "istiod", **(route or {})}
        registration = {"address_networks": [SANDBOX_NETWORK]}  # they all come from this machine
        return {"trust_domain": "cluster.local",
                "listeners": [self.listener(main, tls=tls, **{
                    "vm_identities": ["ns/vms/sa/*"], "registration": registration,
                    **(listener or {})})],
                "upstreams": [to]}

    # ---- things ----

    def gateway(self, config: dict, env: dict[str, str] | None = None,
                program: Path | None = None) -> Gateway:
        folder = self.folder / f"gateway-{len(self.gateways)}"
        folder.mkdir()
        gateway = Gateway(folder, config, env, program)
        self.gateways.append(gateway)
        return gateway.start()

    def process(self, command: Sequence[str | Path], log: str,
                env: dict[str, str] | None = None) -> Process:
        """A daemon that is not to serve."""
        self.others.append(Process("xdsgate", command, self.folder / log, env))
        return self.others[-1]

    def istiod(self, *options: object) -> Istiod:
        """All of a test have the same root and the same token key."""
        folder = self.folder / f"istiod-{len(self.istiods)}"
        shutil.copytree(self.authority, folder)
        istiod = Istiod(folder, *options)
        self.istiods.append(istiod)
        return istiod

    def restart(self, istiod: Istiod) -> Istiod:
        fresh = istiod.again()
        self.istiods[self.istiods.index(istiod)] = fresh
        return fresh

    def vms(self, *options: object, token: Path | None = None, no_token: bool = False) -> Vms:
        """Sandbox VMs that connect to the daemon."""
        home = self.istiods[0].dir
        if not no_token:
            options = ("--token-file", token or home / "token", *options)
        vms = Vms(self.folder, f"vm-{len(self.vm_programs)}", self.port, home / "root-cert.pem",
                  *options)
        self.vm_programs.append(vms)
        return vms

    def upstream(self, port: int | None = None) -> Upstream:
        upstream = Upstream(port=port)
        self.upstreams.append(upstream)
        return upstream

    def connect(self, source: str = "127.0.0.1", port: int | None = None) -> socket.socket:
        s = connect(port or self.port, source)
        self.sockets.append(s)
        return s

    def say_hello(self, sni: str | None, source: str = "127.0.0.1") -> socket.socket:
        """A connection that has sent its ClientHello."""
        s = self.connect(source)
        s.sendall(client_hello(sni))
        return s

    # ---- the end ----

    def leave(self) -> None:
        """All VMs go."""
        for s in self.sockets:
            s.close()
        for vms in self.vm_programs:
            vms.stop()
        for upstream in self.upstreams:
            upstream.stop()

    def end(self) -> None:
        """All VMs go, then the gateways, which leave nothing open."""
        self.leave()
        for gateway in self.gateways:
            if gateway.started:
                gateway.check_end()
        self.kill_all()
        self.gateways.clear()

    def kill_all(self) -> None:
        for gateway in self.gateways:
            gateway.kill()
        for process in self.others:
            process.kill()
        for istiod in self.istiods:
            istiod.stop()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the sandbox control plane with its root and its token key."""
    folder = tmp_path_factory.mktemp("authority") / "istiod"
    Istiod(folder).stop()
    for name in ["istiod.sock", "istiod.log"]:
        (folder / name).unlink()
    return folder


@pytest.fixture
def rig(tmp_path: Path, authority: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, authority)
    try:
        yield rig
        rig.end()
    finally:
        rig.leave()
        rig.kill_all()


@pytest.fixture
def notify(tmp_path: Path) -> Iterator[Notify]:
    notify = Notify(tmp_path / "notify.sock")
    yield notify
    notify.stop()


@pytest.fixture
def other_root(tmp_path: Path) -> tuple[Path, Path]:
    """A root that nobody here trusts, and its key."""
    root, key = tmp_path / "other-root.pem", tmp_path / "other-root.key"
    openssl("req", "-x509", *NEW_KEY, "-subj", "/O=other", "-days", "1", "-keyout", key, "-out",
            root, "-addext", "keyUsage=critical,keyCertSign")
    return root, key
