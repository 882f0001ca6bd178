# SPDX-License-Identifier: Apache-2.0
"""A network of the test's own, with few ports; needs root."""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .process import FREE_PORTS

CLONE_NEWNET = 0x40000000
IP_BIND_ADDRESS_NO_PORT = 24

libc = ctypes.CDLL(None, use_errno=True)


def _must(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), "setns or unshare")


@contextmanager
def few_ports(first: int, last: int) -> Iterator[None]:
    """What is started inside has a loopback of its own, whose connections use these ports."""
    assert first >= FREE_PORTS.stop  # or free_port() would promise what does not hold
    with open("/proc/thread-self/ns/net", encoding="ascii") as home:
        _must(libc.unshare(CLONE_NEWNET))
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            Path("/proc/sys/net/ipv4/ip_local_port_range").write_text(f"{first} {last}")
            # A connection that has ended holds no port: it would be free again after a while.
            Path("/proc/sys/net/ipv4/tcp_max_tw_buckets").write_text("0")
            yield
        finally:
            _must(libc.setns(home.fileno(), CLONE_NEWNET))


def take_all_ports(source: str, target: tuple[str, int]) -> list[socket.socket]:
    """Connections from there to there until the kernel has no port for another one."""
    taken = []
    while True:
        s = socket.socket()
        s.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.bind((source, 0))
        try:
            s.connect(target)
        except OSError as error:
            s.close()
            assert error.errno == errno.EADDRNOTAVAIL, error
            return taken
        taken.append(s)
