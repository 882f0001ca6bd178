# SPDX-License-Identifier: Apache-2.0
"""The daemon asks istiod whether it believes x-forwarded-client-cert from where VMs' own bytes
leave, and does not let that happen. Needs root."""

from __future__ import annotations

import signal
import socket
import time

import pytest
import yaml

from rig.client_hello import client_hello
from rig.gateway import BINARY, Gateway
from rig.site import EDGE, ISTIOD, OTHER, PORT, TRUSTED, Site
from rig.upstream import Upstream
from rig.wait import LONG_S, until

UNSAFE = (f"istiod at {ISTIOD}:{PORT} believes x-forwarded-client-cert from {OTHER}, from which "
          "upstream raw passes on what VMs write")


RUNNING = "xdsgate is running"
ANSWER_S = 1.5  # for so long istiod may think about a question


def config_of(site: Site) -> dict:
    return {key: value for key, value in site.config.items() if key != "version"}


def gateway(site: Site) -> Gateway:
    return site.rig.gateway(config_of(site))


def hello() -> socket.socket:
    """A VM whose route passes through."""
    vm = socket.create_connection((EDGE, PORT), timeout=LONG_S)
    vm.sendall(client_hello("istiod-canary.istio-system.svc"))
    return vm


def is_closed(vm: socket.socket) -> bool:
    try:
        return vm.recv(65536) == b""
    except ConnectionError:
        return True


def run_refused(site: Site) -> str:
    """What a daemon that does not start says."""
    site.file.write_text(yaml.safe_dump({**site.config, "admin": {
        "socket": str(site.rig.folder / "admin.sock")}, "log": {"format": "text"}}))
    for number in range(5):
        began = time.monotonic()
        process = site.rig.process([BINARY, "run", "--config", site.file], f"refused-{number}.log")
        until(lambda: not process.running() or RUNNING in process.text(), "it has decided")
        if time.monotonic() - began < ANSWER_S or not process.running():
            break
        process.kill()  # istiod may have had no time to answer
    assert process.await_end() == 1
    assert RUNNING not in process.text()
    return process.text()


def reload_refused(gate: Gateway, config: dict) -> None:
    """A reload that is; what istiod had no time to speak against is taken back and tried again."""
    rows = ['xdsgate_reloads_total{result="%s"}' % result for result in ("ok", "failed")]

    def counts() -> list[float]:
        return [gate.metric(row) for row in rows]

    good, before = gate.config, counts()
    for _ in range(5):
        began = time.monotonic()
        gate.write(config)
        gate.process.signal(signal.SIGHUP)
        until(lambda: counts() != before, "it has decided")
        if counts()[1] > before[1]:
            return
        assert time.monotonic() - began >= ANSWER_S, "it was put in force"
        gate.reload(good)
        before = counts()
    raise AssertionError("it was put in force each time")


def identify_by(site: Site, identity: str) -> None:
    """The terminated VMs, without any address that istiod is to trust."""
    site.upstream()["identity"] = identity
    del site.upstream()["source_address"]
    if identity == "token":
        site.config["kubernetes"] = {"kubeconfig": str(site.cluster().kubeconfig())}


def test_guard__safe__starts_and_passes(site: Site) -> None:
    istiod = site.istiod(f"{TRUSTED}/32")
    gate = gateway(site)

    with hello() as vm:
        assert vm.recv(1)  # istiod itself answers
    assert istiod.status()["vms"] == []
    gate.await_ready()


def test_guard__one_of_two_endpoints_away__is_known_by_the_other(site: Site) -> None:
    site.istiod(f"{TRUSTED}/32")
    site.upstream(1)["endpoints"] = [f"{ISTIOD}:15999", f"{ISTIOD}:{PORT}"]
    gate = gateway(site)
    gate.await_ready()

    site.upstream(1)["streams_per_connection"] = 7  # another upstream: it is asked again
    gate.reload(config_of(site))

    assert not gate.has_logged("it is not known yet whom istiod believes")


def test_guard__unsafe_at_the_start__refuses_and_says_why(site: Site) -> None:
    site.istiod("10.77.0.0/24")

    assert UNSAFE in run_refused(site)


@pytest.mark.parametrize("identity", ["token", "forward"])
def test_guard__unsafe_without_xfcc__refused_all_the_same(site: Site, identity: str) -> None:
    site.istiod("10.77.0.0/24")
    identify_by(site, identity)

    assert UNSAFE in run_refused(site)


def test_guard__unsafe_without_any_source_address__said_as_such(site: Site) -> None:
    site.istiod("10.77.0.0/24")
    identify_by(site, "token")
    del site.upstream(1)["source_address"]

    assert (f"istiod at {ISTIOD}:{PORT} believes x-forwarded-client-cert from this machine, from "
            "which upstream raw passes on what VMs write") in run_refused(site)


