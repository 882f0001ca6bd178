# SPDX-License-Identifier: Apache-2.0
"""A new configuration or new certificates under live streams."""

from __future__ import annotations

import shutil
import socket
import ssl
from pathlib import Path

import pytest

from conftest import Rig
from rig.client_hello import client_hello
from rig.gateway import Gateway
from rig.pki import SERVER_NAME, issue
from rig.process import free_port
from rig.sandbox import Vms
from rig.upstream import connect, end_of, receive
from rig.wait import until, until_equal

FAILED = 'xdsgate_reloads_total{result="failed"}'


def served_certificate(port: int) -> str:
    """The one that a new connection is shown, as PEM."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with connect(port) as s, context.wrap_socket(s, server_hostname=SERVER_NAME) as tls:
        return ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True))


def assert_untouched(vms: Vms) -> None:
    """Its first stream is still the one, and it works."""
    row = vms.status()[0]
    assert row["streams_opened"] == 1 and row["last_end"] is None and row["connected"]


def pushes_arrive(rig: Rig, vms: Vms) -> None:
    before = vms.status()[0]["types"]["CDS"]["received"]
    rig.istiods[0].ask("push")
    until(lambda: vms.status()[0]["types"]["CDS"]["received"] > before, "a push has arrived")


def test_sighup__new_routes_for_new_connections__live_ones_untouched(rig: Rig) -> None:
    istiod = rig.istiod()
    gateway = rig.gateway(rig.terminate(istiod, identity="forward"))
    vms = rig.vms("--no-csr")
    istiod.await_synced(1)
    other = rig.upstream()

    gateway.reload(rig.passthrough(other.endpoint))

    rig.say_hello(SERVER_NAME)
    assert other.accept()
    assert_untouched(vms)
    pushes_arrive(rig, vms)
    gateway.await_log("configuration in force", generation=2)


def test_sighup__passthrough_connections_go_on(rig: Rig) -> None:
    before, after = rig.upstream(), rig.upstream()
    gateway = rig.gateway(rig.passthrough(before.endpoint))
    hello = client_hello(None)
    vm = rig.connect()
    vm.sendall(hello)
    istiod = before.accept()
    receive(istiod, len(hello))

    gateway.reload(rig.passthrough(after.endpoint))

    vm.sendall(b"still here")
    assert receive(istiod, 10) == b"still here"
    rig.say_hello(None)
    assert after.accept()


def test_many_reloads__stream_and_upstream_connection_stay(rig: Rig) -> None:
    istiod = rig.istiod()
    gateway = rig.gateway({**rig.terminate(istiod), "workers": 1})  # each has connections of its own
    vms = rig.vms("--no-csr")
    peer = istiod.await_synced(1)[0]["peer"]

    for _ in range(10):
        gateway.reload()

    assert_untouched(vms)
    pushes_arrive(rig, vms)
    rig.vms("--no-csr", "--name-prefix", "late", "--ip-base", "10.99.2.1")
    assert {r["peer"] for r in istiod.await_synced(2)} == {peer}  # the pool was kept


def test_reload__counted__all_of_it_is_in_force(rig: Rig) -> None:
    upstream = rig.upstream()
    config = rig.passthrough(upstream.endpoint)
    gateway = rig.gateway(config)

    for generation in range(2, 8):
        port = free_port()
        gateway.reload({**config, "metrics": {"bind": f"127.0.0.1:{port}"}})

        rig.connect(port=port)  # is served
        assert [line for line in gateway.log() if line["msg"] == "configuration in force"
                and line["generation"] == generation], generation


@pytest.mark.parametrize("mistake", ["unknown key", "not YAML", "file is gone", "bad value"])
def test_bad_file__old_configuration_stays_and_it_says_so(rig: Rig, mistake: str) -> None:
    istiod = rig.istiod()
    config = rig.terminate(istiod)
    gateway = rig.gateway(config)
    vms = rig.vms("--no-csr")
    istiod.await_synced(1)
    in_force = gateway.metric("xdsgate_config_last_reload_success_timestamp_seconds")

    if mistake == "unknown key":
        gateway.write({**config, "wrokers": 2})
    elif mistake == "not YAML":
        gateway.file.write_text("version: [1\n")
    elif mistake == "file is gone":
        gateway.file.unlink()
    else:
        gateway.write({**config, "drain_timeout": "soon"})
    gateway.reload(ok=False)

    gateway.await_log("the old configuration stays in force")
    line = gateway.await_log("configuration refused")
    assert str(gateway.file) in line["error"]
    if mistake == "unknown key":
        assert "wrokers" in line["error"]
    assert_untouched(vms)
    rig.vms("--no-csr", "--name-prefix", "late", "--ip-base", "10.99.2.1")
    istiod.await_synced(2)
    assert gateway.metric("xdsgate_config_last_reload_success_timestamp_seconds") == in_force


def test_address_taken_by_another__reload_refused_as_a_whole(rig: Rig) -> None:
    first, second = rig.upstream(), rig.upstream()
    gateway = rig.gateway(rig.passthrough(first.endpoint))
    config = rig.passthrough(second.endpoint)
    config["listeners"][0]["bind"] += [f"127.0.0.1:{free_port()}", second.endpoint]

    gateway.reload(config, ok=False)

    assert second.endpoint in gateway.await_log("configuration refused")["error"]
    rig.say_hello(None)
    assert first.accept()


def test_listeners__come_and_go(rig: Rig) -> None:
    upstream, extra = rig.upstream(), free_port()
    config = rig.passthrough(upstream.endpoint)
    gateway = rig.gateway(config)
    both = rig.passthrough(upstream.endpoint)
    both["listeners"][0]["bind"].append(f"127.0.0.1:{extra}")

    gateway.reload(both)
    s = rig.connect(port=extra)
    s.sendall(client_hello(None))
    istiod = upstream.accept()
    gateway.reload(config)

    with pytest.raises(ConnectionRefusedError):
        rig.connect(port=extra)
    istiod.sendall(b"x")  # what was accepted there goes on
    assert receive(s, 1) == b"x"
    rig.connect()


def test_upstream_moved__new_streams_go_there(rig: Rig) -> None:
    old, new = rig.istiod(), rig.istiod()
    gateway = rig.gateway(rig.terminate(old))
    vms = rig.vms("--no-csr")
    old.await_synced(1)

    gateway.reload(rig.terminate(new))
    rig.vms("--no-csr", "--name-prefix", "late", "--ip-base", "10.99.2.1")

    new.await_synced(1)
    assert_untouched(vms)
    vms.ask("restart", "all")
    new.await_synced(2)


def test_file_changed__read_without_a_signal(rig: Rig) -> None:
    first, second = rig.upstream(), rig.upstream()
    gateway = rig.gateway(rig.passthrough(first.endpoint))

    gateway.write(rig.passthrough(second.endpoint))

    gateway.await_metric('xdsgate_reloads_total{result="ok"}', 1)
    rig.say_hello(None)
    assert second.accept()


def test_certificate_replaced_on_disk__served_to_new_connections(rig: Rig) -> None:
    istiod = rig.istiod()
    root, root_key = istiod.dir / "root-cert.pem", istiod.dir / "root-key.pem"
    pair = issue(rig.folder, "serving", root, root_key)
    gateway = rig.gateway(rig.terminate(istiod, pair=pair))
    vms = rig.vms("--no-csr")
    istiod.await_synced(1)
    before = served_certificate(rig.port)
    expiry = gateway.metric('xdsgate_certificate_expiry_timestamp_seconds{listener="istiod"}')
    fresh = issue(rig.folder, "fresh", root, root_key, days=3)

    # First half of it: the key does not fit the old certificate.
    shutil.copy(fresh.private_key, pair.private_key)
    gateway.await_metric(FAILED, 1)
    assert served_certificate(rig.port) == before
    shutil.copy(fresh.certificate, pair.certificate)

    gateway.await_metric('xdsgate_reloads_total{result="ok"}', 1)
    until_equal(lambda: served_certificate(rig.port), pem_of(fresh.certificate), "served")
    assert gateway.metric(
        'xdsgate_certificate_expiry_timestamp_seconds{listener="istiod"}') > expiry
    assert_untouched(vms)


def pem_of(path: Path) -> str:
    return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(path.read_text()))


def test_client_roots_replaced__old_certificates_do_not_come_in_any_more(
        rig: Rig, other_root) -> None:
    istiod = rig.istiod()
    config = rig.terminate(istiod)
    roots = rig.folder / "client-roots.pem"
    shutil.copy(istiod.dir / "root-cert.pem", roots)
    config["listeners"][0]["tls"]["client_roots"] = [str(roots)]
    gateway = rig.gateway(config)
    vms = rig.vms("--verbose")  # says of each stream how it ended
    istiod.await_synced(1)

    shutil.copy(other_root[0], roots)
    gateway.await_metric('xdsgate_reloads_total{result="ok"}', 1)

    until(lambda: "not accepted any more" in vms.process.text(), "the VM is told why")
    gateway.await_at_least('xdsgate_handshakes_total{result="failed"}', 1)


def test_passthrough_from_an_address_that_istiod_trusts_now__ended(rig: Rig) -> None:
    istiod, upstream = rig.istiod(), rig.upstream()
    gateway = rig.gateway(rig.passthrough(upstream.endpoint, source_address=["127.0.0.2"]))
    vm = rig.say_hello(None)
    upstream.accept()

    gateway.reload(rig.terminate(istiod, source_address=["127.0.0.2"]))

    assert end_of_all(vm)
    gateway.await_metric('xdsgate_connections_ended_total{reason="reload"}', 1)


def end_of_all(s: socket.socket) -> bool:
    """Both ends of it are gone: nothing can be written any more either."""
    end_of(s)
    return True


def test_admin_addresses__follow_the_file(rig: Rig) -> None:
    upstream, port = rig.upstream(), free_port()
    config = rig.passthrough(upstream.endpoint)
    gateway: Gateway = rig.gateway(config)

    gateway.reload({**config, "metrics": {"bind": f"127.0.0.1:{port}"}})
    until(lambda: rig.connect(port=port), "the metrics address is served")
    gateway.reload(config)

    def refused() -> bool:
        try:
            connect(port).close()
        except ConnectionRefusedError:
            return True
        return False

    until(refused, "the metrics address is closed")


def test_log_level__follows_the_file(rig: Rig) -> None:
    config = rig.passthrough(rig.upstream().endpoint)
    gateway = rig.gateway(config)
    quiet = {**config, "log": {"format": "json", "level": "error"}}

    gateway.reload(quiet)
    gateway.reload(quiet)

    assert len([line for line in gateway.log() if line["msg"] == "reloading"]) == 1
