# SPDX-License-Identifier: Apache-2.0
"""The roots that the mesh publishes in Kubernetes: followed, or held against the files, whatever the
API server does. Two istiods with a root each; the files know the old one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Rig
from rig.gateway import Gateway
from rig.kube_api import KubeApi, status
from rig.kube_objects import published_roots, root_text
from rig.pki import openssl
from rig.process import free_port
from rig.sandbox import Istiod, Vms
from rig.wait import until, until_equal

NAME = "istio-ca-root-cert"
MISSING = "a root that the mesh publishes is not believed"
COMPLETE = "every root that the mesh publishes is believed"
LOST = "roots of the mesh cannot be followed"
AGAIN = "roots of the mesh are followed again"
ODD = "roots of the mesh cannot be read"
KNOWN = "roots of the mesh"
CURRENT = "xdsgate_mesh_roots_current"
LISTENER = 'xdsgate_client_roots_missing{listener="istiod"}'
UPSTREAM = 'xdsgate_upstream_roots_missing{upstream="istiod"}'


class Mesh:
    """What xdsgate is told of a root: by files the old one, by Kubernetes what is published."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self.rig = rig
        self.api = KubeApi(rig.folder, rig.folder / "unused")
        self.old, self.new = rig.istiod(), Istiod(folder / "new")
        rig.istiods.append(self.new)
        self.old_root, self.new_root = (i.dir / "root-cert.pem" for i in (self.old, self.new))
        self.roots = rig.folder / "roots.pem"
        self.roots.write_bytes(self.old_root.read_bytes())
        self.port = free_port()  # where VMs of the new istiod come

    def publish(self, *roots: Path) -> None:
        self.api.objects.put("configmaps", published_roots(*roots))

    def config(self, follow: bool = True) -> dict:
        """A listener and an upstream for each istiod; all believe the same file."""
        config, other = (self.rig.terminate(i, max_new_streams_per_second=1000)
                         for i in (self.old, self.new))
        other["listeners"][0].update(name="new", bind=[f"127.0.0.1:{self.port}"])
        other["listeners"][0]["routes"][0]["upstream"] = "new"
        other["upstreams"][0]["name"] = "new"
        for key in ("listeners", "upstreams"):
            config[key] += other[key]
        for listener in config["listeners"]:
            listener["tls"]["client_roots"] = [str(self.roots)]
        for upstream in config["upstreams"]:
            upstream["tls"]["roots"] = [str(self.roots)]
        return {**config, "kubernetes": {"kubeconfig": str(self.api.kubeconfig()),
                                         "follow_roots": follow}}

    def old_vm(self) -> Vms:
        vms = self.rig.vms("--token-once")
        return joined(vms, self.old)

    def new_vm(self) -> Vms:
        home = self.new.dir
        vms = Vms(self.rig.folder, "vm-of-the-new", self.port, home / "root-cert.pem",
                  "--token-file", home / "token", "--token-once", "--name-prefix", "new",
                  "--ip-base", "10.99.1.1")
        self.rig.vm_programs.append(vms)
        return joined(vms, self.new)

    def both(self, gateway: Gateway) -> tuple[Vms, Vms]:
        """A VM of each root, both by their certificates alone."""
        vms = self.old_vm(), self.new_vm()
        come_again(gateway, *vms)
        return vms


@pytest.fixture
def mesh(rig: Rig, tmp_path: Path) -> Iterator[Mesh]:
    mesh = Mesh(rig, tmp_path)
    yield mesh
    rig.leave()
    mesh.api.stop()


def joined(vms: Vms, istiod: Istiod) -> Vms:
    istiod.await_synced(1)
    until(lambda: vms.status()[0]["certificate"], "it has a certificate")
    return vms


def come_again(gateway: Gateway, *all_vms: Vms) -> None:
    for vms in all_vms:
        vms.ask("stop", "all")
    gateway.await_idle()
    for vms in all_vms:
        vms.ask("start", "all")
    gateway.await_metric("xdsgate_streams", len(all_vms))


def lines(gateway: Gateway, message: str) -> list[dict]:
    return [line for line in gateway.log() if line["msg"] == message]


