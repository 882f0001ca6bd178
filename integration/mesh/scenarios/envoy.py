# SPDX-License-Identifier: Apache-2.0
"""What the configuration is for: an Envoy that takes all of it and carries requests by mTLS."""

from __future__ import annotations

import http.client

from harness import netns
from harness.lab import Column
from harness.wait import until

ANSWERED_S = 120
LISTENERS = 8  # at least: inbound, outbound, status, statistics and those of objects/column.yaml


def request_by_mtls(column: Column) -> None:
    """From one VM's Envoy to the other's: the server is told who the client is."""
    client, server = column.vm("client"), column.vm("server")

    def answered() -> dict | None:
        status, body = client.request("127.0.0.9", 9443, "server.mesh.test")
        return body if status == 200 else None
    body = until(answered, ANSWERED_S, f"{client.node} reaches {server.node}")

    assert body["vm"] == server.node
    assert f"URI={client.identity}" in body["caller"]
    for vm in (client, server):
        _accepts_everything(vm)


def other_callers_refused(column: Column) -> None:
    """The same door without mTLS stays shut: the request above was let in by its certificate."""
    client, server = column.vm("client"), column.vm("server")

    try:
        status, _ = client.request(server.address, 9443, "server.mesh.test")
    except (OSError, http.client.HTTPException):
        status = None  # plain text meets a listener that wants TLS
    assert status is None
    netns.connect(client.netns, server.address, 9443).close()  # which does listen


def _accepts_everything(vm) -> None:
    """All that has come so far; what comes a moment later counts too."""
    stats: dict[str, int] = {}

    def there() -> bool:
        stats.update(vm.stats("(cds|lds|rds)|listeners_active|active_clusters"))
        return (stats["cluster_manager.cds.update_success"] > 0
                and stats["listener_manager.lds.update_success"] > 0
                and stats["listener_manager.total_listeners_active"] >= LISTENERS)
    until(there, ANSWERED_S, f"{vm.node} has its clusters and listeners")
    rejected = {name: value for name, value in stats.items()
                if name.endswith("update_rejected") and value}
    assert not rejected, (vm.node, rejected)
