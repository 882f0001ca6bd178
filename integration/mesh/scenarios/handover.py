# SPDX-License-Identifier: Apache-2.0
"""xdsgate is restarted while hundreds of VMs use it: istiod must not forget one of them.

The old process ends each VM's stream, so each VM has to come back through the new one before
istiod's grace of 10 s is over, while istiod admits only some 25 new streams a second.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.lab import Column

from .losses import fleet_of, nothing_lost


def nobody_is_lost(column: Column) -> None:
    """SIGUSR2 in normal work, in a push, and twice in a row: no WorkloadEntry is deleted."""
    once(column, "SIGUSR2", column.lab.edge.hand_over)
    once(column, "SIGUSR2 in a push", lambda: in_a_push(column))
    once(column, "SIGUSR2 twice", lambda: twice(column))


def in_a_push(column: Column) -> None:
    """Every VM is sent its configuration while it has to move."""
    fleet_of(column).push()
    column.lab.edge.hand_over()
    fleet_of(column).push()


def twice(column: Column) -> None:
    column.lab.edge.hand_over()
    column.lab.edge.hand_over()


def once(column: Column, what: str, deed: Callable[[], None]) -> None:
    """All have connected anew, nobody was missing for a moment, and health is what it was."""
    def whole() -> None:
        deed()
        column.lab.edge.await_predecessors()
    nothing_lost(fleet_of(column).measure(what, whole, all_anew=True))
