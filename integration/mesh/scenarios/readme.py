# SPDX-License-Identifier: Apache-2.0
"""README.md, "Your first VM": each command as it is written there, typed where it says.

There is an administrator's desk with kubectl, xdsgate, ssh and a checkout, an edge host with
xdsgate as its section "Build and install" leaves it, and a VM with Istio's sidecar package. Only
the addresses are others, and the nodes' port, which needs nodes.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from harness import edge
from harness.lab import Column
from harness.machine import DEPLOY, Machine
from harness.processes import IP, run
from harness.wait import Stopwatch

README = DEPLOY.parent / "README.md"
EDGE, VM = "192.168.7.10", "192.168.7.21"  # as they are written there
ISTIOD = "10.0.0.11:31512"
NUMBERS = {EDGE: 41, VM: 42}  # last bytes of their addresses here
MAX_COMMANDS = 6
SEEN_S = 60


def first_vm(column: Column) -> None:
    """From a mesh without VMs to a healthy WorkloadEntry."""
    here = {written: column.lab.site.machine(column.name, number)
            for written, number in NUMBERS.items()}
    machines = {written: new_machine(column, written, address)
                for written, address in here.items()}
    machines[EDGE].install_xdsgate(edge.binary())
    machines[VM].install_sidecar(column.lab.programs)
    for machine in machines.values():
        machine.boot()
    machines[VM].start_application()
    desk = make_desk(column, machines)
    commands = typed()
    watch = Stopwatch()

    for command in commands:
        for written, address in here.items():
            command = command.replace(f"/web-{written}", f"/web-{address}").replace(
                f"--gateway {written}", f"--gateway {address}")
        run("bash", "-euo", "pipefail", "-c", command, cwd=desk / "xdsgate",
            env={"PATH": f"{desk / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin"})

    column.note("README.md, first VM", watch())
    entry = column.lab.entries.wait(f"vms/web-{here[VM]}", lambda entry: entry.healthy == "True",
                                    SEEN_S, "is healthy here, too")
    assert entry.spec["serviceAccount"] == "web"
    for machine in machines.values():
        machine.power_off()


def typed() -> list[str]:
    """The commands of the section; one that ends with | goes on in the next line."""
    section = re.search(r"^## Your first VM$(.*?)^## ", README.read_text(), re.S | re.M)[1]
    text = "".join(re.findall(r"^```sh\n(.*?)^```$", section, re.S | re.M))
    commands = re.sub(r"\|\n\s*", "| ", text).splitlines()
    assert 0 < len(commands) <= MAX_COMMANDS
    return commands


def new_machine(column: Column, written: str, address: str) -> Machine:
    """The VM cannot reach istiod by itself, the edge host can."""
    lab, name = column.lab, {EDGE: "edge2", VM: "web1"}[written]
    folder = lab.folder / "readme" / name
    folder.mkdir(parents=True)
    netns = (lab.add_machine(column, name, address) if written == VM
             else lab.mesh.network.add_machine(name, address))
    return Machine(name, netns, folder)


def make_desk(column: Column, machines: dict[str, Machine]) -> Path:
    """A folder with a checkout and programs that reach the cluster, and the machines by ssh."""
    desk, kube = column.lab.folder / "readme/desk", column.lab.kube
    shutil.copytree(DEPLOY, desk / "xdsgate/deploy")
    (desk / "bin").mkdir()
    file = desk / "xdsgate/deploy/passthrough.yaml"
    assert ISTIOD in file.read_text()
    file.write_text(file.read_text().replace(ISTIOD, str(column.lab.site.istiods[0])))
    inside = f"{IP} netns exec {kube.netns} " if kube.netns else ""
    inside += f"env KUBECONFIG={kube.kubeconfig}"
    put(desk / "bin/kubectl", f'exec {inside} {kube.kubectl_path} "$@"\n')
    put(desk / "bin/xdsgate", f'exec {inside} {edge.binary().resolve()} "$@"\n')
    hosts = "".join(f'root@{written}) shift && exec {" ".join(machine.enter())} sh -c "$*" ;;\n'
                    for written, machine in machines.items())
    put(desk / "bin/ssh", f'case $1 in\n{hosts}*) echo "ssh: not expected: $*" >&2; exit 255 ;;\n'
                          "esac\n")
    return desk


def put(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(0o755)
