# SPDX-License-Identifier: Apache-2.0
"""Who has which address.

    NET.100.2, NET.100.3    the edge: xdsgate; .2 passes through, .3 is trusted by istiod
    NET.101.x               VMs that reach istiod directly
    NET.102.x               VMs that pass through xdsgate
    NET.103.x               VMs that xdsgate terminates, and names to istiod (identity: xfcc)
    NET.104.x               VMs that xdsgate terminates, and gets tokens for (identity: token)
"""

from __future__ import annotations

from dataclasses import dataclass

DIRECT, PASSTHROUGH, TERMINATE, TOKEN = COLUMNS = ("direct", "passthrough", "terminate", "token")
TERMINATED = (TERMINATE, TOKEN)

SIMULATED_NETWORK = "10.99.0.0/16"  # addresses that simulated VMs say they have

XDS_PORT = 15012
SERVER_NAME = "istiod.istio-system.svc"


@dataclass(frozen=True)
class Endpoint:
    """Where istiod, or xdsgate in front of it, takes connections."""

    address: str
    port: int = XDS_PORT

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True)
class Site:
    """The addresses of one mesh."""

    net: str  # the first two bytes
    istiods: tuple[Endpoint, ...]

    @property
    def edge_untrusted(self) -> str:
        return f"{self.net}.100.2"

    @property
    def edge_trusted(self) -> str:
        return f"{self.net}.100.3"

    def machine(self, column: str, number: int) -> str:
        return f"{self.net}.{101 + COLUMNS.index(column)}.{number}"

    def subnet(self, column: str) -> str:
        return self.machine(column, 0) + "/24"

    def way(self, column: str) -> tuple[Endpoint, ...]:
        """What a VM of that column has in its hosts file."""
        return self.istiods if column == DIRECT else (Endpoint(self.edge_untrusted),)
