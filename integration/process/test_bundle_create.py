# SPDX-License-Identifier: Apache-2.0
"""`xdsgate bundle create`: with a cluster it asks for the five things that istioctl asks for, and
makes the same of them; with files it asks nobody. What is missing is named with what to do."""

from __future__ import annotations

import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from rig.gateway import BINARY
from rig.golden import (GOLDEN, GROUP, MAPS, ROOT, ROOT_CERT, TOKEN, Cluster, bundle, case_of,
                        flags_of, kubeconfig)
from rig.jwt import vm_token
from rig.pki import Pair
from rig.process import free_port
from rig.wait import until

CASES = sorted(path.parent.name for path in GOLDEN.glob("*/case.yaml"))
MODES = {"mesh.yaml": 0o644, "cluster.env": 0o644, "root-cert.pem": 0o644, "istio-token": 0o600,
         "hosts": 0o644}


def assert_equal(out: Path, name: str) -> None:
    """Equal to istioctl's, or to what the case says that we make of it."""
    case, expected = case_of(name), GOLDEN / name / "expected"
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == MODES
    for file in MODES:
        ours, theirs = (out / file).read_text(), (expected / file).read_text()
        if file in case.get("ours", {}):
            assert ours == case["ours"][file]
        elif file == "mesh.yaml":
            assert yaml.safe_load(ours) == yaml.safe_load(theirs)
        else:
            assert ordered(ours) == ordered(theirs)


def ordered(text: str) -> list[str]:
    """Lines, with the inbound ports, which istioctl writes in any order, in one."""
    return ["".join(sorted(line)) if line.startswith("ISTIO_INBOUND_PORTS=") else line
            for line in text.splitlines()]


@pytest.mark.parametrize("name", CASES)
def test_with_cluster__each_case__as_istioctl(name: str, tmp_path: Path, server_key: Pair) -> None:
    one = Cluster(name, tmp_path, server_key)

    said = one.create("--tokenDuration", "2h")
    one.api.close()

    assert "keep it secret" in said
    assert_equal(tmp_path / "out", name)
    assert one.api.bodies[0]["spec"] == {"audiences": ["istio-ca"], "expirationSeconds": 7200}


def test_with_cluster__all__asked_in_this_order(cluster: Cluster) -> None:
    cluster.create()

    asked = [one for i, one in enumerate(cluster.api.asked) if one not in cluster.api.asked[:i]]
    assert asked == [
        f"GET {GROUP}", f"GET {MAPS}/istio", f"GET {MAPS}/istio-sidecar-injector", f"GET {ROOT}",
        "POST /api/v1/namespaces/vms/serviceaccounts/orders/token"]


def test_with_cluster__what_files_say__not_asked(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "group.yaml").write_text(cluster.case["group"])
    (tmp_path / "mesh.yaml").write_text(cluster.case["mesh"])
    (tmp_path / "root.pem").write_text(ROOT_CERT)

    bundle("create", "--kubeconfig", cluster.config, "-f", tmp_path / "group.yaml", "--meshConfig",
           tmp_path / "mesh.yaml", "--rootCert", tmp_path / "root.pem", "-o", tmp_path / "out",
           "--clusterID=", "--gateway", "192.0.2.1", code=2)
    bundle("create", "--kubeconfig", cluster.config, "-f", tmp_path / "group.yaml", "--meshConfig",
           tmp_path / "mesh.yaml", "--rootCert", tmp_path / "root.pem", "-o", tmp_path / "out",
           "--clusterID=c", "--gateway", "192.0.2.1")

    assert cluster.api.asked == ["POST /api/v1/namespaces/vms/serviceaccounts/orders/token"]


def test_with_cluster__only_its_name_is_missing__asked_for(cluster: Cluster,
                                                           tmp_path: Path) -> None:
    """An empty one would be that of the control plane, whatever cluster the VM is of."""
    (tmp_path / "group.yaml").write_text(cluster.case["group"])
    (tmp_path / "mesh.yaml").write_text(cluster.case["mesh"])
    (tmp_path / "root.pem").write_text(ROOT_CERT)
    files = ["-f", tmp_path / "group.yaml", "--meshConfig", tmp_path / "mesh.yaml", "--rootCert",
             tmp_path / "root.pem", "--no-token", "-o", tmp_path / "out", "-g", "192.0.2.1"]

    said = bundle("create", *files, code=2)
    bundle("create", "--kubeconfig", cluster.config, *files)

    assert "there is no kubeconfig" in said
    assert "needed without --clusterID" in said
    assert cluster.api.asked == [f"GET {MAPS}/istio-sidecar-injector"]


