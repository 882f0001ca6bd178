# SPDX-License-Identifier: Apache-2.0
"""VMs that die: what is dead must leave the mesh, and soon."""

from __future__ import annotations

import time

from harness.entries import moment_of
from harness.lab import Column
from harness.wait import Stopwatch

GRACE_S = 10  # istiod's own, between a lost connection and the end of the entry
NOTICED_S = 50  # within a minute, with the grace: a ping after 30 s, 10 s for its answer
DELETED_S = 120  # so long the entry of a VM that is known to be gone may take, grace and all


def killed(column: Column) -> None:
    """Agent and Envoy are killed: the kernel closes their connections, the entry goes."""
    vm = column.vm("sotw")
    vm.agent.kill()
    watch = Stopwatch()

    column.lab.entries.wait_gone(vm.entry_name, DELETED_S)
    column.note("sotw: gone after kill", watch())

    vm.start()
    watch = Stopwatch()
    vm.await_health("True")
    column.note("sotw: registered again", watch())


def frozen(column: Column) -> None:
    """Nothing is closed, nobody answers: only a ping can tell."""
    vm = column.vm("server")
    mark = time.time()
    vm.agent.freeze()
    watch = Stopwatch()

    try:
        column.lab.entries.wait_gone(vm.entry_name, NOTICED_S + DELETED_S)
        column.note("server: gone when frozen", watch())
        gone = next(event.entry for event in column.lab.entries.since(mark, column.name, "DELETED")
                    if event.entry.name == vm.entry_name)
        assert moment_of(gone.disconnected_at) - mark < NOTICED_S, gone.annotations
    finally:
        vm.agent.thaw()
    watch = Stopwatch()
    vm.await_health("True")
    column.note("server: back after thaw", watch())
