# SPDX-License-Identifier: Apache-2.0
"""A TCP server of one function, a thread for each connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable


class Server:
    """Takes every connection and treats it as told."""

    def __init__(self, address: str, port: int, treat: Callable[[socket.socket], None]) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.create_server((address, port), family=family)
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
