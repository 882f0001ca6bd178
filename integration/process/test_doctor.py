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

from rig.doctor import CAUSES, PATIENCE, SYSTEM, Said, doctor, said_by, with_silence
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

    done = subprocess.run([BINARY, "doctor", "--config", site.file, "--timeout", PATIENCE],
                          text=True, check=False, capture_output=True)

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
    (["--before", "--source", "10.0.0.1"], "--source goes with --endpoints"),
    (["--before", "--server-name", "a"], "go with --endpoints or --config"),
    (["web.vms", "--roots", "/nowhere"], "go with --endpoints or --config"),
    (["--config", "/nowhere", "--source", "10.0.0.1"], "--source goes with --endpoints"),
    (["--before", "--timeout", "0"], "is out of range: 1 to 300 seconds"),
    (["--config", "/nowhere", "--kubeconfig", "/nowhere"], "/nowhere"),
])
def test_doctor__usage(options: list[str], text: str) -> None:
    done = subprocess.run([BINARY, "doctor", *options], text=True, capture_output=True, check=False)

    assert done.returncode == 2
    assert text in done.stderr + done.stdout


@pytest.mark.parametrize("options", [["web.vms"], ["web", "-n", "vms"], ["--before"]])
def test_doctor__no_kubeconfig_and_nothing_else_to_look_at__usage(tmp_path: Path,
                                                                  options: list[str]) -> None:
    done = subprocess.run([BINARY, "doctor", *options], text=True, capture_output=True, check=False,
                          env={"HOME": str(tmp_path)})

    assert done.returncode == 2
    assert done.stderr.startswith("xdsgate doctor: there is no kubeconfig: ")
    assert done.stdout == ""


def test_doctor__before_with_endpoints__needs_no_kubeconfig(tmp_path: Path) -> None:
    said = doctor("--before", "--endpoints", "127.0.0.1:1", env={"HOME": str(tmp_path)})

    said.has("upstream-unreachable", "127.0.0.1:1")
    assert said.looks("upstream istiod at 127.0.0.1:1: whether it can be connected to")
    assert said.skips("--kubeconfig names somebody who may read them")


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

    said = with_silence(lambda patience: site.doctor(patience=patience),
                        lambda said: "upstream-silent" in said.ids())

    said.has("upstream-silent", "does TLS and does not answer then: no answer in time",
             level="warning")


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


def passthrough_only(site: Site) -> Site:
    """README's "Five minutes": nothing says what istiod is called, or by whom it is vouched for."""
    listener = site.config["listeners"][0]
    site.config = {
        "version": 1,
        "listeners": [{"name": "istiod", "bind": listener["bind"],
                       "routes": [{"sni": ["*"], "mode": "passthrough", "upstream": "istiod"}]}],
        "upstreams": [{"name": "istiod", "endpoints": [f"{ISTIOD}:{PORT}"]}]}
    return site


def test_passthrough_only__without_roots__said_how_they_are_had(site: Site) -> None:
    passthrough_only(site).istiod("10.77.0.0/24")

    said = site.doctor()

    assert said.findings == []
    assert said.looks(f"upstream istiod at {ISTIOD}:{PORT}: whether it can be connected to")
    assert said.skips("whom istiod behind upstream istiod believes: the mesh's roots are not known; "
                      "--roots FILE has them, or --kubeconfig FILE names somebody who may read them")


def test_passthrough_only__roots_are_given__said_whom_istiod_believes(site: Site) -> None:
    passthrough_only(site).istiod("10.77.0.0/24")

    said = site.doctor("--roots", site.root)

    said.has("xfcc-believed", f"istiod at {ISTIOD}:{PORT} believes x-forwarded-client-cert from the "
             "address that the kernel chooses, from which upstream istiod passes on")
    assert said.ids() == {"xfcc-believed"}


def test_passthrough_only__roots_of_the_cluster__said_whom_istiod_believes(site: Site) -> None:
    passthrough_only(site).istiod(f"{OTHER}/32")
    site.upstream()["source_address"] = [OTHER]
    site.cluster().config_map("istio-ca-root-cert", "root-cert.pem", site.root.read_text())

    said = site.doctor("--kubeconfig", site.cluster().kubeconfig("admin"))

    said.has("xfcc-believed", f"from {OTHER}, from which upstream istiod passes on")
    assert said.ids() == {"xfcc-believed"}


def test_passthrough_only__another_name__asked_for_that(site: Site) -> None:
    passthrough_only(site).istiod("10.77.0.0/24")

    said = site.doctor("--roots", site.root, "--server-name", "istiod-canary.istio-system.svc")

    assert said.findings == []
    assert said.skips(f"upstream istiod at {ISTIOD}:{PORT}: it is no istiod that is believed here")


def test_roots__given__only_for_upstreams_without(site: Site,
                                                  other_root: tuple[Path, Path]) -> None:
    site.istiod(f"{TRUSTED}/32")

    said = site.doctor("--roots", other_root[0])

    assert said.findings == []
    assert said.looks(f"upstream istiod: it believes x-forwarded-client-cert from {TRUSTED}")
    assert said.skips("upstream raw at")


def test_roots__that_cannot_be_read__said(site: Site) -> None:
    site.file.write_text(yaml.safe_dump(site.config))

    done = subprocess.run([BINARY, "doctor", "--config", site.file, "--roots", "/nowhere"],
                          text=True, capture_output=True, check=False)

    assert (done.returncode, "--roots: /nowhere" in done.stderr) == (2, True)


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
         "--config", site.file, "--timeout", PATIENCE], text=True, capture_output=True, timeout=60,
        check=False))

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
