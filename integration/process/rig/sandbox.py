# SPDX-License-Identifier: Apache-2.0
"""The sandbox control plane and sandbox VMs, by their control sockets."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from .gateway import BINARY
from .process import Process, free_port
from .wait import LONG_S, until

PROGRAMS = Path(os.environ.get("XDSGATE_SANDBOX_PROGRAMS") or BINARY.parent)
GATEWAY_IP = "127.0.0.2"  # where xdsgate connects from, in tests with XFCC
SANDBOX_NETWORK = "10.99.0.0/16"  # what sandbox VMs say that they have


class Controlled:
    """A program with a control socket: one line in, one line of JSON out."""

    process: Process
    control: Path

    def ask(self, *command: object) -> dict:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(LONG_S)
            s.connect(str(self.control))
            s.sendall(" ".join(map(str, command)).encode() + b"\n")
            answer = json.loads(s.makefile().readline())
        assert answer["ok"], f"{command}: {answer}"
        return answer

    def stop(self) -> None:
        self.process.kill()


class Istiod(Controlled):
    def __init__(self, folder: Path, *options: object, port: int | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.dir = folder
        self.control = folder / "istiod.sock"
        self.control.unlink(missing_ok=True)
        self.port = port or free_port()
        self.endpoint = f"127.0.0.1:{self.port}"
        self.options = options
        self.process = Process(
            "sandbox istiod",
            [PROGRAMS / "xdsgate-sandbox-istiod", "--dir", folder, "--listen", self.endpoint,
             "--control", self.control, "--trusted-gateway-cidr", f"{GATEWAY_IP}/32",
             *map(str, options)], folder / "istiod.log")
        self.process.await_control(self.control)

    def again(self) -> "Istiod":
        """Killed and started, with the same root and port."""
        self.process.kill()
        return Istiod(self.dir, *self.options, port=self.port)

    def status(self) -> dict:
        return self.ask("status")

    def counter(self, name: str) -> int:
        return self.status()["counters"][name]

    def vms(self) -> list[dict]:
        return self.status()["vms"]

    def await_synced(self, n: int, within: float = LONG_S) -> list[dict]:
        """Its VMs, once n are registered, healthy and synced."""
        def look() -> list[dict] | None:
            rows = self.vms()
            fine = [r for r in rows if r["entry"] and r["health"] == "True" and r["synced"]]
            return fine if len(fine) == n == len(rows) else None

        return until(look, f"{n} VMs registered, healthy and synced", within)


class Vms(Controlled):
    def __init__(self, folder: Path, name: str, target: int, roots: Path,
                 *options: object) -> None:
        self.control = folder / f"{name}.sock"
        self.process = Process(
            f"sandbox VMs {name}",
            [PROGRAMS / "xdsgate-sandbox-vm", "--target", f"127.0.0.1:{target}", "--roots", roots,
             "--control", self.control, *map(str, options)], folder / f"{name}.log")
        self.process.await_control(self.control)

    def status(self) -> list[dict]:
        return self.ask("status")["vms"]

    def await_last_end(self) -> dict:
        """How the last stream of the first VM ended, once one has."""
        return until(lambda: self.status()[0]["last_end"], "the end of a stream")

    def await_last_csr(self) -> dict:
        return until(lambda: self.status()[0]["last_csr"], "the answer to a CSR")
