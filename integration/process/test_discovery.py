# SPDX-License-Identifier: Apache-2.0
"""discovery: an upstream goes where Kubernetes says that a service is, whatever the API server does."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

import pytest

from conftest import Rig
from rig.gateway import Gateway
from rig.kube_api import KubeApi
from rig.kube_objects import node, node_port_service, slice_of
from rig.upstream import Upstream, end_of
from rig.wait import until, until_equal

LOST = "endpoints of a service cannot be followed"
AGAIN = "endpoints of a service are followed again"
CURRENT = 'xdsgate_discovery_current{upstream="istiod"}'
ADDRESSES = 'xdsgate_discovery_addresses{upstream="istiod"}'


class Site:
    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.api = KubeApi(rig.folder, rig.folder / "unused")
        self.objects = self.api.objects
        self.kubeconfig = str(self.api.kubeconfig())

    def upstream(self, name: str = "istiod", **service: object) -> dict:
        return {"name": name, "discovery": {"kubernetes": {"port": "https-dns", **service}}}

    def config(self, *upstreams: dict) -> dict:
        """Each server name NAME.istio-system.svc to the upstream NAME, the rest to the first."""
        upstreams = upstreams or (self.upstream(),)
        routes = [{"sni": [f"{one['name']}.istio-system.svc"], "mode": "passthrough",
                   "upstream": one["name"]} for one in upstreams[1:]]
        routes.append({"sni": ["*"], "mode": "passthrough", "upstream": upstreams[0]["name"]})
        return {"listeners": [self.rig.listener(*routes)], "upstreams": list(upstreams),
                "kubernetes": {"kubeconfig": self.kubeconfig}}

    def gateway(self, *upstreams: dict) -> Gateway:
        return self.rig.gateway(self.config(*upstreams))

    def place(self, *endpoints: Upstream, service: str = "istiod", ready: bool = True) -> None:
        """Each in a slice of its own, numbered; others are gone."""
        for number, endpoint in enumerate(endpoints):
            self.objects.put("endpointslices", slice_of(f"{service}-{number}", service,
                                                        endpoint.port, "127.0.0.1", ready=ready))

    def arrives(self, gateway: Gateway, upstream: Upstream, sni: str | None = None) -> socket.socket:
        """A VM's connection reaches this upstream."""
        vm = self.rig.say_hello(sni)
        gateway.await_at_least("xdsgate_passthrough_connections", 1)
        upstream.accept()
        return vm


@pytest.fixture
def site(rig: Rig) -> Iterator[Site]:
    site = Site(rig)
    yield site
    rig.leave()
    site.api.stop()


def reasons(gateway: Gateway) -> str:
    status, body = gateway.get("/healthz/ready")
    return body if status == 503 else ""


def await_reason(gateway: Gateway, text: str) -> None:
    until(lambda: text in reasons(gateway), f"not ready, because {text}")


def await_state(gateway: Gateway, addresses: int, current: int = 1) -> None:
    until_equal(lambda: (gateway.metric(ADDRESSES), gateway.metric(CURRENT)),
                (addresses, current), "addresses, and whether they are current")


# ---- where the endpoints are ----


def test_endpoints_there_at_the_start__ready_before_any_vm(rig: Rig, site: Site) -> None:
    upstream = rig.upstream()
    site.place(upstream)

    gateway = site.gateway()

    gateway.await_ready()
    site.arrives(gateway, upstream)
    await_state(gateway, 1)
    assert gateway.metric("xdsgate_kubernetes_reachable") == 1


def test_endpoints_appear_move_and_vanish__vms_follow(rig: Rig, site: Site) -> None:
    first, second = rig.upstream(), rig.upstream()
    gateway = site.gateway()
    await_reason(gateway, "there is no service istio-system/istiod with endpoints")
    assert gateway.await_log("a service has no endpoints")["service"] == "istio-system/istiod"

    site.place(first)
    gateway.await_ready()
    site.arrives(gateway, first)

    site.place(second)
    gateway.await_log("upstream addresses changed", addresses=1)
    until(lambda: second_gets_it(rig, second), "a connection to where it is now")

    site.objects.delete("endpointslices", "istiod-0")
    await_state(gateway, 0)
    await_reason(gateway, "there is no service")
    end_of(rig.say_hello(None))


