# SPDX-License-Identifier: Apache-2.0
"""Many simulated VMs in one process: the sandbox's, here pointed at a real istiod.

They speak as an agent with its Envoy does, and come back as it does, with a certificate of the
mesh, each under a name and an address of its own; their machine is one namespace.
"""

from __future__ import annotations

import json
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from . import pki
from .lab import Column
from .processes import Process
from .site import COLUMNS, SERVER_NAME
from .vm import moment_of_log

DEFAULT_BINARY = Path(__file__).resolve().parents[3] / "build/release/xdsgate-sandbox-vm"
GROUP = "simulated"
MACHINE = 200  # last byte of their machine's address
END = re.compile(r"(?P<when>\S+)Z sandbox-vm: vm-(?P<number>\d+): ADS ended: (?P<code>\d+) (?P<text>.*)")


def binary() -> Path:
    return Path(os.environ.get("XDSGATE_SANDBOX_VM") or DEFAULT_BINARY)


@dataclass(frozen=True)
class End:
    """How an ADS stream of one of them ended."""

    number: int  # the VM's, from 1 on
    when: float  # time.time()
    code: int
    text: str


class Swarm:
    """`count` simulated VMs of one column, from now on until `stop`.

    Each starts at a moment of its own within `spread_ms`. With `health` each says that it is
    healthy once it has its listeners.
    """

    def __init__(self, column: Column, count: int, *, spread_ms: int = 10000,
                 health: bool = False) -> None:
        if not os.access(binary(), os.X_OK):
            raise RuntimeError(f"no simulated VMs at {binary()}: build them, or set "
                               "XDSGATE_SANDBOX_VM")
        lab = column.lab
        folder = lab.folder / f"vms/{column}-{GROUP}"
        folder.mkdir(parents=True, exist_ok=True)
        self.control = folder / "control.sock"
        self.log = folder / "simulated.log"
        shown = pki.issue(lab.authority, folder, GROUP, subject="/",
                          sans=f"critical,URI:spiffe://cluster.local/ns/{column}/sa/{GROUP}")
        if not column.swarm_machine:
            address = lab.site.machine(column.name, MACHINE)
            column.swarm_machine = lab.add_machine(column, GROUP, address)
        self.process = Process(f"simulated VMs of {column}", [
            binary(), "--target", str(lab.site.way(column.name)[0]), "--server-name", SERVER_NAME,
            "--roots", lab.authority.certificate, "--cert", shown.certificate, "--key", shown.key,
            "--no-csr", "--verbose", *([] if health else ["--no-health"]), "--control", self.control,
            "--count", str(count), "--spread-ms", str(spread_ms), "--namespace", str(column),
            "--service-account", GROUP, "--group", GROUP,
            "--ip-base", first_address(column),
        ], netns=column.swarm_machine, log=self.log)
        column.swarm = self

    def stop(self) -> None:
        self.process.stop()

    def status(self) -> list[dict]:
        """How each of them is, by its own account."""
        return self._ask("status")["vms"]

    def ends(self) -> list[End]:
        """Every stream that was ended from the other side, in order."""
        return [End(int(found["number"]), moment_of_log(found["when"]), int(found["code"]),
                    found["text"])
                for found in map(END.match, self.log.read_text().splitlines()) if found]

    def restart(self, number: int) -> None:
        """One of them, from 1 on, breaks its connections off and makes new ones."""
        self._ask(f"restart {number}")

    def _ask(self, command: str) -> dict:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(60)
            asked.connect(str(self.control))
            asked.sendall(f"{command}\n".encode())
            answer = json.loads(asked.makefile().readline())
        assert answer["ok"], answer
        return answer


def first_address(column: Column) -> str:
    """The first of their addresses, to which nothing leads: a VM's address is only a word here."""
    return f"10.99.{COLUMNS.index(column.name)}.1"
