# SPDX-License-Identifier: Apache-2.0
"""An API server that knows what xdsgate asks for, and can be made to fail in every way."""

from __future__ import annotations

import base64
import contextlib
import json
import select
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from .jwt import part
from .kube_objects import Objects
from .pki import NEW_KEY, openssl
from .process import free_port

BEARER = "Bearer of-the-gateway"
Answer = tuple[int, dict[str, str], bytes]


def status(code: int, reason: str, message: str) -> bytes:
    return json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure",
                       "reason": reason, "message": message, "code": code}).encode()


def secret(name: str, values: dict[str, bytes]) -> bytes:
    data = {key: base64.b64encode(value).decode() for key, value in values.items()}
    return json.dumps({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name},
                       "data": data}).encode()


def raw_signature(der: bytes) -> bytes:
    """R and S of an ECDSA signature, 32 octets each (RFC 7518 3.4)."""
    def number(at: int) -> tuple[bytes, int]:
        n = der[at + 1]
        return der[at + 2:at + 2 + n].lstrip(b"\0").rjust(32, b"\0"), at + 2 + n

    r, at = number(2)
    return r + number(at)[0]


class KubeApi:
    """Its tokens are signed by the key that the sandbox istiods of this folder trust."""

    def __init__(self, folder: Path, token_key: Path) -> None:
        self.folder = folder
        self.token_key = token_key
        self.life_s = 3600
        self.objects = Objects()
        self.connections: set[socket.socket] = set()
        self.ahead_s = 0  # its clock, against ours
        self.secrets: dict[str, dict[str, bytes]] = {}  # namespace/name: key: value
        self.requests: list[dict] = []  # of tokens: account, audiences
        self.instead: Callable[[str], Answer | None] = lambda path: None
        self.free = threading.Event()  # clear: no request is answered
        self.free.set()
        self.ca, self.ca_key = folder / "kube-ca.crt", folder / "kube-ca.key"
        self.new_ca()
        self.server: ThreadingHTTPServer | None = None
        self.port = free_port()
        self.start()

    # ---- certificates ----

    def new_ca(self) -> None:
        openssl("req", "-x509", *NEW_KEY, "-subj", "/CN=kube", "-days", "1", "-keyout", self.ca_key,
                "-out", self.ca)
        key, csr, more = (self.folder / f"kube.{end}" for end in ("key", "csr", "cnf"))
        more.write_text("subjectAltName=IP:127.0.0.1\n")
        openssl("req", *NEW_KEY, "-subj", "/CN=kube", "-keyout", key, "-out", csr)
        openssl("x509", "-req", "-in", csr, "-CA", self.ca, "-CAkey", self.ca_key, "-days", "1",
                "-extfile", more, "-out", self.folder / "kube.crt")

    # ---- life ----

    def start(self) -> "KubeApi":
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.reply(self.rfile.read(int(self.headers["Content-Length"])))

            def do_GET(self) -> None:
                if api.is_stream(self.path, self.headers["Authorization"]):
                    self.stream()
                else:
                    self.reply(b"")

            def setup(self) -> None:
                super().setup()
                api.connections.add(self.connection)

            def finish(self) -> None:
                api.connections.discard(self.connection)
                super().finish()

            def stream(self) -> None:
                """A watch: lines in chunks, until it is cut."""
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.flush()
                self.close_connection = True
                for line in api.objects.watch(self.path):
                    if select.select([self.connection], [], [], 0)[0]:
                        return  # who has nothing to say can only be leaving
                    if line:
                        self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))

            def reply(self, body: bytes) -> None:
                code, headers, answer = api.answer(self.path, self.headers["Authorization"], body)
                self.send_response(code)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # clients that hang up

        self.server = Server(("127.0.0.1", self.port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "kube.crt", self.folder / "kube.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                 do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        self.free.set()
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
        self.objects.cut()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def kubeconfig(self, name: str = "kubeconfig", bearer: str = BEARER) -> Path:
        path = self.folder / name
        token = bearer.removeprefix("Bearer ")
        fresh = path.with_suffix(".new")  # nobody reads half of it
        fresh.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "kube", "cluster": {
                "server": f"https://127.0.0.1:{self.port}",
                "certificate-authority": str(self.ca)}}],
            "users": [{"name": "gateway", "user": {"token": token}}],
            "contexts": [{"name": "here", "context": {"cluster": "kube", "user": "gateway"}}]}))
        fresh.rename(path)
        return path

    # ---- answers ----

    def fail(self, code: int, reason: str = "", headers: dict[str, str] | None = None) -> None:
        """All that is asked from now on."""
        body = status(code, reason, f"made to fail with {code}")
        self.instead = lambda path: (code, headers or {}, body)

    def is_stream(self, path: str, bearer: str | None) -> bool:
        return (self.objects.is_watch(path) and bearer == BEARER and not self.instead(path)
                and not self.objects.is_expired(path))

    def succeed(self) -> None:
        self.instead = lambda path: None

    def answer(self, path: str, bearer: str | None, body: bytes) -> Answer:
        self.free.wait(60)
        if made := self.instead(path):
            return made
        if bearer != BEARER:
            return 401, {}, status(401, "Unauthorized", "Unauthorized")
        if self.objects.is_watch(path):
            return 410, {}, status(410, "Expired", "too old resource version")
        if self.objects.knows(path):
            return 200, {}, self.objects.list(path)
        match urlsplit(path).path.split("/")[1:]:
            case ["api", "v1", "namespaces", ns, "serviceaccounts", account, "token"]:
                return 201, {}, self.token_request(ns, account, json.loads(body))
            case ["api", "v1", "namespaces", ns, "secrets", name] if f"{ns}/{name}" in self.secrets:
                return 200, {}, secret(name, self.secrets[f"{ns}/{name}"])
        return 404, {}, status(404, "NotFound", f"{path} is not here")

    def token_request(self, ns: str, account: str, body: dict) -> bytes:
        audiences = body["spec"]["audiences"]
        self.requests.append({"account": f"{ns}/{account}", "audiences": audiences,
                              "life": body["spec"]["expirationSeconds"]})
        expires = int(time.time()) + self.life_s
        date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expires + self.ahead_s))
        return json.dumps({**body, "status": {"token": self.token(ns, account, audiences, expires),
                                              "expirationTimestamp": date}}).encode()

    def token(self, ns: str, account: str, audiences: list[str], expires: int) -> str:
        claims = {"aud": audiences, "exp": expires, "iat": int(time.time()) - 5 + self.ahead_s,
                  "iss": "https://kubernetes.default.svc",
                  "sub": f"system:serviceaccount:{ns}:{account}"}
        text = ".".join(part(json.dumps(value).encode())
                        for value in ({"alg": "ES256", "typ": "JWT"}, claims))
        der = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.token_key],
                             input=text.encode(), capture_output=True, check=True).stdout
        return f"{text}.{part(raw_signature(der))}"
