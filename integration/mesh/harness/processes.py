# SPDX-License-Identifier: Apache-2.0
"""Programs of the mesh: each one a process group with a log file, never left behind.

The group matters: a VM is a start script, an agent and an Envoy, and all of them are stopped,
killed or frozen together, as a machine would be.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .wait import Failed, until

IP = shutil.which("ip") or "/usr/sbin/ip"
STOP_S = 90  # as a service manager waits
KILL_S = 60  # what is killed may still have much memory to give back, on a disk that is busy


def run(*command: str | Path, stdin: str | None = None, **kwargs) -> str:
    """Runs a command to its end; its output, or an error that carries its last words."""
    done = subprocess.run([str(part) for part in command], input=stdin, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)
    if done.returncode != 0:
        said = done.stderr.strip()[-1500:]
        raise Failed(f"{' '.join(map(str, command))[:300]}: exit {done.returncode}: {said}", said)
    return done.stdout


class Process:
    """One program, from start to the end of its whole group."""

    started: list["Process"] = []

    def __init__(self, name: str, command: Sequence[str | Path], *, log: Path,
                 netns: str | None = None, env: Mapping[str, str] | None = None,
                 cwd: Path | None = None) -> None:
        self.name = name
        self.log = log
        self.log_start = log.stat().st_size if log.exists() else 0
        log.parent.mkdir(parents=True, exist_ok=True)
        inside = [IP, "netns", "exec", netns] if netns else []
        with open(log, "ab") as sink:
            self.popen = subprocess.Popen(
                inside + [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=sink,
                stderr=sink, env=dict(env) if env is not None else None, cwd=cwd,
                start_new_session=True)
        Process.started.append(self)

    def alive(self) -> bool:
        """Whether anything of the group still runs. The program itself can be waited for only when
        its last thread has ended, and with it has closed its sockets."""
        return self.popen.poll() is None or bool(members(self.popen.pid))

    def running(self) -> bool:
        """Whether the program itself still runs."""
        return self.popen.poll() is None

    def check_running(self) -> None:
        """An error with its last words when it has ended, though nobody told it to."""
        if not self.running():
            raise RuntimeError(f"{self.name} has ended: {self.text()[-1500:]}")

    def signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.popen.pid, number)
        except ProcessLookupError:
            pass

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def stop(self, within: float = STOP_S) -> None:
        """Asks it to end, as a service manager does, and waits until all of it is gone."""
        self.signal(signal.SIGTERM)
        self.await_end(within)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.await_end(KILL_S)

    def await_end(self, within: float) -> None:
        until(lambda: not self.alive(), within, f"end of {self.name}")

    def text(self) -> str:
        """What this run of the program has logged."""
        with open(self.log, "rb") as source:
            source.seek(self.log_start)
            return source.read().decode(errors="replace")

    def has_logged(self, pattern: str) -> re.Match[str] | None:
        return re.search(pattern, self.text())

    @classmethod
    def end_all(cls) -> None:
        for process in reversed(cls.started):
            process.signal(signal.SIGCONT)
            process.signal(signal.SIGKILL)
        for process in cls.started:
            process.await_end(KILL_S)
        cls.started.clear()


def members(group: int) -> list[int]:
    """The live processes of a group. Zombies do not count: their reaper may be slow."""
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            with open(f"/proc/{entry.name}/stat") as source:
                state, _parent, pgrp = source.read().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # ended meanwhile
        if int(pgrp) == group and state != "Z":
            found.append(int(entry.name))
    return found
