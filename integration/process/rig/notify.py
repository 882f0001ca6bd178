# SPDX-License-Identifier: Apache-2.0
"""What the daemon tells systemd."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

from .wait import LONG_S

MARK, END = b"mark", b""  # by ourselves


class Notify:
    """The socket of a service manager, which reads all the time: the kernel keeps ten messages, and
    the daemon does not wait for who does not read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.messages: list[dict[str, str]] = []
        self.marked = threading.Semaphore(0)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self) -> None:
        while (data := self.socket.recv(65536)) != END:
            if data == MARK:
                self.marked.release()
            else:
                self.messages.append(dict(line.split("=", 1)
                                          for line in data.decode().splitlines()))

    def send(self, data: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(data, str(self.path))

    def all(self) -> list[dict[str, str]]:
        """What was told until now."""
        self.send(MARK)
        assert self.marked.acquire(timeout=LONG_S)
        return list(self.messages)

    def positions(self, key: str) -> list[int]:
        return [i for i, message in enumerate(self.all()) if key in message]

    def stop(self) -> None:
        self.send(END)
        self.thread.join()
        self.socket.close()
