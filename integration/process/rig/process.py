# SPDX-License-Identifier: Apache-2.0
"""A program with a log file, never left behind."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from .wait import LONG_S, until


FREE_PORTS = range(22000, 32000)  # below those which the kernel gives to connections
RESERVED_AT = "127.255.255.254"  # where nobody listens

reserved: deque[socket.socket] = deque(maxlen=100)  # far more ports than one test has


class Process:
    def __init__(self, name: str, command: Sequence[str | Path], log: Path,
                 env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        with open(log, "ab") as sink:
            self.popen = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL,
                                          stdout=sink, stderr=sink, env=env)

    @property
    def pid(self) -> int:
        return self.popen.pid

    def running(self) -> bool:
        return self.popen.poll() is None

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def await_end(self, within: float = LONG_S) -> int:
        """Its exit code."""
        try:
            return self.popen.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} has not ended within {within:g} s") from None

    def kill(self) -> None:
        if self.running():
            self.popen.kill()
        self.popen.wait()

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def await_control(self, path: Path) -> None:
        """Until its unix socket answers."""
        until(lambda: self.must_run() and can_connect(path), f"{self.name} listens on {path}")

    def must_run(self) -> bool:
        assert self.running(), f"{self.name} ended: {self.text()[-2000:]}"
        return True


def ordinary_user() -> list[str]:
    """How to become one."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def adopt_orphans() -> None:
    """From now on we become the parent of those whose parent ends; to be called before it may."""
    pr_set_child_subreaper = 36
    assert ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0) == 0


class Adopted(Process):
    """A program that a program of ours has started, and whose parent we become when that ends."""

    def __init__(self, name: str, pid: int, log: Path) -> None:
        self.name = name
        self.log = log
        self.number = pid
        self.code: int | None = None

    @property
    def pid(self) -> int:
        return self.number

    def running(self) -> bool:
        if self.code is None:
            try:
                pid, status = os.waitpid(self.number, os.WNOHANG)
            except ChildProcessError:  # its own parent is still there
                return Path(f"/proc/{self.number}").exists()
            if pid == self.number:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is None

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.number, number)

    def await_end(self, within: float = LONG_S) -> int:
        until(lambda: not self.running(), f"{self.name} has ended", within)
        assert self.code is not None, f"{self.name} ended while its parent was still there"
        return self.code

    def kill(self) -> None:
        if self.running():
            self.signal(signal.SIGKILL)


def pids_with(argument: Path) -> list[int]:
    """The processes that have this argument, whoever started them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended
        if os.fsencode(argument) in arguments:
            found.append(int(path.parent.name))
    return found


def can_connect(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
    return True


def free_port() -> int:
    """Below the range from which the kernel takes ports for connections, and given to nobody else
    who asks, in this process or in another one, until it has been used."""
    while True:
        port = random.choice(FREE_PORTS)
        if s := reserve(port):
            reserved.append(s)
            return port


def reserve(port: int) -> socket.socket | None:
    """Holds the port against others who reserve it, not against who is to listen there; None if it
    is not free. tests/gateway/admin/http.c does the same."""
    holder = socket.socket()
    try:
        holder.bind((RESERVED_AT, port))  # alone: without SO_REUSEADDR
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("0.0.0.0", port))
    except OSError:
        holder.close()
        return None
    return holder
