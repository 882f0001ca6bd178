# SPDX-License-Identifier: Apache-2.0
"""`xdsgate doctor` on a gateway, and before there is one: each cause is made, and its sentence is
read. Addresses are those of a network of the test's own, because istiod trusts loopback. Needs
root."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
from pathlib import Path

import pytest
import yaml

from rig.doctor import (CAUSES, ISTIO, RBAC, SILENCE, SYSTEM, Said, binding, doctor, entry, group,
                        said_by)
from rig.gateway import BINARY, ROOT
from rig.pki import SERVER_NAME, issue
from rig.site import EDGE, ISTIOD, OTHER, PORT, TRUSTED, Site


# ---- the table ----

def test_causes__each__is_made_by_a_test_and_has_its_row_in_the_manual() -> None:
    tests = [path.read_text() for path in [*Path(__file__).parent.glob("test_doctor*.py"),
                                           *(ROOT / "integration/mesh/scenarios").glob("*.py")]]
    manual = (ROOT / "docs/doctor.md").read_text()

    assert len(CAUSES) >= 60
    for cause in CAUSES:
        assert any(re.search(rf'\.has\(\s*"{cause}"', text) for text in tests), f"no test: {cause}"
        assert re.search(rf"^\|.*`{cause}`.*\|.+\|$", manual, re.M), f"no row: {cause}"


def grpc(status: int, text: str = "") -> dict[str, str]:
    return {":status": "200", "content-type": "application/grpc", "grpc-status": str(status),
            "grpc-message": text}


# ---- the command ----

def test_doctor__all_is_well__exit_0_and_what_was_looked_at(site: Site) -> None:
    site.istiod(f"{TRUSTED}/32")

    said = site.doctor()

    assert said.findings == []
    assert said.code == 0
    assert said.looks(f"upstream istiod: it believes x-forwarded-client-cert from {TRUSTED}")
    assert said.looks(f"upstream raw: it does not believe x-forwarded-client-cert from {OTHER}")
    assert said.looks("the certificates of listener istiod")
    assert said.skips("--kubeconfig names somebody who may read them")
    assert site.rig.istiods[-1].status()["vms"] == []


def test_doctor__for_people__nothing_found(site: Site) -> None:
    site.istiod(f"{TRUSTED}/32")
    site.file.write_text(yaml.safe_dump(site.config))

    done = subprocess.run([BINARY, "doctor", "--config", site.file], text=True, check=False,
                          capture_output=True)

    assert done.returncode == 0
    assert done.stdout.endswith("\nnothing found\n")


@pytest.mark.parametrize(("options", "text"), [
    (["web"], "which namespace"),
    (["web."], "which namespace"),
    (["web-10.0.0.7"], "which namespace? Say web-10.0.0.7.NAMESPACE, or -n NAMESPACE"),
    (["--vm", "--before"], "--vm is about this machine"),
    (["--endpoints", "a:1"], "--endpoints goes with --before"),
    (["--before", "--endpoints", "a"], "'a' is no HOST:PORT"),
    (["--before", "--endpoints", "::1:80"], "'::1:80' is no HOST:PORT"),
    (["--before", "--endpoints", "a:99999"], "is no HOST:PORT"),
    (["--before", "--endpoints", "a:1", "--source", "x"], "'x' is no IP address"),
    (["--before", "--endpoints", "a:1", "--roots", "/nowhere"], "--roots: /nowhere"),
    (["--before", "--source", "10.0.0.1"], "go with --endpoints"),
    (["--before", "--server-name", "a"], "go with --endpoints"),
    (["--config", "/nowhere", "--roots", "/nowhere"], "go with --endpoints"),
    (["--before", "--timeout", "0"], "is out of range: 1 to 300 seconds"),
    (["--config", "/nowhere", "--kubeconfig", "/nowhere"], "/nowhere"),
])
def test_doctor__usage(options: list[str], text: str) -> None:
    done = subprocess.run([BINARY, "doctor", *options], text=True, capture_output=True, check=False)

    assert done.returncode == 2
    assert text in done.stderr + done.stdout


# ---- the configuration, and this machine ----

def test_configuration__refused__said(site: Site) -> None:
    site.config["listeners"][0]["routes"][0]["upstream"] = "nobody"

    said = site.doctor()

    said.has("configuration", "nobody", f"xdsgate check --config {site.file}")
    assert said.code == 2


def test_source__not_of_this_machine__said(site: Site) -> None:
    site.istiod(f"{TRUSTED}/32")
    site.upstream()["source_address"] = ["10.77.9.9"]

    said = site.doctor()

    said.has("source-not-local", "upstream istiod is to leave from 10.77.9.9", "ip addr add")
    assert said.skips("10.77.9.9 is no address of this machine")


def test_bind__not_of_this_machine__said(site: Site) -> None:
    site.config["listeners"][0]["bind"] = [f"10.77.9.9:{PORT}"]

    site.doctor("--no-network").has("bind-not-local", "10.77.9.9, which is no address", "ip addr")


def test_port__of_another_program__said(site: Site) -> None:
    with socket.create_server((EDGE, PORT)):
        said = site.doctor("--no-network")

    said.has("port-in-use", f"listener istiod cannot listen on {EDGE}:{PORT}: ",
             f"ss -ltnp 'sport = :{PORT}'")


@pytest.mark.parametrize("key", ["admin", "metrics"])
def test_port__of_a_page__taken_or_of_another_machine__said(site: Site, key: str) -> None:
    site.config[key] = {"bind": "127.0.0.1:15095"}
    with socket.create_server(("127.0.0.1", 15095)):
        said = site.doctor("--no-network")
    said.has("port-in-use", f"`{key}` cannot listen on 127.0.0.1:15095: ")

    site.config[key] = {"bind": "10.77.9.9:15095", **({"allow_remote": True} if key == "admin"
                                                      else {})}
    site.doctor("--no-network").has("bind-not-local", f"`{key}` is to listen on 10.77.9.9")


def test_port__of_systemd__is_none_of_ours(site: Site) -> None:
    code = (f"import socket; s = socket.create_server(('{EDGE}', {PORT})); "
            "open('/proc/self/comm', 'w').write('systemd'); print('here', flush=True); input()")
    with subprocess.Popen(["/usr/bin/python3", "-c", code], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "here\n"
        said = site.doctor("--no-network")
        process.communicate("\n")

    said.has("port-in-use", f"{EDGE}:{PORT}: systemd (process {process.pid}) has that port")


def test_port__of_xdsgate__fine(site: Site) -> None:
    site.istiod(f"{TRUSTED}/32")
    config = {key: value for key, value in site.config.items() if key != "version"}
    site.rig.gateway(config)

    said = site.doctor()

    assert said.findings == []


def test_serving__not_for_the_name_of_a_route__said(site: Site) -> None:
    names = ["istiod-canary.istio-system.svc", "istiod-old.istio-system.svc"]
    site.config["listeners"][0]["routes"][0]["sni"] = [*names, SERVER_NAME, "*.svc"]

    said = site.doctor("--no-network")

    for name in names:
        row = said.has("serving-name", f"asked for {name}",
                       "# and add it to `certificates` of listener istiod")
        assert f"--names-only --name {names[0]} --name {names[1]} --output DIR" in row["command"]
        assert "--force" not in row["command"]
    assert len(said.findings) == 2


def test_serving__not_for_two_names__the_command_makes_one_for_both(site: Site) -> None:
    names = ["istiod-canary.istio-system.svc", "istiod-old.istio-system.svc"]
    site.config["listeners"][0]["routes"][0]["sni"] = [*names, SERVER_NAME]
    row = site.doctor("--no-network").has("serving-name", names[0])
    command = row["command"].replace("--from-cluster", (
        f"--ca-cert {site.root} --ca-key {site.home / 'root-key.pem'}"))
    words = shlex.split(command.replace("DIR", str(site.home / "second")), comments=True)

    subprocess.run([BINARY, *words[1:]], check=True, capture_output=True)

    site.config["listeners"][0]["tls"]["certificates"].append(
        {"certificate": str(site.home / "second/tls.crt"),
         "private_key": str(site.home / "second/tls.key")})
    assert site.doctor("--no-network").findings == []


def test_serving__any_name__istiods_usual_one_counts(site: Site) -> None:
    del site.config["upstreams"][1], site.config["listeners"][0]["routes"][1]
    site.config["listeners"][0]["routes"][0]["sni"] = ["*"]
    site.serve_with(site.pair("private", names="DNS:gate.example.com,DNS:*.istio-system.svc"))
    assert site.doctor("--no-network").findings[0]["id"] == "serving-ends"

    site.serve_with(site.pair("private", names="DNS:gate.example.com"))
    site.doctor("--no-network").has("serving-name", SERVER_NAME)


def test_serving__by_another_root__warned(site: Site, other_root: tuple[Path, Path]) -> None:
    site.serve_with(issue(site.home, "other", *other_root, days=90))

    said = site.doctor("--no-network")

    said.has("serving-root", f"{site.root} does not vouch for {site.home}/other.crt",
             f"xdsgate cert show {site.home}/other.crt", "warning")


def test_serving__near_its_end__warned(site: Site) -> None:
    site.serve_with(site.pair("short", days=9))

    row = site.doctor("--no-network").has("serving-ends", f"{site.home}/short.crt of listener "
                                          "istiod expires in ", f"--renew --output {site.home}",
                                          "warning")
    assert re.search("in [89] days$", row["text"])


def test_roots__near_their_end__warned(site: Site, other_root: tuple[Path, Path]) -> None:
    site.upstream()["tls"]["roots"] = [str(other_root[0])]

    site.doctor("--no-network").has("roots-end", "the roots of upstream istiod expire in 2",
                                    "xdsgate cert show --config", "warning")


# ---- istiod, from here ----

def test_upstream__unknown_name__said(site: Site) -> None:
    site.upstream()["endpoints"] = ["istiod.invalid:15012"]

    site.doctor().has("upstream-name", "istiod.invalid, an endpoint of upstream istiod, is not "
                      "known", "getent ahosts istiod.invalid")


def test_upstream__nobody_there__said(site: Site) -> None:
    said = site.doctor()

    said.has("upstream-unreachable", f"upstream istiod cannot be reached at {ISTIOD}:{PORT}: "
             "connection refused", "kubectl")
    said.has("upstream-unreachable", "upstream raw")


def test_upstream__discovered__is_said_to_be_left_out(site: Site) -> None:
    site.token()
    del site.upstream()["endpoints"]
    site.upstream()["discovery"] = {"kubernetes": {}}

    said = site.doctor()

    assert said.findings == []
    assert said.skips("upstream istiod from here: the daemon discovers its endpoints")


@pytest.mark.parametrize("wrong", ["name", "root"])
def test_upstream__another_name_or_root__said(site: Site, wrong: str,
                                              other_root: tuple[Path, Path]) -> None:
    site.istiod(f"{TRUSTED}/32")
    if wrong == "name":
        site.upstream()["tls"]["server_name"] = "istiod-canary.istio-system.svc"
    else:
        site.upstream()["tls"]["roots"] = [str(other_root[0])]

    said = site.doctor()

    said.has("upstream-certificate", f"upstream istiod at {ISTIOD}:{PORT} is not believed to be",
             "openssl s_client")
    assert said.skips("upstream raw at")


def test_upstream__other_protocol__said(site: Site) -> None:
    site.fake(None, alpn="http/1.1")

    site.doctor().has("upstream-tls", "it does not speak HTTP/2", "openssl s_client")


@pytest.mark.parametrize(("fields", "text"), [
    ({":status": "404"}, "it does not answer as gRPC does"),
    (grpc(12, "unknown service"), "unknown service"),
])
def test_upstream__no_ads_there__said(site: Site, fields: dict[str, str], text: str) -> None:
    site.fake(fields)

    site.doctor().has("upstream-not-istiod", text)


@pytest.mark.parametrize("status", [8, 14])
def test_upstream__not_ready_or_overloaded__warned(site: Site, status: int) -> None:
    site.fake(grpc(status, "not now"))

    site.doctor().has("upstream-busy", "takes no streams now: not now", "get pods", "warning")


def test_upstream__says_nothing__warned(site: Site) -> None:
    site.fake(None)

    site.doctor(patience=SILENCE).has(
        "upstream-silent", "does TLS and does not answer then: no answer in time", level="warning")


def test_upstream__one_of_many__is_looked_at(site: Site) -> None:
    site.istiod(f"{TRUSTED}/32")
    site.config["upstreams"] += [
        {"name": f"more{i}", "endpoints": [f"{ISTIOD}:{PORT + 1}"]} for i in range(70)]

    site.doctor().has("upstream-unreachable", "more69")


@pytest.mark.parametrize(("how", "text"), [("reset", "it reset the stream"),
                                           ("hang up", "it closed the connection")])
def test_upstream__ends_the_stream_or_the_connection__said_which(site: Site, how: str,
                                                                 text: str) -> None:
    site.fake(how)

    site.doctor().has("upstream-silent", f"does TLS and does not answer then: {text}",
                      level="warning")


def test_upstream__authenticates_nobody__said(site: Site) -> None:
    site.fake(grpc(7))

    said = site.doctor()

    said.has("xds-open", "lets in who shows neither a token nor a certificate", "XDS_AUTH-")
    assert "xfcc-believed" not in said.ids()


def test_upstream__demands_a_certificate__said(site: Site) -> None:
    site.fake(grpc(7), client_root=site.root)

    site.doctor().has("upstream-wants-certificate", "would become the identity of every VM")


def test_upstream__of_another_revision_and_cluster__the_commands_are_for_those(site: Site) -> None:
    config = site.cluster().kubeconfig("an admin's")

    said = site.doctor("--kubeconfig", config, "--context", "here", "-i", "mesh", "-r", "canary")

    row = said.has("upstream-unreachable", "upstream istiod")
    quoted = str(config).replace("'", "'\\''")
    assert row["command"] == (f"kubectl --kubeconfig '{quoted}' --context here -n mesh get "
                              "services,endpointslices")
    assert shlex.split(row["command"])[2] == str(config)


def test_xds_open__of_another_revision__the_command_is_for_that(site: Site) -> None:
    site.fake(grpc(7))

    site.doctor("-i", "mesh", "-r", "canary").has(
        "xds-open", "lets in", "kubectl -n mesh set env deployment/istiod-canary XDS_AUTH-")


def test_xfcc__not_trusted__said_with_the_setting(site: Site) -> None:
    site.istiod()

    said = site.doctor()

    row = said.has("xfcc-not-trusted", f"does not believe x-forwarded-client-cert from {TRUSTED}",
                   "kubectl -n istio-system edit deployment/istiod")
    assert shlex.split(row["command"], comments=True)[-1] == "deployment/istiod"
    assert f"# add {TRUSTED}/32 to TRUSTED_GATEWAY_CIDR" in row["command"]
    assert "xfcc-believed" not in said.ids()


def test_xfcc__believed_from_where_vms_leave__said(site: Site) -> None:
    site.istiod("10.77.0.0/24")

    said = site.doctor()

    said.has("xfcc-believed", f"from {OTHER}, from which upstream raw passes on what VMs write",
             f"instead of what covers {OTHER}, name each gateway (this one: {TRUSTED}/32)")
    assert said.ids() == {"xfcc-believed"}


def test_xfcc__family_without_a_source__is_not_connected_to_as_the_daemon_does_not(
        site: Site) -> None:
    site.istiod(f"{TRUSTED}/32")
    subprocess.run(["ip", "addr", "add", "fd00:77::1/128", "dev", "lo"], check=True)
    hosts = site.home / "hosts"
    hosts.write_text(f"{ISTIOD} istiod.example\nfd00:77::1 istiod.example\n")
    for i in (0, 1):
        site.upstream(i)["endpoints"] = [f"istiod.example:{PORT}"]
    site.file.write_text(yaml.safe_dump(site.config))

    said = said_by(subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c",
         'mount --bind "$0" /etc/hosts && exec "$@"', hosts, BINARY, "doctor", "-o", "json",
         "--config", site.file], text=True, capture_output=True, timeout=60, check=False))

    assert said.findings == []
    for name in ("istiod", "raw"):
        assert said.skips(f"upstream {name} at [fd00:77::1]:{PORT}: the daemon does not connect "
                          "there: `source_address` has no IPv6 address")
        assert said.looks(f"istiod at {ISTIOD}:{PORT}, upstream {name}")


def test_xfcc__passthrough_to_something_else__only_noted(site: Site) -> None:
    site.istiod(f"{TRUSTED}/32")
    with socket.create_server((ISTIOD, 15443)):
        site.upstream(1)["endpoints"] = [f"{ISTIOD}:15443"]
        said = site.doctor()

    assert said.findings == []
    assert said.skips(f"upstream raw at {ISTIOD}:15443: it is no istiod that is believed here")


# ---- the cluster ----

def test_token__all_is_well__nothing_found(site: Site) -> None:
    site.token()
    site.istiod()

    said = site.doctor("--kubeconfig", site.cluster().kubeconfig("admin"))

    assert said.findings == []
    assert said.looks("a token of service account vm in namespace vms")
    assert said.looks("the clock, by that of the Kubernetes API server")
    assert said.looks("docker.io/istio/pilot:1.31.0")
    assert said.not_looked_at == []


def test_kubernetes__away__said_and_exit_3(site: Site) -> None:
    site.token().cluster().stop()

    said = site.doctor("--no-network")

    said.has("kubernetes-unreachable", "not reachable",
             f"kubectl --kubeconfig {site.cluster().kubeconfig()} get --raw /readyz")
    assert said.code == 3


def test_kubernetes__of_the_daemon_away__the_other_one_is_asked_all_the_same(
        site: Site) -> None:
    other = site.token().other_cluster()
    away = other.kubeconfig("away")
    other.stop()
    site.config["kubernetes"] = {"kubeconfig": str(away), "context": "here"}

    said = site.look()

    said.has("kubernetes-unreachable", "not reachable",
             f"kubectl --kubeconfig '{away}' --context here get --raw /readyz")
    assert said.code == 3
    assert said.skips(f"tokens: the API server of {away} did not answer before")
    assert said.looks("the WorkloadEntries of namespace vms")


def test_kubernetes__credentials_refused__said(site: Site) -> None:
    site.token()
    site.config["kubernetes"] = {"kubeconfig": str(
        site.cluster().kubeconfig("stale", "Bearer gone"))}

    said = site.doctor("--no-network")

    said.has("kubernetes-refuses", "401", "auth whoami")
    assert "gone" not in str(said.findings)


@pytest.mark.parametrize("name", [[], ["web.vms"]])
def test_kubernetes__that_knows_nothing_of_istio__said(site: Site, name: list[str]) -> None:
    for path in [f"{ISTIO}/workloadgroups", f"{ISTIO}/workloadentries"]:
        del site.cluster().lists[path]

    said = site.look(*name)

    said.has("kubernetes-no-istio", "knows no workloadgroups.networking.istio.io: is it the right "
             "cluster?", "config get-contexts")
    assert said.ids() == {"kubernetes-no-istio"}


def test_kubernetes__answer_that_is_too_large__the_others_are_looked_at(site: Site) -> None:
    site.cluster().lists[f"{ISTIO}/workloadgroups"] = [
        group("web", "vm", padding="x" * 5_000_000)]

    said = site.look()

    said.has("kubernetes-unreachable", "bad answer", "get --raw /readyz")
    assert said.code == 3
    assert said.looks("the WorkloadEntries of namespace vms")


@pytest.mark.parametrize(("ahead", "text"), [(-7300, "2 h ahead of"), (600, "9 min behind")])
def test_clock__not_that_of_the_api_server__said(site: Site, ahead: int, text: str) -> None:
    site.token().cluster().ahead_s = ahead

    site.doctor("--no-network").has("clock", f"{text} that of the Kubernetes API server",
                                    "timedatectl")


def test_account__missing__said(site: Site) -> None:
    site.token().cluster().accounts.clear()

    site.doctor("--no-network").has("account-missing", "no service account vm in namespace vms",
                                    "kubectl -n vms create serviceaccount vm")


def test_token__forbidden__said(site: Site) -> None:
    site.token().cluster().forbidden.add("vms/vm")

    site.doctor("--no-network").has("token-forbidden", "vm in namespace vms", "--resource-name=vm")


def test_token__of_another_cluster_than_that_looked_at__the_command_is_for_that(
        site: Site) -> None:
    other = site.token().other_cluster()
    other.accounts.clear()
    site.config["kubernetes"] = {"kubeconfig": str(other.kubeconfig())}

    said = site.look()

    assert said.looks("the WorkloadEntries of namespace vms")
    said.has("account-missing", "no service account vm in namespace vms",
             f"kubectl --kubeconfig '{other.kubeconfig()}' -n vms create serviceaccount vm")


def test_token__refused_otherwise__said(site: Site) -> None:
    site.token().cluster().fail(422, "Invalid")

    site.doctor("--no-network").has("token-failed", "422", "kubectl -n vms create token vm")


def test_token__of_any_account__warned(site: Site) -> None:
    site.token().cluster().may_make_all = True

    site.doctor("--no-network").has("token-too-wide", "every service account of namespace vms",
                                    level="warning")


@pytest.mark.parametrize("where", ["rolebindings", "clusterrolebindings"])
def test_account__with_rights_of_its_own__warned(site: Site, where: str) -> None:
    site.token().cluster().lists[f"{RBAC}/{where}"] = [binding("other", "else"),
                                                       binding("reader", ns="shop")]

    said = site.look()

    said.has("account-has-rights", "service account vm of namespace vms has rights of its own by",
             "--as system:serviceaccount:vms:vm", "warning")
    assert len(said.findings) == 1
    assert "Binding reader" in said.findings[0]["text"]


def test_account__pattern__is_said_to_be_left_out(site: Site) -> None:
    site.token()
    site.config["listeners"][0]["vm_identities"] = ["ns/vms/sa/*", "ns/*/sa/web"]

    said = site.doctor("--no-network")

    assert said.skips("tokens of the service accounts of namespace vms: it is a pattern")
    assert said.skips("ns/*/sa/web: it names no namespace")


def test_accounts__very_many__what_is_left_out_is_said(site: Site) -> None:
    site.token().cluster().accounts |= {f"vms/a{i}" for i in range(70)}
    identities = [f"ns/vms/sa/a{i}" for i in range(70)]
    site.config["listeners"][0]["vm_identities"] = identities

    said = site.doctor("--no-network")

    assert said.looks("a token of service account a63 in namespace vms")
    assert said.skips("service accounts of `vm_identities`: more than the first 64")


def test_group__of_no_such_account__warned(site: Site) -> None:
    site.cluster().lists[f"{ISTIO}/workloadgroups"] = [group("web", "other")]

    site.look().has("group-missing", "no WorkloadGroup of namespace vms has service account vm",
                    "get workloadgroups", "warning")


def test_group__impatient_probe__warned(site: Site) -> None:
    probe = {"httpGet": {"port": 80}}
    site.cluster().lists[f"{ISTIO}/workloadgroups"] = [
        group("web", "vm", probe=probe), group("db", "vm", probe={**probe, "failureThreshold": 3})]

    said = site.look()

    row = said.has("probe-impatient", "WorkloadGroup web of namespace vms",
                   "patch workloadgroup web", "warning")
    assert "xdsgate bundle create web -n vms, and install it" in row["command"]
    assert len(said.findings) == 1


def test_group__of_the_example__has_a_patient_probe(site: Site) -> None:
    rows = list(yaml.safe_load_all((ROOT / "deploy/first-vm.yaml").read_text()))
    groups = [row for row in rows if row["kind"] == "WorkloadGroup"]
    site.config["listeners"][0]["vm_identities"] = ["ns/vms/sa/web"]
    site.cluster().lists[f"{ISTIO}/workloadgroups"] = groups

    assert groups and site.look().findings == []


def test_cluster_id__not_the_meshs__said(site: Site) -> None:
    site.token().config["kubernetes"]["cluster_id"] = "one"
    site.cluster().config_map("istio-sidecar-injector", "values",
                              '{"global": {"multiCluster": {"clusterName": "two"}}}')
    site.look().has("cluster-id", "cluster_id is one, but the mesh calls its cluster two",
                    f"`cluster_id: two` under `kubernetes:` in {site.file}")

    site.config["kubernetes"]["cluster_id"] = "two"
    assert site.look().findings == []


def test_cluster_id__tokens_of_another_cluster_than_that_looked_at__not_compared(
        site: Site) -> None:
    other = site.token().other_cluster()
    site.config["kubernetes"] = {"kubeconfig": str(other.kubeconfig()), "cluster_id": "remote"}
    site.cluster().config_map("istio-sidecar-injector", "values",
                              '{"global": {"multiCluster": {"clusterName": "primary"}}}')

    said = site.look()

    assert said.findings == []
    assert said.skips("cluster_id: ")


def test_roots__of_the_mesh_not_known_to_a_listener__said(site: Site,
                                                          other_root: tuple[Path, Path]) -> None:
    both = site.root.read_text() + other_root[0].read_text()
    site.cluster().config_map("istio-ca-root-cert", "root-cert.pem", both)

    said = site.look()

    said.has("roots-old", "listener istiod does not know the mesh's root O=other",
             "istio-ca-root-cert")
    assert len(said.findings) == 1


def test_cluster__may_not_be_read__noted_and_nothing_found(site: Site) -> None:
    site.cluster().fail(403, "Forbidden")

    said = site.look()

    assert said.findings == []
    assert said.skips("workloadgroups of namespace vms: ")
    assert said.skips("--kubeconfig names somebody who has")


# ---- VMs, as the cluster knows them ----

def entries(site: Site, *rows: dict) -> None:
    site.cluster().lists[f"{ISTIO}/workloadentries"] = list(rows)


def test_entries__one_address_twice__said(site: Site) -> None:
    entries(site, entry("web-1", "10.0.0.7"), entry("web-2", "10.0.0.8"),
            entry("db-1", "10.0.0.7"), entry("far-1", "10.0.0.7", network="far"))

    said = site.look()

    said.has("entry-duplicate", "WorkloadEntries web-1 and db-1 of namespace vms have the same "
             "address 10.0.0.7", "get workloadentries web-1 db-1")
    assert len(said.findings) == 1


def test_entries__very_many__looked_at_page_by_page(site: Site) -> None:
    annotations = {"padding": "x" * 10_000}
    entries(site, *[entry(f"web-{i:04}", f"10.1.{i // 250}.{i % 250}", annotations=annotations)
                    for i in range(600)], entry("web-last", "169.254.3.3"))

    said = site.look()

    said.has("entry-address", "WorkloadEntry web-last", "ISTIO_SVC_IP")
    assert said.ids() == {"entry-address"}


def test_vm__behind_what_is_looked_at_of_a_list__found(site: Site) -> None:
    entries(site, *[entry(f"web-{i:04}", f"10.1.{i // 250}.{i % 250}") for i in range(2100)],
            entry("web-last", "169.254.3.3"))

    said = site.look("web-last.vms")

    said.has("entry-address", "WorkloadEntry web-last", "ISTIO_SVC_IP")
    assert said.ids() == {"entry-address"}
    assert said.skips("workloadentries of namespace vms: more than the first 2000")


def test_entry__link_local_address__said(site: Site) -> None:
    entries(site, entry("web-1", "169.254.3.3"), entry("web-2", "fe80::1"),
            entry("web-3", "vm.example.com"))

    said = site.look()

    said.has("entry-address", "WorkloadEntry web-1 of namespace vms has the address 169.254.3.3",
             "set ISTIO_SVC_IP=ADDRESS in /var/lib/istio/envoy/cluster.env on the VM")
    assert len(said.findings) == 2


def test_entry__without_a_vm_for_long__warned(site: Site) -> None:
    gone = {"istio.io/disconnectedAt": "2020-01-02T03:04:05.678Z"}
    entries(site, entry("web-1", "10.0.0.7", annotations=gone))

    site.look().has("entry-gone", "web-1 of namespace vms has had no VM since 2020-01-02",
                    "delete workloadentry web-1", "warning")


def test_entry__probe_fails__said(site: Site) -> None:
    entries(site, entry("web-1", "10.0.0.7", conditions=[
        {"type": "Healthy", "status": "False", "message": "dial tcp: refused\n"}]))

    site.look().has("entry-unhealthy", "the probe of WorkloadEntry web-1 of namespace vms fails: "
                    "dial tcp: refused?")


def test_vm__named_by_its_entry__only_that_one(site: Site) -> None:
    bad = [{"type": "Healthy", "status": "False", "message": "no"}]
    entries(site, entry("web-1", "10.0.0.7", conditions=bad),
            entry("web-2", "10.0.0.8", conditions=bad))

    said = site.look("web-1.vms")

    said.has("entry-unhealthy", "web-1")
    assert len(said.findings) == 1


def test_vm__unknown__said(site: Site) -> None:
    site.look("web-9", "-n", "vms").has(
        "vm-unknown", "no WorkloadEntry and no WorkloadGroup web-9 in namespace vms",
        "ssh VM sudo xdsgate doctor")


def test_vm__of_a_namespace_that_is_a_number__by_the_option(site: Site) -> None:
    there = "/apis/networking.istio.io/v1/namespaces/7"
    site.cluster().lists |= {f"{there}/workloadgroups": [], f"{there}/workloadentries": []}

    site.look("web", "-n", "7").has("vm-unknown", "web in namespace 7")


def test_vm__that_no_listener_lets_in__said(site: Site) -> None:
    entries(site, entry("web-1", "10.0.0.7", account="other"))

    site.look("web-1.vms").has("vm-not-let-in", "service account other of namespace vms",
                               f'"ns/vms/sa/other" into `vm_identities:` in {site.file}')


def test_vm__named_by_its_group__its_account_is_tried(site: Site) -> None:
    site.token().cluster().forbidden.add("vms/vm")

    site.look("web.vms").has("token-forbidden", "vm in namespace vms")


# ---- istiod, as it is deployed ----

def test_istiod__not_there__said(site: Site) -> None:
    site.look("-r", "canary").has("istiod-missing", "no Deployment istiod-canary in namespace "
                                  "istio-system", " -n istio-system get deployments")


def test_istiod__every_switch__has_its_cause(site: Site) -> None:
    site.cluster().deploy(PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION="false",
                          PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS="0",
                          PILOT_ENABLE_XDS_IDENTITY_CHECK="False",
                          ISTIO_WORKLOAD_ENTRY_VALIDATE_IDENTITY="f")

    said = site.look()

    said.has("autoregistration-off", "registers no VMs")
    said.has("healthchecks-off", "ignores what VMs say", level="warning")
    said.has("identity-check-off", "gives any VM the configuration")
    said.has("entry-check-off", "registers VMs under names of others")
    said.has("grace-period", "istiod takes a VM out of the mesh 10s after its stream has ended",
             "PILOT_WORKLOAD_ENTRY_GRACE_PERIOD=120s", "warning")


def test_trusted__more_than_one_address__said(site: Site) -> None:
    site.cluster().deploy(TRUSTED_GATEWAY_CIDR=f"{TRUSTED}/32, 10.77.0.0/24",
                          PILOT_WORKLOAD_ENTRY_GRACE_PERIOD="1m")

    said = site.look()

    said.has("trusted-too-wide", "from 10.77.0.0/24, which is more than one address",
             f"instead of 10.77.0.0/24, name each gateway (this one: {TRUSTED}/32)")
    said.has("trusted-passthrough", f"covers {OTHER}, from which upstream raw",
             f"instead of 10.77.0.0/24, name each gateway (this one: {TRUSTED}/32)")


def test_door__hides_the_source__warned(site: Site) -> None:
    site.cluster().lists[f"{SYSTEM}/services"] = [site.cluster().service(policy="Cluster")]

    site.look().has("door-hides-source", "Service istiod-xdsgate of namespace istio-system hides",
                    '"externalTrafficPolicy":"Local"', "warning")


# ---- before ----

def before(site: Site, *options: object) -> Said:
    return doctor("--before", "--kubeconfig", site.cluster().kubeconfig(), *options)


def test_before__all_is_well__by_the_roots_of_the_cluster(site: Site) -> None:
    site.istiod()
    site.cluster().config_map("istio-ca-root-cert", "root-cert.pem", site.root.read_text())

    said = before(site, "--endpoints", f"{ISTIOD}:{PORT}", "--source", OTHER)

    assert said.findings == []
    assert said.looks(f"it does not believe x-forwarded-client-cert from {OTHER}")


def test_before__no_way_in__said(site: Site) -> None:
    site.cluster().lists[f"{SYSTEM}/services"] = [site.cluster().service("ClusterIP")]

    before(site).has("no-door", "leads to istiod's port 15012", "deploy/istiod-nodeport.yaml",
                     "warning")


def test_before__no_way_into_another_namespace__the_file_is_edited(site: Site) -> None:
    there = "/api/v1/namespaces/mesh/services"
    site.cluster().lists[there] = []

    row = before(site, "-i", "mesh").has("no-door", "of namespace mesh", level="warning")

    edit, apply = row["command"].split(" | ")
    done = subprocess.run(edit, shell=True, cwd=ROOT, text=True, capture_output=True, check=True)
    assert yaml.safe_load(done.stdout)["metadata"]["namespace"] == "mesh"
    assert apply.endswith(f"kubectl --kubeconfig {site.cluster().kubeconfig()} apply -f -")


def test_before__xfcc_is_believed_from_there__said(site: Site) -> None:
    site.istiod("10.77.0.0/24")

    said = before(site, "--endpoints", f"{ISTIOD}:{PORT}", "--roots", site.root, "--source", OTHER)

    said.has("xfcc-believed", f"from {OTHER}", f"what covers {OTHER}, name each gateway")


def test_before__istiod_not_reachable__said(site: Site) -> None:
    before(site, "--endpoints", f"{ISTIOD}:{PORT}", "--roots", site.root).has(
        "upstream-unreachable", "connection refused")
