# SPDX-License-Identifier: Apache-2.0
"""Every WorkloadEntry of the mesh, by a watch, with the history of what happened to it.

A watch misses nothing: an entry that was deleted and written again within a moment is seen, which
is what the scenarios on lost entries are about.
"""

from __future__ import annotations

import http.client
import re
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from .kube import Kube
from .wait import NotYet, Stopwatch, check_interrupted, last, late

PATH = "/apis/networking.istio.io/v1/workloadentries"
CONNECTED_AT = "istio.io/connectedAt"
DISCONNECTED_AT = "istio.io/disconnectedAt"
CONTROLLER = "istio.io/workloadController"
LOOK_S = 1  # who waits is woken by a change, and looks so often anyway
WATCH_S = 10  # a watch that has gone on for less did not even begin
WATCH_TRIES = 60  # in a row, of those


@dataclass(frozen=True)
class Entry:
    """A WorkloadEntry, by the few words the scenarios use."""

    raw: dict = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.raw['metadata']['namespace']}/{self.raw['metadata']['name']}"

    @property
    def spec(self) -> dict:
        return self.raw["spec"]

    @property
    def annotations(self) -> dict[str, str]:
        return self.raw["metadata"].get("annotations", {})

    @property
    def connected_at(self) -> str:
        return self.annotations.get(CONNECTED_AT, "")

    @property
    def disconnected_at(self) -> str:
        return self.annotations.get(DISCONNECTED_AT, "")

    @property
    def controller(self) -> str:
        return self.annotations.get(CONTROLLER, "")

    @property
    def healthy(self) -> str | None:
        """Status of the condition Healthy: "True", "False", or None when nothing was reported."""
        for condition in self.raw.get("status", {}).get("conditions", []):
            if condition["type"] == "Healthy":
                return condition["status"]
        return None


@dataclass(frozen=True)
class Event:
    """What the watch said of an entry, and when."""

    when: float  # time.time()
    kind: str  # ADDED, MODIFIED, DELETED
    entry: Entry  # as it is now, or was at its end

    @property
    def connected_for(self) -> float:
        """Seconds since the VM had connected; infinite when istiod took it for disconnected."""
        if not self.entry.connected_at:
            return float("inf")
        return self.when - moment_of(self.entry.connected_at)


def moment_of(annotation: str) -> float:
    """The time.time() that istiod has written into an entry, to the second."""
    return datetime.fromisoformat(re.sub(r"\.\d+", "", annotation)).timestamp()


class Entries:
    """A live view, kept by a thread of its own."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._changed = threading.Condition()
        self._live: dict[str, Entry] = {}
        self._history: list[Event] = []
        self._broken: Exception | None = None
        listed = kube.get(PATH)
        self._version = listed["metadata"]["resourceVersion"]
        for raw in listed["items"]:
            self._live[Entry(raw).name] = Entry(raw)
        threading.Thread(target=self._follow, name="watch", daemon=True).start()

    def get(self, name: str) -> Entry | None:
        with self._changed:
            return self._live.get(name)

    def within(self, namespaces: Iterable[str]) -> list[Entry]:
        with self._changed:
            return [entry for name, entry in self._live.items()
                    if name.split("/")[0] in set(namespaces)]

    def wait(self, name: str, condition: Callable[[Entry], object], within: float,
             what: str) -> Entry:
        """Until there is an entry of that name for which the condition holds."""
        return self._wait(lambda: (entry := self._live.get(name)) and condition(entry) and entry,
                          within, f"{name} {what}", lambda: self._live.get(name))

    def wait_gone(self, name: str, within: float) -> None:
        self._wait(lambda: name not in self._live, within, f"{name} is gone",
                   lambda: self._live.get(name))

    def since(self, mark: float, namespace: str, kind: str = "") -> list[Event]:
        """The events of a namespace after a moment (time.time()), of one kind or all."""
        with self._changed:
            return [event for event in self._since(mark)
                    if kind in ("", event.kind) and event.entry.name.startswith(namespace + "/")]

    def _since(self, mark: float) -> list[Event]:
        return self._history[bisect_left(self._history, mark, key=lambda event: event.when):]

    def deleted_since(self, mark: float, namespace: str) -> list[str]:
        return [event.entry.name for event in self.since(mark, namespace, "DELETED")]

    def wait_seen(self, name: str, condition: Callable[[Entry], object], mark: float,
                  within: float, what: str) -> None:
        """Until the condition holds for the entry, or has held for a moment since `mark`
        (time.time()): whoever is away may be deleted before anybody looks."""
        def seen() -> bool:
            return any(event.entry.name == name and event.kind != "DELETED"
                       and _answer(lambda: condition(event.entry))
                       for event in self._since(mark))
        self._wait(seen, within, f"{name} {what}", lambda: self._live.get(name))

    def _wait(self, check: Callable[[], object], within: float, what: str,
              seen: Callable[[], Entry | None]):
        deadline = time.monotonic() + within
        with self._changed:
            while not (answer := _answer(check)):
                if self._broken:
                    raise RuntimeError("the watch of WorkloadEntries broke") from self._broken
                check_interrupted()
                left = deadline - time.monotonic()
                if left <= 0:
                    entry = seen()
                    raise NotYet(f"not within {within:g} s: {what}; last seen: "
                                 f"{describe(entry) if entry else 'no such entry'}")
                look_s = min(left, LOOK_S)
                deadline += late(look_s, lambda: self._changed.wait(look_s))
        return answer

    def _follow(self) -> None:
        """A watch that breaks off is begun again where it was, so it misses nothing."""
        broke = 0
        try:
            while True:
                watch = Stopwatch()
                try:
                    for kind, raw in self._kube.watch(PATH, self._version):
                        self._take(kind, Entry(raw))
                except (OSError, http.client.HTTPException, ValueError):
                    broke = broke + 1 if watch() < WATCH_S else 1
                    if broke > WATCH_TRIES:
                        raise
                    last(LOOK_S)
        except Exception as error:  # told to whoever waits
            with self._changed:
                self._broken = error
                self._changed.notify_all()

    def _take(self, kind: str, entry: Entry) -> None:
        if kind not in ("ADDED", "MODIFIED", "DELETED"):
            raise RuntimeError(f"watch: {kind}: {entry.raw}")
        with self._changed:
            self._version = entry.raw["metadata"]["resourceVersion"]
            self._history.append(Event(time.time(), kind, entry))
            if kind == "DELETED":
                self._live.pop(entry.name, None)
            else:
                self._live[entry.name] = entry
            self._changed.notify_all()


def _answer(check: Callable[[], object]) -> object:
    """What a check says; None when the entry has not even got what it looks at."""
    try:
        return check()
    except LookupError:
        return None


def describe(entry: Entry) -> str:
    return (f"healthy={entry.healthy} connectedAt={entry.connected_at or '-'} "
            f"controller={entry.controller or '-'}")
