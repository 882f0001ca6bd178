#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the golden files anew: what the real istioctl writes for each case.

    tests/bootstrap/golden/regenerate.py ISTIOCTL [CASE...]

istioctl talks to a small Kubernetes API on loopback that knows just what it asks for. A case is a
folder with case.yaml; what istioctl writes goes into `expected` beside it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
ROOT_CERT = (HERE / "root-cert.pem").read_text()
TOKEN = "a.token.of-istio"
FLAGS = {"clusterID": "clusterID", "internalIP": "internalIP", "externalIP": "externalIP",
         "autoregister": "autoregister", "captureDNS": "capture-dns", "revision": "revision"}


def config_map(name: str, data: dict[str, str]) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


class Api(BaseHTTPRequestHandler):
    """The answers for one case."""

    case: dict

    def do_GET(self) -> None:
        revision = self.case["options"].get("revision", "default")
        suffix = "" if revision == "default" else f"-{revision}"
        values = json.dumps(self.case.get("injector", {}))
        maps = {f"istio{suffix}": {"mesh": self.case["mesh"]},
                f"istio-sidecar-injector{suffix}": {"values": values},
                "istio-ca-root-cert": {"root-cert.pem": ROOT_CERT}}
        parts = self.path.partition("?")[0].split("/")
        if parts[-2] == "configmaps" and parts[-1] in maps:
            self.answer(200, config_map(parts[-1], maps[parts[-1]]))
        else:
            self.answer(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure",
                              "reason": "NotFound", "code": 404, "message": "not here"})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked["status"] = {"token": TOKEN, "expirationTimestamp": "2030-01-01T00:00:00Z"}
        self.answer(201, asked)

    def answer(self, status: int, body: dict) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_args: object) -> None:
        pass


def regenerate(istioctl: str, folder: Path) -> None:
    case = yaml.safe_load((folder / "case.yaml").read_text())
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("CaseApi", (Api,), {"case": case}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as scratch:
        kubeconfig, group = Path(scratch, "kubeconfig"), Path(scratch, "group.yaml")
        out = Path(scratch, "out")
        group.write_text(case["group"])
        kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "clusters": [{"name": "x", "cluster": {
                "server": f"http://127.0.0.1:{server.server_port}"}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            "users": [{"name": "x", "user": {}}]}))
        # Without a revision istioctl would watch webhooks to find the default one.
        options = {"revision": "default"} | case["options"]
        flags = [f"--{FLAGS[name]}={str(value).lower() if isinstance(value, bool) else value}"
                 for name, value in options.items() if name in FLAGS]
        subprocess.run(
            [istioctl, "x", "workload", "entry", "configure", "-f", group, "-o", out,
             "--kubeconfig", kubeconfig, f"--ingressIP={options.get('gateway', '192.0.2.1')}",
             *flags], check=True, stdout=subprocess.DEVNULL, timeout=60)
        shutil.rmtree(folder / "expected", ignore_errors=True)
        shutil.copytree(out, folder / "expected")
        for file in (folder / "expected").iterdir():
            file.chmod(0o644)
    server.shutdown()
    server.server_close()


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    for folder in sorted(path.parent for path in HERE.glob("*/case.yaml")):
        if folder.name in sys.argv[2:] or len(sys.argv) == 2:
            print(folder.name, flush=True)
            regenerate(sys.argv[1], folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
