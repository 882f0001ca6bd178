# SPDX-License-Identifier: Apache-2.0
"""`xdsgate doctor` on a VM: each cause is made, and its sentence is read. Needs root."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rig.doctor import PATIENCE, SILENCE, Said, said_by, with_silence
from rig.gateway import BINARY
from rig.jwt import vm_token
from rig.pki import SERVER_NAME, issue
from rig.vm_image import GID, OLD_ENVOY, UID, VmImage
from rig.vm_side import ADDRESS, PORT, Mesh, loses_large_packets, tls


def on_vm(vm: VmImage, *options: str, patience: str = PATIENCE) -> Said:
    return said_by(vm.enter("xdsgate", "doctor", "-o", "json", "--timeout", patience, *options))


def test_vm__installed_by_the_script__only_the_agent_is_missing(
        vm: VmImage, mesh: Mesh, network: None, serve: Callable[..., None]) -> None:
    pair = mesh.pair()
    serve(lambda connection: tls(connection, pair))

    said = on_vm(vm)

    said.has("vm-agent", "Istio's agent does not run", "systemctl restart istio")
    assert said.ids() == {"vm-agent"}
    assert any("answers with a certificate that is believed" in text for text in said.looked_at)
    assert any("the way to the pods" in text for text in said.not_looked_at)


def test_vm__for_people__a_line_each_and_the_command_below(vm: VmImage) -> None:
    (vm.root / "run/secrets/tokens/istio-token").unlink()

    done = vm.enter("xdsgate", "doctor", "--no-network")

    assert done.returncode == 1
    assert done.stdout.startswith(
        "bad      vm-credentials: neither a token nor a certificate says who this VM is\n"
        "         -> xdsgate bundle renew makes a new token\n")
    assert "\nlooked at: the files of the bundle\n" in done.stdout


def test_machine_that_is_no_vm__usage(tmp_path: Path) -> None:
    done = subprocess.run([BINARY, "doctor", "--root", tmp_path], text=True, capture_output=True,
                          check=False)

    assert done.returncode == 2
    assert "this is no VM" in done.stderr


TOKEN = "run/secrets/tokens/istio-token"


def test_vm_token__expired__said(vm: VmImage) -> None:
    (vm.root / TOKEN).write_text(vm_token(time.time() - 7200))

    said = on_vm(vm, "--no-network")

    said.has("vm-token", "ran out 2 h ago", "bundle renew")
    said.has("vm-credentials", "neither a token nor a certificate", "bundle renew")


def test_vm_token__pasted_over_several_lines__said(vm: VmImage) -> None:
    text = (vm.root / TOKEN).read_text()
    (vm.root / TOKEN).write_text(text[:70] + "\n" + text[70:])

    said = on_vm(vm, "--no-network")

    said.has("vm-token", "was it pasted over several lines", "bundle renew")
    assert text[30:60] not in json.dumps(said.findings)


def test_vm_token__gone_with_a_reboot__warned_before(vm: VmImage) -> None:
    (vm.root / "etc/tmpfiles.d/xdsgate-bundle.conf").unlink()

    on_vm(vm, "--no-network").has("vm-token", "is gone after a reboot", level="warning")


def agent_certificate(vm: VmImage, mesh: Mesh, days: int, account: str = "web") -> None:
    pair = issue(mesh.folder, "agent", mesh.root, mesh.key, days=days,
                 names=f"URI:spiffe://cluster.local/ns/vms/sa/{account}")
    for source, name in [(pair.certificate, "cert-chain.pem"), (pair.private_key, "key.pem")]:
        shutil.copy(source, vm.root / "etc/certs" / name)
        (vm.root / "etc/certs" / name).chmod(0o600)
        shutil.chown(vm.root / "etc/certs" / name, UID, GID)


def test_vm_certificate__expired_as_the_token__nothing_says_who_it_is(vm: VmImage,
                                                                      mesh: Mesh) -> None:
    agent_certificate(vm, mesh, -1)
    (vm.root / TOKEN).write_text(vm_token(time.time() - 7200))

    said = on_vm(vm, "--no-network")

    said.has("vm-certificate", "expired", "bundle renew", "warning")
    said.has("vm-credentials", "neither a token nor a certificate")


def test_vm_certificate__of_another_account__said(vm: VmImage, mesh: Mesh) -> None:
    agent_certificate(vm, mesh, 1, "other")

    on_vm(vm, "--no-network").has("vm-certificate", "ns/vms/sa/other", "restart the agent")


def test_vm_key__of_another_certificate__said(vm: VmImage, mesh: Mesh) -> None:
    agent_certificate(vm, mesh, 1)
    shutil.copy(mesh.key, vm.root / "etc/certs/key.pem")
    shutil.chown(vm.root / "etc/certs/key.pem", UID, GID)

    on_vm(vm, "--no-network").has("vm-key", "is not the key of /etc/certs/cert-chain.pem")


def test_vm_root__missing__said(vm: VmImage) -> None:
    (vm.root / "etc/certs/root-cert.pem").unlink()

    on_vm(vm, "--no-network").has("vm-root", "is missing", "run the bundle's script again")


def test_vm_root__of_the_gateway_missing__said(vm: VmImage) -> None:
    root = "/var/lib/istio/envoy/gateway-root.pem"
    with open(vm.root / "var/lib/istio/envoy/cluster.env", "a", encoding="ascii") as env:
        env.write(f"XDS_ROOT_CA={root}\nCA_ROOT_CA={root}\n")

    on_vm(vm, "--no-network").has("vm-root", f"{root}: is missing", "run the bundle's script again")


def test_vm_hosts__no_line__said(vm: VmImage, network: None) -> None:
    (vm.root / "etc/hosts").write_text("127.0.0.1 localhost\n")

    said = on_vm(vm)

    said.has("vm-hosts", f"has no line for {SERVER_NAME}", level="warning")
    said.has("vm-name", f"{SERVER_NAME} is not known", "/etc/hosts")


def test_vm_cluster_env__says_another_cluster_than_mesh__said(vm: VmImage) -> None:
    (vm.root / "var/lib/istio/config/mesh").write_text(
        f"defaultConfig:\n  discoveryAddress: {SERVER_NAME}:{PORT}\n"
        "  proxyMetadata:\n    ISTIO_META_CLUSTER_ID: one\n")
    with (vm.root / "var/lib/istio/envoy/cluster.env").open("a") as file:
        file.write("ISTIO_META_CLUSTER_ID='two'\n")

    on_vm(vm, "--no-network").has("vm-cluster-env", "ISTIO_META_CLUSTER_ID is not what")


def test_vm_mesh__no_yaml__said(vm: VmImage) -> None:
    (vm.root / "var/lib/istio/config/mesh").write_text("defaultConfig: [\n")

    on_vm(vm, "--no-network").has("vm-mesh", "line 2", "bundle create")


def test_vm_certs_folder__not_the_agents__said(vm: VmImage) -> None:
    shutil.chown(vm.root / "etc/certs", 0, 0)

    on_vm(vm, "--no-network").has("vm-certs-folder", "cannot write its certificate there", "chown")


def test_vm_user__missing__said(vm: VmImage) -> None:
    (vm.root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")

    on_vm(vm, "--no-network").has("vm-user", "there is no such user", "sidecar package")


def test_vm_other__copy_of_the_token_for_all_to_read__said(vm: VmImage) -> None:
    (vm.root / "etc/tmpfiles.d/xdsgate-bundle.conf").chmod(0o666)

    on_vm(vm, "--no-network").has("vm-other", "others may write it", "chmod")


def test_vm_network__nobody_answers__said(vm: VmImage, network: None) -> None:
    on_vm(vm).has("vm-network", f"{ADDRESS}:{PORT} ({SERVER_NAME}): connection refused",
                  "is xdsgate running there")


def test_vm_network__not_root__not_tried_because_istio_redirects_it(
        vm: VmImage, network: None) -> None:
    said = said_by(vm.enter("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                            "xdsgate", "doctor", "-o", "json"))

    assert not said.ids() & {"vm-network", "vm-name", "vm-pods"}
    assert said.skips("the way to xdsgate and to the pods: run this as root")
    assert not said.looks("answers with a certificate")


def test_vm_network__certificate_of_another_name__said(vm: VmImage, mesh: Mesh, network: None,
                                                       serve: Callable[..., None]) -> None:
    pair = issue(mesh.folder, "canary", mesh.root, mesh.key,
                 names="DNS:istiod-canary.istio-system.svc")
    serve(lambda connection: tls(connection, pair))

    on_vm(vm).has("vm-network", "hostname mismatch", "xdsgate cert show")


def test_vm_mtu__large_packets_are_lost__said(vm: VmImage, mesh: Mesh, network: None,
                                              serve: Callable[..., None]) -> None:
    pair = mesh.pair()
    serve(lambda connection: loses_large_packets(connection, pair))

    said = with_silence(lambda patience: on_vm(vm, patience=patience),
                        lambda said: "vm-mtu" in said.ids())

    said.has("vm-mtu", "large packets to", "ip link set dev")


def test_vm_clock__token_is_from_tomorrow__said(vm: VmImage) -> None:
    made = int(time.time()) + 86400
    (vm.root / TOKEN).write_text(vm_token(made + 3600, iat=made))

    on_vm(vm, "--no-network").has("vm-clock", "s behind the one that made the token",
                                  "timedatectl")


def test_vm_clock__server_is_from_tomorrow__said(vm: VmImage, mesh: Mesh, network: None,
                                                 serve: Callable[..., None]) -> None:
    pair = mesh.from_tomorrow()
    serve(lambda connection: tls(connection, pair))

    on_vm(vm).has("vm-clock", "this machine's clock is behind", "timedatectl")


@pytest.mark.parametrize("address", ["169.254.7.7", "127.0.0.1", "fe80::1"])
def test_vm_address__that_nobody_reaches__said(vm: VmImage, address: str) -> None:
    (vm.root / "var/lib/istio/envoy/sidecar.env").write_text(f"ISTIO_SVC_IP={address}\n")

    on_vm(vm, "--no-network").has(
        "vm-address", f"/var/lib/istio/envoy/sidecar.env tells the mesh the address {address}",
        "set ISTIO_SVC_IP=ADDRESS in /var/lib/istio/envoy/sidecar.env; systemctl restart istio")


def test_vm_address__of_cluster_env__which_is_read_last__there(vm: VmImage) -> None:
    for name, address in [("cluster", "127.0.0.1"), ("sidecar", "192.0.2.7")]:
        with (vm.root / f"var/lib/istio/envoy/{name}.env").open("a") as file:
            file.write(f"ISTIO_SVC_IP={address}\n")

    on_vm(vm, "--no-network").has("vm-address", "cluster.env tells the mesh the address 127.0.0.1",
                                  "set ISTIO_SVC_IP=ADDRESS in /var/lib/istio/envoy/cluster.env;")


def test_vm_address__first_of_the_machine_is_link_local__said(vm: VmImage, network: None) -> None:
    for command in (["link", "add", "d0", "type", "veth", "peer", "name", "d1"],
                    ["addr", "add", "169.254.9.9/16", "dev", "d0"], ["link", "set", "d0", "up"]):
        subprocess.run(["ip", *command], check=True)

    on_vm(vm, "--no-network").has("vm-address", "tells the mesh the address 169.254.9.9")


def test_vm_address__of_another_machine__warned_but_not_behind_nat(vm: VmImage) -> None:
    env = vm.root / "var/lib/istio/envoy/cluster.env"
    with env.open("a") as file:
        file.write("ISTIO_SVC_IP='192.0.2.77'\n")
    on_vm(vm, "--no-network").has("vm-address-moved", "192.0.2.77, which is none of this machine",
                                  "ip -brief addr", "warning")

    with env.open("a") as file:
        file.write("REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION='true'\n")
    assert "vm-address-moved" not in on_vm(vm, "--no-network").ids()


def test_vm_folder__emptied_by_a_reboot__said(vm: VmImage) -> None:
    shutil.rmtree(vm.root / "run/secrets")

    said = on_vm(vm, "--no-network")

    row = said.has("vm-folder", "/var/run/secrets is not there", "sh SCRIPT")
    assert row["command"].endswith("xdsgate bundle create --format script makes one")
    said.has("vm-folder", "/var/run/secrets/tokens is not there")


def test_vm_folder__of_the_token_of_a_vm_with_a_certificate__is_not_missed(vm: VmImage,
                                                                           mesh: Mesh) -> None:
    agent_certificate(vm, mesh, 1)
    shutil.rmtree(vm.root / "run/secrets/tokens")

    assert on_vm(vm, "--no-network").ids() == {"vm-agent"}


# ---- an image ----

def on_image(vm: VmImage) -> Said:
    return said_by(subprocess.run([BINARY, "doctor", "-o", "json", "--root", vm.root], text=True,
                                  capture_output=True, timeout=60, check=False))


def test_image__well__nothing_of_this_machine_is_looked_at(
        vm: VmImage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(vm.root / "var/lib/istio/proxy")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind("XDS")

    said = on_image(vm)

    assert said.findings == []
    assert said.skips("processes, sockets and the network: --root is an image")


def test_image__links_that_are_usual__lead_into_it(vm: VmImage) -> None:
    (vm.root / TOKEN).write_text(vm_token(time.time() - 7200))
    (vm.root / "var/lib/istio/config/mesh").write_text("defaultConfig: [\n")
    shutil.rmtree(vm.root / "var/lib/istio/proxy")

    said = on_image(vm)

    said.has("vm-token", "ran out 2 h ago")
    said.has("vm-mesh", "line 2")
    said.has("vm-folder", "/etc/istio/proxy is not there")
    assert not said.looks("/var/run/secrets")


def test_image__empty_run__a_boot_fills_it(vm: VmImage, mesh: Mesh) -> None:
    agent_certificate(vm, mesh, 1)
    shutil.rmtree(vm.root / "run/secrets")

    assert on_image(vm).findings == []


def test_image__without_the_user__said(vm: VmImage) -> None:
    (vm.root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")

    on_image(vm).has("vm-user", "there is no such user")


def test_vm_socket__left_by_an_older_agent__said_and_one_in_use_not(
        vm: VmImage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(vm.root / "var/lib/istio/proxy")  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as stale, socket.socket(socket.AF_UNIX) as odd, \
            socket.socket(socket.AF_UNIX) as used:
        stale.bind("XDS")
        odd.bind("a;b")
        used.bind("SDS")
        used.listen()
        stale.close()
        said = on_vm(vm, "--no-network")

    said.has("vm-socket", "/etc/istio/proxy/XDS", "rm /etc/istio/proxy/XDS;", "warning")
    said.has("vm-socket", "/etc/istio/proxy/a;b", "rm '/etc/istio/proxy/a;b';", "warning")
    assert "proxy/SDS" not in json.dumps(said.findings)


LOOK = OLD_ENVOY + "xdsgate doctor --no-network -o json || [ $? = 1 ]\n"


def test_vm_envoy__whose_agent_is_gone__said_and_no_other(vm: VmImage) -> None:
    done = vm.enter("sh", "-c", LOOK)

    answer = json.loads(done.stdout)
    [row] = answer["findings"]
    said = Said(1, answer["findings"], [], [])
    said.has("vm-envoy", "an Envoy whose agent has ended", f"kill {row['text'].split()[1][:-1]}")


def test_vm_port__taken_by_another_program__said(vm: VmImage, network: None) -> None:
    with socket.create_server(("127.0.0.1", 15021)):
        said = on_vm(vm, "--no-network")

    said.has("vm-port", "listens on port 15021, which Istio's Envoy needs", "ss -ltnp")


IPTABLES = """#!/bin/sh
[ $# = 0 ] || exit 9
cat <<'END'
*raw
:ISTIO_OUTPUT - [0:0]
COMMIT
*nat
:DOCKER - [0:0]
:ISTIO_REDIRECT - [0:0]
-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
COMMIT
END
"""


@pytest.mark.parametrize(("kind", "text"), [
    ("iptables", IPTABLES), ("iptables-legacy", IPTABLES), ("ip6tables", IPTABLES)])
def test_vm_iptables__left_without_an_agent__said(vm: VmImage, kind: str, text: str) -> None:
    for name in ["iptables", "iptables-legacy", "iptables-nft", "ip6tables"]:
        vm.program(f"{name}-save", text if name == kind else "#!/bin/sh\n")

    said = on_vm(vm, "--no-network")

    said.has("vm-iptables", "no agent runs, and chain ISTIO_REDIRECT of table nat is left",
             f"{kind}-save | grep -v ISTIO_ | {kind}-restore")
    assert said.ids() == {"vm-agent", "vm-iptables"}


def test_vm_iptables__those_of_nft__said(vm: VmImage) -> None:
    vm.program("nft", "#!/bin/sh\n[ \"$*\" = 'list ruleset' ] || exit 9\n"
               "echo 'table ip nat {'\necho '\tchain ISTIO_INBOUND {'\n")

    on_vm(vm, "--no-network").has("vm-iptables", "chain ISTIO_INBOUND of table nat",
                                  "nft -a list ruleset")


def test_vm_iptables__of_others__nothing_found(vm: VmImage) -> None:
    vm.program("iptables-save", "#!/bin/sh\necho '*nat'\necho ':DOCKER - [0:0]'\n")

    said = on_vm(vm, "--no-network")

    assert said.ids() == {"vm-agent"}
    assert said.looks("whether Istio's iptables rules are left")


@pytest.mark.parametrize("program", ["echo '*nat'; echo ':ISTIO_X - [0:0]'; exit 4",
                                     "echo '*nat'; exec sleep 600"])
def test_vm_iptables__that_cannot_be_had__said(vm: VmImage, program: str) -> None:
    vm.program("iptables-save", f"#!/bin/sh\n{program}\n")

    said = on_vm(vm, "--no-network", patience=SILENCE)

    assert said.ids() == {"vm-agent"}
    assert said.skips("iptables rules that are left: iptables-save does not print them")


def on_vm_with_sbin(vm: VmImage, sbin: str, path: str) -> Said:
    """That folder is /usr/sbin, and path is PATH."""
    return said_by(vm.enter(
        "sh", "-c", f"mount --bind {sbin} /usr/sbin\nPATH={path} exec /usr/local/bin/xdsgate doctor "
        "-o json --no-network"))


def test_vm_iptables__path_without_sbin__found_there(vm: VmImage) -> None:
    vm.program("iptables-save", IPTABLES)

    said = on_vm_with_sbin(vm, "/usr/local/bin", "/usr/bin")

    said.has("vm-iptables", "chain ISTIO_REDIRECT of table nat is left")


def test_vm_iptables__nothing_that_prints_them__said_once(vm: VmImage) -> None:
    said = on_vm_with_sbin(vm, "/tmp", "/nowhere")

    assert said.ids() == {"vm-agent"}
    assert [text for text in said.not_looked_at if "iptables" in text] == [
        "iptables rules that are left: neither iptables-save nor nft is installed"]


def test_vm_iptables__with_an_agent__are_not_left(vm: VmImage) -> None:
    vm.program("iptables-save", IPTABLES)

    answer = json.loads(vm.enter("sh", "-c", LOOK).stdout)

    assert {row["id"] for row in answer["findings"]} == {"vm-envoy"}


class Envoy:
    """An admin page that says where the pods are, chunk by chunk."""

    def __init__(self, clusters: str) -> None:
        page = clusters.encode()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                assert self.path == "/clusters"
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for at in range(0, len(page), 7):
                    part = page[at:at + 7]
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 15000), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def envoy(network: None) -> Iterator[Callable[[str], None]]:
    running: list[Envoy] = []
    yield lambda clusters: running.append(Envoy(clusters))
    for one in running:
        one.stop()


def test_vm_pods__no_route__said(vm: VmImage, envoy: Callable[[str], None]) -> None:
    envoy("outbound|80||web.shop.svc.cluster.local::10.44.0.7:8080::cx_active::0\n"
          "outbound|80||web.shop.svc.cluster.local::10.44.0.7:8080::rq_total::0\n"
          "outbound|80||db.shop.svc.cluster.local::[fd44::7]:8080::health_flags::healthy\n"
          "inbound|8080||::127.0.0.1:8080::cx_active::0\n")

    on_vm(vm).has("vm-pods", "none of 2 addresses that Envoy sends requests to can be reached, the "
                  "last one fd44::7: no route to the peer", "ip route get fd44::7")


def test_vm_pods__one_refuses__there_is_a_way(vm: VmImage, envoy: Callable[[str], None]) -> None:
    envoy(f"outbound|80||web.shop.svc.cluster.local::10.44.0.7:8080::cx_active::0\n"
          f"outbound|80||db.shop.svc.cluster.local::{ADDRESS}:8080::cx_active::0\n")

    said = on_vm(vm)

    assert "vm-pods" not in said.ids()
    assert f"the way to {ADDRESS}, where Envoy sends requests" in said.looked_at
