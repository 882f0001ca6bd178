# SPDX-License-Identifier: Apache-2.0
"""`xdsgate vm list` beside istiod: what it says of a VM is what istiod has of it.

istiod's side is its page /debug/syncz, which `istioctl proxy-status` reads, by the same rules; for
health it is the WorkloadEntry. The two seconds that are promised are counted from istiod's last
word: nobody can agree with it while that changes, as when somebody else's service comes or a VM
answers late; and how long the looking itself takes is not xdsgate's.
"""

from __future__ import annotations

import re
import time

from harness.lab import ALL_VMS, Column
from harness.wait import Stopwatch, until

AGREES_S = 2
SETTLED_S = 180  # for istiod itself, and the VMs
PUSH_S = 120

SHORT = {f"type.googleapis.com/{name}": short for short, name in (
    ("CDS", "envoy.config.cluster.v3.Cluster"), ("LDS", "envoy.config.listener.v3.Listener"),
    ("EDS", "envoy.config.endpoint.v3.ClusterLoadAssignment"),
    ("RDS", "envoy.config.route.v3.RouteConfiguration"),
    ("ECDS", "envoy.config.core.v3.TypedExtensionConfig"),
    ("SDS", "envoy.extensions.transport_sockets.tls.v3.Secret"),
    ("NDS", "istio.networking.nds.v1.NameTable"), ("PCDS", "istio.mesh.v1alpha1.ProxyConfig"))}

CONTROLS = re.compile(r"[\x00-\x1f\x7f]")  # no terminal gets to see them: core/base/show.h

HEALTH = {"True": "healthy", "False": "unhealthy", None: "unknown"}

SEEN = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: seen, namespace: {namespace}}}
spec:
  hosts: [seen.example]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: DNS