def test_with_cluster__older_istio__older_version_asked(cluster: Cluster) -> None:
    cluster.api.unknown_apis = {"networking.istio.io/v1", "networking.istio.io/v1beta1"}

    cluster.create()

    assert_equal(cluster.folder / "out", "single_network")
    assert f"GET {GROUP.replace('/v1/', '/v1alpha3/')}" in cluster.api.asked


@pytest.mark.parametrize(("end", "sentence"), [
    ("workloadgroups/vm", "workloadgroups vm in namespace vms is not there: create it first"),
    ("configmaps/istio", "configmaps istio in namespace istio-system is not there: name the "
                         "--revision"),
    ("istio-sidecar-injector", "is not there: say the cluster's name with --clusterID"),
    ("istio-ca-root-cert", "is not there: istiod makes it in every namespace that it serves"),
    ("orders/token", "there is no service account orders in namespace vms: create it first"),
])
def test_with_cluster__something_missing__named(cluster: Cluster, end: str, sentence: str) -> None:
    cluster.api.refused = {end: 404}

    assert sentence in cluster.create(code=1)

    assert not (cluster.folder / "out").exists()


def test_with_cluster__namespace_is_new__its_roots_are_waited_for(cluster: Cluster) -> None:
    cluster.api.refused = {"istio-ca-root-cert": 404}

    with ThreadPoolExecutor() as threads:
        created = threads.submit(cluster.create)
        until(lambda: f"GET {ROOT}" in cluster.api.asked, what="it is asked for")
        cluster.api.refused = {}
        created.result()

    assert_equal(cluster.folder / "out", "single_network")


def test_with_cluster__without_istio__it_is_the_cluster_that_is_wrong(cluster: Cluster) -> None:
    cluster.api.unknown_apis = {f"networking.istio.io/{version}"
                                for version in ("v1", "v1beta1", "v1alpha3")}

    said = cluster.create(code=1)

    assert "knows no workloadgroups.networking.istio.io" in said
    assert "create it first" not in said


def test_with_cluster__not_allowed__said_with_reason(cluster: Cluster) -> None:
    cluster.api.refused = {"orders/token": 403}

    said = cluster.create(code=1)

    assert "a token for service account orders in namespace vms: POST " in said
    assert "refused by the test" in said


def test_with_cluster__key_missing__named(cluster: Cluster) -> None:
    cluster.api.objects["configmaps/istio"]["data"] = {"other": ""}

    assert "configmaps istio in namespace istio-system has no key mesh" in cluster.create(code=1)


def test_with_cluster__mesh_is_no_yaml__place_named(cluster: Cluster) -> None:
    cluster.api.objects["configmaps/istio"]["data"]["mesh"] = "a: 1\nb: *x\n"

    assert "configmaps istio: mesh: line 2, column 4: aliases" in cluster.create(code=1)


def test_with_cluster__nobody_there__unreachable(cluster: Cluster) -> None:
    text = cluster.config.read_text()
    cluster.config.write_text(text.replace(str(cluster.api.server_port), str(free_port())))

    assert "127.0.0.1" in cluster.create(code=3)


def test_with_cluster__another_authority__unreachable(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "other.pem").write_text(ROOT_CERT)
    cluster.config.write_text(kubeconfig(f"https://127.0.0.1:{cluster.api.server_port}",
                                         **{"certificate-authority": str(tmp_path / "other.pem")}))

    assert "certificate" in cluster.create(code=3)
    assert cluster.api.asked == []


def test_without_kubeconfig__said() -> None:
    assert "kubeconfig" in bundle("create", "vm", "-n", "vms", "-g", "192.0.2.1", "-o",
                                  "/nonexistent/x", code=2)


# ---- from files ----

class Files:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.case = case_of("multi_network")
        self.write("group.yaml", self.case["group"])
        self.write("istio.yaml", yaml.dump({"kind": "ConfigMap", "data": {
            "mesh": self.case["mesh"]}}))
        self.write("values.yaml", yaml.dump(self.case["injector"]))
        self.write("root.pem", ROOT_CERT)
        self.write("token", TOKEN + "\n")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def create(self, *more: object, code: int = 0) -> str:
        return bundle("create", "-f", self.folder / "group.yaml", "--meshConfig",
                      self.folder / "istio.yaml", "--injectorValues", self.folder / "values.yaml", "--rootCert",
                      self.folder / "root.pem", "-o", self.folder / "out", *flags_of(self.case),
                      *more, code=code)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_from_files__all_named__as_istioctl(files: Files) -> None:
    files.create("--token", files.folder / "token")

    assert_equal(files.folder / "out", "multi_network")


