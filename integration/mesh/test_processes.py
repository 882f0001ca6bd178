# SPDX-License-Identifier: Apache-2.0
"""What the harness says of programs, tried with programs that behave oddly."""

import os
import signal
import sys
from pathlib import Path

import pytest

from harness.processes import Process
from harness.wait import last, until

# The first thread ends, as in a program whose end takes a while; the second one holds a socket.
FIRST_THREAD_ENDS = """
import ctypes, socket, threading, time
held = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=time.sleep, args=(600,)).start()
print("ready", flush=True)
SYS_EXIT = {"x86_64": 60, "aarch64": 93}
ctypes.CDLL(None).syscall(SYS_EXIT[__import__("platform").machine()], 0)
"""

LOOKS_FOR_STANDSTILLS = """
import time
from harness.standstill import Standstills
looks = Standstills()
print("ready", flush=True)
while not looks.longest():
    time.sleep(0.05)
print("stood still", flush=True)
"""


def state_of(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as source:
        return source.read().rpartition(")")[2].split()[0]


def test_process__first_thread_has_ended__is_alive_until_the_last_has(tmp_path) -> None:
    process = Process("odd", [sys.executable, "-c", FIRST_THREAD_ENDS], log=tmp_path / "log")
    until(lambda: state_of(process.popen.pid) == "Z", 60, "its first thread has ended")

    assert process.alive()
    process.kill()
    assert not process.alive()


def test_process__has_ended_by_itself__its_last_words_are_told(tmp_path) -> None:
    process = Process("brief", ["sh", "-c", "echo too bad >&2"], log=tmp_path / "log")
    until(lambda: not process.alive(), 60, "it has ended")

    with pytest.raises(RuntimeError, match="brief has ended: too bad"):
        process.check_running()


def test_standstill__nothing_ran_for_two_seconds__is_noticed(tmp_path: Path) -> None:
    process = Process("stopped", [sys.executable, "-c", LOOKS_FOR_STANDSTILLS],
                      cwd=Path(__file__).parent, log=tmp_path / "log")
    until(lambda: "ready" in process.text(), 60, "it looks")

    os.kill(process.popen.pid, signal.SIGSTOP)
    last(2)
    os.kill(process.popen.pid, signal.SIGCONT)

    until(lambda: "stood still" in process.text(), 60, "it says so")
