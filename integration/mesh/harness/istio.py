# SPDX-License-Identifier: Apache-2.0
"""Istio's control plane: installed by its own istioctl, run as one or more istiod processes."""

from __future__ import annotations

import base64
import http.client
import json
import re
from pathlib import Path

import yaml

from . import netns, pki
from .kube import Kube, write_kubeconfig
from .processes import Process, run
from .site import Endpoint
from .wait import until

# Things that need a cluster with nodes. The webhooks could not be reached from the API server.
NOT_INSTALLED = {"Deployment", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
                 "PodDisruptionBudget", "HorizontalPodAutoscaler"}

# istiod generates filters of Istio's own Envoy unless told otherwise; stock Envoy rejects them.
STOCK_ENVOY = {"PILOT_ENABLE_METADATA_EXCHANGE": "false", "PILOT_ENABLE_ALPN_FILTER": "false"}
STOCK_ENVOY_VALUES = "values.telemetry.enabled=false"
FOREIGN_FILTER = {"PILOT_ENABLE_ALPN_FILTER": "true"}  # makes stock Envoy answer LDS with a NACK

CONNECTIONS = "/debug/connections"
SYNC_STATUS = "/debug/syncz"

START_S = 180
PUBLISHED_S = 90

VALUES = ("profile=minimal", STOCK_ENVOY_VALUES, "values.pilot.autoscaleEnabled=false",
          "values.global.multiCluster.clusterName=Kubernetes", "meshConfig.accessLogFile=")


def set_flags(*values: str) -> list[str]:
    """`--set` of istioctl, for each value."""
    return [part for value in values for part in ("--set", value)]


def install(kube: Kube, programs: Path) -> None:
    """The custom resources, roles, accounts and configuration of a minimal Istio."""
    manifest = run(programs / "bin/istioctl", "manifest", "generate", *set_flags(*VALUES))
    rest = [document for document in yaml.load_all(manifest, yaml.CSafeLoader)
            if document and document["kind"] not in NOT_INSTALLED
            and document["kind"] != "CustomResourceDefinition"]
    rest.append({"apiVersion": "v1", "kind": "ServiceAccount",
                 "metadata": {"name": "default", "namespace": "istio-system"}})
    kube.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: istio-system}\n")
    kube.apply((programs / "share/crd-all.gen.yaml").read_text())
    kube.kubectl("wait", "--for=condition=Established", "--timeout=120s", "crd", "--all")
    kube.apply(yaml.safe_dump_all(rest))


def mesh_authority(kube: Kube, folder: Path) -> pki.Pair:
    """The CA of the mesh, with its key: from it come serving certificates, and forged ones."""
    path = "/api/v1/namespaces/istio-system/secrets/istio-ca-secret"
    data = until(lambda: kube.get(path)["data"], PUBLISHED_S, "istiod has written its CA")
    folder.mkdir(parents=True, exist_ok=True)
    pair = pki.Pair(folder / "mesh-ca.crt", folder / "mesh-ca.key")
    pair.certificate.write_bytes(base64.b64decode(data["ca-cert.pem"]))
    pair.key.write_bytes(base64.b64decode(data["ca-key.pem"]))
    pair.key.chmod(0o600)
    return pair


def await_root(kube: Kube, namespace: str) -> None:
    """Until istiod has published the mesh's root in a namespace, which a bundle needs: a moment
    after the namespace is there."""
    path = f"/api/v1/namespaces/{namespace}/configmaps/istio-ca-root-cert"
    until(lambda: kube.get(path), PUBLISHED_S, f"istiod has published its root in {namespace}")


