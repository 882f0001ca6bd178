# SPDX-License-Identifier: Apache-2.0
"""The real daemon: its file, its log, its pages."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
from pathlib import Path

import yaml

from .process import Adopted, Process, adopt_orphans, pids_with
from .wait import LONG_S, until, until_equal

ROOT = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("XDSGATE_BIN") or ROOT / "build/release/xdsgate").resolve()

# XDSGATE_WORKERS: threads of every daemon whose file does not say how many.
WORKERS = {key: int(text) for key, name in [("workers", "XDSGATE_WORKERS")]
           if (text := os.environ.get(name))}

SAMPLE = re.compile(r"([a-z_]+(?:\{[^}]*\})?) (-?[0-9.]+)")
IDLE = ['xdsgate_connections{side="down"}', "xdsgate_streams", "xdsgate_streams_waiting",
        "xdsgate_passthrough_connections", "xdsgate_handshakes_in_flight"]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=LONG_S)
        self.path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LONG_S)
        self.sock.connect(self.path)


class Gateway:
    def __init__(self, folder: Path, config: dict, env: dict[str, str] | None = None,
                 program: Path | None = None) -> None:
        self.folder = folder
        self.file = folder / "xdsgate.yaml"
        self.socket = folder / "admin.sock"
        self.env = {**os.environ, **(env or {})}
        self.env.pop("NOTIFY_SOCKET", None) if env is None else None
        self.config = config
        self.program = program or BINARY
        self.process: Process | None = None
        self.started = False

    # ---- life ----

    def start(self) -> "Gateway":
        self.write(self.config)
        log = self.folder / "xdsgate.log"
        before = log.read_text().count("\n") if log.exists() else 0
        self.process = Process("xdsgate", [self.program, "run", "--config", self.file], log,
                               self.env)
        self.process.await_control(self.socket)
        self.await_log("xdsgate is running", behind=before)
        self.started = True
        return self

    def write(self, config: dict) -> None:
        """Put a file in place at once, so that a look at it never sees half of it."""
        self.config = config
        whole = {"version": 1, "admin": {"socket": str(self.socket)},
                 "log": {"format": "json", "level": "info"}, **WORKERS, **config}
        fresh = self.file.with_suffix(".new")
        fresh.write_text(yaml.safe_dump(whole, sort_keys=False))
        fresh.rename(self.file)

    def reload(self, config: dict | None = None, *, ok: bool = True) -> None:
        """SIGHUP, until it was counted with this result."""
        if config is not None:
            self.write(config)
        row = f'xdsgate_reloads_total{{result="{"ok" if ok else "failed"}"}}'
        before = self.metric(row)
        self.process.signal(signal.SIGHUP)
        until(lambda: self.metric(row) > before, f"a reload that is {'ok' if ok else 'refused'}")

    def hand_over(self) -> Process:
        """SIGUSR2, until another process serves, which is the daemon from now on; the old one."""
        def successors() -> list[int]:
            return [line["pid"] for line in self.log() if line["msg"].startswith("handed over")]

        adopt_orphans()
        old, before = self.process, len(successors())
        old.signal(signal.SIGUSR2)
        until(lambda: len(successors()) > before, "another process serves")
        self.process = Adopted("xdsgate", successors()[-1], old.log)
        self.process.await_control(self.socket)
        return old

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.signal(signal.SIGTERM)
        return self.process.await_end()

    def check_end(self) -> None:
        """Idle, then a stop by SIGTERM that says 0, and a log that is JSON to its last line."""
        if self.process.running():
            self.await_idle()
            assert self.stop() == 0
        assert not [line for line in self.log() if "internal error" in line["msg"]]
        assert not self.socket.exists()

    def kill(self) -> None:
        """All that runs by its file: also what a handover has started and nobody has heard of."""
        def kill_more() -> bool:
            pids = pids_with(self.file)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not pids

        if self.process:
            self.process.kill()
            until(kill_more, "nobody runs by this file")

    # ---- pages ----

    def get(self, path: str) -> tuple[int, str]:
        """OSError also for half an answer: the server may move to another address."""
        connection = UnixConnection(self.socket)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except http.client.HTTPException as error:
            raise ConnectionError(f"{path}: {error!r}") from error
        finally:
            connection.close()

    def metrics(self) -> dict[str, float]:
        status, text = self.get("/metrics")
        assert status == 200, text
        rows = [line for line in text.splitlines() if not line.startswith("#")]
        return {m[1]: float(m[2]) for m in (SAMPLE.fullmatch(row) for row in rows) if m}

    def metric(self, name: str) -> float:
        return self.metrics()[name]

    def await_metric(self, name: str, value: float) -> None:
        """Also until it is there at all, as below."""
        until_equal(lambda: self.metrics().get(name), value, name)

    def await_at_least(self, name: str, value: float) -> None:
        until(lambda: self.metrics().get(name, -1) >= value, f"{name} is {value:g} or more")

    def await_ready(self) -> None:
        until(lambda: self.get("/healthz/ready")[0] == 200, "ready")

    def await_idle(self) -> None:
        """Nothing of any VM is left: no connection, stream, waiting stream or handshake."""
        def busy() -> dict[str, float]:
            now = self.metrics()
            return {name: now[name] for name in IDLE if now[name] != 0}

        until_equal(busy, {}, "what is left of the VMs")

    # ---- log ----

    def log(self) -> list[dict]:
        """Every line, which must be JSON."""
        running = self.process.running()  # before the look: then half a line may be there
        text = self.process.text()
        assert running or text.endswith("\n") or text == "", f"half a line: {text[-2000:]}"
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def has_logged(self, message: str) -> bool:
        return any(line["msg"] == message for line in self.log())

    def await_log(self, message: str, *, behind: int = 0, **fields: object) -> dict:
        """The first line with this message and these fields, behind so many lines."""
        def find() -> dict | None:
            running = self.process.running()  # before the look: its last words count
            for line in self.log()[behind:]:
                if line["msg"] == message and fields.items() <= line.items():
                    return line
            if not running:
                self.process.must_run()
            return None

        return until(find, f"a log line {message!r} {fields}")