def second_gets_it(rig: Rig, upstream: Upstream) -> bool:
    rig.say_hello(None)
    return upstream.is_reached()


def test_several_slices__all_their_ready_pods(rig: Rig, site: Site) -> None:
    upstreams = [rig.upstream(), rig.upstream()]
    site.place(*upstreams)
    site.objects.put("endpointslices", slice_of("six", "istiod", 1, "fd00::1", family="IPv6"))
    site.objects.put("endpointslices", slice_of("not-ready", "istiod", 1, "127.0.0.9",
                                                ready=False))
    site.objects.put("endpointslices", slice_of("other", "istiod-canary", 1, "127.0.0.8"))

    gateway = site.gateway()

    await_state(gateway, 3)


def test_no_pod_ready__says_so_and_open_connections_stay(rig: Rig, site: Site) -> None:
    upstream = rig.upstream()
    site.place(upstream)
    gateway = site.gateway()
    gateway.await_ready()
    vm = site.arrives(gateway, upstream)

    site.place(upstream, ready=False)

    await_reason(gateway, "no pod of service istio-system/istiod with port https-dns is ready")
    upstream.accepted[0].sendall(b"still here")
    assert vm.recv(10) == b"still here"
    gateway.await_metric('xdsgate_upstream_usable{upstream="istiod"}', 0)


def test_revisions__each_by_its_name(rig: Rig, site: Site) -> None:
    stable, canary = rig.upstream(), rig.upstream()
    site.place(stable)
    site.place(canary, service="istiod-canary")
    gateway = site.gateway(site.upstream(),
                           site.upstream("istiod-canary", service="istiod-canary"))
    gateway.await_ready()

    site.arrives(gateway, canary, "istiod-canary.istio-system.svc")
    site.arrives(gateway, stable, "istiod.istio-system.svc")


def test_several_upstreams_of_one_service__one_watch(rig: Rig, site: Site) -> None:
    upstream = rig.upstream()
    site.place(upstream)

    gateway = site.gateway(site.upstream(), site.upstream("again"))

    gateway.await_ready()
    site.arrives(gateway, upstream, "again.istio-system.svc")
    assert len(site.objects.lists) == 1


# ---- node ports ----


def test_nodes__node_port_where_ready_pods_run(rig: Rig, site: Site) -> None:
    upstream, other = rig.upstream(), rig.upstream()
    objects = site.objects
    gateway = site.gateway(site.upstream(addresses="nodes"))
    await_reason(gateway, "there is no service istio-system/istiod")
    objects.put("services", node_port_service("istiod", upstream.port))
    objects.put("services", node_port_service("other", 1))
    await_reason(gateway, "no pod of service istio-system/istiod is ready on a node")
    objects.put("endpointslices", slice_of("a", "istiod", 15012, "10.0.0.1", node="here"))
    await_reason(gateway, "has an InternalIP")

    objects.put("nodes", node("there", InternalIP="127.0.0.9"))
    objects.put("nodes", node("here", InternalIP="127.0.0.1", ExternalIP="127.0.0.7"))

    gateway.await_ready()
    site.arrives(gateway, upstream)
    assert all("metadata.name" in path for path in objects.lists if "nodes" in path)
    objects.put("services", node_port_service("istiod", other.port))
    until(lambda: second_gets_it(rig, other), "a connection to the other port")


def test_nodes__external_addresses__and_a_pod_that_moves(rig: Rig, site: Site) -> None:
    upstream = rig.upstream()
    objects = site.objects
    objects.put("services", node_port_service("istiod", upstream.port))
    objects.put("nodes", node("a", InternalIP="127.0.0.8", ExternalIP="127.0.0.9"))
    objects.put("nodes", node("b", InternalIP="127.0.0.8", ExternalIP="127.0.0.1"))
    objects.put("endpointslices", slice_of("s", "istiod", 15012, "10.0.0.1", node="a"))
    gateway = site.gateway(site.upstream(addresses="nodes", node_address="ExternalIP"))
    await_reason(gateway, "no endpoint takes connections")

    objects.put("endpointslices", slice_of("s", "istiod", 15012, "10.0.0.2", node="b"))

    gateway.await_ready()
    site.arrives(gateway, upstream)
    until(lambda: objects.watching == 3, "slices, the service and one node are watched")


