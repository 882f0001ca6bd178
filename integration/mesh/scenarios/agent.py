# SPDX-License-Identifier: Apache-2.0
"""The ordinary life of a VM: certificate, registration, health, restart."""

from __future__ import annotations

import json
import stat
import time

from harness.deletions import lost_since, told
from harness.lab import Column
from harness.vm import START_S
from harness.wait import Stopwatch, until


def certificate(column: Column) -> None:
    """The agent exchanges its token for a certificate of the mesh, with its own name only."""
    vm = column.vm("client")

    vm.await_certificate()
    assert stat.S_IMODE(vm.certificate.key.stat().st_mode) == 0o600
    root = (vm.folder / "etc/certs/root-cert.pem").read_text().strip()
    assert root == column.lab.authority.certificate.read_text().strip()


def registration(column: Column) -> None:
    """The WorkloadEntry says what the WorkloadGroup and the VM said."""
    vm = column.vm("client")

    entry = vm.await_connected()
    assert entry.spec["address"] == vm.address
    assert entry.spec["serviceAccount"] == "client"
    assert entry.spec["ports"] == {"http": 8080}
    assert entry.spec["labels"] == {
        "app": "client", "version": "v1",
        "service.istio.io/canonical-name": "client", "service.istio.io/canonical-revision": "v1"}
    assert entry.annotations["istio.io/autoRegistrationGroup"] == "client"
    assert entry.annotations["proxy.istio.io/health-checks-enabled"] == "true"
    assert entry.controller == column.lab.istiods[0].name


def health(column: Column) -> None:
    """True, False when the application stops, True again."""
    vm = column.vm("server")

    vm.stop_application()
    column.note("server: unhealthy", vm.await_health("False"))
    vm.start_application()
    column.note("server: healthy again", vm.await_health("True"))


def health_by_hand(column: Column) -> None:
    """A VM that does not register reports the health of the WorkloadEntry it was given."""
    vm = column.vm("by-hand")

    assert "istio.io/autoRegistrationGroup" not in vm.await_connected().annotations
    assert column.lab.entries.get(f"{column}/client-{vm.address}") is None
    vm.stop_application()
    vm.await_health("False")
    vm.start_application()
    vm.await_health("True")


def state_of_the_world(column: Column) -> None:
    """The older variant of the protocol, asked for by the agent, serves as well as delta."""
    variants = {}
    for name in ("sotw", "client"):
        vm = column.vm(name)
        bootstrap = json.loads((vm.folder / "etc/istio/proxy/envoy-rev.json").read_text())
        variants[name] = bootstrap["dynamic_resources"]["ads_config"]["api_type"]

        for kind in ("cluster_manager.cds", "listener_manager.lds"):
            until(lambda: vm.stats("update_success")[f"{kind}.update_success"] > 0, START_S,
                  f"{name} has taken what comes by {kind}")
            assert vm.stats("update_rejected")[f"{kind}.update_rejected"] == 0, (name, kind)

    assert variants == {"sotw": "GRPC", "client": "DELTA_GRPC"}


def restart_without_token(column: Column) -> None:
    """The token is gone, as after a reboot: the certificate is enough."""
    vm = column.vm("client")
    vm.token.unlink()

    _comes_back(column, "client", "back without token")


def restart_with_expired_token(column: Column) -> None:
    """The token is there but old, as after the first hour: the certificate is enough."""
    vm = column.vm("server")
    vm.token.write_text(column.lab.token(vm.namespace, vm.plan.group, ttl_s=-3600))

    _comes_back(column, "server", "back with expired token")


def _comes_back(column: Column, name: str, what: str) -> None:
    """Restarts the agent: it gets a new certificate and the same, still undeleted entry."""
    vm = column.vm(name)
    mark = time.time()
    chain = vm.await_certificate()

    before = vm.restart()
    watch = Stopwatch()
    vm.await_back(before)
    column.note(f"{name}: {what}", watch())

    vm.await_certificate(other_than=chain)
    lost = [event for event in lost_since(column, mark) if event.entry.name == vm.entry_name]
    assert not lost, told(column, lost)
