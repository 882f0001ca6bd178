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
from pathlib import Path

import yaml

from api import HERE, Api

FLAGS = {"clusterID": "clusterID", "internalIP": "internalIP", "externalIP": "externalIP",
         "autoregister": "autoregister", "captureDNS": "capture-dns", "revision": "revision"}


def flags_of(case: dict) -> list[str]:
    """istioctl's flags for a case, which are also xdsgate's."""
    options = case["options"]
    return [f"--{FLAGS[name]}={str(value).lower() if isinstance(value, bool) else value}"
            for name, value in options.items() if name in FLAGS
            ] + [f"--ingressIP={options.get('gateway', '192.0.2.1')}"]


def kubeconfig(server: str, **more: object) -> str:
    return json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": server, **more}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "users": [{"name": "x", "user": {"token": "of-the-administrator"}}]})


def regenerate(istioctl: str, folder: Path) -> None:
    case = yaml.safe_load((folder / "case.yaml").read_text())
    # Without a revision istioctl would watch webhooks to find the default one.
    case["options"].setdefault("revision", "default")
    api = Api(case)
    with tempfile.TemporaryDirectory() as scratch:
        config, group, out = (Path(scratch, name) for name in ("kubeconfig", "group.yaml", "out"))
        group.write_text(case["group"])
        config.write_text(kubeconfig(f"http://127.0.0.1:{api.server_port}"))
        subprocess.run(
            [istioctl, "x", "workload", "entry", "configure", "-f", group, "-o", out,
             "--kubeconfig", config, *flags_of(case)], check=True, stdout=subprocess.DEVNULL,
            timeout=60)
        shutil.rmtree(folder / "expected", ignore_errors=True)
        shutil.copytree(out, folder / "expected")
        for file in (folder / "expected").iterdir():
            file.chmod(0o644)
    api.close()


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