# ---- an API server with bad days ----


def test_api_away__what_was_known_stays_and_it_goes_on_later(rig: Rig, site: Site) -> None:
    first, second = rig.upstream(), rig.upstream()
    site.place(first)
    gateway = site.gateway()
    gateway.await_ready()

    site.api.stop()
    gateway.await_metric(CURRENT, 0)
    gateway.await_metric("xdsgate_kubernetes_reachable", 0)
    site.arrives(gateway, first)
    gateway.await_ready()
    assert gateway.metric(ADDRESSES) == 1
    site.place(second)
    site.api.start()

    until(lambda: second_gets_it(rig, second), "a connection to where it is now")
    gateway.await_log(AGAIN)
    gateway.await_metric("xdsgate_kubernetes_reachable", 1)
    assert len([line for line in gateway.log() if line["msg"] == LOST]) == 1


def test_api_away_at_the_start__not_ready_until_it_is_there(rig: Rig, site: Site) -> None:
    upstream = rig.upstream()
    site.place(upstream)
    site.api.stop()
    gateway = site.gateway()
    until(lambda: gateway.has_logged(LOST), "it is said")
    assert "upstream istiod" in reasons(gateway)

    site.api.start()

    gateway.await_ready()
    site.arrives(gateway, upstream)


def test_forbidden__said_once_with_kubernetes_words(rig: Rig, site: Site) -> None:
    upstream = rig.upstream()
    site.place(upstream)
    site.api.fail(403, "Forbidden")
    gateway = site.gateway()

    line = gateway.await_log(LOST, service="istio-system/istiod", watch="endpointslices")
    assert "made to fail with 403" in line["reason"]
    await_reason(gateway, "made to fail with 403")
    assert gateway.metric("xdsgate_kubernetes_reachable") == 1
    site.api.succeed()

    gateway.await_ready()
    gateway.await_log(AGAIN)
    assert len([line for line in gateway.log() if line["msg"] == LOST]) == 1


@pytest.mark.parametrize("code", [401, 403, 429, 500, 503])
def test_failing_later__what_was_known_stays(rig: Rig, site: Site, code: int) -> None:
    upstream, other = rig.upstream(), rig.upstream()
    site.place(upstream)
    gateway = site.gateway()
    gateway.await_ready()

    site.api.fail(code, "Bad")
    site.objects.cut()
    gateway.await_metric(CURRENT, 0)

    site.arrives(gateway, upstream)
    gateway.await_ready()
    site.place(other)
    site.api.succeed()
    until(lambda: second_gets_it(rig, other), "a connection to where it is now")


def test_watch_cut__goes_on_where_it_was(rig: Rig, site: Site) -> None:
    first, second = rig.upstream(), rig.upstream()
    site.place(first)
    gateway = site.gateway()
    gateway.await_ready()
    until(lambda: site.objects.watching == 1, "it is watched")

    site.objects.cut()
    site.place(second)

    until(lambda: second_gets_it(rig, second), "a connection to where it is now")
    assert len(site.objects.lists) == 1
    assert not gateway.has_logged(LOST)


def test_410__listed_anew(rig: Rig, site: Site) -> None:
    first, second = rig.upstream(), rig.upstream()
    site.place(first)
    gateway = site.gateway()
    gateway.await_ready()
    until(lambda: site.objects.watching == 1, "it is watched")

    with site.objects.changed:  # no watch sees one of these without the others
        site.place(second)
        site.objects.expire()
        site.objects.cut()

    until(lambda: second_gets_it(rig, second), "a connection to where it is now")
    assert len(site.objects.lists) == 2


# ---- reload and handover ----


def test_reload__the_watch_is_kept_and_nothing_is_asked_again(rig: Rig, site: Site) -> None:
    upstream = rig.upstream()
    site.place(upstream)
    gateway = site.gateway()
    gateway.await_ready()
    until(lambda: site.objects.watching == 1, "it is watched")

    gateway.reload(site.config({**site.upstream(), "streams_per_connection": 7}))
    site.arrives(gateway, upstream)
    gateway.reload()
    site.arrives(gateway, upstream)

    assert len(site.objects.lists) == len(site.objects.watches) == 1
    await_state(gateway, 1)


