# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition, never for a time."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

TICK_S = 0.05

interrupted = threading.Event()  # the run is being ended: whoever waits gives up


class NotYet(AssertionError):
    """A condition did not come true before its deadline."""


class Failed(RuntimeError):
    """A command has ended with an error; what it said of it."""

    def __init__(self, text: str, said: str) -> None:
        super().__init__(text)
        self.said = said


# What who looks may meet while things come and go: nobody answers, or only half; a name is not
# there yet, or no more; a command finds nothing to work on.
PASSING = (OSError, http.client.HTTPException, LookupError, ValueError, Failed)


class Interrupted(Exception):
    """Somebody has ended the run."""


def check_interrupted() -> None:
    if interrupted.is_set():
        raise Interrupted


def until(check: Callable[[], T], within: float, what: str,
          tick: float = TICK_S) -> T:
    """The first true answer of `check`, which may also fail as long as what it looks at comes up.

    It is looked once more when the time is over, and time in which this machine was busy elsewhere
    does not count.
    """
    deadline = time.monotonic() + within
    while True:
        check_interrupted()
        began, failed = time.monotonic(), None
        try:
            answer = check()
            if answer:
                return answer
            seen = str(answer)
        except PASSING as error:
            failed, seen = error, f"{type(error).__name__}: {error}"
        if began > deadline:
            raise NotYet(f"not within {within:g} s: {what} (last seen: {seen[:500]})") from failed
        deadline += late(tick, lambda: time.sleep(tick))


def late(seconds: float, pause: Callable[[], object]) -> float:
    """Makes a pause of so many seconds at most; by how many more it was late."""
    began = time.monotonic()
    pause()
    return max(0.0, time.monotonic() - began - seconds)


def last(seconds: float) -> None:
    """Lets time pass, where the time itself is what is done: a link is down for so long."""
    if interrupted.wait(seconds):
        raise Interrupted


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def __call__(self) -> float:
        return time.monotonic() - self.began
