# SPDX-License-Identifier: Apache-2.0
"""CPU and memory of a program with all its processes.

CPU is the kernel's clock of each process (clock_getcpuclockid(3)): what /proc/PID/task/*/schedstat
adds up to, in nanoseconds, and also of threads that have ended since.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
CPUCLOCK_SCHED = 2  # linux/posix-timers_types.h

TICK_S = 0.1
QUIET_SHARE = 0.02   # of a CPU: what timers may use while nothing happens
QUIET_MAX_S = 3.0
SETTLE_SPAN_S = 2.0  # memory that has not moved for so long has settled
SETTLE_MOVE = 0.002


@dataclass(frozen=True)
class Memory:
    """Bytes; Rss counts a page in every process that maps it, Pss shares it out."""
    rss: int
    pss: int


def tree(pid: int) -> list[int]:
    """The process and all its descendants, as of now."""
    found = [pid]
    for parent in found:
        for file in PROC.glob(f"{parent}/task/*/children"):
            try:
                found += [int(child) for child in file.read_text().split()]
            except OSError:
                continue  # a thread that has just ended
    return found


def cpu_s(pid: int) -> float:
    """CPU seconds the tree has used; a process of it that has ended takes its share along."""
    total = 0
    for one in tree(pid):
        try:
            total += time.clock_gettime_ns((~one << 3) | CPUCLOCK_SCHED)
        except OSError:
            continue
    return total / 1e9


def memory(pid: int) -> Memory:
    kib = {"Rss": 0, "Pss": 0}
    for one in tree(pid):
        try:
            lines = (PROC / str(one) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, value = line.partition(":")
            if name in kib:
                kib[name] += int(value.split()[0])
    return Memory(kib["Rss"] * 1024, kib["Pss"] * 1024)


def quiet(pid: int) -> None:
    """Wait until the tree does next to nothing, or a few seconds, so that no work is missed."""
    deadline = time.monotonic() + QUIET_MAX_S
    last = cpu_s(pid)
    while time.monotonic() < deadline:
        time.sleep(TICK_S)
        now = cpu_s(pid)
        if now - last < QUIET_SHARE * TICK_S:
            return
        last = now


def cpu_of(pid: int, action: Callable[[], None]) -> float:
    """CPU seconds of what `action` makes the tree do, the end of it included."""
    quiet(pid)
    before = cpu_s(pid)
    action()
    quiet(pid)
    return cpu_s(pid) - before


class Neighbours:
    """How much of the machine programs use that are none of ours, since it was made."""

    def __init__(self) -> None:
        self.began = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float]:
        """CPU seconds so far: of all CPUs, busy, and ours (of children that were waited for)."""
        words = (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]
        ticks = [int(word) / os.sysconf("SC_CLK_TCK") for word in words]
        idle = ticks[3] + ticks[4]
        ours = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(ticks), sum(ticks) - idle, sum(one.ru_utime + one.ru_stime for one in ours)

    def share(self) -> float:
        every, busy, ours = (now - before for now, before in zip(self._now(), self.began))
        return max(0.0, busy - ours) / every if every else 0.0


def settled(pid: int, at_least_s: float, at_most_s: float) -> Memory:
    """Memory when it has stopped moving, looked at for at least and at most so long."""
    began = time.monotonic()
    seen: list[tuple[float, Memory]] = []
    while True:
        now = time.monotonic()
        seen.append((now, memory(pid)))
        recent = [m.rss for at, m in seen if now - at <= SETTLE_SPAN_S]
        still = max(recent) - min(recent) <= SETTLE_MOVE * max(recent)
        if now - began >= at_most_s or (now - began >= at_least_s and still):
            return seen[-1][1]
        time.sleep(TICK_S)
