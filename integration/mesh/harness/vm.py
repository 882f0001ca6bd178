# SPDX-License-Identifier: Apache-2.0
"""A VM: a namespace, a folder, the real start script, the real agent, an Envoy, an application.

All paths of the agent are relative to its working directory, so the folder is its whole disk:

    etc/certs/                  root-cert.pem, and later the VM's key and certificate
    etc/istio/config/mesh       mesh.yaml
    var/lib/istio/envoy/        cluster.env, and sidecar.env, which is ours
    var/run/secrets/tokens/     istio-token

root-cert.pem, mesh.yaml, cluster.env and istio-token are what `istioctl x workload entry configure`
writes, and so is the hosts line.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import yaml

from . import netns, pki
from .entries import Entries, Entry
from .kube import Kube
from .processes import Process
from .site import SERVER_NAME, XDS_PORT, Endpoint
from .wait import Stopwatch, until

ADMIN_PORT = 15000
APPLICATION = Path(__file__).resolve().parent.parent / "application.py"
START_S = 180  # far more than the two seconds it takes: two cores may have sixteen VMs to start

# The agent's own words, each with the moment before them.
TRIES = re.compile(
    r"^(\S+)Z\t\w+\txdsproxy\t(?:connected|failed to connect) to (?:delta )?upstream", re.M)
REFUSED = re.compile(r"^(\S+)Z\t\w+\txdsproxy\t.*terminated with (?:unexpected )?error (.*)$", re.M)


@dataclass(frozen=True)
class Plan:
    """What kind of VM it is to be."""

    name: str
    group: str  # its WorkloadGroup; the service account is the group's
    number: int  # last byte of its address
    autoregister: bool = True
    delta: bool = True


class VM:
    """One VM of one column."""

    def __init__(self, plan: Plan, namespace: str, address: str, netns_name: str, *,
                 way: tuple[Endpoint, ...], kube: Kube, entries: Entries, programs: Path,
                 folder: Path) -> None:
        self.plan = plan
        self.namespace = namespace
        self.address = address
        self.netns = netns_name
        self.way = way  # to istiod
        self.kube = kube
        self.entries = entries
        self.programs = programs
        self.folder = folder
        self.agent: Process | None = None
        self.application: Process | None = None

    # ---- names

    @property
    def node(self) -> str:
        """As in `istioctl proxy-status`."""
        return f"{self.plan.name}.{self.namespace}"

    @property
    def entry_name(self) -> str:
        """Namespace and name of its WorkloadEntry."""
        if not self.plan.autoregister:
            return f"{self.namespace}/{self.plan.name}"
        return f"{self.namespace}/{self.plan.group}-{self.address}"

    @property
    def identity(self) -> str:
        return f"spiffe://cluster.local/ns/{self.namespace}/sa/{self.plan.group}"

    @property
    def token(self) -> Path:
        return self.folder / "var/run/secrets/tokens/istio-token"

    @property
    def certificate(self) -> pki.Pair:
        """What its agent got from the mesh and shows from then on."""
        certs = self.folder / "etc/certs"
        return pki.Pair(certs / "cert-chain.pem", certs / "key.pem")

    # ---- life

    def configure(self) -> None:
        """Its bootstrap files, from the real generator, put where the documentation says."""
        made = self.folder / "made"
        made.mkdir(parents=True)
        group = self._group()
        (made / "group.yaml").write_text(json.dumps(group))
        self.kube.run(self.programs / "bin/istioctl", "x", "workload", "entry", "configure",
                      "-f", made / "group.yaml", "-o", made, "--clusterID", "Kubernetes",
                      "--ingressIP", self.way[0].address, "--internalIP", self.address,
                      *(["--autoregister"] if self.plan.autoregister else []))
        for name, place in (("root-cert.pem", "etc/certs/root-cert.pem"),
                            ("istio-token", "var/run/secrets/tokens/istio-token"),
                            ("cluster.env", "var/lib/istio/envoy/cluster.env"),
                            ("mesh.yaml", "etc/istio/config/mesh")):
            (self.folder / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(made / name, self.folder / place)
        template = self.folder / "var/lib/istio/envoy/envoy_bootstrap_tmpl.json"
        shutil.copyfile(self.programs / "share/envoy_bootstrap.json", template)
        (self.folder / "var/lib/istio/envoy/sidecar.env").write_text(self._sidecar_env(template))
        (netns.NETNS_FILES / self.netns / "hosts").write_text(self._hosts(made / "hosts"))

    def start(self) -> None:
        """The agent, by Istio's own start script; the application should run already."""
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "USER": "root", "EXEC_USER": "root",
               "ISTIO_CUSTOM_IP_TABLES": "true", "ISTIO_BIN_BASE": str(self.programs / "bin"),
               "POD_NAME": self.plan.name, "ISTIO_DELTA_XDS": str(self.plan.delta).lower()}
        self.agent = Process(f"agent of {self.node}",
                             ["bash", self.programs / "share/istio-start.sh", "run"],
                             netns=self.netns, env=env, cwd=self.folder,
                             log=self.folder / "agent.log")

    def start_application(self) -> None:
        self.application = Process(f"application of {self.node}",
                                   [sys.executable, "-I", "-S", APPLICATION, self.node],
                                   netns=self.netns, log=self.folder / "application.log")
        until(lambda: netns.connect(self.netns, self.address, 8080).close() or True, START_S,
              f"application of {self.node} listens")

    def stop_application(self) -> None:
        self.application.kill()

    def restart(self) -> str:
        """Ends the agent as systemd would and starts it again; its connectedAt before that."""
        before = self.await_connected().connected_at
        self.agent.stop()
        self.start()
        return before

    # ---- what the mesh says about it

    @property
    def entry(self) -> Entry | None:
        return self.entries.get(self.entry_name)

    def await_connected(self) -> Entry:
        """Until istiod has its stream; its entry then."""
        return self.entries.wait(self.entry_name, lambda entry: entry.connected_at, START_S,
                                 "is connected")

    def await_certificate(self, other_than: str = "") -> str:
        """The chain that its agent gets, with its own name only; it comes a moment before or after
        its ADS stream."""
        return pki.await_chain(self.certificate.certificate, self.identity, START_S, other_than)

    def await_health(self, value: str, within: float = START_S) -> float:
        """Until the mesh says Healthy=`value`; the seconds it took from now."""
        watch = Stopwatch()
        self.entries.wait(self.entry_name, lambda entry: entry.healthy == value, within,
                          f"has Healthy={value}")
        return watch()

    def await_back(self, before: str, within: float = START_S) -> float:
        """Until it has connected again since `before` (a connectedAt) and is healthy."""
        watch = Stopwatch()
        self.entries.wait(
            self.entry_name,
            lambda entry: entry.connected_at not in ("", before) and entry.healthy == "True",
            within, f"is back (connectedAt after {before}) and healthy")
        return watch()

    # ---- what its agent says

    def first_try(self) -> float | None:
        """When (time.time()) the agent that runs now has first tried to reach istiod."""
        found = TRIES.search(self.agent.text())
        return moment_of_log(found[1]) if found else None

    def refusals(self) -> list[tuple[float, str]]:
        """When its streams were ended with an error, and with which."""
        return [(moment_of_log(found[1]), found[2])
                for found in REFUSED.finditer(self.agent.text())]

    # ---- its Envoy

    def envoy(self, path: str) -> str:
        """A page of Envoy's administration port."""
        return netns.http_get(self.netns, "127.0.0.1", ADMIN_PORT, path)[1]

    def stats(self, pattern: str) -> dict[str, int]:
        listed = json.loads(self.envoy(f"/stats?format=json&filter={pattern}"))
        return {one["name"]: one["value"] for one in listed["stats"] if "value" in one}

    def request(self, address: str, port: int, host: str) -> tuple[int, dict]:
        """An HTTP request that the VM's application would make."""
        status, body = netns.http_get(self.netns, address, port, host=host)
        return status, json.loads(body) if body.startswith("{") else {"text": body}

    # ---- files

    def _group(self) -> dict:
        group = self.kube.get(f"/apis/networking.istio.io/v1/namespaces/{self.namespace}"
                              f"/workloadgroups/{self.plan.group}")
        return {"apiVersion": group["apiVersion"], "kind": group["kind"], "spec": group["spec"],
                "metadata": {"name": self.plan.group, "namespace": self.namespace}}

    def _sidecar_env(self, template: Path) -> str:
        # Block YAML: the start script may append a line to it.
        lines = ["CLOUD_PLATFORM=none",
                 f'PROXY_CONFIG="serviceCluster: {self.plan.group}.{self.namespace}',
                 f"binaryPath: {self.programs / 'bin/envoy'}",
                 f"proxyBootstrapTemplatePath: {template}",
                 'concurrency: 1"']
        if not self.plan.autoregister:
            lines.append(f"ISTIO_META_WORKLOAD_ENTRY={self.plan.name}")
        if self.way[0].port != XDS_PORT:
            lines.append(f"PILOT_ADDRESS={SERVER_NAME}:{self.way[0].port}")
        return "\n".join(lines) + "\n"

    def _hosts(self, generated: Path) -> str:
        first = generated.read_text()
        if self.way[0].address not in first or SERVER_NAME not in first:
            raise AssertionError(f"istioctl wrote no hosts line: {first!r}")
        more = "".join(f"{end.address} {SERVER_NAME}\n" for end in self.way[1:])
        return f"127.0.0.1 localhost\n{first.rstrip()}\n{more}"

    def workload_entry(self) -> str:
        """The WorkloadEntry that somebody wrote by hand for a VM that does not register."""
        return yaml.safe_dump({
            "apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
            "metadata": {"name": self.plan.name, "namespace": self.namespace,
                         "annotations": {"proxy.istio.io/health-checks-enabled": "true"}},
            "spec": {"address": self.address, "serviceAccount": self.plan.group,
                     "labels": {"app": "by-hand"}, "ports": {"http": 8080}}})


def moment_of_log(text: str) -> float:
    """time.time() of a moment in a log, which is in UTC."""
    return datetime.fromisoformat(text + "+00:00").timestamp()
