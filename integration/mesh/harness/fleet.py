# SPDX-License-Identifier: Apache-2.0
"""Three real VMs and hundreds of simulated ones of a column, and what an event costs them.

All is read off the WorkloadEntries, whose every change a watch has seen: istiod writes into one
when its VM has connected and when it is lost, deletes it after the grace, and the VM's health is
in it. So a VM that "had to connect again" is one whose connectedAt is another one than before.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from statistics import median

from .deletions import unexplained
from .entries import Entry, Event, describe
from .lab import Column, Loss
from .swarm import GROUP, Swarm
from .wait import NotYet, last, until

REAL_VMS = ("client", "server", "sotw")
START_S = 180
BACK_S = 240  # generous: what is far too long shows in the table, not as a failure
GONE_S = 240  # istiod deletes hundreds of entries one by one
HEARD_S = 120
PING_S = 30  # an agent's, istiod's and xdsgate's
SILENCE_S = 45  # within it a PING after 30 s and 10 s for its answer find every dead connection

SERVICE = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: pushed, namespace: {namespace}}}
spec:
  hosts: [pushed-{number}.example]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: DNS
"""


class Fleet:
    """From now on until `close`; all of them registered and healthy."""

    def __init__(self, column: Column, count: int) -> None:
        self.column = column
        self.entries = column.lab.entries
        self.real = [column.vm(name) for name in REAL_VMS]
        self.count = count
        self.swarm = Swarm(column, count, spread_ms=500, health=True)
        self.names: set[str] = set()
        self.nodes: set[str] = set()
        self.pushes = 0
        try:
            self._start()
        except Exception:
            self.close()
            raise

    def _start(self) -> None:
        until(lambda: len(self.simulated()) == self.count, START_S, f"{self.count} VMs registered")
        self.names = self.simulated() | {vm.entry_name for vm in self.real}
        self.nodes = {vm.node for vm in self.real} | {
            f"{vm['name']}.{self.column}" for vm in self.swarm.status()}
        self.await_calm()

    def close(self) -> None:
        """istiod forgets them after its grace; were it restarted before, they would stay long."""
        self.swarm.stop()
        until(lambda: not self.simulated(), GONE_S, "the simulated VMs are gone")

    def simulated(self) -> set[str]:
        return {entry.name for entry in self.entries.within([self.column.name])
                if entry.name.startswith(f"{self.column}/{GROUP}-")}

    def await_calm(self) -> None:
        """All VMs are connected and healthy."""
        self._await(lambda: True, START_S, "all VMs are well")

    def _await(self, condition: Callable[[], bool], within: float, what: str) -> None:
        """Until that is so and all VMs are well; if not, what is wrong with them."""
        try:
            until(lambda: condition() and not self._unwell(), within, what, tick=0.5)
        except NotYet as error:
            wrong = self._unwell()
            raise NotYet(f"{error}; {len(wrong)} things wrong: {sorted(wrong)[:5]}") from None

    def push(self) -> None:
        """New configuration for every VM."""
        self.pushes += 1
        self.column.lab.kube.apply(SERVICE.format(number=self.pushes, namespace=self.column))

    def scatter(self) -> None:
        """VMs that were served in the same moment send their PINGs in the same moment too: the
        simulated ones connect again, one after another, over the time from PING to PING."""
        for number in range(1, self.count + 1):
            self.swarm.restart(number)
            last(PING_S / self.count)

    # ---- measuring

    def measure(self, what: str, deed: Callable[[], None], *, all_anew: bool = False,
                silent: bool = False) -> Loss:
        """Does the deed, waits until everybody is back for good, and takes down what it cost.

        With `all_anew` every VM has to connect again, or it does not count as back. With `silent`
        a connection may be dead and nobody knows it yet, so nothing may happen for a while.
        """
        if silent:
            self.scatter()
        self.await_calm()
        tried, mark, before = self._tries(), time.time(), self._connected()
        deed()
        ended = time.time()

        def back() -> bool:
            moved = not all_anew or not self._connected().items() & before.items()
            calm = not silent or time.time() - max(ended, self._last_change(mark)) > SILENCE_S
            return moved and calm
        self._await(back, BACK_S, f"all are back after {what}")
        loss = self._loss(what, mark, ended, before, tried)
        self.column.note_loss(loss)
        self._record(loss, mark)
        self._all_hear()
        return loss

    def _loss(self, what: str, mark: float, ended: float, before: dict[str, str],
              tried: dict[str, int]) -> Loss:
        now = self._connected()
        events = self._events(mark)  # that of the last change of `now`, and what has come since
        connected = {(event.entry.name, event.entry.connected_at): event.when
                     for event in reversed(events)}
        anew = {name: connected[name, at] for name, at in now.items() if at != before.get(name)}
        tries = [count - tried[name] for name, count in self._tries().items() if name in anew]
        when = [moment - mark for moment in anew.values()] or [0.0]
        deletions = [event for event in events if event.kind == "DELETED"]
        deleted = {event.entry.name for event in deletions}
        lost = {event.entry.name for event in unexplained(self.column, deletions)}
        unhealthy = {event.entry.name for event in events
                     if event.kind != "DELETED" and event.entry.healthy != "True"}
        assert unhealthy <= deleted, f"lost their health only: {sorted(unhealthy - deleted)[:5]}"
        return Loss(
            what, len(self.names), len(deleted), len(unhealthy), sorted(lost), again=len(anew),
            tries=sum(tries) / max(1, len(tries)), ended_s=ended - mark, half_s=median(when),
            back_s=max(0.0, self._last_change(mark) - mark))

    def _record(self, loss: Loss, mark: float) -> None:
        """For whoever wants to know more than the table says: what the VMs were told, and when
        the real ones were back, which do not share one process and its CPU."""
        events = self._events(mark)
        real = {vm.node: max((event.when - mark for event in events
                              if event.entry.name == vm.entry_name), default=0.0)
                for vm in self.real}
        ends = Counter(f"{vm['last_end']['code']} {vm['last_end']['text']}"
                       for vm in self.swarm.status() if vm["last_end"])
        with open(self.column.lab.folder / "losses.json", "a") as file:
            file.write(json.dumps({**asdict(loss), "last ends": dict(ends.most_common(6)),
                                   "real ones back": real}) + "\n")

    def _events(self, mark: float) -> list[Event]:
        return [event for event in self.entries.since(mark, self.column.name)
                if event.entry.name in self.names]

    def _last_change(self, mark: float) -> float:
        return max((event.when for event in self._events(mark)), default=0.0)

    def _live(self) -> dict[str, Entry]:
        return {entry.name: entry for entry in self.entries.within([self.column.name])
                if entry.name in self.names}

    def _connected(self) -> dict[str, str]:
        return {name: entry.connected_at for name, entry in self._live().items()}

    def _tries(self) -> dict[str, int]:
        """How often each simulated VM has opened its stream, by the name of its entry."""
        return {f"{self.column}/{GROUP}-{vm['address']}": vm["streams_opened"]
                for vm in self.swarm.status()}

    # ---- being well

    def _unwell(self) -> list[str]:
        """Every entry is there, connected and healthy, and istiod has one stream of each VM."""
        live, streams = self._live(), self._streams()
        wrong = [f"no entry: {name}" for name in self.names - live.keys()]
        wrong += [f"{name}: {describe(one)}" for name, one in live.items()
                  if not one.connected_at or one.healthy != "True"]
        return wrong + [f"{streams[node]} streams: {node}" for node in self.nodes
                        if streams[node] != 1]

    def _streams(self) -> Counter[str]:
        """How many streams the istiods have of each VM."""
        return Counter(node for istiod in self.column.lab.istiods if istiod.running()
                       for node in istiod.nodes() if node in self.nodes)

    def _all_hear(self) -> None:
        """What is pushed now arrives at everybody: no stream is only thought to be there."""
        before = self._received()
        self.push()
        until(lambda: all(now > then for now, then in zip(self._received(), before)), HEARD_S,
              "a push arrives at every VM", tick=0.5)

    def _received(self) -> list[int]:
        real = [vm.stats("cds.update_success")["cluster_manager.cds.update_success"]
                for vm in self.real]
        return real + [vm["types"]["CDS"]["received"] for vm in self.swarm.status()]
