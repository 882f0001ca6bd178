# SPDX-License-Identifier: Apache-2.0
"""What xdsgate may do in the cluster: what is shipped is enough, and each name in it counts."""

from __future__ import annotations

from harness import gateway_account
from harness.lab import Column
from harness.wait import until

REFUSED = "no token for a service account"
NOT_FOLLOWED = "roots of the mesh cannot be followed"
FOLLOWED_AGAIN = "roots of the mesh are followed again"
CURRENT = "xdsgate_mesh_roots_current"
SAID_S = 120


def account_not_named(column: Column) -> None:
    """A service account that the Role does not name gets no token, and no other one suffers."""
    edge, kube = column.lab.edge, column.lab.kube
    server, client = column.vm("server"), column.vm("client")
    count = edge.process.text().count(REFUSED)
    right = ("create", "serviceaccounts/server", "--subresource=token", "-n", column.name)
    gateway_account.await_right(kube, True, *right)
    kube.apply(gateway_account.rights(column.name, ("client", "simulated")))
    try:
        gateway_account.await_right(kube, False, *right)
        edge.renew_kubeconfig()  # what it has in memory is forgotten
        before = server.restart()
        until(lambda: edge.process.text().count(REFUSED) > count, SAID_S, "a token is refused")
        line = next(one for one in reversed(edge.process.text().splitlines()) if REFUSED in one)
        assert f"account={column.name}/server" in line and "403" in line
        client.await_back(client.restart())
    finally:
        kube.apply(gateway_account.rights(column.name))
    server.await_back(before)


def published_roots_not_readable(column: Column) -> None:
    """Without the right on the ConfigMap of the mesh's roots it says which one is missing, once."""
    edge, kube = column.lab.edge, column.lab.kube
    until(lambda: f"{CURRENT} 1" in edge.metrics(), SAID_S, "the mesh's roots are seen")
    rows = [row for row in edge.metrics().splitlines() if "_roots_missing{" in row]
    assert rows and all(row.endswith(" 0") for row in rows), rows
    said = edge.process.text().count(NOT_FOLLOWED)
    right = ("watch", "configmaps/istio-ca-root-cert", "-n", "istio-system")
    gateway_account.await_right(kube, True, *right)
    kube.kubectl("-n", "istio-system", "delete", "rolebinding", "xdsgate-roots")
    try:
        gateway_account.await_right(kube, False, *right)
        edge.renew_kubeconfig()  # a watch that is there would go on
        until(lambda: edge.process.text().count(NOT_FOLLOWED) > said, SAID_S, "it is refused")
        line = next(one for one in edge.process.text().splitlines()[::-1] if NOT_FOLLOWED in one)
        assert "403" in line and "deploy/rbac-roots.yaml" in line, line
        assert edge.process.text().count(NOT_FOLLOWED) == said + 1
    finally:
        kube.apply(gateway_account.ROOTS.read_text())
    until(lambda: f"{CURRENT} 1" in edge.metrics(), SAID_S, "the mesh's roots are seen again")
    until(lambda: FOLLOWED_AGAIN in edge.process.text(), SAID_S, "it says so")
