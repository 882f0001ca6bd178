# SPDX-License-Identifier: Apache-2.0
"""The mesh in a kind cluster: istiod is a pod behind deploy/istiod-nodeport.yaml.

The edge and the VMs are namespaces on Docker's own bridge of kind's network, so they are
neighbours of the node as VMs on a LAN are. This needs Docker and was written where there is none:
it has not been run by its author. See integration/kind/run.
"""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path

import yaml

from . import istio, pki
from .kube import Kube
from .netns import Network
from .processes import run
from .site import Endpoint, Site
from .wait import until

NODE_PORT = 31512
DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
SYSTEM = "istio-system"


class KindMesh:
    """A cluster that integration/kind/run has created."""

    def __init__(self, programs: Path, folder: Path, prefix: str, cluster: str) -> None:
        self.programs = programs
        self.folder = folder
        self.node = f"{cluster}-control-plane"
        described = json.loads(run("docker", "network", "inspect", "kind"))[0]
        subnet = next(one["Subnet"] for one in described["IPAM"]["Config"] if "." in one["Subnet"])
        address = run("docker", "inspect", "-f", "{{.NetworkSettings.Networks.kind.IPAddress}}",
                      self.node).strip()
        self.site = Site(".".join(subnet.split(".")[:2]), (Endpoint(address, NODE_PORT),))
        self.network = Network(prefix, bridge=f"br-{described['Id'][:12]}",
                               bits=int(subnet.split("/")[1]))
        self.kube: Kube
        self.istiods: list[PodIstiod] = []
        self.token_key = folder / "kube/sa.key"

    @property
    def api_server(self) -> str:
        """As the edge reaches it."""
        return f"https://{self.site.istiods[0].address}:6443"

    def start(self) -> None:
        folder = self.token_key.parent
        folder.mkdir(parents=True)
        self.token_key.write_text(run("docker", "exec", self.node, "cat",
                                      "/etc/kubernetes/pki/sa.key"))
        self.token_key.chmod(0o600)
        self.kube = client(self.programs, folder, Path(os.environ["KUBECONFIG"]))
        self.istiods = [PodIstiod(self.kube, self.programs, folder, self.site.edge_trusted)]
        self.istiods[0].start()
        self.kube.kubectl("apply", "-f", DEPLOY / "istiod-nodeport.yaml")


def client(programs: Path, folder: Path, kubeconfig: Path) -> Kube:
    """A client from the kubeconfig that kind has written."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    files = {"ca.crt": cluster["certificate-authority-data"],
             "admin.crt": user["client-certificate-data"], "admin.key": user["client-key-data"]}
    for name, data in files.items():
        (folder / name).write_bytes(base64.b64decode(data))
        (folder / name).chmod(0o600)
    host, port = re.fullmatch(r"https://(.+):(\d+)", cluster["server"]).groups()
    return Kube(programs / "bin/kubectl", kubeconfig, host, int(port), folder / "ca.crt",
                pki.Pair(folder / "admin.crt", folder / "admin.key"))


class PodIstiod:
    """istiod as a Deployment of one pod; does what istio.Istiod does for a process."""

    def __init__(self, kube: Kube, programs: Path, folder: Path, trusted_gateway: str) -> None:
        self.kube = kube
        self.folder = folder
        self.programs = programs
        self.trusted_gateway = trusted_gateway
        self.options: dict[str, str] | None = None

    @property
    def name(self) -> str:
        pods = json.loads(self.kube.kubectl("-n", SYSTEM, "get", "pods", "-l", "app=istiod",
                                            "-o", "json"))["items"]
        return next(pod["metadata"]["name"] for pod in pods
                    if not pod["metadata"].get("deletionTimestamp"))

    def start(self, **options: str) -> None:
        """Installs Istio with these options, when they are new, and waits until it is ready."""
        if options != self.options:
            self.kube.run(self.programs / "bin/istioctl", "install", "-y", *self._values(**options))
            self.options = options
        self._ready()

    def restart(self, **options: str) -> None:
        if options == self.options:
            self.kube.kubectl("-n", SYSTEM, "rollout", "restart", "deployment/istiod")
        self.start(**options)

    def kill(self) -> None:
        self.kube.kubectl("-n", SYSTEM, "delete", "pod", self.name, "--force", "--grace-period=0")

    def has_logged(self, pattern: str) -> re.Match[str] | None:
        return re.search(pattern, self.kube.kubectl("-n", SYSTEM, "logs", "deployment/istiod"))

    def running(self) -> bool:
        return True

    def nodes(self) -> list[str]:
        return istio.nodes_of(self._page(istio.CONNECTIONS))

    def sync_status(self) -> list[dict]:
        return json.loads(self._page(istio.SYNC_STATUS))

    def metric(self, name: str) -> float:
        page = f"/api/v1/namespaces/{SYSTEM}/pods/{self.name}:15014/proxy/metrics"
        return istio.sum_of(self.kube.kubectl("get", "--raw", page), name)

    def _page(self, path: str) -> str:
        return self.kube.kubectl("-n", SYSTEM, "exec", self.name, "--", "pilot-discovery",
                                 "request", "GET", path)

    def _ready(self) -> None:
        self.kube.kubectl("-n", SYSTEM, "rollout", "status", "deployment/istiod", "--timeout=180s")
        until(lambda: self.name, 60, "one istiod is left")

    def _values(self, connection_age: str = "30m", **knobs: str) -> list[str]:
        env = {**istio.STOCK_ENVOY, **knobs, "TRUSTED_GATEWAY_CIDR": f"{self.trusted_gateway}/32"}
        operator = {
            "apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator",
            "spec": {"tag": os.environ.get("ISTIO_VERSION", "1.31.1"),
                     "hub": os.environ.get("ISTIO_HUB", "docker.io/istio"),
                     "values": {"pilot": {"env": env,
                                          "keepaliveMaxServerConnectionAge": connection_age}}}}
        file = self.folder / "operator.yaml"
        file.write_text(yaml.safe_dump(operator))
        return [*istio.set_flags(*istio.VALUES), "-f", str(file)]
