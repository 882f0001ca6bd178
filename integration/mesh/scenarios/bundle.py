# SPDX-License-Identifier: Apache-2.0
"""`xdsgate bundle create` and the real istioctl, both asking the same real API server."""

from __future__ import annotations

import base64
import json
import re
import stat
from pathlib import Path

import yaml

from harness import edge, istio
from harness.lab import Column
from harness.processes import IP, run

CASES = Path(__file__).resolve().parents[3] / "tests/bootstrap/golden"
NAMESPACE = "bundles"
GATEWAY = "192.0.2.1"

# The API server does not store them; istioctl and xdsgate take them from a file.
NOT_STORED = {"no_template", "probe_empty"}

# What we do better, for these files of these cases: docs/bundle.md.
DIFFERENT = {("annotations", "hosts")}

FLAGS = {"clusterID": "clusterID", "internalIP": "internalIP", "externalIP": "externalIP",
         "autoregister": "autoregister", "captureDNS": "capture-dns"}


def equals_istioctl(column: Column) -> None:
    """The same files for each case of tests/bootstrap/golden, and for a group of this mesh with
    the mesh's own configuration."""
    folder = column.lab.folder / "bundles"
    folder.mkdir()
    cases = {path.parent.name: yaml.safe_load(path.read_text())
             for path in CASES.glob("*/case.yaml")}
    assert len(cases) >= 25
    store(column, cases)
    for name, case in sorted(cases.items()):
        group = folder / f"{name}.yaml"
        group.write_text(group_of(name, case))
        make_both(column, folder / name, group, name not in NOT_STORED,
                  ["--revision", revision_of(name), *flags_of(case)])
        compare(name, folder / name)
    of_this_mesh(column, folder)


def of_this_mesh(column: Column, folder: Path) -> None:
    """Without --revision and --clusterID: what the mesh itself says."""
    group = folder / "client.yaml"
    group.write_text(column.lab.kube.kubectl("-n", column.name, "get", "workloadgroup", "client",
                                             "-o", "yaml"))
    make_both(column, folder / "client", group, True, ["--autoregister"])
    compare("client", folder / "client")


# ---- what both read

def revision_of(name: str) -> str:
    """Each case has a revision of its own, so that each has its own configuration."""
    return name.replace("_", "-")


def group_of(name: str, case: dict) -> str:
    group = yaml.safe_load(case["group"])
    group["metadata"] |= {"namespace": NAMESPACE, "name": f"vm-{revision_of(name)}"}
    return yaml.safe_dump(group)


def mesh_of(name: str, case: dict) -> str:
    """Its istiod has the revision's name, as when it was installed so."""
    return re.sub(r"\bistiod(-canary)?\.istio-system", f"istiod-{revision_of(name)}.istio-system",
                  case["mesh"])


def flags_of(case: dict) -> list[str]:
    return [f"--{FLAGS[key]}={str(value).lower() if isinstance(value, bool) else value}"
            for key, value in case["options"].items() if key in FLAGS]


def config_map(name: str, key: str, text: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "data": {key: text},
            "metadata": {"name": name, "namespace": "istio-system"}}


def store(column: Column, cases: dict[str, dict]) -> None:
    """The groups, their accounts and each case's configuration of a mesh."""
    kube = column.lab.kube
    documents: list[dict] = [{"apiVersion": "v1", "kind": "Namespace",
                              "metadata": {"name": NAMESPACE}}]
    documents += [{"apiVersion": "v1", "kind": "ServiceAccount",
                   "metadata": {"name": name, "namespace": NAMESPACE}}
                  for name in ("vm", "orders", "default")]
    for name, case in cases.items():
        values = json.dumps(case.get("injector", {}))
        documents += [config_map(f"istio-{revision_of(name)}", "mesh", mesh_of(name, case)),
                      config_map(f"istio-sidecar-injector-{revision_of(name)}", "values", values)]
        if name not in NOT_STORED:
            documents.append(yaml.safe_load(group_of(name, case)))
    kube.apply(yaml.safe_dump_all(documents))
    istio.await_root(kube, NAMESPACE)


# ---- what both write

def make_both(column: Column, out: Path, group: Path, stored: bool, flags: list[str]) -> None:
    """istioctl's files in out/theirs, xdsgate's in out/ours, from the cluster if it can be."""
    kube = column.lab.kube
    out.mkdir()
    kube.run(column.lab.programs / "bin/istioctl", "x", "workload", "entry", "configure", "-f",
             group, "-o", out / "theirs", "--ingressIP", GATEWAY, *flags)
    metadata = yaml.safe_load(group.read_text())["metadata"]
    what = [metadata["name"], "-n", metadata["namespace"]] if stored else ["-f", group]
    inside = [IP, "netns", "exec", kube.netns] if kube.netns else []
    run(*inside, edge.binary(), "bundle", "create", *what, "--kubeconfig", kube.kubeconfig,
        "-o", out / "ours", "--gateway", GATEWAY, *flags)


def compare(name: str, out: Path) -> None:
    for theirs in sorted((out / "theirs").iterdir()):
        ours = out / "ours" / theirs.name
        mode = stat.S_IMODE(ours.stat().st_mode)
        assert mode == (0o600 if theirs.name == "istio-token" else 0o644), (name, theirs.name)
        if (name, theirs.name) in DIFFERENT:
            assert ours.read_text() != theirs.read_text(), (name, theirs.name)
        else:
            assert meaning(ours) == meaning(theirs), (name, theirs.name)
    assert len(list((out / "ours").iterdir())) == 5


def meaning(file: Path) -> object:
    """What there is to compare in a file."""
    text = file.read_text()
    if file.name == "mesh.yaml":
        return yaml.safe_load(text)
    if file.name == "istio-token":
        claims = claims_of(text)
        return claims["aud"], claims["sub"], claims["exp"] - claims["iat"]
    # istioctl writes the inbound ports in any order.
    return ["".join(sorted(line)) if line.startswith("ISTIO_INBOUND_PORTS=") else line
            for line in text.splitlines()]


def claims_of(token: str) -> dict:
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
