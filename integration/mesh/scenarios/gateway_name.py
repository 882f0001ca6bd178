# SPDX-License-Identifier: Apache-2.0
"""A machine joins through a gateway with a name of its own and a certificate of a private CA.

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

from .firstvm import GRACE_S, FirstVM

NAME = "gw.example.com"
NUMBER = 31  # last byte of its address
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
    """A folder with it, its key and the root that vouches for it."""
    run(edge.binary(), "cert", "issue", "--self-signed-ca", folder / "ca", "--name", NAME,
        "--names-only", "--output", folder / "tls")
    return folder / "tls"


def joins(column: Column) -> None:
    """By one command each side, and again after a restart; `bundle verify` agrees."""
    vm = FirstVM(column, "named", NUMBER)
    tls = private_certificate(vm.folder)
    root = tls / "root-cert.pem"

    with vm.lab.edge.configured(more_certificates=CERTIFICATE.format(tls=tls),
                                more_routes=ROUTE.format(vm=vm.address)):
        vm.join("--gateway-name", NAME, "--gateway-root", root)
        chain, before = vm.await_certificate(), vm.connected_at
        vm.machine.run("systemctl", "restart", "istio.service")
        vm.await_back(before, "back after a restart")
        vm.await_certificate(other_than=chain)
        copy_program(edge.binary(), vm.machine.path("/local/bin/xdsgate"))
        said = vm.machine.run("xdsgate", "bundle", "verify", "--installed")
        vm.machine.power_off()
        vm.lab.entries.wait_gone(vm.entry_name, GRACE_S + 20)

    assert f"({NAME}) answers with a certificate that is believed" in said
    assert vm.machine.path(ROOT_AT).read_text() == root.read_text()
    assert root.read_text().strip() not in vm.machine.path("/etc/certs/root-cert.pem").read_text()
