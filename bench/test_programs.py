# SPDX-License-Identifier: Apache-2.0
"""The load generator and the backend do what their commands say, and say so exactly.

XDSGATE_BIN names the daemon (default build/release/xdsgate); the programs are beside it.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration/process")]
import certs  # noqa: E402
import peers  # noqa: E402
import programs  # noqa: E402
import rows  # noqa: E402
from peers import KINDS, Peer  # noqa: E402
from programs import Answer, Program  # noqa: E402
from rig.http2 import WINDOW_UPDATE, Http2, message  # noqa: E402
from rig.wait import until, until_equal  # noqa: E402

CPUS = ",".join(map(str, sorted(os.sched_getaffinity(0))))
BIG = 4 << 20  # more than a window and what sockets hold by then
GOT_ALL_S = 60


@pytest.fixture(scope="session", autouse=True)
def build() -> Path:
    """The folder of the programs, also for what the runner's modules start."""
    daemon = os.environ.get("XDSGATE_BIN")
    if daemon:
        programs.BUILD = Path(daemon).resolve().parent
        peers.KINDS["xdsgate"] = KINDS["xdsgate"].__class__(
            **{**vars(KINDS["xdsgate"]), "program": (str(Path(daemon).resolve()),)})
    return programs.BUILD


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    certs.make(folder)
    return folder


class Lab:
    """A backend and VMs, which are started when they are first asked for."""

    def __init__(self, pki: Path, folder: Path) -> None:
        self.pki = pki
        self.folder = folder
        self.running: list[Program | Peer] = []
        self.made: dict[str, Program] = {}

    def start(self, name: str, *options: str | Path) -> Program:
        log = self.folder / f"{name}-{len(self.running)}.log"
        program = Program(f"xdsgate-bench-{name}", options, CPUS, log)
        self.running.append(program)
        self.made[name] = program
        return program

    def start_backend(self, *options: str) -> Program:
        return self.start("backend", "--cert", self.pki / "serving.crt",
                          "--key", self.pki / "serving.key", *options)

    def start_vms(self, port: int, *options: str, ca: Path | None = None) -> Program:
        ca = ca or self.pki / "root.pem"
        return self.start("vms", "--connect", f"127.0.0.1:{port}", "--ca", ca,
                          "--ca-key", ca.with_name("root.key"), "--cert", self.pki / "vm.crt",
                          "--key", self.pki / "vm.key", *options)

    @property
    def backend(self) -> Program:
        return self.made.get("backend") or self.start_backend()

    @property
    def port(self) -> int:
        return self.backend.hello["port"]

    @property
    def vms(self) -> Program:
        return self.made.get("vms") or self.start_vms(self.port)

    def gateway(self, more: str = "") -> Peer:
        """A real xdsgate before the backend; VMs started from now on connect to it."""
        peer = Peer("xdsgate", self.pki, self.port, cpus=CPUS, more=more).__enter__()
        self.running.append(peer)
        self.start_vms(peer.port)
        return peer

    def open(self, n: int, *more: int) -> Answer:
        answer = self.vms.say(" ".join(map(str, ["open", n, *more])), 60)
        assert (answer["up"], answer["failed"], answer["reasons"]) == (n, 0, {})
        return answer

    def push(self, size: int, *more: int) -> int:
        return self.backend.say(" ".join(map(str, ["push", size, *more])))["streams"]

    def await_backend(self, **wanted: object) -> None:
        def look() -> Answer:
            status = self.backend.say("status")
            return {name: status[name] for name in wanted}

        until_equal(look, wanted, "the backend's status")

    def await_vms(self, **wanted: object) -> None:
        def look() -> Answer:
            status = self.vms.say("status")
            return {name: status[name] for name in wanted}

        until_equal(look, wanted, "the status of the VMs")

    def end(self) -> None:
        for program in reversed(self.running):
            program.__exit__()

    def http2(self) -> Http2:
        return Http2(self.port).begin()


