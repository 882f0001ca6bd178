# SPDX-License-Identifier: Apache-2.0
"""The two C programs, a backend in istiod's place and many VMs: commands in, JSON lines out."""

from __future__ import annotations

import json
import select
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from certs import SERVER_NAME
from peers import BUILD, kill_group, on_cpus

Answer = dict


class Program:
    """A program that answers each line with one JSON object; a context manager."""

    START_S = 20.0
    GRACE_S = 10.0

    def __init__(self, name: str, arguments: Sequence[str | Path], cpus: str, log: Path) -> None:
        self.name = name
        self.log = log
        self.rest = b""
        with open(log, "wb") as sink:
            self.popen = subprocess.Popen(
                [*on_cpus(cpus), str(BUILD / name), *map(str, arguments)], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=sink, start_new_session=True)
        try:
            self.hello = self._answer("its start", self.START_S)
        except BaseException:
            kill_group(self.popen)
            raise

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        kill_group(self.popen)

    def say(self, command: str, within_s: float = 20.0) -> Answer:
        """One command and its answer; `within_s` is what the command itself may take."""
        self.popen.stdin.write(command.encode() + b"\n")
        self.popen.stdin.flush()
        return self._answer(command, within_s + self.GRACE_S)

    def _answer(self, what: str, within_s: float) -> Answer:
        deadline = time.monotonic() + within_s
        while b"\n" not in self.rest:
            left = deadline - time.monotonic()
            if left <= 0:
                raise RuntimeError(f"{self.name}: no answer to {what} in {within_s:g} s")
            if select.select([self.popen.stdout], [], [], left)[0]:
                more = self.popen.stdout.read1()
                if not more:
                    raise RuntimeError(f"{self.name} ended at {what}: {self._said()}")
                self.rest += more
        line, _, self.rest = self.rest.partition(b"\n")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self.name}: {what}: {answer['error']}")
        return answer

    def _said(self) -> str:
        return self.log.read_text(errors="replace")[-600:]


class Backend(Program):
    def __init__(self, folder: Path, cpus: str, resets: str) -> None:
        super().__init__("xdsgate-bench-backend", [
            "--cert", folder / "serving.crt", "--key", folder / "serving.key",
            "--max-streams", "100000", "--max-resets", resets], cpus, folder / "backend.log")

    @property
    def port(self) -> int:
        return self.hello["port"]

    def push(self, size: int) -> int:
        """Starts one message of so many bytes to each stream; the number of streams."""
        return self.say(f"push {size}")["streams"]

    def status(self) -> Answer:
        return self.say("status")


class Vms(Program):
    OPEN_S = 60.0  # the program's own deadline for a command that opens

    def __init__(self, folder: Path, cpus: str, port: int, first: int = 0) -> None:
        super().__init__("xdsgate-bench-vms", [
            "--first", str(first),
            "--connect", f"127.0.0.1:{port}", "--ca", folder / "root.pem",
            "--cert", folder / "vm.crt", "--key", folder / "vm.key",
            "--ca-key", folder / "root.key", "--sni", SERVER_NAME],
            cpus, folder / f"vms-{first}.log")

    def open(self, count: int, in_flight: int) -> Answer:
        """So many more VMs, all of which must come up."""
        answer = self.say(f"open {count} {in_flight}", self.OPEN_S)
        return self._all_up("open", count, answer)

    def reconnect(self, count: int) -> Answer:
        """The storm: cut in one instant, and all come back at once."""
        answer = self.say(f"reconnect {count}", self.OPEN_S)
        return self._all_up("reconnect", count, answer)

    @staticmethod
    def _all_up(what: str, count: int, answer: Answer) -> Answer:
        if answer["up"] != count:
            reasons = ", ".join(f"{n} x {text}" for text, n in answer["reasons"].items())
            raise RuntimeError(f"{what}: {answer['up']} of {count} VMs are up: {reasons[:300]}")
        return answer

    def expect(self, size: int) -> int:
        return self.say(f"expect {size}")["armed"]

    def wait(self, seconds: float) -> Answer:
        return self.say(f"wait {seconds:g}", seconds)

    def ping(self, count: int, seconds: float, size: int, rate: int = 0) -> Answer:
        return self.say(f"ping {count} {seconds:g} {size}{f' {rate}' if rate else ''}", seconds)

    def first(self, number: int) -> bytes:
        """What the VM of this number says first, with its framing."""
        return bytes.fromhex(self.say(f"first {number}")["first"])

    def stall(self, count: int) -> None:
        self.say(f"stall {count}")

    def status(self) -> Answer:
        return self.say("status")

    def must_be_up(self, count: int) -> None:
        """Nobody was lost on the way."""
        now = self.status()
        if now["up"] != count or now["lost"]:
            reasons = ", ".join(f"{n} x {text}" for text, n in now["lost_reasons"].items())
            raise RuntimeError(f"{now['lost']} VMs lost their stream: {reasons[:300]}")
