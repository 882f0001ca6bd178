# SPDX-License-Identifier: Apache-2.0
"""`xdsgate cert issue` with the mesh's real CA."""

from __future__ import annotations

import re
import subprocess

from harness import edge
from harness.lab import Column
from harness.processes import IP, run


def issue(column: Column, folder: str, *arguments: object, stdin: str | None = None) -> None:
    """Where the API server can be reached, as an administrator."""
    kube = column.lab.kube
    inside = [IP, "netns", "exec", kube.netns] if kube.netns else []
    run(*inside, edge.binary(), "cert", "issue", *map(str, arguments), "--output",
        column.lab.folder / folder, stdin=stdin)


def verify(column: Column, folder: str) -> None:
    """By the root that the VMs' agents have from istiod, as strictly as openssl can."""
    root = column.vm("client").folder / "etc/certs/root-cert.pem"
    path = column.lab.folder / folder
    run("openssl", "verify", "-purpose", "sslserver", "-verify_hostname",
        "istiod.istio-system.svc", "-CAfile", root, "-untrusted", path / "tls.crt",
        path / "tls.crt")
    assert (path / "root-cert.pem").read_text().strip() == root.read_text().strip()


def from_the_cluster(column: Column) -> None:
    """Out of the secret, by the API and by a pipe from kubectl: no key of the CA on any disk."""
    kube = column.lab.kube

    issue(column, "from-cluster", "--from-cluster", "--kubeconfig", kube.kubeconfig)
    verify(column, "from-cluster")

    secret = kube.kubectl("-n", "istio-system", "get", "secret", "istio-ca-secret", "-o", "yaml")
    issue(column, "from-pipe", "--ca-secret", "-", stdin=secret)
    verify(column, "from-pipe")

    for path in column.lab.folder.glob("from-*/*"):
        assert re.fullmatch(r"tls\.crt|tls\.key|root-cert\.pem", path.name)


def from_istiod(column: Column) -> None:
    """istiod signs for whoever comes from the address that it trusts, and for nobody else."""
    lab = column.lab
    root = lab.edge.folder / "istiod-root.pem"
    root.write_text((column.vm("client").folder / "etc/certs/root-cert.pem").read_text())

    def ask(source: str, folder: str) -> list[object]:
        return [IP, "netns", "exec", lab.edge.netns, edge.binary(), "cert", "issue",
                "--from-istiod", str(lab.site.istiods[0]), "--source", source, "--root-cert", root,
                "--output", lab.folder / folder]

    run(*ask(lab.site.edge_trusted, "by-istiod"))
    verify(column, "by-istiod")

    refused = subprocess.run(list(map(str, ask(lab.site.edge_untrusted, "refused"))),
                             capture_output=True, text=True)
    assert refused.returncode == 1 and "TRUSTED_GATEWAY_CIDR" in refused.stderr
    assert not (lab.folder / "refused").exists()
