#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each flood from one hostile VM beside 200 good ones; tools/bench --floods starts this.

    floods.py [--rounds 6] [--seconds 1] [--kinds NAMES] [--out FILE]

xdsgate runs in its default configuration. The good VMs send a fixed number of messages a second,
for some seconds without and for some with the flood, in turns. What was measured is kept in
build/bench/floods.json, so that --kinds does a part; the page has all that is there.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import default
import peers
import report
from hostile import SOURCE
from measure import cpu_s
from metrics import median
from peers import kill_group, on_cpus
from rows import LOAD_CPU, MESSAGE_BYTES, Scene

GOOD_VMS = 200
RATE = 2000  # messages a second, of all of them
RATIO_MOST = 1.5
MEMORY_MOST_MIB = 32.0
MIB = 1024
REALTIME = 10
CALM = "no attack"  # shows what the machine does by itself

STORE = peers.ROOT / "build/bench/floods.json"

ENDS = ("VM connection ended", "VM handshake failed", "connection refused", "connection closed")
FIELD = re.compile(r'(\w+)=("[^"]*"|\S+)')


@dataclass(frozen=True)
class Flood:
    """`pause`: seconds between two connections, where one host could make any number."""
    kind: str
    text: str
    pause: float = 0.0
    title: str = ""

    def name(self) -> str:
        return self.title or self.kind


FLOODS = (
    Flood(CALM, "nothing: how much the numbers differ by themselves"),
    Flood("ping", "PING"),
    Flood("ping, reads nothing", "PING, and the answers are not read"),
    Flood("settings", "SETTINGS, empty"),
    Flood("large settings", "SETTINGS with 4000 entries"),
    Flood("rapid reset", "a stream is opened and reset"),
    Flood("made you reset", "a stream is opened and made invalid, so that we reset it"),
    Flood("requests", "streams of a method that nobody has"),
    Flood("empty data", "DATA without a byte"),
    Flood("priority", "PRIORITY"),
    Flood("window update", "WINDOW_UPDATE of a connection without streams"),
    Flood("window update, stream", "WINDOW_UPDATE of an open stream"),
    Flood("continuation", "CONTINUATION for ever"),
    Flood("huge headers", "32 KB of headers"),
    Flood("many headers", "900 headers"),
    Flood("header bomb", "one byte that means 4 KB, 12,000 times (HPACK)"),
    Flood("slow read", "four streams with a window of 0"),
    Flood("dribble", "a message of 4 MB, one byte a frame"),
    Flood("small messages", "messages of one byte"),
    Flood("key update", "TLS KeyUpdate"),
    Flood("tiny records", "TLS records of one byte"),
    Flood("half open", "500 connections that stop within their ClientHello"),
    Flood("hellos", "a ClientHello, and gone"),
    Flood("handshakes", "a whole handshake, and gone"),
    Flood("junk token", "no certificate, 16 streams with a token that is none"),
)


def say(text: str) -> None:
    print(text, flush=True)


