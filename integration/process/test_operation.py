# SPDX-License-Identifier: Apache-2.0
"""What operators meet: service manager, log, pages, protection of memory, failures at the start."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Rig
from rig.gateway import BINARY, Gateway
from rig.notify import Notify
from rig.process import Process, free_port, ordinary_user
from rig.wait import LONG_S, until

HEAD = re.compile(r"# (HELP|TYPE) ([a-z_]+) (.+)")
LABEL = r'[a-z_]+="(?:[^"\\\n]|\\["\\n])*"'
SUFFIX = re.compile(r"_(bucket|sum|count)$")  # of a histogram
SAMPLE = re.compile(rf"([a-z_]+)(\{{{LABEL}(?:,{LABEL})*\}})? (-?[0-9.]+)")


# ---- sd_notify ----


def test_sd_notify__ready_reloading_ready_stopping(rig: Rig, notify: Notify) -> None:
    gateway = rig.gateway(rig.passthrough(rig.upstream().endpoint),
                          env={"NOTIFY_SOCKET": str(notify.path)})
    until(lambda: notify.positions("READY"), "READY=1")
    assert notify.messages[notify.positions("READY")[0]]["READY"] == "1"

    gateway.reload()
    until(lambda: len(notify.positions("READY")) >= 2, "READY=1 again")
    reloading = notify.positions("RELOADING")
    assert notify.positions("READY")[0] < reloading[0] < notify.positions("READY")[1]
    stamp = int(notify.messages[reloading[0]]["MONOTONIC_USEC"])
    assert 0 < stamp <= time.monotonic_ns() // 1000

    gateway.file.write_text("nonsense")
    gateway.reload(ok=False)  # also a failed reload ends with READY=1, or systemd would wait
    until(lambda: len(notify.positions("READY")) >= 3, "READY=1 a third time")

    assert gateway.stop() == 0
    assert len(notify.positions("STOPPING")) == 1
    assert [m for m in notify.messages if "usable" in m.get("STATUS", "")]


def test_watchdog__fed(rig: Rig, notify: Notify) -> None:
    rig.gateway({**rig.passthrough(rig.upstream().endpoint), "workers": 2},
                env={"NOTIFY_SOCKET": str(notify.path), "WATCHDOG_USEC": "300000"})

    until(lambda: len(notify.positions("WATCHDOG")) >= 4, "WATCHDOG=1, again and again")


# ---- the log ----


def test_log__reasons_of_connections_and_streams_and_no_secrets(rig: Rig) -> None:
    istiod = rig.istiod()
    config = {**rig.terminate(istiod), "log": {"format": "json", "level": "debug"}}
    gateway = rig.gateway(config)
    vms = rig.vms()
    istiod.await_synced(1)
    vms.stop()

    stream = gateway.await_log("stream ended", kind="ads")
    assert stream["spiffe_id"] == "spiffe://cluster.local/ns/vms/sa/vm"
    assert stream["peer"].startswith("127.0.0.1:")
    assert stream["bytes_up"] > 60_000 and stream["bytes_down"] > 4_000
    assert gateway.await_log("VM connection ended", reason="vm_closed")
    assert {"time", "level", "msg"} <= stream.keys()
    text = gateway.process.text()
    token = (istiod.dir / "token").read_text().strip()
    for secret in [token, *token.split("."), "PRIVATE KEY", "Bearer"]:
        assert secret not in text


def test_log_file__reopened_by_usr1(rig: Rig) -> None:
    log = rig.folder / "daemon.log"
    config = {**rig.passthrough(rig.upstream().endpoint),
              "log": {"format": "text", "level": "info", "file": str(log)}}
    gateway = Gateway(rig.folder, config)
    rig.gateways.append(gateway)
    gateway.write(config)
    gateway.process = Process("xdsgate", [BINARY, "run", "--config", gateway.file],
                              rig.folder / "stderr.log")
    until(lambda: "xdsgate is running" in log.read_text(), "the log file is written")
    log.rename(rig.folder / "daemon.log.1")

    gateway.process.signal(signal.SIGUSR1)

    until(lambda: "log opened again" in log.read_text(), "a new log file")
    assert gateway.stop() == 0
    assert "xdsgate has stopped" in log.read_text()
    assert "xdsgate has stopped" not in (rig.folder / "daemon.log.1").read_text()
    assert (rig.folder / "stderr.log").read_text() == ""


# ---- memory ----


def test_ordinary_user__runs_is_not_dumpable_and_leaves_no_core(rig: Rig) -> None:
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        folder.chmod(0o777)  # below the test's own folder nobody else may look
        shutil.copy(BINARY, folder / "xdsgate")
        gateway = Gateway(folder, rig.passthrough(rig.upstream().endpoint))
        gateway.write(gateway.config)
        gateway.process = Process(
            "xdsgate", [*ordinary_user(), folder / "xdsgate", "run", "--config", gateway.file],
            folder / "xdsgate.log")
        rig.gateways.append(gateway)
        gateway.await_log("xdsgate is running")
        proc = Path(f"/proc/{gateway.process.pid}")

        status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines())
        assert status["Uid"].split()[0] != "0"
        assert (proc / "environ").stat().st_uid == 0  # as of all files of a process that is not dumpable
        limits = (proc / "limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits)
        assert gateway.get("/metrics")[0] == 200
        assert gateway.metric("process_open_fds") > 0

        # Its default leaves a core, no sanitizer takes it, and no shell has its children ignore it.
        gateway.process.signal(signal.SIGSYS)
        assert gateway.process.await_end() == -signal.SIGSYS
        assert not list(folder.glob("core*"))


# ---- pages ----


def test_metrics__strictly_well_formed(rig: Rig) -> None:
    istiod = rig.istiod()
    gateway = rig.gateway(rig.terminate(istiod))
    rig.vms()
    istiod.await_synced(1)
    status, text = gateway.get("/metrics")
    assert status == 200 and text.endswith("\n")
    types: dict[str, str] = {}
    values: dict[str, float] = {}
    current = ""

    for line in text.splitlines():
        if head := HEAD.fullmatch(line):
            current = head[2]
            if head[1] == "TYPE":
                assert current not in types, f"{current} comes twice"
                types[current] = head[3]
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample, f"not well-formed: {line}"
        name = SUFFIX.sub("", sample[1]) if types[current] == "histogram" else sample[1]
        assert name == current and current in types, f"not below its TYPE: {line}"
        assert (types[current] == "counter") == current.endswith("_total"), line
        values[sample[1] + (sample[2] or "")] = float(sample[3])

    assert all(name.startswith(("xdsgate_", "process_")) for name in types)
    assert values["xdsgate_streams"] == 1
    assert values["xdsgate_streams_admitted_total"] >= 2
    assert values['xdsgate_upstream_usable{upstream="istiod"}'] == 1
    assert values['xdsgate_certificate_expiry_timestamp_seconds{listener="istiod"}'] > time.time()
    assert abs(values["process_start_time_seconds"] - time.time()) < 600
    assert values["process_resident_memory_bytes"] > 1_000_000


def ask(port: int, path: str, host: str = "localhost", method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG_S)
    try:
        connection.request(method, path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_pages__by_tcp_metrics_address_and_socket(rig: Rig) -> None:
    admin, metrics = free_port(), free_port()
    config = rig.passthrough(rig.upstream().endpoint)
    config["admin"] = {"socket": str(rig.folder / "gateway-0/admin.sock"), "socket_mode": "0600",
                       "bind": f"127.0.0.1:{admin}"}
    config["metrics"] = {"bind": f"0.0.0.0:{metrics}"}
    gateway = rig.gateway(config)
    gateway.await_ready()
    version = subprocess.run([BINARY, "version", "-o", "json"], capture_output=True, text=True,
                             check=True).stdout

    assert ask(admin, "/api/v1/version") == (200, version)
    assert gateway.get("/api/v1/version") == (200, version)
    assert json.loads(version)["version"]
    assert ask(metrics, "/api/v1/version")[0] == 404
    for port in [admin, metrics]:
        assert ask(port, "/healthz/live") == (200, "ok\n")
        assert ask(port, "/healthz/ready") == (200, "ok\n")
        assert ask(port, "/healthz") == (200, "ok\n")
        assert "xdsgate_build_info" in ask(port, "/metrics")[1]
        assert ask(port, "/nothing")[0] == 404
        assert ask(port, "/metrics", method="POST")[0] == 405
        assert ask(port, "/metrics", host="rebound.example")[0] == 421
    assert gateway.socket.stat().st_mode & 0o777 == 0o600


def test_ready__only_with_a_usable_istiod(rig: Rig) -> None:
    istiod = rig.istiod()
    istiod.process.kill()
    gateway = rig.gateway(rig.terminate(istiod))
    status, reasons = gateway.get("/healthz/ready")
    assert status == 503 and reasons.startswith("upstream istiod: ")
    assert gateway.get("/healthz/live")[0] == 200

    rig.restart(istiod)

    gateway.await_ready()  # found by itself: no VM has come yet


# ---- failures at the start ----


def run_to_its_end(gateway: Gateway) -> subprocess.CompletedProcess:
    return subprocess.run([BINARY, "run", "--config", gateway.file], capture_output=True, text=True,
                          timeout=LONG_S)


def another(rig: Rig, config: dict) -> Gateway:
    """The file of a second daemon."""
    folder = rig.folder / "another"
    folder.mkdir()
    gateway = Gateway(folder, config)
    gateway.write(config)
    return gateway


def test_start__bad_configuration__2_and_where(rig: Rig) -> None:
    gateway = another(rig, {"listeners": [], "upstreams": []})

    done = run_to_its_end(gateway)

    assert done.returncode == 2
    assert done.stderr.startswith(f"{gateway.file}:")
    assert not gateway.socket.exists()


def test_log_file_without_a_folder__no_start_and_where(rig: Rig) -> None:
    gateway = another(rig, {**rig.passthrough("127.0.0.1:1"),
                            "log": {"file": str(rig.folder / "none/log")}})
    for command in ("check", "run"):
        done = subprocess.run([BINARY, command, "--config", gateway.file], capture_output=True,
                              text=True, timeout=LONG_S)
        assert done.returncode == 2
        assert done.stderr.startswith(f"{gateway.file}:") and "`file` of `log`: " in done.stderr
        assert "cannot be written: No such file or directory" in done.stderr


def test_log_file_that_does_not_open__says_which(rig: Rig) -> None:
    """A look at it finds nothing wrong."""
    link = rig.folder / "link"
    link.symlink_to(rig.folder / "none/log")
    config = rig.passthrough(rig.upstream().endpoint)
    with_link = {**config, "log": {"format": "json", "file": str(link)}}

    done = run_to_its_end(another(rig, with_link))
    assert done.returncode == 1
    assert f"the log file cannot be opened log.file={link}" in done.stderr

    gateway = rig.gateway(config)
    gateway.reload(with_link)
    assert gateway.await_log("the log file cannot be opened", **{"log.file": str(link)})["reason"]
    assert gateway.await_log("configuration in force")["log"] == "not found"


def test_start__address_taken__1_and_which(rig: Rig) -> None:
    taken = rig.upstream()
    config = rig.passthrough("127.0.0.1:1")
    config["listeners"][0]["bind"] = [taken.endpoint]

    done = run_to_its_end(another(rig, config))

    assert done.returncode == 1
    assert taken.endpoint in done.stderr


def test_start__admin_socket_of_a_live_daemon__1_and_the_first_is_unharmed(rig: Rig) -> None:
    first = rig.gateway(rig.passthrough(rig.upstream().endpoint))
    config = rig.passthrough("127.0.0.1:1")
    config["listeners"][0]["bind"] = [f"127.0.0.1:{free_port()}"]
    config["admin"] = {"socket": str(first.socket)}

    done = run_to_its_end(another(rig, config))

    assert done.returncode == 1
    assert str(first.socket) in done.stderr
    assert first.get("/healthz/live")[0] == 200


def test_start__after_a_kill__admin_socket_is_replaced(rig: Rig) -> None:
    gateway = rig.gateway(rig.passthrough(rig.upstream().endpoint))
    gateway.process.kill()
    assert gateway.socket.exists()

    gateway.start()

    assert gateway.get("/healthz/live")[0] == 200