def test_from_files__no_token__no_file(files: Files) -> None:
    assert "holds a token" not in files.create("--no-token")

    assert not (files.folder / "out/istio-token").exists()


def test_from_files__two_gateways__a_line_each(files: Files) -> None:
    files.create("--no-token", "--gateway", "2001:db8::1,192.0.2.2")

    assert (files.folder / "out/hosts").read_text() == (
        "192.0.2.1 istiod.istio-system.svc\n2001:db8::1 istiod.istio-system.svc\n"
        "192.0.2.2 istiod.istio-system.svc\n")


def variables(path: Path) -> dict[str, str]:
    """As a shell has them that sources it."""
    said = subprocess.run(["env", "-i", "sh", "-c", '. "$0"; set', path], text=True, check=True,
                          capture_output=True).stdout
    return {key: value.strip("'") for key, _, value in
            (line.partition("=") for line in said.splitlines())}


GATEWAY_ROOT_AT = "/var/lib/istio/envoy/gateway-root.pem"


def test_from_files__gateway_with_name_and_root__agent_is_told_both(files: Files) -> None:
    files.write("gateway.pem", "of the gateway\n" + ROOT_CERT)

    files.create("--no-token", "--gateway-name", "gw.example.com:31012", "--gateway-root",
                 files.folder / "gateway.pem")

    out = files.folder / "out"
    mesh = yaml.safe_load((out / "mesh.yaml").read_text())["defaultConfig"]
    assert mesh["discoveryAddress"] == "gw.example.com:31012"
    env = variables(out / "cluster.env")
    assert env["CA_ADDR"] == "gw.example.com:31012"
    assert env["XDS_ROOT_CA"] == env["CA_ROOT_CA"] == GATEWAY_ROOT_AT
    assert (out / "hosts").read_text() == "192.0.2.1 istiod.istio-system.svc gw.example.com\n"
    assert (out / "gateway-root.pem").read_text() == "of the gateway\n" + ROOT_CERT
    assert stat.S_IMODE((out / "gateway-root.pem").stat().st_mode) == 0o644
    assert (out / "root-cert.pem").read_text() == ROOT_CERT
    bundle("verify", out, "--no-network")


def test_from_files__gateway_root_alone__usual_name(files: Files) -> None:
    files.create("--no-token", "--gateway-root", files.folder / "root.pem")

    env = variables(files.folder / "out/cluster.env")
    assert env["XDS_ROOT_CA"] == env["CA_ROOT_CA"] == GATEWAY_ROOT_AT
    assert "CA_ADDR" not in env
    assert (files.folder / "out/hosts").read_text() == "192.0.2.1 istiod.istio-system.svc\n"
    assert (files.folder / "out/gateway-root.pem").read_text() == ROOT_CERT


def test_from_files__gateway_name_alone__judged_by_the_mesh(files: Files) -> None:
    files.create("--no-token", "--gateway-name", "gw.example.com")

    env = variables(files.folder / "out/cluster.env")
    assert env["CA_ADDR"] == "gw.example.com:15012"
    assert "XDS_ROOT_CA" not in env and "CA_ROOT_CA" not in env
    assert not (files.folder / "out/gateway-root.pem").exists()


def test_from_files__key_in_the_gateways_root__refused(files: Files, server_key: Pair) -> None:
    files.write("gateway.pem", ROOT_CERT + server_key.private_key.read_text())

    said = files.create("--no-token", "--gateway-root", files.folder / "gateway.pem", code=1)

    assert "gateway-root.pem has a private key in it; no VM may get one" in said
    assert "gateway's root certificate: it holds no PEM certificate" in files.create(
        "--no-token", "--gateway-root", files.folder / "token", code=2)
    assert not (files.folder / "out").exists()