@contextmanager
def attack(flood: Flood, scene: Scene, folder: Path) -> Iterator[None]:
    """On the CPU of the good VMs."""
    if flood.kind == CALM:
        yield
        return
    log = open(folder / "hostile.log", "ab")
    popen = subprocess.Popen(
        [*on_cpus(LOAD_CPU), sys.executable, "-B", str(peers.HERE / "hostile.py"), flood.kind,
         "--port", str(scene.relay.port), "--folder", str(folder), "--pause", str(flood.pause)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
    try:
        if not popen.stdout.readline():
            raise RuntimeError("hostile: " + (folder / "hostile.log").read_text()[-600:])
        yield
        if popen.poll() is not None:
            raise RuntimeError("hostile: " + (folder / "hostile.log").read_text()[-600:])
    finally:
        kill_group(popen)
        log.close()


def realtime(pid: int) -> None:
    """Before everything else on the machine, the hostile VM among it."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setscheduler(int(thread.name), os.SCHED_FIFO, os.sched_param(REALTIME))


def status_kib(pid: int, name: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{name}:\s+(\d+) kB$", text, re.M)[1])


def fields(line: str) -> dict[str, str]:
    return {name: value.strip('"') for name, value in FIELD.findall(line)}


def reasons(log: str) -> Counter[str]:
    """How the hostile VM's connections ended, by what the log says."""
    found: Counter[str] = Counter()
    for line in log.splitlines():
        if f"peer={SOURCE}:" in line and any(end in line for end in ENDS):
            row = fields(line)
            found[row.get("reason") or row.get("limit", "?")] += 1
    return found


def one_round(flood: Flood, scene: Scene, folder: Path, seconds: float) -> dict[str, float]:
    def ping() -> tuple[dict, float]:
        before = cpu_s(scene.pid)
        answer = scene.vms.ping(GOOD_VMS, seconds, MESSAGE_BYTES, RATE)
        return answer, (cpu_s(scene.pid) - before) / seconds

    calm, calm_cpu = ping()
    with attack(flood, scene, folder):
        time.sleep(0.3)
        hard, hard_cpu = ping()
    return {"calm_p99": calm["p99_us"], "hard_p99": hard["p99_us"], "calm_p50": calm["p50_us"],
            "hard_p50": hard["p50_us"], "calm_p90": calm["p90_us"], "hard_p90": hard["p90_us"],
            "calm_rate": calm["messages"] / calm["seconds"],
            "hard_rate": hard["messages"] / hard["seconds"], "calm_cpu": calm_cpu,
            "hard_cpu": hard_cpu}


def measure(flood: Flood, rounds: int, seconds: float) -> dict:
    with default.scene(GOOD_VMS) as (scene, folder):
        for pid in (scene.pid, scene.vms.popen.pid, scene.backend.popen.pid):
            realtime(pid)
        scene.vms.ping(GOOD_VMS, 1.0, MESSAGE_BYTES, RATE)
        Path(f"/proc/{scene.pid}/clear_refs").write_text("5")
        before = status_kib(scene.pid, "VmRSS")
        samples = [one_round(flood, scene, folder, seconds) for _ in range(rounds)]
        peak = status_kib(scene.pid, "VmHWM")
        status = scene.vms.status()
        log = scene.relay.log.read_text(errors="replace")
    return {"samples": samples, "rss_mib": (peak - before) / MIB, "lost": status["lost"],
            "reasons": dict(reasons(log)),
            "limits": dict(Counter(fields(line)["limit"] for line in log.splitlines()
                                   if f"peer={SOURCE}:" in line and " limit=" in line))}


# ---- the page ----

def ratio(row: dict) -> float:
    return (median([s["hard_p99"] for s in row["samples"]])
            / median([s["calm_p99"] for s in row["samples"]]))


def verdict(name: str, row: dict) -> str:
    held = ratio(row) <= RATIO_MOST and row["rss_mib"] <= MEMORY_MOST_MIB and not row["lost"]
    return "" if name == CALM else "pass" if held else "FAIL"


def line_of(flood: Flood, row: dict) -> str:
    samples = row["samples"]
    pairs = [s["hard_p99"] / s["calm_p99"] for s in samples]

    def middle(key: str, digits: int = 0) -> str:
        return f"{median([s[key] for s in samples]):.{digits}f}"

    ended = ", ".join(f"{n} {name}" for name, n in
                      sorted(row["reasons"].items(), key=lambda item: -item[1])[:3])
    return (f"| {flood.name()} | {flood.text} | {middle('calm_p99')} | {middle('hard_p99')} "
            f"| {ratio(row):.2f} ({min(pairs):.2f}..{max(pairs):.2f}) "
            f"| {middle('calm_p90')} / {middle('hard_p90')} "
            f"| {middle('calm_p50')} / {middle('hard_p50')} "
            f"| {float(middle('calm_cpu', 2)):.0%} / {float(middle('hard_cpu', 2)):.0%} "
            f"| {row['rss_mib']:.1f} | {row['lost']} | {ended or '-'} | {verdict(flood.name(), row)} |")


def page(rows: dict) -> str:
    heads = ["flood", "what it is", "p99 us before", "during", "ratio", "p90 before / during",
             "p50 before / during", "xdsgate's CPU before / during", "peak MiB more", "good VMs lost", "how its connections ended", ""]
    return "\n".join(["<!-- written by tools/bench --floods -->", "# Floods", "",
                      *about(), "", f"| {' | '.join(heads)} |", "|" + "---|" * len(heads),
                      *(line_of(flood, rows[flood.name()]) for flood in FLOODS
                        if flood.name() in rows)]) + "\n"


def about() -> Iterator[str]:
    yield f"- {time.strftime('%-d %B %Y', time.gmtime())}, xdsgate at {report.commit()}"
    yield f"- {report.cpu_model()}"
    yield ""
    yield (f"One hostile VM beside {GOOD_VMS} good ones, default configuration, one worker. The "
           f"good ones send {RATE} messages of {MESSAGE_BYTES} B a second in all and wait for each "
           "answer. Times are medians of short rounds, because what else happens on the machine is "
           "in the p99 of some; each round measures without and with the flood. Targets: the ratio of the p99 at most "
           f"{RATIO_MOST}, memory at most {MEMORY_MOST_MIB:g} MiB more at its peak, no good VM "
           "lost.")
    yield ""
    yield ("The hostile VM has a good certificate unless the row says otherwise. It sends as fast "
           "as it can, reads all answers unless the row says otherwise, and connects again at once "
           "when it is ended. It shares a CPU with the good VMs. These, the backend and xdsgate have "
           "real-time priority, so that what it computes itself does not slow them, and neither does "
           "anything else on the machine. The kernel's work for others still does, and so does a "
           f"shared host: the row `{CALM}` shows how much of a ratio is noise. CPU hardly depends on "
           "that.")


def main() -> int:
    known = {flood.name(): flood for flood in FLOODS}
    parser = argparse.ArgumentParser(prog="tools/bench --floods", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--kinds", metavar="NAMES", help="/ between them: " + " / ".join(known))
    parser.add_argument("--out", type=Path, default=peers.HERE / "FLOODS.md", metavar="FILE")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    kinds = options.kinds.split("/") if options.kinds else list(known)
    rows = json.loads(STORE.read_text()) if STORE.exists() and options.kinds else {}
    failed = False
    for name in kinds:
        try:
            rows[name] = measure(known[name], options.rounds, options.seconds)
        except (RuntimeError, OSError) as problem:
            say(f"{name}: {problem}")
            failed = True
            continue
        STORE.parent.mkdir(parents=True, exist_ok=True)
        STORE.write_text(json.dumps(rows, indent=1))
        failed = failed or verdict(name, rows[name]) == "FAIL"
        say(line_of(known[name], rows[name]) + f" {rows[name]['limits']}")
    options.out.write_text(page(rows))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
