# SPDX-License-Identifier: Apache-2.0
"""Who xdsgate is in the cluster: the account and the rights that deploy/rbac-tokens.yaml gives it."""

from __future__ import annotations

import json
from pathlib import Path

from .kube import Kube

RIGHTS = Path(__file__).resolve().parents[3] / "deploy/rbac-tokens.yaml"
ACCOUNTS = ("client", "server", "simulated")


def rights(namespace: str, accounts: tuple[str, ...] = ACCOUNTS) -> str:
    """What is shipped, for the VMs of this namespace."""
    text = RIGHTS.read_text()
    for mark in ("namespace: vms", '["web"]'):
        assert mark in text, f"{RIGHTS.name} has no {mark}"
    names = ", ".join(f'"{name}"' for name in accounts)
    return text.replace("namespace: vms", f"namespace: {namespace}").replace('["web"]',
                                                                             f"[{names}]")


def make(kube: Kube, server: str, folder: Path, namespace: str) -> Path:
    """The account with its rights; the kubeconfig for xdsgate, by a token as the secret's is."""
    kube.apply(rights(namespace))
    token = kube.kubectl("-n", "xdsgate", "create", "token", "xdsgate", "--duration=24h").strip()
    path = folder / "kubeconfig"
    path.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "mesh",
        "clusters": [{"name": "mesh", "cluster": {
            "server": server, "certificate-authority": str(kube.authority)}}],
        "users": [{"name": "xdsgate", "user": {"token": token}}],
        "contexts": [{"name": "mesh", "context": {"cluster": "mesh", "user": "xdsgate"}}]}))
    path.chmod(0o600)
    return path
