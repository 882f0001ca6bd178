# SPDX-License-Identifier: Apache-2.0
"""The edge: one xdsgate between the VMs and istiod, on a machine of its own with two addresses.

One listener serves all columns, as in a migration: VMs from the `terminate` and `token` subnets are
terminated, all others pass through. What istiod takes xdsgate's word for leaves from the address
that it trusts (TRUSTED_GATEWAY_CIDR), all else leaves from the other one.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import netns, pki
from .processes import IP, Process, run
from .site import SERVER_NAME, SIMULATED_NETWORK, TERMINATE, TOKEN, XDS_PORT, Site
from .wait import until

HERE = Path(__file__).resolve()
DEFAULT_BINARY = HERE.parents[3] / "build/release/xdsgate"
METRICS_PORT = 15095
DRAIN_TIMEOUT = "30s"
CHANGE_S = 90  # for whatever it says in its log within a second or two
DRAINED_S = 120  # more than the longest drain that it is told

# All simulated VMs of a column have one machine, so none of them comes from the address that it
# has. All else is the default: the real VMs need nothing.
REGISTRATION = {"address_networks": [SIMULATED_NETWORK]}

CONFIG = """\
version: 1
trust_domain: cluster.local

listeners:
- name: istiod
  bind: ["0.0.0.0:{port}"]
  tls:
    certificates:
    - certificate: {certificate}
      private_key: {key}
{more_certificates}\
    client_roots: [{root}]
  vm_identities: ["ns/{namespace}/sa/*", "ns/{token_namespace}/sa/*"]
  registration: {registration}
  routes:
{more_routes}\
  - from: ["{terminated}"]
    sni: ["{server_name}"]
    mode: terminate
    upstream: istiod
  - from: ["{with_tokens}"]
    sni: ["{server_name}"]
    mode: terminate
    upstream: istiod-token
  - sni: ["*"]
    mode: passthrough
    upstream: istiod-raw

upstreams:
- name: istiod
  endpoints: [{endpoints}]
  tls:
    server_name: {server_name}
    roots: [{root}]
  identity: xfcc
  source_address: ["{trusted}"]
- name: istiod-token
  {token_way}
  tls:
    server_name: {server_name}
    roots: [{root}]
  identity: token
  source_address: ["{untrusted}"]
- name: istiod-raw
  endpoints: [{endpoints}]
  source_address: ["{untrusted}"]
{more_upstreams}
kubernetes:
  kubeconfig: {kubeconfig}
drain_timeout: {drain_timeout}
registry:
  deny_list: {folder}/deny.json
  keep_config: 64MiB
admin:
  socket: {folder}/admin.sock
  bind: 127.0.0.1:15094
metrics:
  bind: 127.0.0.1:{metrics_port}
log:
  format: text
  level: info
