# SPDX-License-Identifier: Apache-2.0
"""An upstream that follows a service of the real API server.

There is no controller-manager here, so what it would write, the endpoint slices of a service, is
written by the scenario.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from harness import gateway_account
from harness.istio import Istiod
from harness.kube import Kube
from harness.lab import Column
from harness.wait import until

BY_SERVICE = "discovery: {kubernetes: {service: istiod, namespace: istio-system}}"
NODE_PORT = "istiod-xdsgate"  # the service of deploy/istiod-nodeport.yaml
BY_NODE_PORT = f"""\
- name: istiod-nodes
  discovery: {{kubernetes: {{service: {NODE_PORT}, addresses: nodes}}}}
  source_address: ["10.77.100.2"]
"""
NODE = "node-of-istiod"
NODE_ADDRESS = "10.77.0.1"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/istio-system/endpointslices"
MOVED = "upstream addresses changed"
LOST = "endpoints of a service cannot be followed"
AGAIN = "endpoints of a service are followed again"
ADDRESSES = 'xdsgate_discovery_addresses{upstream="istiod-nodes"} 1'
RIGHTS = {"endpointslices": ["endpointslices.discovery.k8s.io", "-n", "istio-system"],
          "services": [f"services/{NODE_PORT}", "-n", "istio-system"], "nodes": ["nodes"]}
SEEN_S = 90
HELD_S = 180


def put_slice(kube: Kube, service: str, address: str, pod: str) -> None:
    """The pod of that service is here now."""
    kube.apply(json.dumps({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": f"{service}-lab", "namespace": "istio-system",
                     "labels": {"kubernetes.io/service-name": service}},
        "ports": [{"name": "https-dns", "port": 15012, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True},
                       "targetRef": {"kind": "Pod", "namespace": "istio-system", "name": pod},
                       "nodeName": NODE}]}))


def delete_slice(kube: Kube, service: str) -> None:
    kube.kubectl("-n", "istio-system", "delete", "endpointslice", f"{service}-lab")


@contextmanager
def two_istiods(column: Column) -> Iterator[tuple[Istiod, Istiod]]:
    first, second = column.lab.istiods
    second.start()
    try:
        yield first, second
    finally:
        second.stop()


def held_by(column: Column, name: str, istiod: Istiod) -> None:
    """The VM is healthy, and its stream is at that istiod."""
    vm = column.vm(name)
    column.lab.entries.wait(
        vm.entry_name, lambda entry: entry.controller == istiod.name and entry.healthy == "True",
        HELD_S, f"is held by {istiod.name}")


def named(column: Column, name: str, istiod: Istiod) -> None:
    """`vm list` has the name of its pod."""
    node = column.vm(name).node
    until(lambda: column.lab.edge.vms(column.name)[node]["istiod"] == istiod.name, SEEN_S,
          f"vm list names {istiod.name}")


def follows_the_service(column: Column) -> None:
    """istiod moves, only Kubernetes is told, and VMs find it at its new place."""
    edge, kube = column.lab.edge, column.lab.kube
    vm = column.vm("client")
    kube.apply(gateway_account.discovery_rights())
    with two_istiods(column) as (first, second):
        put_slice(kube, "istiod", first.end.address, first.name)
        try:
            edge.reconfigure(token_way=BY_SERVICE)
            vm.restart()
            held_by(column, "client", first)
            named(column, "client", first)
            moves = edge.process.text().count(MOVED)

            put_slice(kube, "istiod", second.end.address, second.name)

            until(lambda: edge.process.text().count(MOVED) > moves, SEEN_S, "the move is seen")
            vm.restart()
            held_by(column, "client", second)
            named(column, "client", second)
        finally:
            edge.reconfigure()
            delete_slice(kube, "istiod")
    held_by(column, "client", first)


def each_right_counts(column: Column) -> None:
    """What is shipped is enough for node ports, and without a rule it says which one is missing."""
    edge, kube = column.lab.edge, column.lab.kube
    kube.apply((gateway_account.DEPLOY / "istiod-nodeport.yaml").read_text())
    kube.kubectl("create", "-f", "-", stdin=json.dumps({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE},
        "status": {"addresses": [{"type": "InternalIP", "address": NODE_ADDRESS}]}}))
    put_slice(kube, NODE_PORT, "10.244.0.5", "istiod-5")
    kube.apply(gateway_account.discovery_rights())
    try:
        edge.reconfigure(more_upstreams=BY_NODE_PORT)
        await_current(column, 1)
        until(lambda: ADDRESSES in edge.metrics(), SEEN_S, ADDRESSES)
        for what in RIGHTS:
            refused_without(column, what)
    finally:
        kube.apply(gateway_account.discovery_rights())
        edge.reconfigure()
        delete_slice(kube, NODE_PORT)
        kube.kubectl("delete", "node", NODE)
        kube.kubectl("-n", "istio-system", "delete", "service", NODE_PORT)


def await_current(column: Column, value: int) -> None:
    line = f'xdsgate_discovery_current{{upstream="istiod-nodes"}} {value}'
    until(lambda: line in column.lab.edge.metrics(), SEEN_S, line)


def refused_without(column: Column, what: str) -> None:
    edge, kube = column.lab.edge, column.lab.kube
    said = len(lines(column, LOST))
    gateway_account.await_right(kube, True, "watch", *RIGHTS[what])
    kube.apply(gateway_account.discovery_rights(without=what))
    gateway_account.await_right(kube, False, "watch", *RIGHTS[what])
    edge.renew_kubeconfig()  # watches that are there would go on
    until(lambda: len(lines(column, LOST)) > said, SEEN_S, f"refused without {what}")
    await_current(column, 0)
    fresh = lines(column, LOST)[said:]
    assert len(fresh) == 1 and f"watch={what}" in fresh[0] and "403" in fresh[0], fresh
    assert ADDRESSES in edge.metrics()
    kube.apply(gateway_account.discovery_rights())
    await_current(column, 1)
    until(lambda: f"watch={what}" in lines(column, AGAIN)[-1], SEEN_S, f"{what} are followed again")


def lines(column: Column, message: str) -> list[str]:
    return [line for line in column.lab.edge.process.text().splitlines() if message in line]