def fingerprint(root: Path) -> str:
    text = openssl("x509", "-in", root, "-noout", "-fingerprint", "-sha256")
    return text.partition("=")[2].strip().replace(":", "").lower()


def await_missing(gateway: Gateway, n: int) -> None:
    until_equal(lambda: tuple(gateway.metrics().get(row) for row in (LISTENER, UPSTREAM)), (n, n),
                "missing roots")


# ---- followed ----


def test_rotation__followed__vms_of_both_roots_are_in_while_both_are_published(mesh: Mesh) -> None:
    mesh.publish(mesh.old_root)
    gateway = mesh.rig.gateway(mesh.config())
    gateway.await_log(KNOWN, roots=1)
    await_missing(gateway, 0)
    old = mesh.old_vm()
    refused = gateway.metric('xdsgate_handshakes_total{result="failed"}')

    mesh.publish(mesh.old_root, mesh.new_root)

    gateway.await_log("configuration in force", generation=2)
    new = mesh.new_vm()
    come_again(gateway, old, new)
    assert gateway.metric('xdsgate_handshakes_total{result="failed"}') == refused
    assert not lines(gateway, MISSING)
    await_missing(gateway, 0)

    mesh.publish(mesh.old_root)  # the new one disappears, and with it who has nothing else

    gateway.await_log("configuration in force", generation=3)
    gateway.await_metric("xdsgate_streams", 1)
    gateway.await_at_least('xdsgate_handshakes_total{result="failed"}', refused + 1)
    mesh.old.await_synced(1)
    new.stop()
    come_again(gateway, old)
    assert len(lines(gateway, "reloading")) == 2


def test_the_file_s_root_is_not_published__stays_believed(mesh: Mesh) -> None:
    mesh.publish(mesh.new_root)
    gateway = mesh.rig.gateway(mesh.config())
    gateway.await_log("configuration in force", generation=2)

    mesh.both(gateway)

    await_missing(gateway, 0)


def test_config_map_is_gone__only_the_files_count(mesh: Mesh) -> None:
    mesh.publish(mesh.old_root, mesh.new_root)
    gateway = mesh.rig.gateway(mesh.config())
    gateway.await_log("configuration in force", generation=2)
    mesh.both(gateway)

    mesh.api.objects.delete("configmaps", NAME)

    assert gateway.await_log(ODD)["reason"] == "it is not there"
    gateway.await_metric("xdsgate_streams", 1)
    gateway.await_metric(CURRENT, 0)


def test_garbage_in_it__what_was_published_stays_believed(mesh: Mesh) -> None:
    mesh.publish(mesh.old_root, mesh.new_root)
    gateway = mesh.rig.gateway(mesh.config())
    gateway.await_log("configuration in force", generation=2)
    vms = mesh.both(gateway)
    damaged = mesh.new_root.read_text().replace("MII", "MI!", 1)

    for text in ("no certificate", damaged):
        mesh.api.objects.put("configmaps", root_text(text))
        until(lambda: len(lines(gateway, ODD)) > (text == damaged), f"told of {text[:30]}")
    mesh.api.objects.put("configmaps", {"metadata": {"name": NAME}, "data": {"other": "x"}})
    gateway.await_log(ODD, reason="it has no text under root-cert.pem")

    gateway.await_metric(CURRENT, 0)
    come_again(gateway, *vms)
    mesh.publish(mesh.old_root, mesh.new_root)
    gateway.await_metric(CURRENT, 1)
    assert [line["reason"] for line in lines(gateway, ODD)][0] == (
        "its root-cert.pem has no PEM certificate in it")
    assert len(lines(gateway, ODD)) == 3 and len(lines(gateway, "reloading")) == 1


