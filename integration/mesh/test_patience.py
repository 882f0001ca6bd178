# SPDX-License-Identifier: Apache-2.0
"""What the harness waits for, and with what patience: tried without a mesh."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.deletions import CONFLICT, unexplained
from harness.edge import Edge
from harness.entries import Entries, Entry, Event, moment_of
from harness.kube import Kube
from harness.processes import Process
from harness.vm import VM
from harness.wait import Failed, NotYet, last, until

AGENT_LOG = """\
2026-11-22T10:41:20.100000Z\tinfo\txdsproxy\tInitializing with upstream address "i.s.svc:15012"
2026-11-22T10:41:21.250000Z\tinfo\txdsproxy\tconnected to upstream XDS server: i.s.svc:15012\tid=1
2026-11-22T10:41:25.500000Z\twarn\txdsproxy\tupstream terminated with unexpected error rpc error: \
code = Unknown desc = Operation cannot be fulfilled on a thing\tid=1
2026-11-22T10:41:26.000000Z\tinfo\txdsproxy\tconnected to upstream XDS server: i.s.svc:15012\tid=2
"""

WAITS_FOR_A_FILE = """
import pathlib, sys
from harness.wait import until
def look():
    print("looks", flush=True)
    return pathlib.Path(sys.argv[1]).exists()
until(look, 3, "the file is there", tick=0.2)
print("found", flush=True)
"""

KUBECTL = """#!/bin/sh
echo once >>{folder}/asked
[ "$(wc -l <{folder}/asked)" -gt {failing} ] && echo "{answer}" && exit {code}
echo "{error}" >&2
exit 1
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


# ---- the API server

def kube(folder: Path, failing: int, error: str, answer: str = "yes", code: int = 0) -> Kube:
    """A client whose kubectl fails so often, with that error."""
    kubectl = folder / "kubectl"
    kubectl.write_text(KUBECTL.format(folder=folder, failing=failing, error=error, answer=answer,
                                      code=code))
    kubectl.chmod(0o755)
    return Kube(kubectl, folder / "kubeconfig", "127.0.0.1", 6443, folder / "ca.crt", None)


@pytest.mark.parametrize("error", [
    "Error from server (Timeout): etcdserver: request timed out",
    "Unable to connect to the server: net/http: TLS handshake timeout",
    "The connection to the server was refused, connection refused",
    "Error from server (Conflict): the object has been modified; please apply your changes"])
def test_kubectl__server_is_busy__is_asked_again(tmp_path: Path, error: str) -> None:
    assert kube(tmp_path, 1, error).kubectl("get", "it") == "yes\n"


def test_kubectl__refuses__is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="forbidden"):
        kube(tmp_path, 1, "Error from server (Forbidden): it is forbidden").kubectl("get", "it")
    assert (tmp_path / "asked").read_text() == "once\n"


def test_may__no__is_an_answer(tmp_path: Path) -> None:
    assert not kube(tmp_path, 0, "", answer="no", code=1).may("somebody", "get", "pods")
    assert kube(tmp_path, 0, "").may("somebody", "get", "pods")
    with pytest.raises(Failed, match="not found"):
        kube(tmp_path, 9, "error: no kubeconfig, not found").may("somebody", "get", "pods")


# ---- entries

def raw(name: str, version: int, **annotations: str) -> dict:
    namespace, _, name = name.partition("/")
    return {"metadata": {"namespace": namespace, "name": name, "resourceVersion": str(version),
                         "annotations": annotations}, "spec": {"labels": {}}}


class BrokenOff:
    """An API server whose watch breaks off after each change."""

    def __init__(self, *changes: tuple[str, dict]) -> None:
        self.changes = changes
        self.asked: list[int] = []

    def get(self, _: str) -> dict:
        return {"metadata": {"resourceVersion": "0"}, "items": []}

    def watch(self, _: str, version: str) -> Iterator[tuple[str, dict]]:
        self.asked.append(int(version))
        if int(version) == len(self.changes):
            threading.Event().wait()
        yield self.changes[int(version)]
        raise ConnectionResetError("broken off")


