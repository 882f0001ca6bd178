# SPDX-License-Identifier: Apache-2.0
"""Who xdsgate is in the cluster: the account and the rights that the files of deploy/ give it."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import yaml

from .kube import Kube
from .processes import IP, run
from .wait import until

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
RIGHTS = DEPLOY / "rbac-tokens.yaml"
DISCOVERY = DEPLOY / "rbac-discovery.yaml"
ROOTS = DEPLOY / "rbac-roots.yaml"
USER = "system:serviceaccount:xdsgate:xdsgate"
COUNTS_S = 60
ACCOUNTS = ("client", "server", "simulated")


def rights(namespace: str, accounts: tuple[str, ...] = ACCOUNTS) -> str:
    """What is shipped, for the VMs of this namespace."""
    text = RIGHTS.read_text()
    for mark in ("namespace: vms", '["web"]'):
        assert mark in text, f"{RIGHTS.name} has no {mark}"
    names = ", ".join(f'"{name}"' for name in accounts)
    return text.replace("namespace: vms", f"namespace: {namespace}").replace('["web"]',
                                                                             f"[{names}]")


def discovery_rights(without: str | None = None) -> str:
    """What is shipped for `discovery`, or all of it but the rule for one kind of objects."""
    documents = list(yaml.safe_load_all(DISCOVERY.read_text()))
    left_out = 0
    for document in documents:
        rules = document.get("rules", [])
        kept = [rule for rule in rules if rule["resources"] != [without]]
        left_out += len(rules) - len(kept)
        if rules:
            document["rules"] = kept
    assert left_out == (without is not None), f"{DISCOVERY.name} has no rule for {without}"
    return yaml.safe_dump_all(documents)


def await_right(kube: Kube, granted: bool, *what: str) -> None:
    """Until it may do that, by `kubectl auth can-i`, or may not: a rule that has changed counts a
    moment later."""
    until(lambda: kube.may(USER, *what) == granted, COUNTS_S,
          f"it may {'' if granted else 'not '}{' '.join(what)}")


def make(kube: Kube, server: str, folder: Path, namespace: str) -> Path:
    """The account with its rights, and the kubeconfig that deploy/kubeconfig.sh makes of it.

    What fills the secret in a cluster is its controller-manager, of which there is none here.
    """
    kube.apply(rights(namespace))
    kube.apply(ROOTS.read_text())
    token = kube.kubectl("-n", "xdsgate", "create", "token", "xdsgate", "--duration=24h").strip()
    data = {"token": token.encode(), "ca.crt": kube.authority.read_bytes()}
    kube.kubectl("-n", "xdsgate", "patch", "secret", "xdsgate-token", "-p", json.dumps(
        {"data": {name: base64.b64encode(value).decode() for name, value in data.items()}}))
    inside = [IP, "netns", "exec", kube.netns] if kube.netns else []
    path = folder / "kubeconfig"
    path.write_text(run(*inside, "env", f"KUBECONFIG={kube.kubeconfig}",
                        f"PATH={kube.kubectl_path.parent}:{os.environ['PATH']}",
                        DEPLOY / "kubeconfig.sh", server))
    path.chmod(0o600)
    return path