def test_guard__token_and_istiod_away_at_the_start__doors_close_when_it_turns_out(
        site: Site) -> None:
    identify_by(site, "token")
    gate = gateway(site)
    gate.await_log("it is not known yet whom istiod believes", upstream="raw")
    site.istiod("10.77.0.0/24")

    line = gate.await_log("passthrough is closed", upstream="raw")
    assert line["reason"].startswith(UNSAFE)
    with hello() as vm:
        assert is_closed(vm)


def test_guard__istiod_away_at_the_start__doors_close_when_it_turns_out(site: Site) -> None:
    gate = gateway(site)
    gate.await_log("it is not known yet whom istiod believes", upstream="raw")
    istiod = site.istiod("10.77.0.0/24")

    line = gate.await_log("passthrough is closed", upstream="raw")
    assert line["reason"].startswith(UNSAFE)
    with hello() as vm:
        assert is_closed(vm)
    gate.await_log("connection refused", reason="unsafe")
    assert UNSAFE in gate.get("/healthz/ready")[1]

    istiod.stop()
    site.rig.istiods.remove(istiod)
    site.istiod(f"{TRUSTED}/32")
    gate.await_log("passthrough is open again", upstream="raw")
    gate.await_ready()
    with hello() as vm:
        assert vm.recv(1)


def test_guard__open_connections__end_with_the_safety(site: Site) -> None:
    other = Upstream(ISTIOD)
    site.upstream(1)["endpoints"] = [other.endpoint, f"{ISTIOD}:{PORT}"]
    gate = gateway(site)
    gate.await_log("it is not known yet whom istiod believes", upstream="raw")
    with hello() as vm:
        connection = other.accept()
        assert connection.recv(5)[0] == 0x16
        gate.await_metric("xdsgate_passthrough_connections", 1)
        site.istiod("10.77.0.0/24")

        assert is_closed(vm)
    gate.await_log("passthrough connection ended", reason="unsafe")
    other.stop()


def test_guard__unsafe_upstream_loses_its_route__is_ready_again(site: Site) -> None:
    gate = gateway(site)
    site.istiod("10.77.0.0/24")
    gate.await_log("passthrough is closed", upstream="raw")

    site.config["listeners"][0]["routes"].pop()
    gate.reload(config_of(site))

    gate.await_ready()


def test_guard__reload_while_the_unsafe_one_is_away__doors_stay_closed(site: Site) -> None:
    site.fake({":status": "200", "content-type": "application/grpc", "grpc-status": "16"},
              port=15013)
    site.upstream(1)["endpoints"] = [f"{ISTIOD}:{PORT}", f"{ISTIOD}:15013"]
    gate = gateway(site)
    istiod = site.istiod("10.77.0.0/24")
    gate.await_log("passthrough is closed", upstream="raw")
    istiod.stop()
    site.rig.istiods.remove(istiod)

    gate.reload()

    with socket.create_server((ISTIOD, PORT)) as silent:
        silent.settimeout(LONG_S)
        asked = [silent.accept()[0] for _ in range(3)]  # again: a whole round is over
    assert not gate.has_logged("passthrough is open again")
    with hello() as vm:
        assert is_closed(vm)
    for connection in asked:
        connection.close()
    site.istiod(f"{TRUSTED}/32")
    gate.await_log("passthrough is open again", upstream="raw")


def test_guard__unsafe_after_a_reload__the_old_file_stays(site: Site) -> None:
    site.istiod(f"{TRUSTED}/32")
    gate = gateway(site)
    site.upstream(0)["source_address"], site.upstream(1)["source_address"] = [OTHER], [TRUSTED]

    reload_refused(gate, config_of(site))

    line = gate.await_log("configuration refused")
    assert f"believes x-forwarded-client-cert from {TRUSTED}" in line["error"]
    with hello() as vm:
        assert vm.recv(1)


def test_guard__unsafe_at_a_handover__the_old_process_goes_on(site: Site) -> None:
    istiod = site.istiod(f"{TRUSTED}/32")
    gate = gateway(site)
    istiod.stop()
    site.rig.istiods.remove(istiod)
    site.istiod("10.77.0.0/24")

    gate.process.signal(signal.SIGUSR2)

    gate.await_log("the new program did not take over; this one goes on")
    assert gate.process.running()


def test_guard__istiod_that_lets_everybody_in__is_no_proof(site: Site) -> None:
    fake = site.fake({":status": "200", "content-type": "application/grpc", "grpc-status": "7"})
    gate = gateway(site)

    gate.await_log("it is not known yet whom istiod believes", upstream="raw")
    assert {"x-forwarded-client-cert" in call for call in fake.calls} == {True, False}


def test_guard__istiod_says_nothing__it_is_not_known_and_the_end_comes(site: Site) -> None:
    fake = site.fake(None)
    gate = gateway(site)

    gate.await_log("it is not known yet whom istiod believes", upstream="raw")
    assert fake.calls
    assert gate.stop() == 0
