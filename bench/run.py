#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""xdsgate beside other relays; tools/bench installs, builds and starts this.

    run.py [--rounds 5] [--peers xdsgate,haproxy,nghttpx,envoy] [--only ROWS] [--quick]
           [--out FILE]

Rows: memory, push, messages, storm, bystanders, stall, workers, tap, listing. In every round each row is done by
one relay after the other, each started afresh. Only a complete run (five rounds or more of every
row and peer) writes bench/RESULTS.md; others write build/bench/RESULTS.md, unless --out says where.
The picture results.svg lies beside it. build/bench has what is known after each round, and every
sample in samples.json.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path

import peers
import report
from measure import Neighbours
from metrics import Run, median
from picture import picture
from rows import ALONE, FULL, QUICK, ROWS, Sizes

FULL_ROUNDS = 5
SCRATCH = peers.ROOT / "build/bench"


def say(text: str) -> None:
    print(text, flush=True)


def names(text: str, known: dict) -> list[str]:
    chosen = text.split(",")
    if unknown := [name for name in chosen if name not in known]:
        raise argparse.ArgumentTypeError(f"not one of {', '.join(known)}: {', '.join(unknown)}")
    return chosen


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, metavar="N", help="5, or 1 with --quick")
    parser.add_argument("--peers", type=lambda text: names(text, peers.KINDS),
                        default=list(peers.KINDS), metavar="NAMES")
    parser.add_argument("--only", type=lambda text: names(text, ROWS), default=list(ROWS),
                        metavar="ROWS")
    parser.add_argument("--quick", action="store_true", help="small numbers: does it all work?")
    parser.add_argument("--out", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else FULL_ROUNDS)
    complete = (options.rounds >= FULL_ROUNDS and not options.quick
                and set(options.peers) == set(peers.KINDS) and set(options.only) == set(ROWS))
    options.out = options.out or (peers.HERE if complete else SCRATCH) / "RESULTS.md"
    return options


def measure(run: Run, row: str, peer: str, sizes: Sizes, number: int) -> None:
    """One row of one relay, or what went wrong, into the results; never an exception."""
    began, neighbours = time.monotonic(), Neighbours()
    try:
        samples, error = ROWS[row](peer, sizes, number), ""
    except (RuntimeError, OSError, KeyError, ValueError) as problem:
        samples, error = {}, f"{type(problem).__name__}: {problem}"
    run.add(row, peer, samples, error)
    run.neighbours.append(neighbours.share())
    said = error or "  ".join(f"{name} {median(values):.4g}"
                              for name, values in samples.items())
    say(f"round {number}  {row:10} {peer:8} {time.monotonic() - began:5.1f} s  {said}"
        f"  [others {run.neighbours[-1]:.0%}]")


def all_rounds(run: Run, options: argparse.Namespace) -> None:
    sizes = QUICK if options.quick else FULL
    began = time.monotonic()
    for number in range(1, options.rounds + 1):
        for row in options.only:
            turn = number % len(options.peers)  # nobody is always the first
            for peer in options.peers[turn:] + options.peers[:turn]:
                if row not in ALONE or peer == "xdsgate":
                    measure(run, row, peer, sizes, number)
        run.rounds = number
        run.minutes = (time.monotonic() - began) / 60
        write(run, SCRATCH / "RESULTS.md")


def write(run: Run, out: Path) -> None:
    SCRATCH.mkdir(parents=True, exist_ok=True)
    (SCRATCH / "samples.json").write_text(json.dumps(run.results, indent=1))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(report.page(run))
    out.with_name("results.svg").write_text(picture(run))


def main() -> int:
    options = parse(sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # so that every `with` ends what it began
    run = Run(options.peers, options.only, quick=options.quick,
              versions={name: peers.version_of(name) for name in options.peers})
    peers.adopt_orphans()
    try:
        all_rounds(run, options)
    except KeyboardInterrupt:
        say(f"interrupted; complete rounds: {run.rounds}, see {SCRATCH / 'RESULTS.md'}")
        return 130
    write(run, options.out)
    say(report.page(run))
    say(f"written: {options.out} and {options.out.with_name('results.svg')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
