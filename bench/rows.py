# SPDX-License-Identifier: Apache-2.0
"""The rows: each function starts one relay afresh, measures, and ends it.

A row gives lists of samples by name; what goes wrong is an exception, which the runner writes down
for that relay and row.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import certs
from measure import cpu_of, settled
from peers import BUILD, HERE, Peer, free_port, kill_group, on_cpus
from programs import Answer, Backend, Vms

Samples = dict[str, list[float]]

KIB = 1024
MIB = 1024 * 1024
PUSH_BYTES = 100_000
MESSAGE_BYTES = 200
IN_FLIGHT = 64  # handshakes at a time where the opening itself is not measured
WAIT_S = 30.0
COMER, COMER_PAUSE_S = 900_000, 0.02  # the number of the VM that comes and goes
STALL_SETTLE_S = (3.0, 5.0)  # before a relay ends who reads nothing: xdsgate after ten seconds

RELAY_CPU, LOAD_CPU, BOTH_CPUS = "1", "0", "0,1"


@dataclass(frozen=True)
class Sizes:
    """How much of everything; QUICK only shows that all of it works."""
    memory_vms: int = 5000
    storm_vms: int = 2000
    storms: int = 3
    push_vms: int = 1000
    pushes: int = 10
    cold_pushes: int = 2
    message_vms: int = 1000
    few_vms: int = 64
    message_s: float = 4.0
    paced_rate: int = 10_000
    bystanders: int = 500
    stall_vms: int = 100
    stalled_vms: int = 10
    stall_bytes: int = 10_000_000
    stall_wait_s: float = 15.0
    tap_vms: int = 500
    tap_pairs: int = 5
    tap_turns: int = 8
    tap_pushes: int = 2
    tap_s: float = 1.0
    listing_vms: int = 5000
    listing_rate: int = 1000
    listing_turns: int = 3
    listing_looks: int = 4
    listing_s: float = 1.5
    settle_s: tuple[float, float] = (4.0, 12.0)


FULL = Sizes()
QUICK = Sizes(memory_vms=200, storm_vms=200, storms=1, push_vms=200, pushes=4, message_vms=200,
              message_s=1.0, bystanders=50, stall_vms=20, stalled_vms=2, stall_bytes=2_000_000,
              stall_wait_s=5.0, tap_vms=100, tap_pairs=1, tap_turns=2, tap_s=0.5,
              listing_vms=200, listing_turns=1, settle_s=(2.0, 4.0))


@dataclass(frozen=True)
class Scene:
    """One relay with its backend and its VMs."""
    relay: Peer
    backend: Backend
    vms: Vms

    @property
    def pid(self) -> int:
        return self.relay.pid

    def push(self, size: int, within_s: float = WAIT_S) -> Answer:
        """One message to every VM, until all that read have it in full."""
        self.vms.expect(size)
        self.backend.push(size)
        return self.vms.wait(within_s)

    def push_all(self, size: int) -> Answer:
        done = self.push(size)
        if done["missing"]:
            raise RuntimeError(f"push: {done['missing']} VMs have not got it in {WAIT_S:g} s")
        return done


@contextmanager
def scene(peer: str, *, resets: str = "unlimited", relay_cpus: str = RELAY_CPU,
          load_cpus: str = LOAD_CPU, workers: int = 1, more: str = "") -> Iterator[Scene]:
    """Everything started, no connection made yet; all of it is gone at the end. more: lines at
    the end of xdsgate's configuration."""
    with tempfile.TemporaryDirectory(prefix="xdsgate-bench-") as name:
        folder = Path(name)
        certs.make(folder)
        with (Backend(folder, load_cpus, resets) as backend,
              Peer(peer, folder, backend.port, cpus=relay_cpus, workers=workers,
                   more=more) as relay,
              Vms(folder, load_cpus, relay.port) as vms):
            yield Scene(relay, backend, vms)
            relay.must_run()


