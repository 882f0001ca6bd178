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
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from harness.istio import sum_of
from harness.lab import Column, Lab
from harness.site import TERMINATED
from harness.swarm import GROUP, Swarm
from harness.wait import NotYet, Stopwatch, until

from .istiod import warm
from .losses import dismiss_fleet

COUNT = 200
AGE = "20s"
LIFE_S = 20 * 1.1 + 10 + 2  # of a connection at that age, and a moment to be told
WATCHED_S = 120
TIMES_BACK = 2  # at least, for each VM within that time, or the scenario has shown nothing
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
        until(lambda: len(simulated(column)) == COUNT, 90, f"{COUNT} VMs of {column} registered")
        column.note(f"{COUNT} VMs: registered", watch())
        mark, before = time.time(), names(column)

        lost = _lost_while_watched(column, mark)

        assert not lost, f"{len(lost)} entries lost: {sorted(lost)[:5]}"
        until(lambda: names(column) == before, LIFE_S, "the swept ones are there again")
        rare = before - _often_back(column, mark)
        assert not rare, f"{len(rare)} VMs came back too rarely: {sorted(rare)[:5]}"
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


def _lost_while_watched(column: Column, mark: float) -> set[str]:
    """Looks for two minutes, and no longer once an entry is lost."""
    oldest = 0 if column.name in TERMINATED else LIFE_S

    def lost() -> set[str]:
        return {event.entry.name for event in column.lab.entries.since(mark, column.name, "DELETED")
                if event.connected_for > oldest}
    try:
        return until(lost, WATCHED_S, "an entry is lost", tick=0.5)
    except NotYet:
        return set()


def _often_back(column: Column, mark: float) -> set[str]:
    """The entries that have connected often enough for this to mean something."""
    moments: dict[str, set[str]] = {}
    for event in column.lab.entries.since(mark, column.name):
        moments.setdefault(event.entry.name, set()).add(event.entry.connected_at)
    return {name for name, seen in moments.items() if len(seen - {""}) >= TIMES_BACK}
