# SPDX-License-Identifier: Apache-2.0
"""What xdsgate may do in the cluster: what is shipped is enough, and each name in it counts."""

from __future__ import annotations

from harness import gateway_account
from harness.lab import Column
from harness.wait import until

REFUSED = "no token for a service account"


def account_not_named(column: Column) -> None:
    """A service account that the Role does not name gets no token, and no other one suffers."""
    edge, kube = column.lab.edge, column.lab.kube
    server, client = column.vm("server"), column.vm("client")
    count = edge.process.text().count(REFUSED)
    kube.apply(gateway_account.rights(column.name, ("client", "simulated")))
    try:
        edge.renew_kubeconfig()  # what it has in memory is forgotten
        server.restart()
        until(lambda: edge.process.text().count(REFUSED) > count, 60, "a token is refused")
        line = next(one for one in reversed(edge.process.text().splitlines()) if REFUSED in one)
        assert f"account={column.name}/server" in line and "403" in line
        client.await_back(client.restart())
    finally:
        kube.apply(gateway_account.rights(column.name))
    server.await_health("True", within=60)
