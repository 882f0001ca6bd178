# SPDX-License-Identifier: Apache-2.0
"""What the daemon tells systemd."""

from __future__ import annotations

import socket
from pathlib import Path


class Notify:
    """The socket of a service manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.messages: list[dict[str, str]] = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)

    def all(self) -> list[dict[str, str]]:
        while True:
            try:
                text = self.socket.recv(65536).decode()
            except BlockingIOError:
                return self.messages
            self.messages.append(dict(line.split("=", 1) for line in text.splitlines()))

    def positions(self, key: str) -> list[int]:
        return [i for i, message in enumerate(self.all()) if key in message]