@pytest.fixture
def lab(pki: Path, tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(pki, tmp_path)
    try:
        yield lab
    finally:
        lab.end()


def remote_addresses(port: int) -> set[str]:
    """Who is connected to this port, as the kernel says."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    found = {row[2].partition(":")[0] for row in rows
             if row[1].endswith(f":{port:04X}") and row[3] == "01"}
    return {".".join(str(byte) for byte in reversed(bytes.fromhex(text))) for text in found}


def error_of(program: Program, command: str) -> str:
    with pytest.raises(RuntimeError) as raised:
        program.say(command)
    return str(raised.value)


# ---- commands and their answers ----

def test_programs__start__say_that_they_are_ready(lab: Lab):
    assert lab.backend.hello == {"ready": True, "port": lab.port}
    assert lab.vms.hello == {"ready": True}


def test_programs__end_of_input__last_commands_are_answered_and_exit_code_is_zero(lab: Lab):
    lab.vms.popen.stdin.write(b"open 3\nstatus\nclose 1 rst\nping 2 0.1 200\nclose all\nstatus")
    lab.vms.popen.stdin.write(b"\n")
    lab.vms.popen.stdin.close()

    seen = [lab.vms._answer("the next", 20) for _ in range(6)]

    assert [seen[0]["up"], seen[1]["up"], seen[2], seen[4], seen[5]["up"]] == [
        3, 3, {"closed": 1}, {"closed": 2}, 0]
    assert seen[3]["messages"] >= 2
    assert lab.vms.popen.wait(20) == 0
    lab.backend.popen.stdin.close()
    assert lab.backend.popen.wait(20) == 0


@pytest.mark.parametrize("command", [
    "open", "open 0", "open -1", "open x", "open 1 0", "open 1 2 3", "reconnect 3", "close 3",
    "close 1 soon", "expect", "expect 0", "wait nan", "wait -1", "ping 1 1", "ping 1 1 169", "first", "first -1", "expect 169",
    "stall 3", "stall 1 2", "unstall 1", "status now"])
def test_vms__command_that_is_wrong__is_named_and_does_nothing(lab: Lab, command: str):
    lab.open(2)

    assert f"usage: {command.split()[0]} " in error_of(lab.vms, command)

    lab.await_vms(vms=2, up=2, stalled=0)


@pytest.mark.parametrize("command", ["push", "push 0", "push 169", "push 5000000000", "push 1 2 3", "refuse",
                                     "refuse some", "goaway -1", "status 1"])
def test_backend__command_that_is_wrong__is_named_and_does_nothing(lab: Lab, command: str):
    assert f"usage: {command.split()[0]} " in error_of(lab.backend, command)
    assert lab.backend.say("status")["goaways_sent"] == 0


def test_commands__unheard_of_too_long_or_too_early__are_errors(lab: Lab):
    assert "no such command" in error_of(lab.vms, "dance")
    assert "the line is too long" in error_of(lab.vms, "open " + "1" * 5000)
    assert "nothing is expected" in error_of(lab.vms, "wait 1")
    assert "not so many VMs are up" in error_of(lab.vms, "ping 1 1 200")
    lab.open(1)


# ---- open, close, reconnect ----

def test_open__several__each_from_its_own_address_with_one_stream(lab: Lab):
    answer = lab.open(252, 20)

    assert 0 < answer["p50_ms"] <= answer["p99_ms"] <= answer["max_ms"]
    assert answer["max_ms"] <= answer["seconds"] * 1000 + 0.001
    assert remote_addresses(lab.port) == {
        *(f"127.16.0.{i}" for i in range(1, 251)), "127.16.1.1", "127.16.1.2"}
    lab.await_backend(connections=252, streams=252, opened=252, closed=0, max_streams_seen=1)


def test_open__first__numbers_begin_there(lab: Lab):
    lab.start_vms(lab.port, "--first", "250")
    lab.open(2)

    assert remote_addresses(lab.port) == {"127.16.1.1", "127.16.1.2"}
    lab.start_vms(lab.port, "--first", "999999")
    assert "usage: open " in error_of(lab.vms, "open 2")


def test_open__nobody_listens__all_fail_with_the_reason(lab: Lab):
    lab.start_vms(peers.free_port())

    answer = lab.vms.say("open 5")

    assert answer["up"] == 0 and answer["reasons"] == {"connection refused": 5}
    lab.await_vms(vms=5, up=0, lost=0)


def test_open__certificate_of_a_stranger__fails(lab: Lab, tmp_path: Path):
    certs.make(tmp_path)
    lab.start_vms(lab.port, ca=tmp_path / "root.pem")

    assert lab.vms.say("open 2")["reasons"] == {"certificate verify failed": 2}


def test_open__name_of_a_stranger__fails(lab: Lab):
    lab.start_vms(lab.port, "--sni", "somebody.else")

    assert lab.vms.say("open 1")["reasons"] == {"certificate verify failed": 1}


def test_open__other_protocol__is_refused(lab: Lab):
    lab.start_vms(lab.port, "--alpn", "http/1.1")

    assert lab.vms.say("open 1")["reasons"] == {"tlsv1 alert no application protocol": 1}


@pytest.mark.parametrize("how, end", [("fin", "connection closed"),
                                      ("rst", "connection reset by the peer")])
def test_close__some__are_gone_and_not_lost(lab: Lab, how: str, end: str):
    lab.open(5)

    assert lab.vms.say(f"close 2 {how}") == {"closed": 2}

    lab.await_backend(connections=3, streams=3, closed=2, ends={end: 2})
    lab.await_vms(vms=3, up=3, lost=0)
    lab.open(1)
    assert remote_addresses(lab.port) == {f"127.16.0.{i}" for i in range(1, 5)}


def test_reconnect__some__are_cut_and_come_back(lab: Lab):
    lab.open(8)

    answer = lab.vms.say("reconnect 5 2")

    assert (answer["up"], answer["failed"]) == (5, 0)
    assert answer["max_ms"] <= answer["seconds"] * 1000 + 0.001
    lab.await_backend(connections=8, streams=8, opened=13, closed=5,
                      ends={"connection reset by the peer": 5})
    lab.await_vms(vms=8, up=8, lost=0)


# ---- messages ----

def test_push__expected__is_received_in_full_and_acknowledged(lab: Lab):
    lab.open(6)

    assert lab.vms.say("expect 100000") == {"armed": 6}
    assert lab.push(100000) == 6
    answer = lab.vms.say("wait 20", 20)

    assert (answer["done"], answer["missing"], answer["stalled"]) == (6, 0, 0)
    assert 0 < answer["p50_ms"] <= answer["max_ms"] <= answer["seconds"] * 1000 + 0.001
    lab.await_backend(acks=6, bytes_queued=0, wrong=0)


def test_push__other_size__does_not_count(lab: Lab):
    lab.open(3)
    lab.vms.say("expect 5000")

    for size in (4999, 5001, 170, 5000 << 8):
        lab.push(size)
    lab.await_vms(pushes=12)
    answer = lab.vms.say("wait 0")

    assert (answer["done"], answer["missing"]) == (0, 3)
    lab.await_backend(acks=12)


def test_push__to_some__wait_is_for_as_many(lab: Lab):
    lab.open(4)
    assert lab.vms.say("expect 2000 2") == {"armed": 2}

    assert lab.push(2000, 2) == 2

    assert lab.vms.say("wait 20", 20)["done"] == 2
    lab.await_vms(pushes=2)


def test_wait__vm_is_lost_meanwhile__does_not_wait_for_it(lab: Lab):
    lab.open(2)
    lab.vms.say("expect 1000")
    lab.backend.popen.kill()

    answer = lab.vms.say("wait 1000")

    assert (answer["done"], answer["missing"]) == (0, 2)


def test_ping__closed_loop__everything_is_answered(lab: Lab):
    lab.open(5)

    answer = lab.vms.say("ping 3 0.3 200")

    assert answer["messages"] >= 3 and answer["unanswered"] == 0
    assert 0 < answer["p50_us"] <= answer["p99_us"] <= answer["max_us"]
    lab.await_backend(acks=0, wrong=0)


def test_ping__at_a_rate__no_more_than_that(lab: Lab):
    lab.open(5)

    answer = lab.vms.say("ping 5 1 200 100")

    assert 0 < answer["messages"] <= 100 * answer["seconds"] + 1 and answer["unanswered"] == 0


def test_ping__large_message__comes_back_in_full(lab: Lab):
    lab.open(1)

    assert lab.vms.say(f"ping 1 0 {BIG}")["messages"] >= 1


def test_ping__backend_dies__is_answered_at_the_end(lab: Lab):
    lab.open(2)
    lab.vms.popen.stdin.write(b"ping 2 1 200\n")
    lab.vms.popen.stdin.flush()
    until(lambda: lab.backend.say("status")["echoes"], "the first echo")
    lab.backend.popen.kill()

    assert lab.vms._answer("ping", 30)["unanswered"] <= 2


def test_stall__some__get_nothing_until_they_read_again(lab: Lab):
    lab.open(4)
    assert lab.vms.say("stall 1") == {"stalled": 1}

    assert lab.vms.say(f"expect {BIG}") == {"armed": 3}
    assert lab.push(BIG) == 4
    answer = lab.vms.say(f"wait {GOT_ALL_S}", GOT_ALL_S)

    assert (answer["done"], answer["missing"], answer["stalled"]) == (3, 0, 1)
    lab.await_backend(acks=3)
    assert lab.backend.say("status")["bytes_queued"] >= BIG // 2
    lab.await_vms(up=4, stalled=1, pushes=3)
    assert "not so many VMs are up" in error_of(lab.vms, "ping 4 1 200")
    assert lab.vms.say("unstall") == {"stalled": 0}
    lab.await_backend(acks=4, bytes_queued=0)
    lab.await_vms(stalled=0, pushes=4)


# ---- a backend that is unfriendly ----

def test_refuse__next_streams__end_with_resource_exhausted(lab: Lab):
    lab.open(1)
    assert lab.backend.say("refuse 2") == {"refusing": 2}

    answer = lab.vms.say("open 3")

    assert (answer["up"], answer["failed"]) == (1, 2)
    assert answer["reasons"] == {"grpc-status 8: ": 2}
    lab.await_backend(refused=2, streams=2)
    lab.await_vms(up=2, lost=0)


def test_goaway__with_streams__are_cut_after_the_time(lab: Lab):
    lab.open(3)

    assert lab.backend.say("goaway 0.1") == {"connections": 3}

    lab.await_vms(up=0, lost=3, lost_reasons={"connection closed": 3})
    lab.await_backend(connections=0, goaways_sent=3)
    assert lab.vms.say("reconnect 3")["up"] == 3


def test_goaway__before_the_time__streams_go_on(lab: Lab):
    lab.open(3)

    assert lab.backend.say("goaway 1000") == {"connections": 3}

    assert lab.vms.say("ping 3 0 200")["messages"] >= 3
    lab.await_vms(up=3, lost=0)


def test_lost__backend_dies__is_counted_with_the_reason(lab: Lab):
    lab.open(3)

    lab.backend.popen.kill()

    lab.await_vms(up=0, lost=3)
    assert sum(lab.vms.say("status")["lost_reasons"].values()) == 3


# ---- the backend, frame by frame: messages of another author ----

CDS = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
EDS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
LDS = "type.googleapis.com/envoy.config.listener.v3.Listener"
VERSION = "2026-08-22T10:11:12Z/1041"
NAME_BYTES, RESOURCE_BYTES = 48, 1500
PUSH = 1  # the lowest bit of a nonce


def text(number: int, value: str) -> bytes:
    """A field of a protocol buffer."""
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value.encode()


def nonce(number: int) -> str:
    return f"{VERSION}{~number & 0xffffffff:08x}-3c1d-4e5f-8a6b-{number:012x}"


def units(number: int, each: int, kind: str, start: int, total: int) -> bytes:
    """Names or resources from a position of the message on."""
    whole = each + (2 if each < 128 else 3)
    sizes = [whole] * ((total - 3) // whole)
    done = b""
    for size in [*sizes, total - whole * len(sizes)]:
        tag = bytes([number << 3 | 2])
        head = (tag + bytes([size - 2]) if size < 130
                else tag + bytes([(size - 3) & 0x7f | 0x80, (size - 3) >> 7]))
        head += kind.encode() if not done else b""
        at = start + len(done) + len(head)
        done += head + bytes(33 + (at + i) % 251 % 94 for i in range(size - len(head)))
    return done


def response(kind: str, url: str, number: int, size: int) -> bytes:
    """As the backend sends it, with its framing."""
    head, tail = text(1, VERSION), text(4, url) + text(5, nonce(number))
    middle = units(2, RESOURCE_BYTES, kind, len(head), size - len(head) - len(tail))
    return message(head + middle + tail)


def request(url: str, number: int = 0, names: int = 0) -> bytes:
    """As a VM sends it after its first one; names: their bytes."""
    head, tail = text(2, url), text(6, nonce(number)) if number else b""
    return message(head + (units(3, NAME_BYTES, "E", len(head), names) if names else b"") + tail)


def hello(lab: Lab, h2: Http2, stream: int) -> None:
    h2.request(stream)
    h2.send_data(stream, bytes.fromhex(lab.vms.say("first 7")["first"]))


def read_data(h2: Http2, stream: int, size: int) -> bytes:
    while len(h2.data.get(stream, b"")) < size and not h2.closed:
        h2.read_frame()
    return h2.data.get(stream, b"")


def test_first__node_bytes__are_as_many_as_wanted(lab: Lab):
    for wanted in (3000, 5000, 60000):
        lab.start_vms(lab.port, "--node-bytes", str(wanted))
        first = bytes.fromhex(lab.vms.say("first 7")["first"])

        assert wanted - 150 <= len(first) - 5 - len(text(2, CDS)) <= wanted + 4
        assert b"sidecar~127.16.0.8~vm-7.vms~vms.svc.cluster.local" in first
        assert lab.open(3)


def test_backend__hello_echo_and_end__are_answered_byte_by_byte(lab: Lab):
    h2 = lab.http2()
    hello(lab, h2, 1)
    expected = response("H", CDS, 2, 200)
    assert read_data(h2, 1, len(expected)) == expected

    for byte in request(CDS, 2) + request(LDS) + request(EDS, 0, 150):
        h2.send_data(1, bytes([byte]))
    expected += response("H", LDS, 4, 200) + response("E", EDS, 6, 150 + len(text(2, EDS)))
    assert read_data(h2, 1, len(expected)) == expected
    assert lab.push(10_000) == 1
    expected += response("P", CDS, 8 | PUSH, 10_000)
    assert read_data(h2, 1, len(expected)) == expected
    h2.send_data(1, request(CDS, 8 | PUSH))
    lab.await_backend(acks=1, echoes=1)
    h2.send_data(1, b"", end=True)

    assert h2.read_until_ended(1)["grpc-status"] == "0"
    assert h2.data[1] == expected
    lab.await_backend(streams=0, wrong=0, acks=1)


def test_backend__stream_is_ended__pushes_that_have_not_begun_are_dropped(lab: Lab):
    h2 = lab.http2()
    hello(lab, h2, 1)
    expected = response("H", CDS, 2, 200)
    read_data(h2, 1, len(expected))
    for size in (100000, 180, 200):
        assert lab.push(size) == 1
    read_data(h2, 1, 65535)

    h2.send_data(1, b"", end=True)
    lab.await_backend(bytes_queued=100000 + 5 + len(expected) - 65535)
    for stream in (0, 1):
        h2.send(WINDOW_UPDATE, 0, stream, (1 << 20).to_bytes(4, "big"))

    assert h2.read_until_ended(1)["grpc-status"] == "0"
    assert h2.data[1] == expected + response("P", CDS, 4 | PUSH, 100000)


def test_backend__what_is_not_grpc__is_refused(lab: Lab):
    h2 = lab.http2()
    h2.request(1, replace={"content-type": "text/plain"})
    h2.request(3, replace={":method": "GET"})

    assert [h2.read_until_ended(stream)[":status"] for stream in (1, 3)] == ["415", "415"]
    assert lab.push(200) == 0


WRONG = {
    "compressed": b"\1" + request(LDS)[1:],
    "empty": message(b""),
    "other bytes": request(EDS, 0, 150)[:-1] + b"\0",
    "nonce of nobody": request(CDS, 4),
    "nonce twice": request(CDS, 2) + request(CDS, 2),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_backend__wrong_bytes__stream_is_reset_and_counted(lab: Lab, wrong: bytes):
    h2 = lab.http2()
    hello(lab, h2, 1)
    read_data(h2, 1, 205)
    h2.send_data(1, wrong)

    assert h2.read_until_ended(1)[":reset"] == "2"
    lab.await_backend(wrong=1, streams=0)


def test_backend__first_request_again_or_without__stream_is_reset(lab: Lab):
    h2 = lab.http2()
    for stream, before in ((1, False), (3, True)):
        if before:
            hello(lab, h2, stream)
            h2.send_data(stream, bytes.fromhex(lab.vms.say("first 7")["first"]))
        else:
            h2.request(stream)
            h2.send_data(stream, request(LDS))
        assert h2.read_until_ended(stream)[":reset"] == "2"
    lab.await_backend(wrong=2, streams=0)


def reset_many(h2: Http2, n: int) -> None:
    for stream in range(1, 2 * n, 2):
        h2.request(stream)
        h2.send(3, 0, stream, b"\0\0\0\x08")


@pytest.mark.parametrize("limit", ["default", "unlimited"])
def test_backend__many_resets__end_the_connection_by_default(lab: Lab, limit: str):
    lab.start_backend("--max-resets", limit)
    h2 = lab.http2()
    began = time.monotonic()

    reset_many(h2, 3000)

    if limit == "default":
        h2.read_until_closed()
        lab.await_backend(connections=0)
        passed = 33 * (time.monotonic() - began)  # so many more: nghttp2 forgives 33 a second
        assert 1000 <= lab.backend.say("status")["resets_received"] < 1200 + passed
    else:
        lab.await_backend(connections=1, resets_received=3000)


# ---- through xdsgate ----

def test_gateway__between__everything_works_and_is_counted(lab: Lab):
    gateway = lab.gateway()
    lab.open(20, 5)
    lab.await_backend(streams=20)
    assert lab.backend.say("status")["connections"] < 20

    lab.vms.say("expect 300000")
    lab.push(300000)
    assert lab.vms.say(f"wait {GOT_ALL_S}", GOT_ALL_S)["done"] == 20
    assert lab.vms.say("ping 20 0.2 200")["unanswered"] == 0
    assert lab.vms.say("reconnect 10")["up"] == 10
    assert lab.vms.say("close 5") == {"closed": 5}
    lab.await_backend(streams=15, acks=20, wrong=0)
    lab.await_vms(up=15, lost=0)

    gateway.popen.kill()
    lab.await_vms(up=0, lost=15)
    until(lambda: lab.backend.say("status")["streams"] == 0, "no stream is left")


def vms_of(address: str) -> dict[str, dict]:
    """What xdsgate says of each VM, by its name."""
    with urllib.request.urlopen(f"http://{address}/api/v1/vms", timeout=GOT_ALL_S) as answer:
        return {vm["name"]: vm for vm in json.load(answer)["vms"]}


def test_gateway__default_rules__knows_each_vm_and_that_it_is_synced(lab: Lab):
    address = f"127.0.0.1:{peers.free_port()}"
    lab.gateway(f'admin: {{bind: "{address}"}}')
    lab.open(20)
    lab.vms.say("expect 300000")
    lab.push(300000)
    assert lab.vms.say(f"wait {GOT_ALL_S}", GOT_ALL_S)["done"] == 20
    lab.await_backend(acks=20)

    synced = dict.fromkeys(("CDS", "EDS", "LDS", "RDS", "NDS"), "SYNCED")
    until_equal(lambda: {name: (vm["state"], vm["types"]) for name, vm in vms_of(address).items()},
                {f"vm-{i}.vms": ("connected", synced) for i in range(20)}, "all are synced")
    vms = vms_of(address)
    assert [vms[f"vm-{i}.vms"]["address"] for i in (0, 19)] == ["127.16.0.1", "127.16.0.20"]
    assert not any(vm["refused"] or vm["nacks"] for vm in vms.values())
    keys = set()
    for name in vms:
        with urllib.request.urlopen(f"http://{address}/api/v1/vms/{name}",
                                    timeout=GOT_ALL_S) as answer:
            keys.add(json.load(answer)["vms"][0]["certificate"]["key"])
    assert len(keys) == 20


def test_gateway__tap_off__knows_nobody(lab: Lab):
    address = f"127.0.0.1:{peers.free_port()}"
    lab.gateway(f'{rows.TAPS["off"]}\nadmin: {{bind: "{address}"}}')
    lab.open(3)
    assert lab.vms.say("ping 3 0 200")["unanswered"] == 0

    assert vms_of(address) == {}


def test_gateway__istiod_goes_away__vms_are_told_by_status(lab: Lab):
    lab.gateway()
    lab.open(5)

    lab.backend.say("goaway 0.1")
    lab.await_vms(up=0, lost=5)

    reasons = lab.vms.say("status")["lost_reasons"]
    assert all(text.startswith("grpc-status 14") for text in reasons), reasons
