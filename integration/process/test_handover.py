# SPDX-License-Identifier: Apache-2.0
"""Restart and upgrade by SIGUSR2: another process takes over, and no VM is lost."""

from __future__ import annotations

import shutil
import signal
import threading
from pathlib import Path

import pytest

from conftest import Rig
from rig.client_hello import client_hello
from rig.gateway import BINARY, Gateway
from rig.notify import Notify
from rig.process import free_port
from rig.sandbox import Istiod, Vms
from rig.upstream import connect
from rig.wait import until

FAILED = "the new program did not take over; this one goes on"
GRACE_S = 60  # istiod's, far more than it takes to come back at the first try


def fleet(rig: Rig, n: int, program: Path | None = None,
          **config: object) -> tuple[Gateway, Istiod, Vms]:
    istiod = rig.istiod("--grace", GRACE_S)
    gateway = rig.gateway({**rig.terminate(istiod), "drain_timeout": "20s", **config}, program=program)
    vms = rig.vms("--count", n)
    istiod.await_synced(n)
    return gateway, istiod, vms


def assert_all_moved(istiod: Istiod, vms: Vms, n: int, times: int) -> None:
    """Each VM has had so many streams, ended by us, and istiod has forgotten none."""
    until(lambda: all(vm["streams_opened"] == times for vm in vms.status()), "all came back")
    istiod.await_synced(n)
    assert {vm["last_end"]["code"] for vm in vms.status()} == {14}
    assert istiod.counter("entries_deleted") == 0


def test_handover__every_vm_moves_and_none_is_forgotten(rig: Rig) -> None:
    gateway, istiod, vms = fleet(rig, 20)

    old = gateway.hand_over()
    assert old.await_end() == 0
    assert_all_moved(istiod, vms, 20, 2)

    second = gateway.hand_over()
    assert second.await_end() == 0
    assert_all_moved(istiod, vms, 20, 3)
    gateway.await_metric('xdsgate_connections{side="down"}', 20)


@pytest.mark.parametrize("before, after", [(1, 3), (3, 1)])
def test_handover__another_number_of_workers(rig: Rig, before: int, after: int) -> None:
    gateway, istiod, vms = fleet(rig, 6, workers=before)
    gateway.write({**gateway.config, "workers": after})

    assert gateway.hand_over().await_end() == 0

    assert_all_moved(istiod, vms, 6, 2)
    assert gateway.await_log("xdsgate is running", workers=after)


def test_handover__new_address_opened_old_one_closed(rig: Rig) -> None:
    upstream = rig.upstream()
    gateway = rig.gateway(rig.passthrough(upstream.endpoint))
    old_port, rig.port = rig.port, free_port()

    gateway.write(rig.passthrough(upstream.endpoint))
    assert gateway.hand_over().await_end() == 0

    rig.say_hello("istiod.istio-system.svc")
    assert upstream.accept()
    with pytest.raises(ConnectionRefusedError):
        connect(old_port)