def row_memory(peer: str, sizes: Sizes, _round: int) -> Samples:
    """The empty process; then each idle VM, after a push to all, after a storm of some."""
    with scene(peer) as s:
        empty = settled(s.pid, 1.0, 3.0)
        count = sizes.memory_vms

        def kib_per_vm() -> list[float]:
            now = settled(s.pid, *sizes.settle_s)
            s.vms.must_be_up(count)
            return [(now.rss - empty.rss) / count / KIB]

        s.vms.open(count, IN_FLIGHT)
        samples = {"empty_rss": [empty.rss / MIB], "empty_pss": [empty.pss / MIB],
                   "idle": kib_per_vm(), "upstreams": [s.backend.status()["connections"]]}
        s.push_all(PUSH_BYTES)
        samples["pushed"] = kib_per_vm()
        s.vms.reconnect(sizes.storm_vms)
        samples["stormed"] = kib_per_vm()
        return samples


def measured(s: Scene, times: int, action: Callable[[], Answer]) -> tuple[list[float], list[Answer]]:
    """The relay's CPU seconds for each time, and what the VMs saw."""
    answers: list[Answer] = []
    cpu = [cpu_of(s.pid, lambda: answers.append(action())) for _ in range(times)]
    return cpu, answers


def row_push(peer: str, sizes: Sizes, _round: int) -> Samples:
    """The same message to all; the first ones, with cold TCP windows, are kept apart."""
    with scene(peer) as s:
        count = sizes.push_vms
        s.vms.open(count, IN_FLIGHT)
        cpu, times = measured(s, sizes.pushes, lambda: s.push_all(PUSH_BYTES))
        s.vms.must_be_up(count)
        per_gb = [used / (count * PUSH_BYTES / 1e9) for used in cpu]
        warm = times[sizes.cold_pushes:]
        return {"first": per_gb[:1], "warm": per_gb[sizes.cold_pushes:],
                "total_ms": [t["seconds"] * 1000 for t in warm],
                "p50_ms": [t["p50_ms"] for t in warm]}


def ping(s: Scene, count: int, seconds: float, rate: int = 0) -> tuple[float, Answer]:
    """CPU microseconds of the relay for each round trip, and what the VMs saw."""
    [cpu], [answer] = measured(s, 1, lambda: s.vms.ping(count, seconds, MESSAGE_BYTES, rate))
    return cpu / max(1, answer["messages"]) * 1e6, answer


def row_messages(peer: str, sizes: Sizes, _round: int) -> Samples:
    """Small messages, each VM's next one when its answer is there: all, some, one."""
    with scene(peer) as s:
        count = sizes.message_vms
        s.vms.open(count, IN_FLIGHT)
        all_us, all_seen = ping(s, count, sizes.message_s)
        few_us, few_seen = ping(s, sizes.few_vms, sizes.message_s)
        one_us, one_seen = ping(s, 1, sizes.message_s)
        s.vms.must_be_up(count)
        return {"all_us": [all_us], "all_p50_ms": [all_seen["p50_us"] / 1000],
                "all_rate": [all_seen["messages"] / all_seen["seconds"]],
                "few_us": [few_us], "few_rate": [few_seen["messages"] / few_seen["seconds"]],
                "one_us": [one_us], "one_p50_us": [one_seen["p50_us"]]}


def row_storm(peer: str, sizes: Sizes, _round: int) -> Samples:
    """All VMs cut in one instant, and all back at once."""
    with scene(peer) as s:
        count = sizes.storm_vms
        s.vms.open(count, IN_FLIGHT)
        cpu, times = measured(s, sizes.storms, lambda: s.vms.reconnect(count))
        s.vms.must_be_up(count)
        return {"cpu_us": [used / count * 1e6 for used in cpu],
                "p50_ms": [t["p50_ms"] for t in times],
                "total_ms": [t["seconds"] * 1000 for t in times]}


def row_bystanders(peer: str, sizes: Sizes, _round: int) -> Samples:
    """A storm with a backend that takes 1000 resets and then 33 a second: who else is lost?"""
    with scene(peer, resets="default") as s:
        s.vms.open(sizes.storm_vms + sizes.bystanders, IN_FLIGHT)
        back = s.vms.say(f"reconnect {sizes.storm_vms}", Vms.OPEN_S)
        return {"lost": [s.vms.status()["lost"]], "not_back": [back["failed"]]}


