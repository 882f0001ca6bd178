# SPDX-License-Identifier: Apache-2.0
"""Things that happen to istiod, and so to all VMs of all columns at once.

Each context manager here does its deed once and gives the columns what they were before it, as
{entry name: connectedAt}.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from harness import istio
from harness.deletions import lost_since, told
from harness.lab import ALL_VMS, Column, Lab, in_parallel
from harness.site import TERMINATED
from harness.vm import VM
from harness.wait import NotYet, Stopwatch, until

from . import vms

BACK_S = 180
SAID_S = 120


@dataclass
class Moment:
    """How things were when the deed was done."""

    connected_at: dict[str, str]
    mark: float
    watch: Stopwatch


def moment(lab: Lab) -> Moment:
    """Whatever was done to the VMs before, they are well again; one that is not so is told by its
    column."""
    vms = [vm for column in lab.columns.values() for vm in column.vms.values()]

    def well(vm: VM) -> None:
        with suppress(NotYet):
            lab.entries.wait(vm.entry_name, lambda entry: entry.connected_at and
                             entry.healthy == "True", BACK_S, "is well")
    in_parallel(well, vms)
    connected = {vm.entry_name: entry.connected_at for vm in vms if (entry := vm.entry)}
    return Moment(connected, time.time(), Stopwatch())


def warm(columns: list[Column], names: tuple[str, ...] = ALL_VMS) -> None:
    """All VMs run before something is done to them; a column that fails says so by itself."""
    def start(column: Column) -> None:
        with suppress(Exception):
            for name in names:
                column.vm(name)
    in_parallel(start, columns)


def everybody_back(column: Column, before: Moment, what: str) -> None:
    """Every VM of the column has connected again, is healthy, and was never missing."""
    for name in ALL_VMS:
        vm = column.vm(name)
        vm.await_back(before.connected_at.get(vm.entry_name, ""), BACK_S)
    column.note(f"all: back after {what}", before.watch())
    nobody_lost(column, before)


def nobody_lost(column: Column, before: Moment) -> None:
    lost = lost_since(column, before.mark)
    assert not lost, told(column, lost)


# ---- a NACK

@contextmanager
def with_foreign_filter(lab: Lab, columns: list[Column]) -> Iterator[Moment]:
    """istiod sends a filter that stock Envoy does not know, and afterwards no longer."""
    warm(columns)
    before = moment(lab)
    lab.istiods[0].restart(**istio.FOREIGN_FILTER)
    yield before
    before = moment(lab)
    lab.istiods[0].restart()
    in_parallel(lambda column: everybody_back(column, before, "the knob"),
                [column for column in columns if column.vms and not column.broken])


def nack(column: Column, before: Moment) -> None:
    """Envoy rejects the listeners: istiod hears why, and so does who looks at `vm list`; the VM
    stays healthy."""
    vm = column.vm("client")
    istiod = column.lab.istiods[0]

    until(lambda: istiod.has_logged(rf"ADS:LDS: ACK ERROR {vm.node}-\d+ .*istio\.alpn"), SAID_S,
          f"istiod logs the NACK of {vm.node}")
    rejected = vm.stats("lds.update_rejected")["listener_manager.lds.update_rejected"]
    assert rejected > 0
    everybody_back(column, before, "restart with a NACK")
    if column.name in TERMINATED:
        vms.shows_nack(column, vm.node)


# ---- istiod dies

@contextmanager
def killed_and_started(lab: Lab, columns: list[Column]) -> Iterator[Moment]:
    """Killed without a word, started again at once."""
    warm(columns)
    before = moment(lab)
    lab.istiods[0].kill()
    lab.istiods[0].start()
    yield before


def all_come_back(column: Column, before: Moment) -> None:
    everybody_back(column, before, "istiod's death")


@contextmanager
def one_of_two_killed(lab: Lab, columns: list[Column]) -> Iterator[Moment]:
    """A second istiod, then the first dies. Afterwards the first is back and the second ends."""
    warm(columns)
    first, second = lab.istiods
    second.start()
    before = moment(lab)
    first.kill()
    yield before
    first.start()
    before = moment(lab)
    second.stop()
    in_parallel(lambda column: all_on(column, before, first.name),
                [column for column in columns if column.vms and not column.broken])


def all_move(column: Column, before: Moment) -> None:
    all_on(column, before, column.lab.istiods[1].name)
    column.note("all: moved to the other istiod", before.watch())


def all_on(column: Column, before: Moment, istiod: str) -> None:
    """Every VM of the column is held by that istiod, healthy, and was never missing."""
    for name in ALL_VMS:
        vm = column.vm(name)
        column.lab.entries.wait(
            vm.entry_name, lambda entry: entry.controller == istiod and entry.healthy == "True",
            BACK_S, f"is held by {istiod}")
    nobody_lost(column, before)
