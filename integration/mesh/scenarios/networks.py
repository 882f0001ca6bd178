# SPDX-License-Identifier: Apache-2.0
"""Two networks: what a VM asks of a service in the other one goes through xdsgate's port 15443.

A real east-west gateway (pilot-agent as router, with an Envoy) stands in the network `cluster`
beside a backend. The VM, in the network `vms`, has a way to xdsgate only. objects/networks.yaml
says what Kubernetes knows of it.
"""

from __future__ import annotations

import json
import re

from harness import edge, istio, netns
from harness.lab import OBJECTS, Column
from harness.machine import DEPLOY, Machine
from harness.processes import IP, run
from harness.site import Endpoint
from harness.wait import Stopwatch, until

NAMESPACE = "networks"
PORT = 15443
NUMBERS = {"caller": 51, "edge3": 52, "eastwest": 53, "backend": 54}
READY_S = 180
ENDED_S = 60

LISTENER = """\
- name: eastwest
  bind: ["0.0.0.0:{port}"]
  routes:
  - sni: ["*"]
    mode: passthrough
    upstream: eastwest
upstreams:
- name: eastwest
  endpoints: ["{gateway}"]
"""


class Networks:
    """The four machines."""

    def __init__(self, column: Column) -> None:
        self.column = column
        self.lab = column.lab
        self.address = {name: self.lab.site.machine(column.name, number)
                        for name, number in NUMBERS.items()}
        self.machines = {name: self._machine(name) for name in NUMBERS}

    def _machine(self, name: str) -> Machine:
        """The caller reaches nobody of the other network."""
        istiods = [end.address for end in self.lab.site.istiods]
        shut = [*istiods, self.address["eastwest"], self.address["backend"]]
        machine = self.lab.mesh.network.add_machine(
            name, self.address[name], unreachable=shut if name == "caller" else [])
        folder = self.lab.folder / "networks" / name
        folder.mkdir(parents=True)
        return Machine(name, machine, folder)

    def start_edge(self) -> None:
        """deploy/passthrough.yaml, with a second listener for port 15443."""
        machine = self.machines["edge3"]
        machine.install_xdsgate(edge.binary())
        text = (DEPLOY / "passthrough.yaml").read_text()
        gateway = Endpoint(self.address["eastwest"], PORT)
        text = text.replace("10.0.0.11:31512", str(self.lab.site.istiods[0])).replace(
            "upstreams:\n", LISTENER.format(port=PORT, gateway=gateway))
        machine.path("/etc/xdsgate/xdsgate.yaml").write_text(text)
        machine.boot()
        machine.run("systemctl", "restart", "xdsgate")

    def start_member(self, name: str, gateway: str, *flags: str) -> None:
        """Installed by a bundle; istiod is reached at `gateway`."""
        machine, kube = self.machines[name], self.lab.kube
        machine.install_sidecar(self.lab.programs)
        if name == "eastwest":
            with machine.path("/var/lib/istio/envoy/sidecar.env").open("a") as settings:
                settings.write("ISTIO_AGENT_FLAGS=router\n")
        machine.boot()
        inside = [IP, "netns", "exec", kube.netns] if kube.netns else []
        script = run(*inside, edge.binary(), "bundle", "create", name, "-n", NAMESPACE,
                     "--kubeconfig", kube.kubeconfig, "--gateway", gateway, "--format", "script",
                     "-o", "-", *flags)
        machine.run("sh", stdin=script)

    def ask(self) -> dict | None:
        """What the caller's application would ask its Envoy."""
        status, body = netns.http_get(self.machines["caller"].netns, "127.0.0.9", 9443,
                                      host="backend.mesh.test")
        return json.loads(body) if status == 200 else None

    def reaches(self, name: str) -> bool:
        """Whether the caller can do without the edge."""
        try:
            netns.connect(self.machines["caller"].netns, self.address[name], PORT).close()
        except OSError:
            return False
        return True

    def has_passed(self) -> re.Match[str] | None:
        """The edge's word for a connection of the caller to the gateway, once it has ended."""
        log = self.machines["edge3"].path("/var/log/xdsgate.service.log").read_text()
        return re.search(rf"peer={self.address['caller']}:\d+ upstream=eastwest .*bytes_up=\d+", log)

    def power_off(self) -> None:
        for name in ("eastwest", "backend", "edge3"):
            self.machines[name].power_off()


def request(column: Column) -> None:
    """Answered by the backend, which was told who asks, by way of xdsgate and the gateway."""
    one = Networks(column)
    lab, istiod = column.lab, column.lab.site.istiods[0].address
    objects = (OBJECTS / "networks.yaml").read_text()
    lab.kube.apply(objects.replace("EDGE", one.address["edge3"]))
    istio.await_root(lab.kube, NAMESPACE)
    one.start_edge()
    one.start_member("backend", istiod, "--autoregister")
    one.machines["backend"].start_application()
    one.start_member("eastwest", istiod)
    one.start_member("caller", one.address["edge3"], "--autoregister")

    watch = Stopwatch()
    body = until(one.ask, READY_S, "the caller is answered")

    column.note("two networks: first answer", watch())
    assert body["vm"] == "backend"
    assert f"URI=spiffe://cluster.local/ns/{NAMESPACE}/sa/caller" in body["caller"]
    assert not one.reaches("eastwest") and not one.reaches("backend")
    one.machines["caller"].power_off()
    until(one.has_passed, ENDED_S, "xdsgate has passed it on")
    one.power_off()