def row_stall(peer: str, sizes: Sizes, _round: int) -> Samples:
    """A large message to each of some VMs; then again, while a tenth of them reads nothing."""
    with scene(peer) as s:
        s.vms.open(sizes.stall_vms, IN_FLIGHT)
        idle = settled(s.pid, 1.0, 3.0)
        before = s.push_all(sizes.stall_bytes)
        pushed = settled(s.pid, *STALL_SETTLE_S)
        s.vms.stall(sizes.stalled_vms)
        during = s.push(sizes.stall_bytes, sizes.stall_wait_s)
        stalled = settled(s.pid, *STALL_SETTLE_S)
        reading = sizes.stall_vms - sizes.stalled_vms
        samples = {"done": [100 * during["done"] / reading],
                   "idle_mib": [idle.rss / MIB], "pushed_mib": [pushed.rss / MIB],
                   "stalled_mib": [stalled.rss / MIB],
                   "kib": [(stalled.rss - pushed.rss) / sizes.stalled_vms / KIB]}
        if during["done"] == reading:
            samples["slowdown"] = [during["seconds"] / reading
                                   / (before["seconds"] / sizes.stall_vms)]
        return samples


def row_workers(peer: str, sizes: Sizes, round_number: int) -> Samples:
    """The same messages at the same rate by one worker and by two; neither is pinned."""
    samples: Samples = {}
    for workers in (1, 2) if round_number % 2 else (2, 1):
        with scene(peer, relay_cpus=BOTH_CPUS, load_cpus=BOTH_CPUS, workers=workers) as s:
            s.vms.open(sizes.message_vms, IN_FLIGHT)
            used, _ = ping(s, sizes.message_vms, sizes.message_s, sizes.paced_rate)
            s.vms.must_be_up(sizes.message_vms)
            samples["one_us" if workers == 1 else "two_us"] = [used]
    samples["ratio"] = [samples["two_us"][0] / samples["one_us"][0]]
    return samples


TAPS = {"on": "", "off": "registry: {enabled: false}"}


def in_turns(number: int) -> list[str]:
    return list(TAPS) if number % 2 else list(reversed(TAPS))


def tap_memory(peer: str, tap: str, sizes: Sizes) -> float:
    """KiB for each idle VM."""
    with scene(peer, more=TAPS[tap]) as s:
        empty = settled(s.pid, 1.0, 3.0)
        s.vms.open(sizes.memory_vms, IN_FLIGHT)
        idle = settled(s.pid, *sizes.settle_s)
        s.vms.must_be_up(sizes.memory_vms)
        return (idle.rss - empty.rss) / sizes.memory_vms / KIB


def tap_pair(peer: str, sizes: Sizes, number: int) -> Samples:
    """The same work by a process with the tap and by one without, in turns, so that what else the
    machine does hits both."""
    push, message = ({tap: 0.0 for tap in TAPS} for _ in range(2))
    count = sizes.tap_vms
    with scene(peer, more=TAPS["on"]) as on, scene(peer, more=TAPS["off"]) as off:
        scenes = {"on": on, "off": off}
        for tap in in_turns(number):
            scenes[tap].vms.open(count, IN_FLIGHT)
            for _ in range(sizes.cold_pushes):
                scenes[tap].push_all(PUSH_BYTES)
        for turn in range(sizes.tap_turns):
            for tap in in_turns(number + turn):
                s = scenes[tap]
                cpu, _ = measured(s, sizes.tap_pushes, lambda s=s: s.push_all(PUSH_BYTES))
                push[tap] += sum(cpu) / (count * PUSH_BYTES * len(cpu) / 1e9) / sizes.tap_turns
                message[tap] += ping(s, count, sizes.tap_s)[0] / sizes.tap_turns
        for s in scenes.values():
            s.vms.must_be_up(count)
    return {"push_on": [push["on"]], "push_off": [push["off"]],
            "push_ratio": [push["on"] / push["off"]],
            "message_on": [message["on"]], "message_off": [message["off"]],
            "message_ratio": [message["on"] / message["off"]]}


