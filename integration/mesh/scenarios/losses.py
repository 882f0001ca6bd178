# SPDX-License-Identifier: Apache-2.0
"""What is lost when: each function is one line of README.md's table, measured with 303 VMs.

istiod has its default limits: ten seconds of grace, some 25 new streams a second. What is asserted
is what README.md promises of a line; and of every line that all VMs come back, healthy, each with
one stream, and hear what is pushed afterwards (Fleet.measure). The numbers are for its table.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.edge import DRAIN_TIMEOUT
from harness.fleet import Fleet
from harness.lab import Column, Loss
from harness.wait import Stopwatch, last

COUNT = 300
RESTART_S = 1  # RestartSec of deploy/systemd/xdsgate.service
POWERED_OFF_S = 20


def fleet_of(column: Column) -> Fleet:
    """The 303 VMs, kept from line to line: whatever a line did to them, they must be well again."""
    if not column.fleet:
        column.fleet = Fleet(column, COUNT)
    return column.fleet


def dismiss_fleet(column: Column) -> None:
    if column.fleet:
        column.fleet.close()
        column.fleet = None


def nothing_lost(loss: Loss) -> None:
    assert not loss.lost, loss


# ---- the edge: xdsgate

def stopped_shortly(column: Column) -> None:
    _stopped(column, "2s")


def stopped_with_default_drain(column: Column) -> None:
    _stopped(column, "60s")


def _stopped(column: Column, drain_timeout: str) -> None:
    """SIGTERM, and a start as soon as it has ended."""
    fleet, edge = fleet_of(column), column.lab.edge
    edge.reconfigure(drain_timeout)

    def deed() -> None:
        assert edge.stop() == 0
        edge.start()
    try:
        fleet.measure(f"stop, drain_timeout {drain_timeout}, start", deed, all_anew=True)
    finally:
        edge.reconfigure(DRAIN_TIMEOUT)


def killed(column: Column) -> None:
    """SIGKILL; systemd starts it again."""
    def deed() -> None:
        column.lab.edge.kill()
        last(RESTART_S)
        column.lab.edge.start()
    fleet_of(column).measure("kill -9, start after 1 s", deed, all_anew=True)


def powered_off(column: Column) -> None:
    """No FIN and no RST says that the edge host is gone."""
    edge, network = column.lab.edge, column.lab.mesh.network

    def deed() -> None:
        network.unplug(edge.netns)
        try:
            edge.lose_power()
            last(POWERED_OFF_S)
        finally:
            network.plug(edge.netns)
            edge.start()
    fleet_of(column).measure(f"edge host off for {POWERED_OFF_S} s", deed, all_anew=True,
                             silent=True)


# ---- istiod

def istiod_rolled_out(column: Column) -> None:
    """The new one is ready, then the old one is told to end; and back again, to be as before."""
    first, second = column.lab.istiods
    for old, new in ((first, second), (second, first)):
        def deed() -> None:
            new.start()
            old.stop()
        fleet_of(column).measure(f"istiod rolled out to {new.name}", deed, all_anew=True)


def istiod_killed(column: Column) -> None:
    """SIGKILL of the only one, and started again."""
    istiod = column.lab.istiods[0]

    def deed() -> None:
        istiod.kill()
        istiod.start()
    fleet_of(column).measure("istiod killed, started", deed, all_anew=True)


# ---- links

def vm_link_5s(column: Column) -> None:
    nothing_noticed(_vm_link(column, 5, push=True))


def vm_link_15s(column: Column) -> None:
    _vm_link(column, 15)


def vm_link_15s_push(column: Column) -> None:
    _vm_link(column, 15, push=True)


def vm_link_60s(column: Column) -> None:
    _vm_link(column, 60)


def istiod_link_5s(column: Column) -> None:
    nothing_noticed(_istiod_link(column, 5, push=True))


def istiod_link_15s(column: Column) -> None:
    _istiod_link(column, 15)


def istiod_link_15s_push(column: Column) -> None:
    _istiod_link(column, 15, push=True)


def istiod_link_60s(column: Column) -> None:
    _istiod_link(column, 60)


def nothing_noticed(loss: Loss) -> None:
    nothing_lost(loss)
    assert not loss.again, loss


def _vm_link(column: Column, seconds: int, push: bool = False) -> Loss:
    fleet, network = fleet_of(column), column.lab.mesh.network
    machines = [column.swarm_machine, *(vm.netns for vm in fleet.real)]
    return _link(fleet, "VMs - edge", machines, network.unplug, network.plug, seconds, push)


def _istiod_link(column: Column, seconds: int, push: bool = False) -> Loss:
    network = column.lab.mesh.network
    return _link(fleet_of(column), "edge - istiod", [column.lab.edge.netns], network.sever,
                 network.join, seconds, push)


def _link(fleet: Fleet, which: str, machines: list[str], down: Callable[[str], None],
          up: Callable[[str], None], seconds: int, push: bool) -> Loss:
    """It loses everything for so long. With `push` there is something to lose for every VM, from
    the first second on; without one only the PINGs that fall into the time."""
    def deed() -> None:
        watch = Stopwatch()
        try:
            for machine in machines:
                down(machine)
            if push:
                fleet.push()
            last(seconds - watch())
        finally:
            for machine in machines:
                up(machine)
    what = f"link {which} down {seconds} s" + (", with a push" if push else "")
    return fleet.measure(what, deed, silent=True)