def test_entries__the_watch_breaks_off__nothing_is_missed() -> None:
    held = {"istio.io/workloadController": "one"}
    server = BrokenOff(("ADDED", raw("vms/web", 1)), ("MODIFIED", raw("vms/web", 2, **held)),
                       ("DELETED", raw("vms/web", 3)))
    entries = Entries(server)

    def is_held(entry: Entry) -> bool:
        return entry.raw["metadata"]["annotations"]["istio.io/workloadController"] == "one"
    entries.wait_seen("vms/web", is_held, 0, 60, "was held by one")
    entries.wait_gone("vms/web", 60)
    assert entries.deleted_since(0, "vms") == ["vms/web"]
    until(lambda: server.asked == [0, 1, 2, 3], 60, "it goes on")


def test_entries__has_not_what_is_looked_at__is_waited_for() -> None:
    server = BrokenOff(("ADDED", raw("vms/web", 1)))
    entries = Entries(server)

    with pytest.raises(NotYet, match="vms/web is labelled"):
        entries.wait("vms/web", lambda entry: entry.spec["labels"]["app"], 0.1, "is labelled")


# ---- whose fault a deletion is

def column(agent_log: str, *, name: str = "vms", stood_still: float = 0,
           others: int = 0) -> SimpleNamespace:
    """One VM, whose agent has logged that."""
    vm = VM.__new__(VM)
    vm.agent = SimpleNamespace(text=lambda: agent_log)
    vm.plan = SimpleNamespace(autoregister=True, group="web")
    vm.namespace, vm.address = "vms", "10.0.0.1"
    lab = SimpleNamespace(standstills=SimpleNamespace(longest=lambda since: stood_still),
                          entries=SimpleNamespace(within=lambda _: [None] * (others + 1)))
    return SimpleNamespace(name=name, vms={"web": vm}, swarm=None, lab=lab)


def deletion(moment: str, name: str = "vms/web-10.0.0.1") -> Event:
    return Event(moment_of(f"2026-11-22T{moment}Z"), "DELETED", Entry(raw(name, 9)))


def test_deletion__the_vm_was_there_all_the_time__is_a_loss() -> None:
    lost = deletion("10:41:45")
    assert unexplained(column(AGENT_LOG), [lost]) == [lost]


def test_deletion__istiod_had_refused_the_vm__is_none() -> None:
    assert CONFLICT in AGENT_LOG
    assert unexplained(column(AGENT_LOG), [deletion("10:41:35")]) == []


def test_deletion__istiod_had_refused_too_many__are_losses() -> None:
    lost = [deletion("10:41:35"), deletion("10:41:36")]
    assert unexplained(column(AGENT_LOG), lost) == lost
    assert unexplained(column(AGENT_LOG, others=99), lost) == []


@pytest.mark.parametrize(("name", "losses"), [("direct", 0), ("passthrough", 0), ("terminate", 1),
                                              ("token", 1)])
def test_deletion__istiod_admitted_no_more__is_one_where_xdsgate_paces(name: str,
                                                                       losses: int) -> None:
    log = AGENT_LOG.replace(f"Unknown desc = {CONFLICT} on a thing", "ResourceExhausted desc = limit")
    assert "ResourceExhausted" in log and CONFLICT not in log
    assert len(unexplained(column(log, name=name), [deletion("10:41:35")])) == losses


def test_deletion__the_agent_had_hardly_started__is_none() -> None:
    assert unexplained(column(""), [deletion("10:41:20")]) == []
    assert unexplained(column(AGENT_LOG), [deletion("10:41:22")]) == []


def test_deletion__the_machine_stood_still__is_none() -> None:
    assert unexplained(column(AGENT_LOG, stood_still=4), [deletion("10:41:45")]) == []


def test_deletion__of_somebody_else__is_a_loss() -> None:
    lost = deletion("10:41:35", "vms/other")
    assert unexplained(column(AGENT_LOG), [lost]) == [lost]


# ---- the edge's log

@pytest.mark.parametrize(("log", "reloaded"), [
    ("INFO  configuration in force generation=2\n", False),
    ("INFO  reloading because=SIGHUP\n", False),
    ("INFO  configuration in force generation=2\nINFO  reloading because=SIGHUP\n", False),
    ("INFO  reloading because=SIGHUP\nINFO  configuration in force generation=3\n", True)])
def test_reload__has_begun_before_the_file_was_written__does_not_count(log: str,
                                                                       reloaded: bool) -> None:
    assert Edge.has_reloaded(log) == reloaded