def row_tap(peer: str, sizes: Sizes, round_number: int) -> Samples:
    """Several pairs of processes: two that do the same differ by some percent, too, by where their
    memory happens to lie."""
    pairs = [tap_pair(peer, sizes, round_number + i) for i in range(sizes.tap_pairs)]
    kib = {tap: tap_memory(peer, tap, sizes) for tap in in_turns(round_number)}
    return {key: [value for pair in pairs for value in pair[key]] for key in pairs[0]} | {
        "kib_on": [kib["on"]], "kib_off": [kib["off"]], "kib_more": [kib["on"] - kib["off"]]}


@contextmanager
def lister(address: str) -> Iterator[Path]:
    """Lists all VMs without a pause, in time that nobody else on the load's CPU wants; its output,
    a line for each round."""
    with tempfile.TemporaryDirectory(prefix="xdsgate-bench-") as folder:
        out = Path(folder) / "out"
        with open(out, "wb") as sink:
            popen = subprocess.Popen(
                [*on_cpus(LOAD_CPU), "chrt", "--idle", "0", sys.executable, "-B",
                 str(HERE / "lister.py"), address, str(BUILD / "xdsgate")],
                stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True)
        try:
            while not (out.read_text() or popen.poll() is not None):
                time.sleep(0.05)  # the first round is over, and the second one runs
            yield out
            if popen.poll() is not None:
                raise RuntimeError(f"the lister ended: {out.read_text()[-600:]}")
        finally:
            kill_group(popen)


@contextmanager
def comer(s: Scene) -> Iterator[None]:
    """One VM more, which leaves and comes again, many times a second."""
    with Vms(s.relay.log.parent, LOAD_CPU, s.relay.port, first=COMER) as vms:
        over = threading.Event()
        vms.open(1, 1)

        def come() -> None:
            while not over.wait(COMER_PAUSE_S):
                vms.reconnect(1)

        with ThreadPoolExecutor(1) as thread:
            coming = thread.submit(come)
            try:
                yield
            finally:
                over.set()
            coming.result()


def row_listing(peer: str, sizes: Sizes, _round: int) -> Samples:
    """Some VMs send small messages at a rate and one comes and goes, while somebody lists all of
    them, and while nobody does: how long does the slowest answer of a second take? What listing does to a worker is there
    in each second that has a whole list in it; what the machine does is there in some of them. So
    of all seconds the lower quartile counts."""
    address = f"127.0.0.1:{free_port()}"
    slowest: dict[str, list[float]] = {"calm": [], "listed": []}
    lists: list[float] = []
    with scene(peer, more=f'admin: {{bind: "{address}"}}') as s:
        s.vms.open(sizes.listing_vms, IN_FLIGHT)

        def look(which: str) -> None:
            answer = s.vms.ping(sizes.few_vms, sizes.listing_s, MESSAGE_BYTES, sizes.listing_rate)
            slowest[which].append(answer["max_us"] / 1000)

        for _ in range(sizes.listing_turns):
            with comer(s):
                for _ in range(sizes.listing_looks):
                    look("calm")
                with lister(address) as out:
                    for _ in range(sizes.listing_looks):
                        before = len(out.read_text().splitlines())
                        look("listed")
                        lists.append(len(out.read_text().splitlines()) - before)
                    size = int(out.read_text().splitlines()[-1])
        s.vms.must_be_up(sizes.listing_vms)
    if not min(lists):
        raise RuntimeError(f"no list was complete within {sizes.listing_s:g} s")
    calm, listed = (quantiles(slowest[which])[0] for which in ("calm", "listed"))
    return {"mb": [size / 1e6], "lists": [median(lists) / sizes.listing_s],
            "calm_ms": slowest["calm"], "listed_ms": slowest["listed"],
            "stall_ms": [listed - calm]}


ROWS: dict[str, Callable[[str, Sizes, int], Samples]] = {
    "memory": row_memory, "push": row_push, "messages": row_messages, "storm": row_storm,
    "bystanders": row_bystanders, "stall": row_stall, "workers": row_workers,
    "tap": row_tap, "listing": row_listing,
}
ALONE = {"workers", "tap", "listing"}  # rows of xdsgate only