"""


def binary() -> Path:
    return Path(os.environ.get("XDSGATE_BIN") or DEFAULT_BINARY)


def put_file(path: Path, text: str) -> None:
    """At once: xdsgate reads a file that has changed, and must not see half of it."""
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)


def adopt_orphans() -> None:
    """A process whose parent ends becomes ours, so that its exit status can be asked for."""
    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def exit_status(pid: int) -> tuple[int] | None:
    """In a tuple, because 0 is a result; None: it has not ended, or its parent is not we yet."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return (os.waitstatus_to_exitcode(status),) if ended == pid else None


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class Edge:
    """xdsgate as a process in its own namespace."""

    def __init__(self, netns_name: str, folder: Path, site: Site, authority: pki.Pair,
                 kubeconfig: Path) -> None:
        self.netns = netns_name
        self.folder = folder
        self.address = site.edge_untrusted
        self.process: Process | None = None
        self.pids: list[int] = []  # those that handed over and may still run, and the one that serves
        folder.mkdir(parents=True, exist_ok=True)
        # As an administrator would: what every VM of a run believes is a certificate of ours.
        run(binary(), "cert", "issue", "--ca-cert", authority.certificate, "--ca-key",
            authority.key, "--output", folder / "tls", "--force")
        self.config = folder / "xdsgate.yaml"
        endpoints = ", ".join(f'"{end}"' for end in site.istiods)
        self.token_way = f"endpoints: [{endpoints}]"
        self.values = dict(
            port=XDS_PORT, certificate=folder / "tls/tls.crt", key=folder / "tls/tls.key",
            root=authority.certificate, terminated=site.subnet(TERMINATE), server_name=SERVER_NAME,
            namespace=TERMINATE, token_namespace=TOKEN, with_tokens=site.subnet(TOKEN),
            kubeconfig=kubeconfig,
            endpoints=endpoints, trusted=site.edge_trusted, untrusted=site.edge_untrusted, folder=folder, metrics_port=METRICS_PORT)
        self.write_config(DRAIN_TIMEOUT)

    def write_config(self, drain_timeout: str, token_way: str | None = None,
                     more_certificates: str = "", more_routes: str = "", more_upstreams: str = "",
                     registration: dict = REGISTRATION) -> None:
        """For the next start; a process that runs sees the change and takes it too."""
        put_file(self.config, CONFIG.format(
            drain_timeout=drain_timeout, token_way=token_way or self.token_way,
            more_certificates=more_certificates, more_routes=more_routes,
            more_upstreams=more_upstreams,
            registration=json.dumps(registration), **self.values))

    def start(self) -> None:
        if not os.access(binary(), os.X_OK):
            raise RuntimeError(f"no xdsgate at {binary()}: build it, or set XDSGATE_BIN")
        adopt_orphans()
        self.process = Process("xdsgate", [binary(), "run", "--config", self.config],
                               netns=self.netns, log=self.folder / "xdsgate.log")
        self.pids = [self.process.popen.pid]
        until(self._listens, CHANGE_S, "xdsgate listens")

    def _listens(self) -> bool:
        if not self.running():
            raise RuntimeError(f"xdsgate ended: {self.process.text()[-1500:]}")
        if not self.process.has_logged("xdsgate is running"):
            return False  # what listens is a killed one, of which the kernel is not rid yet
        netns.connect(self.netns, self.address, XDS_PORT).close()
        return True

    def running(self) -> bool:
        """Whether the process that serves now is alive."""
        return is_alive(self.pids[-1])

    def hand_over(self) -> None:
        """SIGUSR2, until another process serves."""
        count = len(self._successors())
        os.kill(self.pids[-1], signal.SIGUSR2)
        until(lambda: len(self._successors()) > count, CHANGE_S, "another process serves")
        self.pids.append(self._successors()[-1])

    def _successors(self) -> list[int]:
        return [int(pid) for pid in re.findall(r"handed over.* pid=(\d+)", self.process.text())]

    def await_predecessors(self) -> None:
        """Those that handed over have ended, each with success."""
        for pid in self.pids[:-1]:
            assert self._end_of(pid, DRAINED_S) == 0
        del self.pids[:-1]

    def reconfigure(self, drain_timeout: str = DRAIN_TIMEOUT, **changes: object) -> None:
        """Reloads with another drain_timeout, or other changes of the file.

        What it is told by SIGHUP it may have seen by itself. So what counts is a reload that has
        begun after the file was written.
        """
        self.write_config(drain_timeout, **changes)
        mark = len(self.process.text())
        os.kill(self.pids[-1], signal.SIGHUP)
        until(lambda: self.has_reloaded(self.process.text()[mark:]), CHANGE_S,
              "the configuration is in force")

    @staticmethod
    def has_reloaded(log: str) -> bool:
        """Whether a reload has begun and ended there."""
        _, begun, after = log.partition(" reloading because=")
        if "the old configuration stays in force" in after:
            raise RuntimeError(f"xdsgate does not take its configuration: {after[:1500]}")
        return bool(begun) and "configuration in force" in after

    @contextmanager
    def configured(self, **changes: object) -> Iterator[None]:
        """With other settings meanwhile."""
        self.reconfigure(**changes)
        try:
            yield
        finally:
            self.reconfigure()

    def renew_kubeconfig(self) -> None:
        """Another file with the same content; xdsgate takes it and asks for all tokens anew."""
        count = self.process.text().count("Kubernetes is used")
        kubeconfig = Path(self.values["kubeconfig"])
        put_file(kubeconfig, kubeconfig.read_text() + "\n")
        until(lambda: self.process.text().count("Kubernetes is used") > count, CHANGE_S,
              "the kubeconfig is read again")

    def stop(self) -> int:
        """Ends it gracefully; its exit status."""
        os.kill(self.pids[-1], signal.SIGTERM)
        return self._end_of(self.pids[-1], DRAINED_S)

    def kill(self) -> None:
        """SIGKILL: the kernel closes its connections."""
        self.process.kill()

    def lose_power(self) -> None:
        """Nothing is left of it, and its machine knows nothing of its connections any more.

        The machine has to be unplugged, or what it sends now would tell the others.
        """
        self.process.freeze()
        run(IP, "netns", "exec", self.netns, "ss", "--kill", "--tcp", "state", "connected")
        self.process.kill()

    def _end_of(self, pid: int, within: float) -> int:
        if pid == self.process.popen.pid:
            return self.process.popen.wait(within)
        return until(lambda: exit_status(pid), within, f"end of xdsgate, process {pid}")[0]

    def ask(self, *command: str) -> str:
        """A command of xdsgate that asks the daemon, on its socket; what it prints."""
        return run(binary(), *command, "--admin", self.folder / "admin.sock")

    def vm_list(self) -> list[dict]:
        return json.loads(self.ask("vm", "list", "-o", "json"))["vms"]

    def vms(self, namespace: str) -> dict[str, dict]:
        """What `vm list` says of the VMs of a namespace, by their names."""
        return {vm["name"]: vm for vm in self.vm_list() if vm["namespace"] == namespace}

    def describe(self, name: str) -> dict:
        """What `vm describe` says of one VM, by its name or its id."""
        return json.loads(self.ask("vm", "describe", name, "-o", "json"))

    def config_of(self, name: str) -> dict:
        """What `vm config` says: the VM's configuration as its Envoy would dump it."""
        return json.loads(self.ask("vm", "config", name))

    def metrics(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", METRICS_PORT, timeout=10)
        connection.sock = netns.connect(self.netns, "127.0.0.1", METRICS_PORT)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        finally:
            connection.close()
