# SPDX-License-Identifier: Apache-2.0
"""etcd and kube-apiserver as processes, with RBAC, and a client for them.

There is no controller-manager and no kubelet. What a mesh of VMs needs is real all the same:
custom resources, watches, TokenRequest, TokenReview, SubjectAccessReview.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import netns, pki
from .processes import IP, Process, run
from .wait import Failed, Stopwatch, last, until

SERVICE_RANGE = "10.96.0.0/16"
AUDIENCES = "https://kubernetes.default.svc.cluster.local"
START_S = 180
BUSY_S = 60  # for so long it is asked again
BUSY = (429, 500, 503, 504)
# The same by the words of kubectl and istioctl: it does not answer, or somebody else wrote in the
# same moment, or a kind of objects is so new that it is not served yet.
SAYS_BUSY = re.compile(
    r"timed? ?out|deadline exceeded|connection (refused|reset|lost)|\bEOF\b|etcdserver"
    r"|too many requests|unable to (handle|return a response)|object has been modified"
    r"|no matches for kind", re.I)


@dataclass
class Kube:
    """A client: kubectl for writing, plain HTTPS for what is read often or watched."""

    kubectl_path: Path
    kubeconfig: Path
    host: str
    port: int
    authority: Path
    client: pki.Pair
    netns: str | None = None

    def kubectl(self, *arguments: str | Path, stdin: str | None = None) -> str:
        return self.run(self.kubectl_path, *arguments, stdin=stdin)

    def run(self, program: Path, *arguments: str | Path, stdin: str | None = None) -> str:
        """A program that takes --kubeconfig, run where the API server can be reached; again while
        that is busy."""
        inside = [IP, "netns", "exec", self.netns] if self.netns else []
        watch = Stopwatch()
        while True:
            try:
                return run(*inside, program, "--kubeconfig", self.kubeconfig, *arguments,
                           stdin=stdin)
            except Failed as error:
                if watch() > BUSY_S or not SAYS_BUSY.search(error.said):
                    raise
            last(1)

    def apply(self, documents: str) -> None:
        """YAML documents, server-side: what they say is what there is."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=documents)

    def delete(self, documents: str) -> None:
        self.kubectl("delete", "--wait=false", "--ignore-not-found", "-f", "-", stdin=documents)

    def may(self, account: str, *what: str) -> bool:
        """Whether a user may do that, by `kubectl auth can-i`. A rule that was written a moment ago
        may not count yet."""
        try:
            return self.kubectl("auth", "can-i", *what, "--as", account).strip() == "yes"
        except Failed as error:
            if "error" in error.said.lower():
                raise
            return False  # which is an exit status of 1, without a word

    def get(self, path: str) -> dict:
        """A GET of an API path; LookupError when there is no such object."""
        status, body = until(lambda: self._answer(path), BUSY_S, f"GET {path} is answered")
        if status == 404:
            raise LookupError(path)
        if status != 200:
            raise RuntimeError(f"GET {path}: {status} {body[:300]!r}")
        return json.loads(body)

    def _answer(self, path: str) -> tuple[int, bytes] | None:
        """Status and body; None: it is busy."""
        connection = self._connection(timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return None if answer.status in BUSY else (answer.status, answer.read())
        finally:
            connection.close()

    def watch(self, path: str, version: str) -> Iterator[tuple[str, dict]]:
        """(type, object) of every change after `version`, for as long as the server likes."""
        connection = self._connection(timeout=None)
        try:
            connection.request("GET", f"{path}?watch=1&resourceVersion={version}")
            answer = connection.getresponse()
            if answer.status != 200:
                raise ConnectionError(f"watch of {path}: {answer.status}")
            for line in answer:
                event = json.loads(line)
                yield event["type"], event["object"]
        finally:
            connection.close()

    def is_ready(self) -> bool:
        connection = self._connection(timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        finally:
            connection.close()

    def _connection(self, timeout: float | None) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=self.authority)
        context.load_cert_chain(self.client.certificate, self.client.key)
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=timeout)
        plain = netns.connect(self.netns, self.host, self.port)
        plain.settimeout(timeout)
        connection.sock = context.wrap_socket(plain, server_hostname=self.host)
        return connection


class Cluster:
    """etcd and kube-apiserver in one namespace."""

    def __init__(self, programs: Path, folder: Path, netns_name: str, address: str) -> None:
        self.programs = programs
        self.folder = folder
        self.netns = netns_name
        self.address = address
        self.token_key = folder / "sa.key"
        self.authority = pki.self_signed(folder, "ca", subject="/CN=lab", authority=True)
        self.server = pki.issue(
            self.authority, folder, "apiserver", usage="serverAuth",
            sans=f"DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:{address}")
        admin = pki.issue(self.authority, folder, "admin", subject="/O=system:masters/CN=lab-admin",
                          sans="DNS:lab-admin", usage="clientAuth")
        run("openssl", "genrsa", "-out", self.token_key, "2048")
        self.kube = Kube(programs / "bin/kubectl", self._kubeconfig(admin), "127.0.0.1", 6443,
                         self.authority.certificate, admin, netns_name)

    def start(self) -> Kube:
        parts = [
            Process("etcd", self._etcd(), netns=self.netns, log=self.folder / "etcd.log"),
            Process("kube-apiserver", self._apiserver(), netns=self.netns,
                    log=self.folder / "kube-apiserver.log")]

        def ready() -> bool:
            for part in parts:
                part.check_running()
            return self.kube.is_ready()
        until(ready, START_S, "kube-apiserver is ready")
        return self.kube

    def _etcd(self) -> list[str | Path]:
        return [self.programs / "bin/etcd", "--data-dir", self.folder / "etcd",
                "--listen-client-urls", "http://127.0.0.1:2379",
                "--advertise-client-urls", "http://127.0.0.1:2379",
                "--listen-peer-urls", "http://127.0.0.1:2380", "--unsafe-no-fsync"]

    def _apiserver(self) -> list[str | Path]:
        flags = {
            "etcd-servers": "http://127.0.0.1:2379",
            "bind-address": "0.0.0.0",
            "secure-port": "6443",
            "advertise-address": self.address,  # a namespace has no default route to find one by
            "endpoint-reconciler-type": "none",
            "service-cluster-ip-range": SERVICE_RANGE,
            "tls-cert-file": self.server.certificate,
            "tls-private-key-file": self.server.key,
            "client-ca-file": self.authority.certificate,
            "service-account-issuer": AUDIENCES,
            "service-account-key-file": self.token_key,
            "service-account-signing-key-file": self.token_key,
            "api-audiences": f"{AUDIENCES},istio-ca",  # istio-ca, or no token of a VM is accepted
            "authorization-mode": "RBAC",
            "allow-privileged": "true",
        }
        return [self.programs / "bin/kube-apiserver",
                *(f"--{name}={value}" for name, value in flags.items())]

    def _kubeconfig(self, admin: pki.Pair) -> Path:
        return write_kubeconfig(self.folder / "admin.kubeconfig", self.authority.certificate, {
            "client-certificate": str(admin.certificate), "client-key": str(admin.key)})


def write_kubeconfig(path: Path, authority: Path, user: dict[str, str]) -> Path:
    """A kubeconfig for the API server on this namespace's loopback (JSON is YAML, too)."""
    path.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": {
            "server": "https://127.0.0.1:6443", "certificate-authority": str(authority)}}],
        "users": [{"name": "lab", "user": user}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
    }))
    path.chmod(0o600)
    return path
