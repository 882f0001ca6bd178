# SPDX-License-Identifier: Apache-2.0
"""What the tables show: one line for each number, with its target, and the verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

OURS = "xdsgate"
JUDGES = ("haproxy", "nghttpx")  # the better of these is what xdsgate is held against


def median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


@dataclass(frozen=True)
class Metric:
    """`peer`: at most so many times the better peer; `itself`: at most (key, times) of another
    number of xdsgate's own; `most`, `least`: a bound in the metric's unit. None of these: it
    only informs."""
    row: str
    key: str
    text: str
    digits: int = 1
    peer: float | None = None
    itself: tuple[str, float] | None = None
    most: float | None = None
    least: float | None = None
    drawn: bool = False
    compared: bool = True  # a ratio makes sense: less is better

    def target(self) -> str:
        said = []
        if self.peer is not None:
            said.append(f"<= {self.peer:.2f} x")
        if self.itself is not None:
            said.append(f"<= {self.itself[1]:.2f} x idle")
        if self.most is not None:
            said.append(f"<= {self.most:g}")
        if self.least is not None:
            said.append(f">= {self.least:g}")
        return ", ".join(said)


METRICS = (
    Metric("memory", "empty_rss", "empty process, RSS MiB", most=10, drawn=True),
    Metric("memory", "empty_pss", "empty process, PSS MiB"),
    Metric("memory", "idle", "KiB for each idle VM", peer=1.05, drawn=True),
    Metric("memory", "pushed", "the same after a push", itself=("idle", 1.10), drawn=True),
    Metric("memory", "stormed", "the same after a storm", itself=("idle", 1.10), drawn=True),
    Metric("memory", "upstreams", "connections to the backend", 0, compared=False),
    Metric("push", "warm", "CPU-s per GB, warm", 2, peer=1.10, drawn=True),
    Metric("push", "first", "CPU-s per GB, first push", 2),
    Metric("push", "total_ms", "ms until all have it", 0),
    Metric("push", "p50_ms", "ms until half have it", 0),
    Metric("messages", "all_us", "CPU us per message, all VMs", peer=1.10, drawn=True),
    Metric("messages", "all_rate", "messages a second", 0, compared=False),
    Metric("messages", "all_p50_ms", "median ms", 1),
    Metric("messages", "few_us", "CPU us per message, 64 VMs", drawn=True),
    Metric("messages", "few_rate", "messages a second", 0, compared=False),
    Metric("messages", "one_us", "CPU us per message, one VM"),
    Metric("messages", "one_p50_us", "round trip of one VM, median us", 0, drawn=True),
    Metric("storm", "cpu_us", "CPU us per handshake", 0, peer=1.10, drawn=True),
    Metric("storm", "p50_ms", "median ms until a VM is back", 0, peer=1.0, drawn=True),
    Metric("storm", "total_ms", "ms until all are back", 0, peer=1.0, drawn=True),
    Metric("bystanders", "lost", "VMs that others' storm has cost their stream", 0, most=0,
           compared=False),
    Metric("bystanders", "not_back", "VMs of the storm that did not come back", 0, most=0,
           compared=False),
    Metric("stall", "done", "% of the others that got it", 0, least=100, drawn=True,
           compared=False),
    Metric("stall", "slowdown", "their time, as a multiple of that without stall", 2,
           compared=False),
    Metric("stall", "kib", "KiB more for each stalled VM", 0, most=256, compared=False),
    Metric("stall", "idle_mib", "RSS MiB idle", compared=False),
    Metric("stall", "pushed_mib", "RSS MiB after the push without stall", compared=False),
    Metric("stall", "stalled_mib", "RSS MiB with the stalled", compared=False),
    Metric("workers", "one_us", "CPU us per message, one worker", compared=False),
    Metric("workers", "two_us", "CPU us per message, two workers", compared=False),
    Metric("workers", "ratio", "two workers / one", 2, most=1.15, compared=False),
    Metric("tap", "push_on", "CPU-s per GB with the tap", 2, compared=False),
    Metric("tap", "push_off", "CPU-s per GB without", 2, compared=False),
    Metric("tap", "push_ratio", "CPU per GB, with / without", 3, most=1.05, compared=False),
    Metric("tap", "message_on", "CPU us per message with the tap", compared=False),
    Metric("tap", "message_off", "CPU us per message without", compared=False),
    Metric("tap", "message_ratio", "CPU per message, with / without", 3, most=1.05,
           compared=False),
    Metric("tap", "kib_on", "KiB for each idle VM with the tap", compared=False),
    Metric("tap", "kib_off", "KiB for each idle VM without", compared=False),
    Metric("tap", "kib_more", "KiB more for each VM", 2, most=2, compared=False),
    Metric("listing", "mb", "MB of a list", 1, compared=False),
    Metric("listing", "lists", "lists, metrics and `vm list` a second", compared=False),
    Metric("listing", "calm_ms", "the slowest message of a second, nobody lists, ms",
           compared=False),
    Metric("listing", "listed_ms", "the slowest while somebody lists, ms", compared=False),
    Metric("listing", "stall_ms", "ms more, lower quartiles", 2, most=5, compared=False),
)


@dataclass
class Run:
    """Everything that was measured: results[row][peer] has a list of samples of each round."""
    peers: list[str]
    rows: list[str]
    quick: bool = False
    versions: dict[str, str] = field(default_factory=dict)
    rounds: int = 0
    minutes: float = 0.0
    neighbours: list[float] = field(default_factory=list)  # others' share of the CPUs, each row
    results: dict[str, dict[str, list[dict[str, list[float]]]]] = field(default_factory=dict)
    errors: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def add(self, row: str, peer: str, samples: dict[str, list[float]], error: str) -> None:
        if error:
            self.errors.setdefault(row, {}).setdefault(peer, []).append(error)
        self.results.setdefault(row, {}).setdefault(peer, []).append(samples)

    def rounds_of(self, metric: Metric, peer: str) -> list[list[float]]:
        """The samples of each round; an empty list where it failed."""
        return [one.get(metric.key, []) for one in self.results.get(metric.row, {}).get(peer, [])]

    def samples(self, metric: Metric, peer: str) -> list[float]:
        return [value for one in self.rounds_of(metric, peer) for value in one]

    def better(self, metric: Metric) -> str | None:
        """The one of the judges with the lower median."""
        judges = [peer for peer in JUDGES if self.samples(metric, peer)]
        return min(judges, key=lambda peer: median(self.samples(metric, peer)), default=None)

    def ratios(self, metric: Metric) -> tuple[float, list[float]] | None:
        """xdsgate's median by the better judge's, and the same of each single round."""
        judge = self.better(metric) if metric.compared else None
        ours = self.samples(metric, OURS)
        if judge is None or not ours or not median(self.samples(metric, judge)):
            return None
        pairs = zip(self.rounds_of(metric, OURS), self.rounds_of(metric, judge))
        single = [median(a) / median(b) for a, b in pairs if a and b and median(b)]
        return median(ours) / median(self.samples(metric, judge)), single

    def verdict(self, metric: Metric) -> str:
        """pass, FAIL, or nothing where there is no target or nothing to judge by."""
        ours = self.samples(metric, OURS)
        if not metric.target():
            return ""
        if not ours:
            return "FAIL" if OURS in self.errors.get(metric.row, {}) else ""
        value = median(ours)
        held = []
        if metric.peer is not None:
            ratios = self.ratios(metric)
            if ratios is None:
                return ""
            held.append(ratios[0] <= metric.peer)
        if metric.itself is not None:
            other = next(m for m in METRICS if (m.row, m.key) == (metric.row, metric.itself[0]))
            held.append(value <= metric.itself[1] * median(self.samples(other, OURS)))
        if metric.most is not None:
            held.append(value <= metric.most)
        if metric.least is not None:
            held.append(value >= metric.least)
        failed_once = OURS in self.errors.get(metric.row, {})
        return "pass" if all(held) and not failed_once else "FAIL"
