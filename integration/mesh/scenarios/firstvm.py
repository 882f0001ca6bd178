# SPDX-License-Identifier: Apache-2.0
"""A machine with nothing but Istio's sidecar package becomes a member of the mesh, and stays one.

One command each side: `xdsgate bundle create` where the cluster is administered, and its script on
the machine. Then what takes a VM's credentials from it: a reboot, an hour, a long time off. Its way
to istiod is `identity: token`, from an address whose XFCC istiod does not believe.
"""

from __future__ import annotations

import os
import stat

from harness import edge, pki
from harness.istio import sum_of
from harness.lab import Column
from harness.machine import GID, UID, Machine
from harness.processes import IP, run
from harness.wait import Stopwatch, until

from .doctor import Said, said_by

NUMBER = 30  # last byte of its address
GROUP = "client"
CHAIN = "/etc/certs/cert-chain.pem"
TOKEN_COPY = "/var/lib/xdsgate-bundle/istio-token"  # on its disk
TOKENS_REFUSED = "xdsgate_tokens_refused_total"
GRACE_S = 10  # of istiod, until a VM that has left is deleted
START_S = 180
GONE_S = GRACE_S + 110


class FirstVM:
    """The machine and what the mesh says about it."""

    def __init__(self, column: Column, name: str = "first", number: int = NUMBER) -> None:
        self.column = column
        self.lab = column.lab
        self.address = self.lab.site.machine(column.name, number)
        self.folder = self.lab.folder / f"vms/{column}-{name}"
        self.folder.mkdir(parents=True)
        netns = self.lab.add_machine(column, name, self.address)
        self.machine = Machine(name, netns, self.folder)
        self.machine.install_sidecar(self.lab.programs)
        self.machine.install_program(edge.binary())
        self.entry_name = f"{column.name}/{GROUP}-{self.address}"
        self.member = False
        self.identity = f"spiffe://cluster.local/ns/{column.name}/sa/{GROUP}"

    def join(self, *options: object) -> None:
        """By one command each side."""
        said = self.xdsgate("bundle", "create", GROUP, "-n", self.column.name, "--gateway",
                            self.lab.site.edge_untrusted, "--autoregister", "--format", "script",
                            "-o", self.folder / "bundle.sh", *options)
        assert "keep it secret" in said
        self.boot()
        assert "restart the service istio" in self.install("bundle.sh")
        self.await_back("", "healthy")
        self.member = True

    def boot(self) -> None:
        self.machine.boot()
        self.machine.start_application()

    def xdsgate(self, *arguments: object) -> str:
        """Typed by an administrator, who can reach the API server."""
        kube = self.lab.kube
        inside = [IP, "netns", "exec", kube.netns] if kube.netns else []
        return run(*inside, edge.binary(), *map(str, arguments), "--kubeconfig", kube.kubeconfig)

    def install(self, script: str) -> str:
        """Typed on the machine; what the script said."""
        return self.machine.run("sh", "-s", stdin=(self.folder / script).read_text())

    def doctor(self) -> Said:
        """What it says on the machine."""
        return said_by(*self.machine.enter(), "xdsgate", "doctor", "-o", "json")

    @property
    def connected_at(self) -> str:
        entry = self.lab.entries.get(self.entry_name)
        return entry.connected_at if entry else ""

    def await_back(self, before: str, what: str) -> None:
        """Until it has connected again since then and is healthy."""
        watch = Stopwatch()
        self.lab.entries.wait(
            self.entry_name,
            lambda entry: entry.connected_at not in ("", before) and entry.healthy == "True",
            START_S, f"is back (connectedAt after {before or 'never'}) and healthy")
        self.column.note(f"{self.machine.name}: {what}", watch())

    def await_certificate(self, other_than: str = "") -> str:
        """The one that its agent gets; it comes a moment before or after its ADS stream."""
        return pki.await_chain(self.machine.path(CHAIN), self.identity, START_S, other_than)

    # ---- what time does to it

    def expire_token(self) -> None:
        old = self.lab.token(self.column.name, GROUP, ttl_s=-3600)
        self.machine.path(TOKEN_COPY).write_text(old)

    def expire_certificate(self) -> None:
        """Its own, but for the dates. The machine is off."""
        old = pki.issue(self.lab.authority, self.folder, "old", days=-1, subject="/",
                        sans=f"critical,URI:{self.identity}")
        for name, file in (("cert-chain.pem", old.certificate), ("key.pem", old.key)):
            path = self.machine.path(f"/etc/certs/{name}")
            path.write_bytes(file.read_bytes())
            os.chown(path, UID, GID)
            path.chmod(0o600)