"""


# ---- the two sides, each as {VM: {type: what there is to say}}

def by_istiod(column: Column) -> dict[str, dict[str, dict[str, str]]]:
    said = {}
    for istiod in column.lab.istiods:
        for proxy in istiod.sync_status() if istiod.running() else []:
            name = proxy["proxy"]
            if name.endswith(f".{column}"):
                said[name] = {SHORT.get(url, url): status_of(row)
                              for url, row in proxy.get("resources", {}).items()}
    return said


def status_of(row: dict) -> dict[str, str]:
    """As pilot/pkg/xds/statusgen.go of Istio judges it."""
    sent, error = row.get("sent", ""), row.get("lastError", "")
    state = ("ERROR" if error else "NOT SENT" if not sent
             else "SYNCED" if row.get("acked", "") == sent else "STALE")
    return {"state": state, "nonce": sent, "error": CONTROLS.sub("\ufffd", error)}


def by_xdsgate(column: Column) -> dict[str, dict[str, dict[str, str]]]:
    """The states from `vm list`, nonces and errors from `vm describe`. LookupError when a VM has
    left in between."""
    edge = column.lab.edge
    said = {}
    for name, vm in edge.vms(column.name).items():
        if vm["state"] == "connected":
            more = {row["type"]: row for row in edge.describe(vm["id"])["sync"]}
            said[name] = {kind: {"state": state, "nonce": more[kind]["nonce"] or "",
                                 "error": more[kind]["error"] or ""}
                          for kind, state in vm["types"].items()}
    return said


def differences(theirs: dict, ours: dict) -> list[str]:
    return [f"{name} {kind}: istiod {theirs.get(name, {}).get(kind)}, "
            f"xdsgate {ours.get(name, {}).get(kind)}"
            for name in sorted(theirs.keys() | ours.keys())
            for kind in sorted(theirs.get(name, {}).keys() | ours.get(name, {}).keys())
            if theirs.get(name, {}).get(kind) != ours.get(name, {}).get(kind)]


def health_by_istiod(column: Column) -> dict[str, str]:
    """The same for health: what the WorkloadEntries say; those of VMs that are there."""
    entries = {vm.node: vm.entry for vm in map(column.vm, ALL_VMS)}
    return {node: HEALTH[entry.healthy] for node, entry in entries.items() if entry}


def in_health(theirs: dict[str, str], column: Column) -> list[str]:
    said = column.lab.edge.vms(column.name)
    return [f"{node}: {health}, xdsgate {said[node]['health']}" for node, health in theirs.items()
            if health != said[node]["health"]]


class Comparison:
    """Looks at both sides again and again, until there is something to say."""

    def __init__(self, column: Column) -> None:
        self.column = column
        self.theirs: tuple[dict, dict] | None = None
        self.since = 0.0  # when (time.time()) istiod's side was first seen to be as it is
        self.wrong: list[str] = []

    def result(self) -> str | None:
        """"agrees", or "differs" though it had the time; None: both may still be on their way."""
        began = time.time()
        ours = by_xdsgate(self.column)
        theirs = by_istiod(self.column), health_by_istiod(self.column)
        self.wrong = differences(theirs[0], ours) + in_health(theirs[1], self.column)
        if not self.wrong:
            return "agrees"
        stood_still = self.column.lab.standstills.longest(since=self.since) > 0
        if theirs != self.theirs or stood_still:
            self.theirs, self.since = theirs, time.time()
        return "differs" if began - self.since > AGREES_S else None


def agrees(column: Column, what: str) -> None:
    """Both sides say the same, of every VM of the column and every type, and of its health."""
    watch, compared = Stopwatch(), Comparison(column)
    result = until(compared.result, SETTLED_S, f"vm list agrees {what}")
    assert result == "agrees", f"{len(compared.wrong)} differences {what}: {compared.wrong[:5]}"
    column.note(f"vm list agrees {what}", watch())


# ---- the scenarios

def at_rest(column: Column) -> None:
    """Everybody is synced and healthy, by both variants of the protocol; the rest is as it is."""
    vms = [column.vm(name) for name in ALL_VMS]

    def all_synced() -> bool:
        said = column.lab.edge.vms(column.name)
        return all(is_synced(said[vm.node]) for vm in vms)
    until(all_synced, SETTLED_S, "all are synced and healthy")
    agrees(column, "at rest")
    said = column.lab.edge.vms(column.name)
    for vm in vms:
        row = said[vm.node]
        assert row["variant"] == ("delta" if vm.plan.delta else "sotw"), row
        assert row["address"] == vm.address and row["identity"] == vm.identity, row
        assert row["group"] == (vm.plan.group if vm.plan.autoregister else None), row
        assert row["refused"] is None, row


def is_synced(row: dict) -> bool:
    return row["types"]["CDS"] == row["types"]["LDS"] == "SYNCED" and row["health"] == "healthy"


def after_push(column: Column) -> None:
    """A service comes and goes: two seconds after istiod has pushed to all, both sides agree."""
    kube = column.lab.kube
    nodes = {column.vm(name).node for name in ALL_VMS}

    def everybodys() -> dict[str, str] | None:
        found = nonces(column)
        return found if nodes <= found.keys() else None

    for what, change in (("apply", kube.apply), ("delete", kube.delete)):
        before = until(everybodys, SETTLED_S, "istiod has every VM")
        change(SEEN.format(namespace=column))
        until(lambda: not before.items() & nonces(column).items(), PUSH_S, "a push to every VM")
        agrees(column, f"after a push ({what})")


def nonces(column: Column) -> dict[str, str]:
    return {name: types["CDS"]["nonce"] for name, types in by_istiod(column).items()}


def health(column: Column) -> None:
    """An application stops and starts; of a VM that registers, and of one that does not."""
    for name in ("server", "by-hand"):
        vm = column.vm(name)
        vm.stop_application()
        vm.await_health("False")
        agrees(column, f"when {name} is unhealthy")
        vm.start_application()
        vm.await_health("True")
        agrees(column, f"when {name} is healthy")


def shows_nack(column: Column, node: str) -> None:
    """Its listeners are rejected: ERROR, with Envoy's own words in the list and on the screen."""
    def rejected() -> dict | None:
        """Not while Envoy still looks at what it was sent again."""
        row = column.lab.edge.vms(column.name)[node]
        types = row["types"]
        return row if types["LDS"] == "ERROR" and types["CDS"] == "SYNCED" else None

    agrees(column, "after a NACK")
    row = until(rejected, SETTLED_S, f"LDS of {node} is ERROR, CDS is SYNCED")
    assert row["nacks"] > 0 and row["last_nack"]["type"] == "LDS", row
    assert "istio.alpn" in row["last_nack"]["text"], row
    assert "istio.alpn" in column.lab.edge.ask("vm", "describe", node)
