# SPDX-License-Identifier: Apache-2.0
"""Many VMs, and connections that istiod ends all the time.

A connection to istiod lives 20 s here instead of 30 min, so within two minutes each VM has to come
back several times before istiod's grace of 10 s is over. A relay that shares connections between
VMs has the harder part: with one connection dozens of VMs lose theirs in the same instant, and
istiod admits only some 25 new streams a second.

istiod has a second reason to delete an entry. Every 100 s it sweeps those that have been connected
for longer than 1.5 ages, as leaked. With an age of 20 s that is 30 s, but a connection may live for
32 s (20 s, a tenth more, and 10 s of gRPC's own grace), so the sweep takes some entries of VMs that
are connected, direct ones too. They are told by their end: a swept entry has a connectedAt that is
young enough, one that was lost has none. Where xdsgate terminates, no stream becomes that old: it
learns the age from the first connections that istiod ends, and retires the others before.

What else explains the end of an entry is in harness/deletions.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from harness.deletions import GRACE_S, refusals, told, unexplained
from harness.entries import Event
from harness.istio import sum_of
from harness.lab import Column, Lab
from harness.site import TERMINATED
from harness.swarm import GROUP, Swarm
from harness.wait import NotYet, Stopwatch, until

from .istiod import warm
from .losses import dismiss_fleet

COUNT = 200
AGE = "20s"
REGISTERED_S = 180
LIFE_S = 20 * 1.1 + 10  # of a connection at that age
WATCHED_S = 120
TIMES_BACK = 2  # at least, for each VM, or the scenario has shown nothing
BACK_WITHIN_S = 3 * LIFE_S  # after what was watched: only who is ill needs any of it
NEW_STREAMS_PER_S = 25  # istiod's own limit on two cores


@contextmanager
def short_connections(lab: Lab, columns: list[Column]) -> Iterator[None]:
    """One istiod serves all columns at once, so it is given the limit of as many istiods."""
    for column in columns:
        dismiss_fleet(column)
    warm(columns)
    istiod = lab.istiods[0]
    limit = str(NEW_STREAMS_PER_S * len(columns))
    istiod.restart(connection_age=AGE, PILOT_MAX_REQUESTS_PER_SECOND=limit)
    yield
    istiod.restart()


def no_entry_lost(column: Column, _: None) -> None:
    """For two minutes no WorkloadEntry of the column is deleted, not even for a moment."""
    swarm = Swarm(column, COUNT)
    try:
        watch = Stopwatch()
        until(lambda: len(simulated(column)) == COUNT, REGISTERED_S, f"{COUNT} VMs of {column} registered")
        column.note(f"{COUNT} VMs: registered", watch())
        mark, before = time.time(), names(column)

        lost = _lost_while_watched(column, mark)
        column.note(f"{COUNT} VMs: longest away", max(_aways(column, mark), default=0))

        assert not lost, f"{len(lost)} entries lost: {told(column, lost[:5])}"
        until(lambda: names(column) == before, BACK_WITHIN_S, "the swept ones are there again")
        _await_each_back(column, mark, before)
        assert swarm.process.running()
        if column.name in TERMINATED:
            assert retired(column) > 0
    finally:
        swarm.stop()


def retired(column: Column) -> float:
    """Connections that xdsgate has retired by itself."""
    return sum_of(column.lab.edge.metrics(), "xdsgate_upstream_connections_retired_total")


def names(column: Column) -> set[str]:
    return {entry.name for entry in column.lab.entries.within([column.name])}


def simulated(column: Column) -> list[str]:
    return [name for name in names(column) if name.startswith(f"{column}/{GROUP}-")]


def _lost_while_watched(column: Column, mark: float) -> list[Event]:
    """Looks for two minutes, and no longer once an entry is lost."""
    oldest = 0 if column.name in TERMINATED else LIFE_S + GRACE_S

    def lost() -> list[Event]:
        return unexplained(column, [
            event for event in column.lab.entries.since(mark, column.name, "DELETED")
            if event.connected_for > oldest])
    try:
        return until(lost, WATCHED_S, "an entry is lost", tick=0.5)
    except NotYet as over:
        if over.__cause__:
            raise  # it was not looked at all
        return []


def _await_each_back(column: Column, mark: float, known: set[str]) -> None:
    """Until each has come back often enough for this to mean something."""
    try:
        until(lambda: known <= _often_back(column, mark), BACK_WITHIN_S, "each VM came back")
    except NotYet:
        rare = sorted(known - _often_back(column, mark))
        heard = {name: [f"{when - mark:.1f} s: {text}" for when, text in refusals(column, name)]
                 for name in rare[:3]}
        raise AssertionError(f"{len(rare)} VMs came back too rarely: {heard}") from None


def _aways(column: Column, mark: float) -> list[float]:
    """For how long an entry said that its VM was disconnected, each time, in seconds."""
    since: dict[str, float] = {}
    aways: list[float] = []
    for event in column.lab.entries.since(mark, column.name):
        if not event.entry.connected_at:
            since.setdefault(event.entry.name, event.when)
        elif event.entry.name in since:
            aways.append(event.when - since.pop(event.entry.name))
    return aways


def _often_back(column: Column, mark: float) -> set[str]:
    """The entries that have connected often enough for this to mean something."""
    moments: dict[str, set[str]] = {}
    for event in column.lab.entries.since(mark, column.name):
        moments.setdefault(event.entry.name, set()).add(event.entry.connected_at)
    return {name for name, seen in moments.items() if len(seen - {""}) >= TIMES_BACK}