@pytest.mark.parametrize("option", ["--rootCert", "--gateway-root", "--token"])
def test_from_files__zero_byte_in_a_text__refused(files: Files, option: str) -> None:
    """What is behind it would be left out without a word; UTF-16 has one in every letter."""
    (files.folder / "odd").write_bytes(ROOT_CERT.encode() + b"\0" + ROOT_CERT.encode())

    said = files.create(*([] if option == "--token" else ["--no-token"]), option,
                        files.folder / "odd", code=2)

    assert f"{files.folder}/odd: has a zero byte in it: write it as UTF-8" in said
    assert not (files.folder / "out").exists()


def test_from_files__tar_to_standard_output__only_that(files: Files) -> None:
    command = [BINARY, "bundle", "create", "-f", "group.yaml", "--meshConfig", "istio.yaml",
               "--clusterID", "c", "--rootCert", "root.pem", "--no-token", "-g", "192.0.2.1",
               "--format", "tar", "-o", "-"]
    done = subprocess.run(command, cwd=files.folder, capture_output=True, timeout=60, check=True)

    listed = subprocess.run(["tar", "t"], input=done.stdout, capture_output=True, check=True)
    assert set(listed.stdout.decode().split()) == {"mesh.yaml", "cluster.env", "root-cert.pem",
                                                   "hosts"}
    assert done.stderr == b""


@pytest.mark.parametrize(("file", "text", "sentence"), [
    ("group.yaml", "a: 1\n\tb: 2\n", "group.yaml:2:1: "),
    ("group.yaml", "kind: Service\n", "this is a Service"),
    ("istio.yaml", "kind: ConfigMap\ndata: {a: b}\n", "istio.yaml: data.mesh is missing"),
    ("istio.yaml", "kind: ConfigMap\ndata: {mesh: 'a: *b'}\n", "istio.yaml: data.mesh:1:4: alias"),
    ("istio.yaml", "", "there is no document in it"),
    ("values.yaml", "[", "values.yaml:"),
    ("root.pem", "x", "root certificate: it holds no PEM certificate"),
    ("token", "a b", "token: it must be one word"),
])
def test_from_files__bad_file__named(files: Files, file: str, text: str, sentence: str) -> None:
    files.write(file, text)

    assert sentence in files.create("--token", files.folder / "token", code=2)
    assert not (files.folder / "out").exists()


@pytest.mark.parametrize(("seconds", "account", "sentence"), [
    (-7200, "orders", "token: it ran out 2 h ago"),
    (3600, "db", "token: it is for system:serviceaccount:vms:db, but the WorkloadGroup says "
                 "system:serviceaccount:vms:orders"),
])
def test_from_files__token_of_no_use__refused(files: Files, seconds: int, account: str,
                                              sentence: str) -> None:
    files.write("token", vm_token(time.time() + seconds, account))

    assert sentence in files.create("--token", files.folder / "token", code=2)
    assert not (files.folder / "out").exists()


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["-o", "x", "-g", "192.0.2.1"], "which WorkloadGroup?"),
    (["--name", "vm", "--capture-dns", "false", "-o", "x", "-g", "192.0.2.1"],
     "the WorkloadGroup is named twice: 'false' and --name"),
    (["vm", "-o", "x"], "--gateway IP is missing"),
    (["vm", "-g", "192.0.2.1"], "--output PATH is missing"),
    (["vm", "-o", "x", "-g", "1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4,1.1.1.5"], "at most 4 addresses"),
    (["vm", "-o", "x", "-g", "1.1.1.1", "--token", "x", "--no-token"], "exclude each other"),
    (["vm", "-o", "x", "-g", "1.1.1.1", "--format", "zip"], "it may be dir, tar, script"),
    (["vm", "-o", "x", "-g", "1.1.1.1", "--tokenDuration", "60"], "600 to"),
    (["-f", "/nonexistent/group", "-o", "x", "-g", "1.1.1.1"], "/nonexistent/group"),
])
def test_wrong_usage__said(arguments: list[str], sentence: str) -> None:
    assert sentence in bundle("create", *arguments, code=2)


def test_wrong_options__named(files: Files) -> None:
    assert "--internalIP: 127.0.0.1 is a loopback" in files.create(
        "--no-token", "--internalIP", "127.0.0.1", code=2)
    assert "asked for" in files.create("--no-token", "-n", "other", code=2)
    assert "gateway: fe80::1 is link-local" in files.create(
        "--no-token", "-g", "fe80::1", code=2)
    assert "gateway's name 192.0.2.1: that is an address" in files.create(
        "--no-token", "--gateway-name", "192.0.2.1", code=2)