def first(column: Column) -> FirstVM:
    """The column's, a member of the mesh."""
    if column.first is None:
        column.first = FirstVM(column)
        column.first.join()
    assert column.first.member, "it never became a member"
    return column.first


def joins(column: Column) -> None:
    """By one command each side."""
    vm = first(column)

    entry = vm.lab.entries.get(vm.entry_name)
    assert entry.spec["address"] == vm.address
    assert entry.annotations["istio.io/autoRegistrationGroup"] == GROUP
    vm.await_certificate()
    status = vm.machine.path(CHAIN).stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (UID, 0o600)


def reboots(column: Column) -> None:
    """The token was on a tmpfs, which is empty now; the entry of systemd-tmpfiles puts it back.

    It needs it: the machine lost its power before it had a certificate.
    """
    vm = first(column)
    before = vm.connected_at
    vm.machine.power_off()
    for name in ("cert-chain.pem", "key.pem"):
        vm.machine.path(f"/etc/certs/{name}").unlink()

    vm.boot()

    vm.await_back(before, "back after a reboot")
    vm.await_certificate()
    token = "/run/secrets/tokens/istio-token"
    assert vm.machine.run("stat", "-c", "%U %a", token) == "istio-proxy 600\n"
    assert vm.machine.run("cat", token) == vm.machine.path(TOKEN_COPY).read_text()


def token_expired(column: Column) -> None:
    """Rebooted with yesterday's token: its certificate is enough, xdsgate brings a token."""
    vm = first(column)
    before = vm.connected_at
    chain = vm.await_certificate()
    vm.machine.power_off()
    vm.expire_token()

    vm.boot()

    vm.await_back(before, "back with expired token")
    vm.await_certificate(other_than=chain)


def renewed(column: Column) -> None:
    """Off until certificate and token had run out: refused, until the script of `bundle renew`.

    doctor says on the machine why, and finds nothing afterwards.
    """
    vm = first(column)
    before = vm.connected_at
    vm.machine.power_off()
    vm.expire_token()
    vm.expire_certificate()
    refused = sum_of(vm.lab.edge.metrics(), TOKENS_REFUSED)
    vm.boot()
    until(lambda: sum_of(vm.lab.edge.metrics(), TOKENS_REFUSED) > refused, START_S,
          "xdsgate refuses its token")
    vm.lab.entries.wait_gone(vm.entry_name, GONE_S)

    known = {"vm-credentials", "vm-certificate", "vm-token"}
    said_before = until(lambda: (said := vm.doctor()).ids() == known and said, START_S,
                        f"doctor finds {known} and nothing else")
    vm.xdsgate("bundle", "renew", GROUP, "-n", column.name, "--format", "script", "-o",
               vm.folder / "renewal.sh")
    said = vm.install("renewal.sh")

    said_before.has("vm-credentials", "neither a token nor a certificate says who this VM is")
    said_before.has("vm-certificate", f"{CHAIN}: expired")
    said_before.has("vm-token", "istio-token: ran out")
    assert all("xdsgate bundle renew" in row["command"] for row in said_before.findings)
    assert "set aside /etc/certs/cert-chain.pem: it has expired" in said
    assert not any(f"write {path}" in said for path in ("/etc/hosts", "/var/lib/istio"))
    vm.await_back(before, "back with a renewed token")
    vm.await_certificate()
    column.vm("server")  # somebody to send requests to

    def well() -> bool:
        """Envoy knows a way to the server, and nothing is left that is still on its way."""
        said = vm.doctor()
        return said.looks("where Envoy sends requests") and not said.findings
    until(well, START_S, "doctor finds nothing")
    vm.machine.power_off()
    vm.lab.entries.wait_gone(vm.entry_name, GONE_S)
