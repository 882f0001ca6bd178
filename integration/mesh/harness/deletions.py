# SPDX-License-Identifier: Apache-2.0
"""Which entries istiod has deleted though their VMs should have been back in time.

Its grace of 10 s is short, and some things use it up of which the way to istiod knows nothing:

- istiod answers a VM that comes back with code 2: it could not write the WorkloadEntry, because its
  own goodbye to the VM's last stream came in between. A VM waits longer after each such answer, and
  a few of them in a row are ten seconds. That happens to direct VMs, too, and asking for them again
  makes more of it (docs/internals.md, Tries).
- istiod admits so many new streams a second and refuses the others, which wait longer and longer,
  too. Where xdsgate terminates it paces them, and this explains nothing.
- The machine of this run stood still.
- The VM's agent was restarted, and the machine was too busy for it and its Envoy to start in time.

The first two are rare, so they explain a few only.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address

from .entries import Event
from .lab import Column
from .site import TERMINATED
from .swarm import GROUP, first_address

GRACE_S = 10  # for which istiod keeps an entry of a VM that is away
ABSENCE_S = GRACE_S + 5  # and what it takes to begin and to end it
STANDSTILL_S = 3  # from here on a machine that stood still explains a loss
JUST_TRIED_S = 3  # whoever has tried for so short a time only was late by himself
CONFLICT = "Operation cannot be fulfilled"
LIMIT = re.compile(r"^8 |code = ResourceExhausted")
REFUSED_MAX = 0.05  # of the entries, but always one


def lost_since(column: Column, mark: float) -> list[Event]:
    """The deletions after a moment (time.time()) that nothing explains."""
    return unexplained(column, column.lab.entries.since(mark, column.name, "DELETED"))


def unexplained(column: Column, deletions: list[Event]) -> list[Event]:
    """Those of them."""
    rest = [event for event in deletions if not (_stood_still(column, event)
                                                 or _was_late(column, event))]
    refused = [event for event in rest if _was_refused(column, event)]
    if len(refused) > max(1, REFUSED_MAX * len(column.lab.entries.within([column.name]))):
        return rest
    return [event for event in rest if event not in refused]


def told(column: Column, lost: list[Event]) -> dict[str, list[str]]:
    """For people: which, and what each has heard before."""
    return {event.entry.name: [f"{event.when - when:.1f} s before: {text}"
                               for when, text in heard(column, event)] for event in lost}


def heard(column: Column, event: Event) -> list[tuple[float, str]]:
    """What the VM of that entry was told while istiod waited for it, and when."""
    return [(when, text) for when, text in refusals(column, event.entry.name)
            if event.when - ABSENCE_S <= when <= event.when]


def refusals(column: Column, entry_name: str) -> list[tuple[float, str]]:
    """How the streams of the VM of that entry have ended, and when."""
    real = [vm for vm in column.vms.values() if vm.entry_name == entry_name]
    if real:
        return real[0].refusals()
    address = entry_name.removeprefix(f"{column}/{GROUP}-")
    if address == entry_name or not column.swarm:
        return []
    number = int(IPv4Address(address)) - int(IPv4Address(first_address(column))) + 1
    return [(end.when, f"{end.code} {end.text}") for end in column.swarm.ends()
            if end.number == number]


def _was_refused(column: Column, event: Event) -> bool:
    return any(CONFLICT in text or (column.name not in TERMINATED and LIMIT.search(text))
               for _, text in heard(column, event))


def _stood_still(column: Column, event: Event) -> bool:
    return column.lab.standstills.longest(since=event.when - ABSENCE_S) > STANDSTILL_S


def _was_late(column: Column, event: Event) -> bool:
    """Its agent, restarted, had hardly tried yet."""
    for vm in column.vms.values():
        if vm.entry_name == event.entry.name:
            tried = vm.first_try()
            return tried is None or event.when - tried < JUST_TRIED_S
    return False
