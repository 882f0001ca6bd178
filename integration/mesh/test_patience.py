# SPDX-License-Identifier: Apache-2.0
"""What the harness waits for, and with what patience: tried without a mesh."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from harness.processes import Process
from harness.wait import Failed, NotYet, last, until

WAITS_FOR_A_FILE = """
import pathlib, sys
from harness.wait import until
def look():
    print("looks", flush=True)
    return pathlib.Path(sys.argv[1]).exists()
until(look, 3, "the file is there", tick=0.2)
print("found", flush=True)
"""


# ---- until

@pytest.mark.parametrize("passing", [
    KeyError("not yet"), IndexError(), ConnectionRefusedError(), Failed("exit 1", "no such VM"),
    json.JSONDecodeError("half of it", "{", 1)], ids=lambda error: type(error).__name__)
def test_until__a_look_fails_at_first__goes_on(passing: Exception) -> None:
    looks = iter([passing, None, "there"])

    def look() -> str | None:
        found = next(looks)
        if isinstance(found, Exception):
            raise found
        return found
    assert until(look, 60, "it is there", tick=0) == "there"


def test_until__every_look_fails__says_why() -> None:
    with pytest.raises(NotYet, match="KeyError: 'acked'") as failed:
        until(lambda: {}["acked"], 0, "it is there")
    assert isinstance(failed.value.__cause__, KeyError)


def test_until__the_last_look_began_in_time__looks_once_more() -> None:
    """A look may take longer than all there is."""
    looks = []

    def slow() -> bool:
        looks.append(0)
        time.sleep(0.02)
        return len(looks) == 2
    assert until(slow, 0.01, "it is there")


def test_until__the_machine_stands_still__the_time_does_not_count(tmp_path: Path) -> None:
    process = Process("waits", [sys.executable, "-B", "-c", WAITS_FOR_A_FILE, tmp_path / "file"],
                      cwd=Path(__file__).parent, log=tmp_path / "log")

    def looks() -> int:
        return process.text().count("looks")
    until(looks, 60, "it looks")
    os.kill(process.popen.pid, signal.SIGSTOP)
    last(4)
    before = looks()
    os.kill(process.popen.pid, signal.SIGCONT)
    until(lambda: looks() > before + 1 or not process.running(), 60, "it looks again")
    (tmp_path / "file").touch()

    until(lambda: not process.running(), 60, "it has ended")
    assert process.text().endswith("found\n"), process.text()
