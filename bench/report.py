# SPDX-License-Identifier: Apache-2.0
"""RESULTS.md: the machine, the tables, the verdicts."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from metrics import METRICS, OURS, Metric, Run, median
from rows import FULL, QUICK, Sizes

TITLES = {
    "memory": "Memory",
    "push": "Push to all",
    "messages": "Small messages",
    "storm": "Reconnect storm",
    "bystanders": "Bystanders of a storm",
    "stall": "Stalled VMs",
    "workers": "Two workers",
    "tap": "What looking costs",
    "listing": "Listing all VMs",
}


def about(row: str, sizes: Sizes) -> str:
    """What the row does, with the numbers of this run."""
    return {
        "memory": f"{sizes.memory_vms} VMs, each one connection with one open stream; a push of "
                  f"100 KB to each; a storm of {sizes.storm_vms} of them. (RSS - empty) / VMs.",
        "push": f"100 KB to each of {sizes.push_vms} VMs, {sizes.pushes} times; warm are those "
                f"after the first {sizes.cold_pushes}.",
        "messages": f"200 B there and back in a closed loop; {sizes.message_vms} VMs are "
                    f"connected, and all, {sizes.few_vms} or one of them send.",
        "storm": f"{sizes.storm_vms} VMs are cut in one instant and come back at once, "
                 f"{sizes.storms} times a round.",
        "bystanders": f"A storm of {sizes.storm_vms} beside {sizes.bystanders} VMs that take no "
                      "part; the backend has nghttp2's default limit: 1000 resets, then 33/s.",
        "stall": f"{sizes.stall_bytes // 1_000_000} MB to each of {sizes.stall_vms} VMs, first "
                 f"without stall, then while {sizes.stalled_vms} of them read nothing (the others "
                 f"have {sizes.stall_wait_s:g} s).",
        "workers": f"{sizes.paced_rate} messages of 200 B a second, {sizes.message_vms} VMs; "
                   "relay and load share both CPUs.",
        "tap": "The same work by two processes in turns, one with `registry.enabled: false`: 100 "
               f"KB to each of {sizes.tap_vms} VMs, and 200 B there and back in a closed loop; "
               f"each number is of one of {sizes.tap_pairs} pairs of processes a round. Memory of "
               f"{sizes.memory_vms} idle VMs.",
        "listing": f"{sizes.listing_vms} VMs; {sizes.few_vms} of them send "
                   f"{sizes.listing_rate} messages of 200 B a second and one comes and goes, while "
                   "nobody and while somebody lists all VMs without a pause.",
    }[row]


def number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}"


def cell(run: Run, metric: Metric, peer: str) -> str:
    values = run.samples(metric, peer)
    if not values:
        return "failed" if peer in run.errors.get(metric.row, {}) else "-"
    middle, low, high = (number(v, metric.digits)
                         for v in (median(values), min(values), max(values)))
    return middle if low == high else f"{middle} ({low}..{high})"


def ratio_cell(run: Run, metric: Metric) -> str:
    found = run.ratios(metric)
    if found is None:
        return ""
    whole, single = found
    spread = f" ({min(single):.2f}..{max(single):.2f})" if len(single) > 1 else ""
    return f"{whole:.2f}{spread}"


def table(run: Run, row: str) -> Iterator[str]:
    peers = [peer for peer in run.peers if peer in run.results.get(row, {})]
    heads = ["", *peers, "ratio", "target", ""]
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    for metric in METRICS:
        if metric.row == row:
            cells = [metric.text, *(cell(run, metric, peer) for peer in peers),
                     ratio_cell(run, metric), metric.target(), run.verdict(metric)]
            yield f"| {' | '.join(cells)} |"


def cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} x {models[0]}" if models else platform.machine()


def commit() -> str:
    said = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True,
                          text=True, cwd=Path(__file__).parent)
    return said.stdout.strip() or "?"


def machine(run: Run) -> Iterator[str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    openssl = subprocess.run(["openssl", "version"], capture_output=True, text=True).stdout.split()
    today = time.strftime("%-d %B %Y", time.gmtime())
    yield f"- {today}, rounds: {run.rounds}, minutes: {run.minutes:.0f}"
    yield f"- {cpu_model()}, {memory:.0f} GB, Linux {platform.release()}"
    yield (f"- other programs had {median(run.neighbours):.0%} of the CPUs meanwhile "
           f"({min(run.neighbours):.0%}..{max(run.neighbours):.0%} in single rows)")
    yield f"- xdsgate at {commit()}; OpenSSL {' '.join(openssl[1:2])}"
    yield "- " + ", ".join(f"{name} {text}" for name, text in run.versions.items())


def verdicts(run: Run) -> Iterator[str]:
    judged = [(metric, run.verdict(metric)) for metric in METRICS if metric.row in run.rows]
    failed = [metric for metric, verdict in judged if verdict == "FAIL"]
    passed = sum(verdict == "pass" for _, verdict in judged)
    yield f"**{passed} targets met, {len(failed)} missed.**"
    for metric in failed:
        ours = cell(run, metric, OURS)
        found = run.ratios(metric) if metric.peer is not None else None
        beside = f", {found[0]:.2f} x {run.better(metric)}" if found else ""
        yield f"- missed: {metric.row}, {metric.text}: {ours}{beside} (target {metric.target()})"


def errors(run: Run) -> Iterator[str]:
    for row, by_peer in run.errors.items():
        for peer, texts in by_peer.items():
            said = " ".join(texts[0].split())
            yield f"- {row}, {peer}, {len(texts)} of {run.rounds} rounds: {said}"


def page(run: Run) -> str:
    sizes = QUICK if run.quick else FULL
    lines = ["<!-- written by tools/bench -->", "# Results", ""]
    if run.quick:
        lines += ["**With small numbers (`--quick`): these show that it works, nothing else.**", ""]
    lines += [*machine(run), "",
              "[README.md](README.md) says what each number is and what it does not say. Cells are "
              "medians (smallest..largest) of all samples; the ratio is xdsgate by the better of "
              "haproxy and nghttpx (smallest..largest of single rounds). Envoy informs.",
              "", *verdicts(run), "", "![the same as bars](results.svg)"]
    for row in run.rows:
        lines += ["", f"## {TITLES[row]} (`{row}`)", "", about(row, sizes), "", *table(run, row)]
    if problems := list(errors(run)):
        lines += ["", "## What failed", "", *problems]
    return "\n".join(lines) + "\n"
