# SPDX-License-Identifier: Apache-2.0
"""VMs that die: what is dead must leave the mesh, and soon."""

from __future__ import annotations

from harness.lab import Column
from harness.wait import Stopwatch

GRACE_S = 10  # istiod's own, between a lost connection and the end of the entry
GONE_KILLED_S = GRACE_S + 20
GONE_FROZEN_S = 60  # a ping after 30 s, 10 s for its answer, 10 s of grace


def killed(column: Column) -> None:
    """Agent and Envoy are killed: the kernel closes their connections, the entry goes."""
    vm = column.vm("sotw")
    vm.agent.kill()
    watch = Stopwatch()

    column.lab.entries.wait_gone(vm.entry_name, GONE_KILLED_S)
    column.note("sotw: gone after kill", watch())

    vm.start()
    watch = Stopwatch()
    vm.await_health("True")
    column.note("sotw: registered again", watch())


def frozen(column: Column) -> None:
    """Nothing is closed, nobody answers: only a ping can tell."""
    vm = column.vm("server")
    vm.agent.freeze()
    watch = Stopwatch()

    try:
        column.lab.entries.wait_gone(vm.entry_name, GONE_FROZEN_S)
        column.note("server: gone when frozen", watch())
    finally:
        vm.agent.thaw()
    watch = Stopwatch()
    vm.await_health("True")
    column.note("server: back after thaw", watch())
