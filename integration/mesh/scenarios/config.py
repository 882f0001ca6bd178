# SPDX-License-Identifier: Apache-2.0
"""`xdsgate vm config` beside the VM's own Envoy, and read by the real istioctl."""

from __future__ import annotations

import json
from collections.abc import Iterable

from harness.lab import Column
from harness.processes import run
from harness.vm import VM
from harness.wait import NotYet, until

VARIANTS = ("client", "sotw")  # delta and state of the world
AGREES_S = 60  # what one has is looked at a moment after what the other has
CHANGED_S = 120
READERS = ("clusters", "listeners", "routes", "eds")  # of istioctl proxy-config

CHANGED = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  hosts: [{name}.{namespace}.example]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: STATIC
  endpoints: [{{address: 10.9.9.{last}}}]
"""


def section(dump: dict, kind: str) -> dict:
    return next((one for one in dump["configs"] if one["@type"].endswith(f".{kind}")), {})


def clusters(dump: dict) -> dict[str, dict]:
    rows = section(dump, "ClustersConfigDump").get("dynamic_active_clusters", [])
    return {row["cluster"]["name"]: row["cluster"] for row in rows}


def listeners(dump: dict) -> dict[str, dict]:
    rows = section(dump, "ListenersConfigDump").get("dynamic_listeners", [])
    return {row["name"]: row["active_state"]["listener"] for row in rows}


def routes(dump: dict) -> dict[str, dict]:
    rows = section(dump, "RoutesConfigDump").get("dynamic_route_configs", [])
    return {row["route_config"]["name"]: row["route_config"] for row in rows}


def endpoints(dump: dict) -> dict[str, list]:
    """The addresses of each cluster that istiod gives endpoints. Envoy writes the rest in its own
    way, and more: it has endpoints for clusters of every kind."""
    rows = section(dump, "EndpointsConfigDump").get("dynamic_endpoint_configs", [])
    of_istiod = {one.get("eds_cluster_config", {}).get("service_name", name)
                 for name, one in clusters(dump).items() if one.get("type") == "EDS"}
    return {row["endpoint_config"]["cluster_name"]: sorted(addresses(row["endpoint_config"]))
            for row in rows if row["endpoint_config"]["cluster_name"] in of_istiod}


def addresses(assignment: dict) -> Iterable[str]:
    for locality in assignment.get("endpoints", []):
        for one in locality.get("lb_endpoints", []):
            yield json.dumps(one["endpoint"]["address"], sort_keys=True)


def difference(vm: VM, column: Column) -> str | None:
    theirs = json.loads(vm.envoy("/config_dump?include_eds"))
    ours = column.lab.edge.config_of(vm.node)
    for part in (clusters, listeners, routes, endpoints):
        there, here = part(theirs), part(ours)
        if there.keys() != here.keys():
            return f"{part.__name__} of one side only: {sorted(there.keys() ^ here.keys())}"
        for name in there:
            if there[name] != here[name]:
                return f"{part.__name__} {name}: Envoy {there[name]}, xdsgate {here[name]}"
    return None if clusters(ours) and listeners(ours) else "there is nothing"


def agrees(vm: VM, column: Column) -> None:
    said: list[str | None] = [None]

    def same() -> bool:
        said[0] = difference(vm, column)
        return said[0] is None
    try:
        until(same, AGREES_S, "vm config is what Envoy has")
    except NotYet:
        raise NotYet(str(said[0])[:3000]) from None


def equals_envoy(column: Column) -> None:
    """Each resource is, field by field, what the VM's own Envoy dumps; also after a change."""
    vms = [column.vm(name) for name in VARIANTS]
    kube = column.lab.kube
    for vm in vms:
        agrees(vm, column)
    for last in (1, 2):
        kube.apply(CHANGED.format(name="kept", namespace=column, last=last))
        for vm in vms:
            until(lambda vm=vm: f"10.9.9.{last}" in vm.envoy("/config_dump?include_eds"), CHANGED_S,
                  "the change is there")
            agrees(vm, column)
    kube.delete(CHANGED.format(name="kept", namespace=column, last=2))
    for vm in vms:
        until(lambda vm=vm: f"kept.{column}.example" not in vm.envoy("/config_dump?include_eds"),
              CHANGED_S, "it is gone")
        agrees(vm, column)


def read_by_istioctl(column: Column) -> None:
    """The real istioctl reads it, and shows what it shows of the VM's own Envoy."""
    istioctl = column.lab.programs / "bin/istioctl"
    vm = column.vm("client")

    def table(reader: str, dump: str) -> set[tuple[str, ...]]:
        said = run(istioctl, "proxy-config", reader, "--file", "-", stdin=dump)
        rows = {tuple(line.split()) for line in said.splitlines()}
        # Endpoints without the state that Envoy has found them in.
        return {(row[0], row[-1]) for row in rows} if reader == "eds" else rows

    agrees(vm, column)
    for reader in READERS:
        def shown() -> bool:
            here = table(reader, column.lab.edge.ask("vm", "config", vm.node))
            there = table(reader, vm.envoy("/config_dump?include_eds"))
            return len(here) > 1 and here <= there
        until(shown, AGREES_S, f"istioctl shows the same {reader} of both")
    assert "xdsgate" in column.lab.edge.config_of(vm.node)


def change_is_shown(column: Column) -> None:
    """`vm config --diff`: a service that came, that moved, that left. None that the VM has had
    before: the last change of its endpoints might be that one's."""
    edge, kube = column.lab.edge, column.lab.kube
    vm = column.vm("client")
    kube.apply(CHANGED.format(name="moved", namespace=column, last=1))
    name = f"outbound|80||moved.{column}.example"
    shows(column, vm, f"+ {name}")

    kube.apply(CHANGED.format(name="moved", namespace=column, last=2))
    shows(column, vm, f"~ {name}", '"10.9.9.1" -> "10.9.9.2"')

    kube.delete(CHANGED.format(name="moved", namespace=column, last=2))
    shows(column, vm, f"- {name}")
    types = {one["type"]: one for one in json.loads(edge.ask("vm", "config", vm.node, "--diff", "-o",
                                                             "json"))["changes"]}
    gone = {one["name"]: one for one in types["CDS"]["resources"]}[name]
    assert gone["what"] == "removed" and gone["before"]["name"] == name and gone["after"] is None


def shows(column: Column, vm: VM, *lines: str) -> None:
    def text() -> str:
        return column.lab.edge.ask("vm", "config", vm.node, "--diff")
    until(lambda: all(line in text() for line in lines), CHANGED_S,
          f"vm config --diff shows {lines}")
