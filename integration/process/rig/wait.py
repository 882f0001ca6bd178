# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

TICK_S = 0.01
LONG_S = 60.0  # far beyond what anything here takes; only a failure waits for it


def until(check: Callable[[], T], what: str, within: float = LONG_S) -> T:
    """The first true answer of `check`, which may also raise OSError while things come up."""
    deadline = time.monotonic() + within
    last: object = None
    while True:
        try:
            last = check()
            if last:
                return last
        except OSError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what} (last seen: {str(last)[:800]})")
        time.sleep(TICK_S)


def until_equal(look: Callable[[], object], wanted: object, what: str) -> None:
    """Until `look` gives what is wanted; what it gave last is in the error."""
    seen: list[object] = [None]

    def check() -> bool:
        seen[0] = look()
        return seen[0] == wanted

    try:
        until(check, what)
    except AssertionError:
        raise AssertionError(f"{what}: {seen[0]} instead of {wanted}") from None