def test_reload_while_kubernetes_is_away__addresses_stay(rig: Rig, site: Site) -> None:
    upstream = rig.upstream()
    site.place(upstream)
    gateway = site.gateway()
    gateway.await_ready()
    site.api.stop()

    gateway.reload(site.config({**site.upstream(), "streams_per_connection": 7}))

    site.arrives(gateway, upstream)
    gateway.await_ready()


def test_reload__another_cluster__not_ready_until_it_has_spoken(rig: Rig, site: Site) -> None:
    upstream, moved = rig.upstream(), rig.upstream()
    site.place(upstream)
    gateway = site.gateway()
    gateway.await_ready()
    folder = rig.folder / "other-cluster"
    folder.mkdir()
    other = KubeApi(folder, folder / "unused")
    other.fail(403, "Forbidden")
    try:
        gateway.reload({**site.config(), "kubernetes": {"kubeconfig": str(other.kubeconfig())}})
        await_reason(gateway, "made to fail with 403")
        site.arrives(gateway, upstream)  # nothing better is known
        other.objects.put("endpointslices", slice_of("a", "istiod", moved.port, "127.0.0.1"))
        other.succeed()

        gateway.await_ready()
        until(lambda: second_gets_it(rig, moved), "a connection to the other cluster")
    finally:
        rig.leave()
        other.stop()


def test_reload__another_service_and_none(rig: Rig, site: Site) -> None:
    first, second, third = rig.upstream(), rig.upstream(), rig.upstream()
    site.place(first)
    site.place(second, service="other")
    gateway = site.gateway()
    gateway.await_ready()

    gateway.reload(site.config(site.upstream(service="other")))
    until(lambda: second_gets_it(rig, second), "a connection to the other service")
    until(lambda: site.objects.watching == 1, "only the other is watched")
    gateway.reload(rig.passthrough(third.endpoint))

    rig.say_hello(None)
    assert third.accept()
    assert ADDRESSES not in gateway.metrics()


def test_handover__follows_before_it_serves(rig: Rig, site: Site) -> None:
    upstream = rig.upstream()
    site.place(upstream)
    gateway = site.gateway()
    gateway.await_ready()

    assert gateway.hand_over().await_end() == 0

    site.arrives(gateway, upstream)
    assert len(site.objects.lists) == 2


def test_handover_while_kubernetes_is_silent__old_process_goes_on(rig: Rig, site: Site) -> None:
    upstream = rig.upstream()
    site.place(upstream)
    gateway = site.gateway()
    gateway.await_ready()
    site.api.stop()

    gateway.process.signal(signal.SIGUSR2)

    gateway.await_log("the new program did not take over; this one goes on")
    line = gateway.await_log("configuration refused")
    assert "where the endpoints of a service are is not known" in line["error"]
    site.arrives(gateway, upstream)


# ---- terminated VMs ----


def test_terminate__streams_follow_from_one_istiod_to_the_other(rig: Rig) -> None:
    first, second = rig.istiod(), rig.istiod()
    api = KubeApi(rig.folder, first.dir / "token-key.pem")
    config = rig.terminate(first, identity="token")
    del config["upstreams"][0]["endpoints"]
    config["upstreams"][0]["discovery"] = {"kubernetes": {"port": "https-dns"}}
    try:
        api.objects.put("endpointslices", slice_of("a", "istiod", first.port, "127.0.0.1"))
        gateway = rig.gateway({**config, "kubernetes": {"kubeconfig": str(api.kubeconfig())}})
        rig.vms()
        first.await_synced(1)

        api.objects.put("endpointslices", slice_of("a", "istiod", second.port, "127.0.0.1"))
        until(lambda: len([line for line in gateway.log()
                           if line["msg"] == "upstream addresses changed"]) == 2, "it has moved")
        first.stop()

        second.await_synced(1)
    finally:
        rig.leave()
        api.stop()
