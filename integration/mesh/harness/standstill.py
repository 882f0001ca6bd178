# SPDX-License-Identifier: Apache-2.0
"""When the machine of a run stood still, or its clock was set.

A virtual machine may be stopped for a while by its host. Whoever counts seconds in a test (istiod's
grace of 10 s does) then sees something that nobody has done.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

TICK_S = 0.1


@dataclass(frozen=True)
class Jump:
    """What passed between two looks that should be a tick apart."""

    when: float  # time.time() after it
    stood_s: float  # nothing ran for so long
    set_s: float  # the clock moved by so much against the time that passed


class Standstills:
    """Looks at both clocks all the time, by a thread of its own."""

    def __init__(self) -> None:
        self._jumps: list[Jump] = []
        threading.Thread(target=self._look, name="standstills", daemon=True).start()

    def longest(self, since: float = 0) -> float:
        """Seconds for which nothing ran, or by which the clock was set, after a moment
        (time.time())."""
        return max((max(jump.stood_s, abs(jump.set_s)) for jump in list(self._jumps)
                    if jump.when >= since), default=0)

    def _look(self) -> None:
        passed, clock = time.monotonic(), time.time()
        while True:
            time.sleep(TICK_S)
            passed_now, clock_now = time.monotonic(), time.time()
            jump = Jump(clock_now, passed_now - passed - TICK_S,
                        (clock_now - clock) - (passed_now - passed))
            if max(jump.stood_s, abs(jump.set_s)) > 1:
                self._jumps.append(jump)
            passed, clock = passed_now, clock_now