def test_api_server_away__what_was_published_stays_believed(mesh: Mesh) -> None:
    mesh.publish(mesh.old_root, mesh.new_root)
    gateway = mesh.rig.gateway(mesh.config())
    gateway.await_log("configuration in force", generation=2)
    vms = mesh.both(gateway)

    mesh.api.stop()

    gateway.await_log(LOST)
    gateway.reload()  # nor does a reload forget it
    come_again(gateway, *vms)
    await_missing(gateway, 0)
    gateway.await_metric(CURRENT, 0)

    mesh.api.start()
    gateway.await_log(AGAIN)
    mesh.publish(mesh.old_root)
    gateway.await_metric("xdsgate_streams", 1)
    assert len(lines(gateway, LOST)) == 1


def test_handover__the_new_process_believes_them_before_it_serves(mesh: Mesh) -> None:
    mesh.publish(mesh.old_root, mesh.new_root)
    gateway = mesh.rig.gateway(mesh.config())
    gateway.await_log("configuration in force", generation=2)
    vms = mesh.both(gateway)

    gateway.hand_over().await_end()

    gateway.await_metric("xdsgate_streams", 2)
    come_again(gateway, *vms)
    assert gateway.metric('xdsgate_handshakes_total{result="failed"}') == 0


def test_handover__nobody_says_what_is_published__the_old_process_goes_on(mesh: Mesh) -> None:
    mesh.publish(mesh.old_root, mesh.new_root)
    gateway = mesh.rig.gateway(mesh.config())
    gateway.await_log("configuration in force", generation=2)
    mesh.both(gateway)
    mesh.api.stop()
    gateway.await_log(LOST)

    gateway.process.signal(signal.SIGUSR2)

    until(lambda: [line for line in gateway.log() if "as its roots is not known" in str(line)],
          "it is said")
    assert gateway.process.running()
    gateway.await_metric("xdsgate_streams", 2)


# ---- only looked at ----


def test_rotation__not_followed__is_said_once_until_the_file_has_the_root(mesh: Mesh) -> None:
    mesh.publish(mesh.old_root)
    gateway = mesh.rig.gateway(mesh.config(follow=False))
    await_missing(gateway, 0)

    mesh.publish(mesh.old_root, mesh.new_root)

    await_missing(gateway, 1)
    for by, name in (("listener", "istiod"), ("upstream", "istiod"), ("listener", "new"),
                     ("upstream", "new")):
        line = gateway.await_log(MISSING, by=by, name=name)
        assert line["sha256"] == fingerprint(mesh.new_root) and line["missing"] == 1
    gateway.reload()
    mesh.roots.write_bytes(mesh.old_root.read_bytes() + mesh.new_root.read_bytes())
    gateway.await_log(COMPLETE)
    await_missing(gateway, 0)
    assert len(lines(gateway, MISSING)) == 4
    mesh.both(gateway)


def test_no_right_to_read_it__is_said_with_the_rule__and_nothing_changes(mesh: Mesh) -> None:
    mesh.publish(mesh.old_root, mesh.new_root)
    mesh.api.instead = lambda path: (
        (403, {}, status(403, "Forbidden", "configmaps is forbidden"))
        if "/configmaps" in path else None)

    gateway = mesh.rig.gateway(mesh.config())

    line = gateway.await_log(LOST, configmap=f"istio-system/{NAME}")
    assert "deploy/rbac-roots.yaml" in line["missing"] and "forbidden" in line["reason"]
    old = mesh.old_vm()
    come_again(gateway, old)
    assert gateway.metric("xdsgate_kubernetes_reachable") == 1
    assert gateway.metric(CURRENT) == 0 and LISTENER not in gateway.metrics()
    gateway.hand_over().await_end()  # that does not wait for what nobody says
    come_again(gateway, old)

    mesh.api.succeed()
    gateway.await_log(AGAIN)
    await_missing(gateway, 0)
    mesh.new_vm()


def test_nobody_believes_roots__nobody_asks(mesh: Mesh) -> None:
    config = mesh.rig.passthrough(mesh.old.endpoint, source_address=[])
    del config["upstreams"][0]["source_address"]
    gateway = mesh.rig.gateway({**config, "kubernetes": mesh.config()["kubernetes"]})
    gateway.await_log("Kubernetes is used")

    gateway.reload()

    assert not [path for path in mesh.api.objects.lists if "configmaps" in path]
    assert CURRENT not in gateway.metrics()
