# SPDX-License-Identifier: Apache-2.0
"""Start the sandbox programs and talk to them: for the demo and for tests.

Nothing here needs more than the standard library. Every wait has a deadline and a condition.
"""
from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Sequence, TypeVar

sys.path.append(str(Path(__file__).resolve().parents[1] / "process"))
from rig.process import free_port  # noqa: E402, F401

T = TypeVar("T")

ISTIOD = "xdsgate-sandbox-istiod"
VM = "xdsgate-sandbox-vm"


class SandboxError(Exception):
    """Something of the sandbox did not do what it should, in words for a user."""


def wait_for(what: str, probe: Callable[[], T], seconds: float = 60.0) -> T:
    """Call probe until it returns something true, or raise with what it returned last."""
    deadline = time.monotonic() + seconds
    while True:
        got = probe()
        if got:
            return got
        if time.monotonic() > deadline:
            raise SandboxError(f"after {seconds:g} s still not: {what} (last: {got!r})")
        time.sleep(0.05)


class Program:
    """A child process whose output goes to a file."""

    def __init__(self, argv: Sequence[str | Path], log: Path):
        self.log = log
        self.name = Path(argv[0]).name
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True)

    def running(self) -> bool:
        return self.process.poll() is None

    def log_tail(self, lines: int = 20) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def check_running(self) -> None:
        if not self.running():
            raise SandboxError(
                f"{self.name} ended with {self.process.returncode}:\n{self.log_tail()}")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self, seconds: float = 60.0) -> int:
        """SIGTERM, then SIGKILL after the deadline. Returns the exit code."""
        if self.running():
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return int(self.process.returncode)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Controlled(Program):
    """A sandbox program with a control socket."""

    def __init__(self, argv: Sequence[str | Path], work: Path, name: str):
        self.socket_path = work / f"{name}.sock"
        super().__init__([*argv, "--control", self.socket_path], work / f"{name}.log")
        wait_for(f"{name} answers", self._answers)

    def _answers(self) -> bool:
        self.check_running()
        try:
            return bool(self.ctl("help")["ok"])
        except (OSError, ValueError):
            return False

    def ctl(self, *command: object) -> dict[str, Any]:
        """Send one command, return its answer; SandboxError when it says no."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60)
            s.connect(str(self.socket_path))
            s.sendall((" ".join(str(c) for c in command) + "\n").encode())
            with s.makefile() as f:
                answer = json.loads(f.readline())
        if not answer.get("ok"):
            raise SandboxError(f"{command}: {answer.get('error')}")
        return answer

    def status(self) -> dict[str, Any]:
        return self.ctl("status")

    def vms(self) -> list[dict[str, Any]]:
        """The VMs of status, by name."""
        return sorted(self.status()["vms"], key=lambda v: natural(v["name"]))


class Istiod(Controlled):
    """The sandbox control plane."""

    def __init__(self, build: Path, work: Path, *flags: str, name: str = "istiod", port: int = 0):
        self.dir = work / "material"
        super().__init__([build / ISTIOD, "--dir", self.dir, "--listen", f"127.0.0.1:{port}",
                          *flags], work, name)
        self.port = int(self.status()["port"])

    def counters(self) -> dict[str, int]:
        return self.status()["counters"]

    def entries(self) -> list[dict[str, Any]]:
        return sorted(self.status()["entries"], key=lambda e: natural(e["name"]))


class Vms(Controlled):
    """Simulated VMs of one process."""

    def __init__(self, build: Path, work: Path, target: str, istiod_dir: Path, *flags: str,
                 count: int = 5, name: str = "vms", token: bool = True):
        auth = ["--token-file", str(istiod_dir / "token")] if token else []
        super().__init__([build / VM, "--target", target, "--roots", istiod_dir / "root-cert.pem",
                          "--count", str(count), *auth, *flags], work, name)

    def summary(self) -> dict[str, int]:
        return self.ctl("summary")["summary"]


def natural(name: str | None) -> list[object]:
    """Sort key: vm-10 after vm-9."""
    out: list[object] = []
    for part in (name or "").replace(".", "-").split("-"):
        out.append(int(part) if part.isdigit() else 0)
        out.append(part)
    return out


def build_dir() -> Path:
    """Where the programs are: XDSGATE_BUILD, else build/release of this checkout."""
    given = os.environ.get("XDSGATE_BUILD")
    return Path(given) if given else Path(__file__).resolve().parents[2] / "build" / "release"
