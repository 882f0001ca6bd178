# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition, never for a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

TICK_S = 0.05

interrupted = threading.Event()  # the run is being ended: whoever waits gives up


class NotYet(AssertionError):
    """A condition did not come true before its deadline."""


class Interrupted(Exception):
    """Somebody has ended the run."""


def check_interrupted() -> None:
    if interrupted.is_set():
        raise Interrupted


def until(check: Callable[[], T], within: float, what: str,
          tick: float = TICK_S) -> T:
    """The first true answer of `check`, which may also raise OSError while things come up."""
    deadline = time.monotonic() + within
    last: object = None
    while True:
        check_interrupted()
        try:
            last = check()
            if last:
                return last
        except OSError as error:
            last = error
        if time.monotonic() > deadline:
            raise NotYet(f"not within {within:g} s: {what} (last seen: {str(last)[:500]})")
        time.sleep(tick)


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
