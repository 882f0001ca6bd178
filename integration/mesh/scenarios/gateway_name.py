# SPDX-License-Identifier: Apache-2.0
"""A machine joins through a gateway with a name of its own and a certificate of a private CA,
and follows it to another CA.

Nothing of it is the mesh's: the certificate is for that name only, and the agent believes the
private root only. What the agent replaces after its first certificate is root-cert.pem, by the
mesh's roots; so that it finds its way a second time shows that it judges by the other file.
"""

from __future__ import annotations

from pathlib import Path

from harness import edge
from harness.lab import Column
from harness.machine import copy_program
from harness.processes import run

from .firstvm import GONE_S, GROUP, FirstVM

NAME = "gw.example.com"
NUMBER, ROOTS_NUMBER = 31, 32  # last byte of their addresses
ROOT_AT = "/var/lib/istio/envoy/gateway-root.pem"

CERTIFICATE = """\
    - certificate: {tls}/tls.crt
      private_key: {tls}/tls.key
"""
ROUTE = f"""\
  - from: ["{{vm}}/32"]
    sni: ["{NAME}"]
    mode: terminate
    upstream: istiod-token
"""


def private_certificate(folder: Path) -> Path:
    """A folder with it, its key and the root that vouches for it, all of them new."""
    folder.mkdir(exist_ok=True)
    run(edge.binary(), "cert", "issue", "--self-signed-ca", folder / "ca", "--name", NAME,
        "--names-only", "--output", folder / "tls")
    return folder / "tls"


def shown_to(vm: FirstVM, tls: Path) -> dict[str, str]:
    """What the gateway's file has besides, so that it shows this certificate to that VM."""
    return {"more_certificates": CERTIFICATE.format(tls=tls),
            "more_routes": ROUTE.format(vm=vm.address)}


def joins(column: Column) -> None:
    """By one command each side, and again after a restart; `bundle verify` agrees."""
    vm = FirstVM(column, "named", NUMBER)
    tls = private_certificate(vm.folder)
    root = tls / "root-cert.pem"

    with vm.lab.edge.configured(**shown_to(vm, tls)):
        vm.join("--gateway-name", NAME, "--gateway-root", root)
        chain, before = vm.await_certificate(), vm.connected_at
        vm.machine.run("systemctl", "restart", "istio.service")
        vm.await_back(before, "back after a restart")
        vm.await_certificate(other_than=chain)
        copy_program(edge.binary(), vm.machine.path("/local/bin/xdsgate"))
        said = vm.machine.run("xdsgate", "bundle", "verify", "--installed")
        vm.machine.power_off()
        vm.lab.entries.wait_gone(vm.entry_name, GONE_S)

    assert f"({NAME}) answers with a certificate that is believed" in said
    assert vm.machine.path(ROOT_AT).read_text() == root.read_text()
    assert root.read_text().strip() not in vm.machine.path("/etc/certs/root-cert.pem").read_text()


def takes_another_root(column: Column) -> None:
    """As the documentation says: both roots first, the gateway's other certificate, then one root."""
    vm = FirstVM(column, "roots", ROOTS_NUMBER)
    old, new = private_certificate(vm.folder / "old"), private_certificate(vm.folder / "new")
    both = vm.folder / "both.pem"
    both.write_text("".join((tls / "root-cert.pem").read_text() for tls in (old, new)))

    with vm.lab.edge.configured(**shown_to(vm, old)):
        vm.join("--gateway-name", NAME, "--gateway-root", old / "root-cert.pem")
        vm.await_certificate()
        renew_root(vm, both, "back with both roots")
        vm.lab.edge.reconfigure(**shown_to(vm, new))
        before = vm.connected_at
        vm.machine.run("systemctl", "restart", "istio.service")
        vm.await_back(before, "back by the other authority")
        renew_root(vm, new / "root-cert.pem", "back with the new root")
        vm.machine.power_off()
        vm.lab.entries.wait_gone(vm.entry_name, GONE_S)


def renew_root(vm: FirstVM, root: Path, what: str) -> None:
    """By one command each side; no token is asked for."""
    before = vm.connected_at
    vm.xdsgate("bundle", "renew", GROUP, "-n", vm.column.name, "--gateway-root", root,
               "--no-token", "--format", "script", "-o", vm.folder / "renewal.sh")
    assert f"write {ROOT_AT}" in vm.install("renewal.sh")
    vm.await_back(before, what)
    assert vm.machine.path(ROOT_AT).read_text() == root.read_text()
