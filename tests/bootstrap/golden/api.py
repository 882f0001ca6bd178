# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes API that knows just what is asked for a bundle of one case."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
ROOT_CERT = (HERE / "root-cert.pem").read_text()
TOKEN = "a.token.of-istio"


class Api(ThreadingHTTPServer):
    """Serves on a port of loopback until close(). `asked` has "GET /path" of each request, `bodies`
    what was posted; a path whose end is in `refused` gets that status."""

    daemon_threads = True

    def __init__(self, case: dict, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects = objects_of(case)
        self.asked: list[str] = []
        self.bodies: list[dict] = []
        self.refused: dict[str, int] = {}
        self.unknown_apis: set[str] = set()
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_args: object) -> None:
        """A client that goes away is no error."""


def objects_of(case: dict) -> dict[str, dict]:
    """The objects by kind and name."""
    revision = case["options"].get("revision", "default")
    suffix = "" if revision == "default" else f"-{revision}"
    group = yaml.safe_load(case["group"])
    data = {f"istio{suffix}": {"mesh": case["mesh"]},
            f"istio-sidecar-injector{suffix}": {"values": json.dumps(case.get("injector", {}))},
            "istio-ca-root-cert": {"root-cert.pem": ROOT_CERT}}
    maps = {f"configmaps/{name}": {"kind": "ConfigMap", "data": texts}
            for name, texts in data.items()}
    return maps | {f"workloadgroups/{group['metadata']['name']}": group}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Api

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(f"GET {path}")
        kind, name = path.split("/")[-2:]
        found = self.server.objects.get(f"{kind}/{name}")
        if any(path.startswith(f"/apis/{api}/") for api in self.server.unknown_apis):
            self.answer(404, {"kind": "Status", "code": 404, "details": {}})
        elif not self.refuses(path):
            self.answer(200, found) if found is not None else self.refuse(404, name)

    def do_POST(self) -> None:
        self.server.asked.append(f"POST {self.path}")
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(asked)
        if not self.refuses(self.path):
            self.answer(201, asked | {"status": {"token": TOKEN,
                                                 "expirationTimestamp": "2030-01-01T00:00:00Z"}})

    def refuses(self, path: str) -> bool:
        """Whether this path is one to refuse; then it is refused."""
        for end, status in self.server.refused.items():
            if path.endswith(end):
                self.refuse(status, path.split("/")[-1])
                return True
        return False

    def refuse(self, status: int, name: str) -> None:
        self.answer(status, {"kind": "Status", "apiVersion": "v1", "status": "Failure",
                             "code": status, "message": f"{name}: refused by the test",
                             "details": {"name": name}})

    def answer(self, status: int, body: dict) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_args: object) -> None:
        """Nothing."""