class Istiod:
    """One istiod process on an address of its own."""

    environment: dict[str, str] = {}  # of all of them, for the whole run

    def __init__(self, kube: Kube, programs: Path, folder: Path, number: int, end: Endpoint,
                 trusted_gateway: str) -> None:
        self.kube = kube
        self.programs = programs
        self.folder = folder
        self.number = number
        self.name = f"istiod-lab-{number}"  # as its pod would be called
        self.end = end
        self.trusted_gateway = trusted_gateway
        self.process: Process | None = None
        folder.mkdir(parents=True, exist_ok=True)  # also its working directory: it reads ./etc

    def start(self, *, connection_age: str = "30m", **knobs: str) -> None:
        """Starts it and waits until it is ready. `knobs` are environment variables of istiod."""
        env = {"POD_NAME": self.name, "POD_NAMESPACE": "istio-system", "SERVICE_ACCOUNT": "istiod",
               "REVISION": "default", "CLUSTER_ID": "Kubernetes", "PILOT_CERT_PROVIDER": "istiod",
               "INJECT_ENABLED": "false", "TRUSTED_GATEWAY_CIDR": f"{self.trusted_gateway}/32",
               **STOCK_ENVOY, **self.environment, **knobs}
        self.process = Process(self.name, self._command(connection_age), netns=self.kube.netns,
                               env=env, cwd=self.folder, log=self.folder / "istiod.log")
        until(self._ready, START_S, f"{self.name} is ready")

    def kill(self) -> None:
        self.process.kill()

    def stop(self) -> None:
        self.process.stop()

    def restart(self, **options: str) -> None:
        self.stop()
        self.start(**options)

    def has_logged(self, pattern: str) -> re.Match[str] | None:
        return self.process.has_logged(pattern)

    def get(self, port: int, path: str) -> str | None:
        """A page of its debugging or monitoring ports, None unless the answer is 200."""
        connection = http.client.HTTPConnection(self.end.address, port, timeout=30)
        connection.sock = netns.connect(self.kube.netns, self.end.address, port,
                                        source="127.0.0.1")  # who is asked nothing
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.read().decode() if answer.status == 200 else None
        finally:
            connection.close()

    def running(self) -> bool:
        return self.process is not None and self.process.running()

    def nodes(self) -> list[str]:
        """Whose streams it has, each as often as it has one."""
        return nodes_of(self.get(8080, CONNECTIONS) or "{}")

    def sync_status(self) -> list[dict]:
        """What it has sent to whom, and who has acknowledged what."""
        return json.loads(self.get(8080, SYNC_STATUS) or "[]")

    def metric(self, name: str) -> float:
        """A counter of istiod, summed over its labels; 0 when it was never touched."""
        page = until(lambda: self.get(15014, "/metrics"), PUBLISHED_S, f"{self.name} has metrics")
        return sum_of(page, name)

    def _ready(self) -> bool:
        self.process.check_running()
        return self.get(8080, "/ready") is not None

    def _command(self, connection_age: str) -> list[str | Path]:
        kubeconfig = self.folder / "kubeconfig"
        token = self.kube.kubectl("-n", "istio-system", "create", "token", "istiod",
                                  "--duration=24h").strip()
        write_kubeconfig(kubeconfig, self.kube.authority, {"token": token})
        return [self.programs / "bin/pilot-discovery", "discovery", f"--kubeconfig={kubeconfig}",
                "--domain", "cluster.local", "--httpAddr", f"{self.end.address}:8080",
                "--grpcAddr", f"{self.end.address}:15010",
                "--secureGRPCAddr", f"{self.end}",
                "--monitoringAddr", f"{self.end.address}:15014",
                "--httpsAddr", f"{self.end.address}:15017",
                "--ctrlz_port", str(9876 + self.number),
                "--keepaliveMaxServerConnectionAge", connection_age]


def nodes_of(connections: str) -> list[str]:
    """The nodes on istiod's page of its connections."""
    clients = json.loads(connections).get("clients") or []
    return [one["connectionId"].rpartition("-")[0] for one in clients]


def sum_of(metrics: str, name: str) -> float:
    """A metric of a Prometheus page, summed over its labels."""
    lines = (line for line in metrics.splitlines() if line.split("{")[0].split(" ")[0] == name)
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)
