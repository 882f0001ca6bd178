# SPDX-License-Identifier: Apache-2.0
"""xdsgate is restarted while hundreds of VMs use it: istiod must not forget one of them.

The old process ends each VM's stream, so each VM has to come back through the new one before
istiod's grace of 10 s is over, while istiod admits only some 25 new streams a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from harness.lab import Column
from harness.swarm import Swarm
from harness.wait import Stopwatch, until

from .scale import simulated

COUNT = 300
REAL_VMS = ("client", "server", "sotw")

SERVICE = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: pushed-{number}, namespace: {namespace}}}
spec:
  hosts: [pushed-{number}.example]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: DNS
"""


def nobody_is_lost(column: Column) -> None:
    """SIGUSR2 in normal work, in a push, and twice in a row: no WorkloadEntry is deleted."""
    for name in REAL_VMS:
        column.vm(name)
    swarm = Swarm(column, COUNT)
    try:
        until(lambda: len(simulated(column)) == COUNT, 90, f"{COUNT} VMs registered")
        once(column, "SIGUSR2", lambda: column.lab.edge.hand_over())
        once(column, "SIGUSR2 in a push", lambda: in_a_push(column))
        once(column, "SIGUSR2 twice", lambda: twice(column))
    finally:
        swarm.stop()
    # istiod forgets them after its grace; were it restarted before, they would stay for long
    until(lambda: not simulated(column), 60, "the simulated VMs are gone")


def in_a_push(column: Column) -> None:
    """Every VM is sent its configuration while it has to move."""
    column.lab.kube.apply(SERVICE.format(number=1, namespace=column))
    column.lab.edge.hand_over()
    column.lab.kube.apply(SERVICE.format(number=2, namespace=column))


def twice(column: Column) -> None:
    column.lab.edge.hand_over()
    column.lab.edge.hand_over()


def once(column: Column, what: str, deed: Callable[[], None]) -> None:
    """All have connected anew, nobody was missing for a moment, and health is what it was."""
    before = connected(column)
    mark = time.time()
    watch = Stopwatch()
    deed()
    column.lab.edge.await_predecessors()
    until(lambda: not [name for name, at in connected(column).items() if at == before.get(name)], 60,
          f"all are back after {what}")
    column.note(f"{COUNT} VMs: all back after {what}", watch())
    assert not column.lab.entries.deleted_since(mark, column.name)
    assert set(connected(column)) == set(before)
    for name in REAL_VMS:
        column.vm(name).await_health("True")


def connected(column: Column) -> dict[str, str]:
    """Since when each VM of the swarm and each real one that was started here is connected."""
    wanted = {column.vms[name].entry_name for name in REAL_VMS} | set(simulated(column))
    return {entry.name: entry.connected_at for entry in column.lab.entries.within([column.name])
            if entry.name in wanted}
