# SPDX-License-Identifier: Apache-2.0
"""The admin address of a daemon, without the daemon: the page and an API that tells a made-up fleet.

    fake_admin.py [--port N] [--vms N]     to look at the page by hand
"""

from __future__ import annotations

import argparse
import http.server
import json
import socket
import subprocess
import tempfile
import threading
import urllib.parse
from pathlib import Path

from fake_fleet import FakeFleet

ROOT = Path(__file__).resolve().parents[2]


def join_page(folder: Path) -> tuple[bytes, str]:
    """The page and its policy, as the build makes them."""
    subprocess.run(["cmake", f"-DOUT={folder}", "-P", ROOT / "gateway/admin/page/join.cmake"],
                   check=True)
    return (folder / "page.html").read_bytes(), (folder / "page_policy.txt").read_text()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "FakeAdmin"

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        admin = self.server
        admin.asked.append(self.path)
        if admin.status != 200 and url.path != "/":
            self.answer(admin.status, {"error": "as the test wants it"})
        elif url.path == "/":
            self.send(200, admin.page, "text/html; charset=utf-8", admin.policy)
        elif url.path == "/api/v1/vms":
            since = urllib.parse.parse_qs(url.query).get("since", ["0"])[0]
            self.answer(200, admin.fleet.collect(int(since)))
        elif url.path.startswith("/api/v1/vms/"):
            found = admin.fleet.describe(urllib.parse.unquote(url.path.split("/")[4]))
            self.answer(200 if found else 404, found or {"error": "no such VM"})
        elif url.path == "/api/v1/upstreams":
            self.answer(200, {"upstreams": admin.fleet.upstreams})
        elif url.path == "/api/v1/version":
            self.answer(200, {"version": "0.1.0"})
        else:
            self.answer(404, {"error": "no such page"})

    def answer(self, status: int, value: dict) -> None:
        self.send(status, json.dumps(value).encode(), "application/json", "default-src 'none'")

    def send(self, status: int, body: bytes, kind: str, policy: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)),
                            "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
                            "Content-Security-Policy": policy, "X-Frame-Options": "DENY",
                            "Referrer-Policy": "no-referrer"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class FakeAdmin(http.server.ThreadingHTTPServer):
    """Serves until stop(); start() goes on at the same port."""
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, page: bytes, policy: str, port: int = 0) -> None:
        self.page, self.policy = page, policy
        self.fleet = FakeFleet()
        self.asked: list[str] = []  # the paths, in order
        self.status = 200           # of the API
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def process_request(self, request: socket.socket, address: object) -> None:
        self.open.add(request)
        super().process_request(request, address)

    def shutdown_request(self, request: socket.socket) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, *_: object) -> None:
        pass  # the browser went away

    def stop(self) -> None:
        """As a daemon that ends: connections are closed, and new ones refused."""
        self.shutdown()
        self.server_close()
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def again(self) -> "FakeAdmin":
        """Another process at the same port, which knows nothing of what the first one said."""
        other = FakeAdmin(self.page, self.policy, self.server_address[1])
        other.fleet = self.fleet
        return other


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=15094)
    parser.add_argument("--vms", type=int, default=5000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        admin = FakeAdmin(*join_page(Path(folder)), options.port)
    admin.fleet.fill(options.vms)
    print(f"{admin.url} until Ctrl-C", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
