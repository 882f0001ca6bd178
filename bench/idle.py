#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ten minutes of idle VMs in the default configuration; tools/bench --idle starts this.

    idle.py [--vms 1000] [--minutes 10]

No connection may be dropped, and xdsgate's memory at the end may be at most 1.02 times that of
minute 2. xdsgate itself retires its connections to the backend, one after the other, before a real
istiod would cut them (docs/internals.md); a VM whose stream has ended so connects again.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import default
from measure import cpu_s, memory
from rows import IN_FLIGHT, Scene

BASE_MINUTE = 2
GROWTH_MOST = 1.02
RETIRED = "upstream_retired"
TICK_S = 5.0
MIB = 1024 * 1024


def ends(log: Path) -> Counter[str]:
    """How streams of VMs ended, by reason."""
    return Counter(re.findall(r" stream ended .* reason=(\w+)", log.read_text(errors="replace")))


def idle(scene: Scene, vms: int, until: float) -> None:
    """Until then; who was sent away comes again, as an agent does."""
    while time.monotonic() < until:
        time.sleep(max(0.0, min(TICK_S, until - time.monotonic())))
        if gone := vms - scene.vms.status()["up"]:
            scene.vms.open(gone, IN_FLIGHT)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/bench --idle", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vms", type=int, default=1000)
    parser.add_argument("--minutes", type=int, default=10)
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    rss: list[float] = []
    with default.scene(options.vms) as (scene, _folder):
        began = time.monotonic()
        for minute in range(options.minutes + 1):
            idle(scene, options.vms, began + 60 * minute)
            rss.append(memory(scene.pid).rss / MIB)
            gone = ends(scene.relay.log)
            print(f"minute {minute:2}  RSS {rss[-1]:6.2f} MiB  CPU {cpu_s(scene.pid):6.2f} s  "
                  f"up {scene.vms.status()['up']}  streams ended {dict(gone)}", flush=True)
    dropped = sum(gone.values()) - gone[RETIRED]
    growth = rss[-1] / rss[min(BASE_MINUTE, options.minutes)]
    held = not dropped and growth <= GROWTH_MOST
    print(f"{'pass' if held else 'FAIL'}: {dropped} connections dropped, {gone[RETIRED]} streams "
          f"moved by a retirement; memory {growth:.3f} x minute {BASE_MINUTE} (at most "
          f"{GROWTH_MOST})")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