def test_configuration_with_an_error__old_process_goes_on_and_says_so(rig: Rig) -> None:
    gateway, istiod, vms = fleet(rig, 3)
    good = gateway.config

    gateway.write({**good, "listenres": []})
    gateway.process.signal(signal.SIGUSR2)

    assert "exit code 2" in gateway.await_log(FAILED)["detail"]
    assert "listenres" in gateway.await_log("configuration refused")["error"]
    assert [vm["streams_opened"] for vm in vms.status()] == [1, 1, 1]
    assert gateway.get("/healthz/ready")[0] == 200
    rig.vms("--name-prefix", "late", "--ip-base", "10.99.2.1")
    istiod.await_synced(4)
    gateway.write(good)
    assert gateway.hand_over().await_end() == 0
    istiod.await_synced(4)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A copy of the daemon that a test may replace, as an upgrade does."""
    copy = tmp_path / "bin/xdsgate"
    copy.parent.mkdir()
    shutil.copy(BINARY, copy)
    return copy


def replace(program: Path, text: str) -> None:
    fresh = program.with_suffix(".new")
    fresh.write_text(text)
    fresh.chmod(0o755)
    fresh.rename(program)


@pytest.mark.parametrize("text, said", [
    ("#!/bin/sh\nexit 7\n", "exit code 7"),
    ("#!/bin/sh\nkill -KILL $$\n", "signal 9"),
    ("#!/usr/bin/python3\nimport os, time\n"
     "os.write(int(os.environ['XDSGATE_HANDOVER'].split()[1]), b'x')\ntime.sleep(60)\n",
     "another version"),
])
def test_program_that_does_not_start__old_process_goes_on(rig: Rig, program: Path, text: str,
                                                          said: str) -> None:
    gateway, istiod, vms = fleet(rig, 2, program)

    replace(program, text)
    gateway.process.signal(signal.SIGUSR2)

    assert said in gateway.await_log(FAILED)["detail"]
    assert [vm["streams_opened"] for vm in vms.status()] == [1, 1]
    assert gateway.get("/healthz/ready")[0] == 200


def test_program_gone__old_process_goes_on(rig: Rig, program: Path) -> None:
    gateway, istiod, vms = fleet(rig, 2, program)

    program.unlink()
    gateway.process.signal(signal.SIGUSR2)

    gateway.await_log("cannot start the new program; this one goes on")
    assert [vm["streams_opened"] for vm in vms.status()] == [1, 1]


def test_handover_while_vms_connect__none_is_refused(rig: Rig) -> None:
    upstream = rig.upstream()
    gateway = rig.gateway(rig.passthrough(upstream.endpoint))
    hello = client_hello("istiod.istio-system.svc")
    problems: list[str] = []
    arrived: list[int] = []
    over, served = threading.Event(), threading.Event()

    def serve() -> None:
        while not served.is_set():
            try:
                with upstream.accept() as istiod:
                    istiod.recv(65536)
                    istiod.sendall(b"seen")
            except (OSError, AssertionError):
                pass  # ended by the old process as it leaves, or the end of the test

    def knock() -> None:
        while not over.is_set():
            try:
                with connect(rig.port) as s:
                    s.sendall(hello)
                    if s.recv(4) == b"seen":
                        arrived.append(1)
            except (ConnectionRefusedError, TimeoutError) as error:
                problems.append(repr(error))
            except ConnectionResetError:
                pass  # accepted before, and ended by the old process as it leaves

    threads = [threading.Thread(target=f, daemon=True) for f in [serve, knock, knock]]
    for thread in threads:
        thread.start()
    for _ in range(5):
        had = len(arrived)
        assert gateway.hand_over().await_end() == 0
        until(lambda: len(arrived) > had, "connections through the new process")
    knockers = threads[1:]
    over.set()
    for thread in knockers:
        thread.join()
    served.set()
    assert problems == []


def test_second_signal__one_handover_at_a_time(rig: Rig) -> None:
    gateway, istiod, vms = fleet(rig, 10)

    old = gateway.hand_over()
    if old.running():
        old.signal(signal.SIGUSR2)
        old.signal(signal.SIGHUP)

    assert old.await_end() == 0
    assert_all_moved(istiod, vms, 10, 2)


def test_systemd_is_told_the_new_main_process(rig: Rig, notify: Notify) -> None:
    upstream = rig.upstream()
    gateway = rig.gateway(rig.passthrough(upstream.endpoint),
                          {"NOTIFY_SOCKET": str(notify.path), "WATCHDOG_USEC": "600000"})

    assert gateway.hand_over().await_end() == 0

    told = notify.positions("MAINPID")
    assert [int(notify.messages[i]["MAINPID"]) for i in told] == [gateway.process.pid]
    assert not notify.positions("STOPPING")
    until(lambda: [i for i in notify.positions("WATCHDOG") if i > told[0]], "the watchdog is fed")


def test_unknown_version_of_the_handover__refused(rig: Rig) -> None:
    gateway = rig.gateway(rig.passthrough("127.0.0.1:1"))
    program = [BINARY, "run", "--config", gateway.file]
    env = {**gateway.env, "XDSGATE_HANDOVER": "999 5"}
    process = rig.process(program, "second.log", env)

    assert process.await_end() == 1
    assert "XDSGATE_HANDOVER" in process.text()
