# SPDX-License-Identifier: Apache-2.0
"""Machines as network namespaces on one bridge.

The bridge lives inside the namespace of the control plane, so nothing is seen in the root
namespace and meshes side by side cannot collide. All names of a run begin with its prefix, which
holds the process id of its owner: what a killed run left behind is found and removed by the next.
"""

from __future__ import annotations

import ctypes
import http.client
import itertools
import os
import re
import shutil
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .processes import run

NETNS = Path("/run/netns")
NETNS_FILES = Path("/etc/netns")  # NAME/hosts is bind-mounted over /etc/hosts by `ip netns exec`
CLONE_NEWNET = 0x40000000
PREFIX = re.compile(r"xm(\d+)-")
DISABLED, FORWARDING = "0", "3"  # what a port of a bridge may be
NOBODY = "02:00:00:00:00:01"  # a neighbour that does not exist
HUB = "02:00:00:00:00:02"  # else a bridge takes the lowest of its ports' ones, anew with each port

_libc = ctypes.CDLL(None, use_errno=True)


def prefix_of(pid: int) -> str:
    return f"xm{pid}-"


class Network:
    """The wires: one bridge, one namespace for each machine."""

    def __init__(self, prefix: str, bits: int = 16, bridge: str = "br0") -> None:
        self.prefix = prefix
        self.bits = bits
        self.bridge = bridge
        self.hub = ""  # the namespace of the bridge; "" is the root's, where Docker has its own
        self.ports = itertools.count(1)
        self.port_of: dict[str, str] = {}  # on the bridge, by machine
        self.addresses_of: dict[str, Sequence[str]] = {}

    def add_hub(self, name: str, *addresses: str) -> str:
        """The machine that holds the bridge; its addresses are those of the bridge."""
        self.hub = self._add(name)
        self.addresses_of[self.hub] = addresses
        self._ip("-n", self.hub, "link", "add", self.bridge, "address", HUB, "type", "bridge")
        for address in addresses:
            self._ip("-n", self.hub, "address", "add", f"{address}/{self.bits}", "dev", self.bridge)
        self._ip("-n", self.hub, "link", "set", self.bridge, "up")
        return self.hub

    def add_machine(self, name: str, *addresses: str, unreachable: Sequence[str] = ()) -> str:
        """A machine on the bridge. It cannot cheat: `unreachable` addresses are that for it."""
        netns = self._add(name)
        port = f"{self.prefix}{next(self.ports)}"
        self.port_of[netns], self.addresses_of[netns] = port, addresses
        self._ip("-n", netns, "link", "add", "eth0", "type", "veth",
                 "peer", "name", port, "netns", self.hub or "1")
        self._ip(*(["-n", self.hub] if self.hub else []), "link", "set", port,
                 "master", self.bridge, "up")
        for address in addresses:
            self._ip("-n", netns, "address", "add", f"{address}/{self.bits}", "dev", "eth0")
        self._ip("-n", netns, "link", "set", "eth0", "up")
        for address in unreachable:
            self._ip("-n", netns, "route", "add", "unreachable", f"{address}/32")
        return netns

    def unplug(self, machine: str) -> None:
        """Nothing it sends arrives and nothing arrives at it; nobody is told, it neither."""
        self._set_port(machine, DISABLED)

    def plug(self, machine: str) -> None:
        self._set_port(machine, FORWARDING)

    def sever(self, machine: str) -> None:
        """As `unplug`, but only between it and the hub: each asks a neighbour that is not there."""
        for netns, device, address in self._ways(machine):
            self._ip("-n", netns, "neighbour", "replace", address, "dev", device,
                     "lladdr", NOBODY, "nud", "permanent")

    def join(self, machine: str) -> None:
        for netns, device, address in self._ways(machine):
            self._ip("-n", netns, "neighbour", "delete", address, "dev", device)

    def _ways(self, machine: str) -> list[tuple[str, str, str]]:
        there = [(machine, "eth0", address) for address in self.addresses_of[self.hub]]
        return there + [(self.hub, self.bridge, address) for address in self.addresses_of[machine]]

    def _set_port(self, machine: str, state: str) -> None:
        run("bridge", *(["-n", self.hub] if self.hub else []), "link", "set", "dev",
            self.port_of[machine], "state", state)

    def _add(self, name: str) -> str:
        netns = self.prefix + name
        files = NETNS_FILES / netns
        files.mkdir(parents=True, exist_ok=True)
        (files / "hosts").write_text(f"127.0.0.1 localhost {os.uname().nodename}\n")
        (files / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        self._ip("netns", "add", netns)
        self._ip("-n", netns, "link", "set", "lo", "up")
        return netns

    @staticmethod
    def _ip(*arguments: str) -> None:
        run("ip", *arguments)


@contextmanager
def inside(netns: str | None) -> Iterator[None]:
    """The calling thread is in that namespace meanwhile; a socket made there stays there."""
    if netns is None:
        yield
        return
    with open("/proc/thread-self/ns/net") as home, open(NETNS / netns) as there:
        _setns(there.fileno())
        try:
            yield
        finally:
            _setns(home.fileno())


def _setns(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def connect(netns: str | None, address: str, port: int, timeout: float = 5,
            source: str | None = None) -> socket.socket:
    """A TCP connection made by a machine of the mesh."""
    with inside(netns):
        return socket.create_connection((address, port), timeout,
                                        source_address=(source, 0) if source else None)


def http_get(netns: str | None, address: str, port: int, path: str = "/",
             host: str = "vm") -> tuple[int, str]:
    """Status and body of the answer that a machine of the mesh gets."""
    connection = http.client.HTTPConnection(address, port, timeout=10)
    connection.sock = connect(netns, address, port)
    try:
        connection.request("GET", path, headers={"host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


def sweep(prefix: str) -> None:
    """Ends everything that runs in namespaces of that prefix and removes them."""
    for path in sorted(NETNS.glob(f"{prefix}*")) if NETNS.exists() else []:
        for pid in run("ip", "netns", "pids", path.name).split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        run("ip", "netns", "delete", path.name)
    for path in NETNS_FILES.glob(f"{prefix}*") if NETNS_FILES.exists() else []:
        shutil.rmtree(path, ignore_errors=True)


def sweep_orphans() -> None:
    """Removes what runs have left behind whose owner is no more."""
    names = [path.name for folder in (NETNS, NETNS_FILES) if folder.exists()
             for path in folder.iterdir()]
    for owner in {int(match[1]) for name in names if (match := PREFIX.match(name))}:
        if not Path(f"/proc/{owner}").exists():
            sweep(prefix_of(owner))
