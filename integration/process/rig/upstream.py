# SPDX-License-Identifier: Apache-2.0
"""A TCP upstream in the hands of the test: nothing happens that the test does not do."""

from __future__ import annotations

import socket
import struct
import time

from .process import free_port
from .wait import LONG_S


class Upstream:
    def __init__(self, address: str = "127.0.0.1", port: int | None = None) -> None:
        self.port = port or free_port()
        self.endpoint = f"{address}:{self.port}"
        self.accepted: list[socket.socket] = []
        self.listener = socket.create_server((address, self.port), backlog=128)
        self.listener.settimeout(LONG_S)

    def accept(self) -> socket.socket:
        """The next connection that carries bytes; the daemon's probes carry none."""
        deadline = time.monotonic() + LONG_S
        while time.monotonic() < deadline:
            connection, _ = self.listener.accept()
            connection.settimeout(LONG_S)
            if connection.recv(1, socket.MSG_PEEK):
                self.accepted.append(connection)
                return connection
            connection.close()
        raise AssertionError(f"nobody sent a byte to {self.endpoint}")

    def is_reached(self, wait_s: float = 0.2) -> bool:
        """Does a connection that carries bytes come within this time?"""
        self.listener.settimeout(wait_s)
        try:
            self.accept()
        except TimeoutError:
            return False
        finally:
            self.listener.settimeout(LONG_S)
        return True

    def stop(self) -> None:
        for connection in self.accepted:
            connection.close()
        self.listener.close()


def connect(port: int, source: str = "127.0.0.1", target: str = "127.0.0.1") -> socket.socket:
    """As a VM does, from one of the loopback addresses."""
    return socket.create_connection((target, port), timeout=LONG_S, source_address=(source, 0))


def reset(s: socket.socket) -> None:
    """Close by RST."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def receive(s: socket.socket, n: int) -> bytes:
    """Exactly n bytes."""
    parts = []
    while n > 0:
        part = s.recv(min(n, 1 << 16))
        assert part, f"the end came {n} bytes too early"
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def end_of(s: socket.socket) -> str:
    """How the connection ends, when nothing more comes: "fin" or "reset"."""
    try:
        rest = s.recv(1)
    except ConnectionResetError:
        return "reset"
    assert rest == b"", "bytes instead of the end"
    return "fin"
