# SPDX-License-Identifier: Apache-2.0
"""`xdsgate bundle renew`: a new token and the mesh's root, and nothing else. What its script does on
a VM is in bundle_script/."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest

from rig.golden import GROUP, ROOT, ROOT_CERT, TOKEN, Cluster, bundle
from rig.jwt import vm_token

POST = "POST /api/v1/namespaces/vms/serviceaccounts/orders/token"


def renew(*arguments: object, code: int = 0) -> str:
    """What is said; the token never is."""
    said = bundle("renew", *arguments, code=code)
    assert TOKEN not in said
    return said


def of_cluster(one: Cluster, *more: object, code: int = 0) -> str:
    said = one.bundle("renew", *more, code=code)
    assert TOKEN not in said
    return said


def test_group_named_twice__refused(tmp_path: Path) -> None:
    said = renew("vm", "--name", "other", "-n", "vms", "-o", tmp_path / "out", code=2)

    assert "the WorkloadGroup is named twice: 'vm' and --name" in said


def test_with_cluster__folder__only_two_files(cluster: Cluster) -> None:
    said = of_cluster(cluster, "--tokenDuration", "2h")

    files = {path.name: (path.read_text(), stat.S_IMODE(path.stat().st_mode))
             for path in (cluster.folder / "out").iterdir()}
    assert files == {"istio-token": (TOKEN, 0o600), "root-cert.pem": (ROOT_CERT, 0o644)}
    assert "dir with a new token for VMs of vm in vms; it holds a token: keep it secret" in said
    assert cluster.api.bodies[0]["spec"] == {"audiences": ["istio-ca"], "expirationSeconds": 7200}


def test_with_cluster__asked_for_no_more_than_that(cluster: Cluster) -> None:
    of_cluster(cluster)

    asked = [one for i, one in enumerate(cluster.api.asked) if one not in cluster.api.asked[:i]]
    assert asked == [f"GET {GROUP}", f"GET {ROOT}", POST]


def test_with_cluster__folder_of_a_bundle__the_rest_of_it_stays(
        cluster: Cluster) -> None:
    cluster.create()
    out = cluster.folder / "out"
    before = {path.name: path.stat().st_ino for path in out.iterdir()}
    (out / "istio-token").write_text("old")

    of_cluster(cluster)

    assert (out / "istio-token").read_text() == TOKEN
    after = {path.name: path.stat().st_ino for path in out.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"istio-token",
                                                                       "root-cert.pem"}


def test_with_cluster__script__names_the_account(cluster: Cluster) -> None:
    of_cluster(cluster, "--format", "script")

    text = (cluster.folder / "out").read_text()
    assert "\nbundle_title='vm in vms'\n" in text
    assert "\nbundle_renews='/ns/vms/sa/orders'\n" in text


def test_with_cluster__no_right_to_make_tokens__said(cluster: Cluster) -> None:
    cluster.api.refused = {"orders/token": 403}

    said = of_cluster(cluster, code=1)

    assert "a token for service account orders in namespace vms: " in said
    assert not (cluster.folder / "out").exists()


def test_with_cluster__gateways_root__comes_along(cluster: Cluster) -> None:
    (cluster.folder / "gw.pem").write_text("of the gateway\n" + ROOT_CERT)

    of_cluster(cluster, "--gateway-name", "gw.example.com", "--gateway-root",
               cluster.folder / "gw.pem", "--format", "script")

    text = (cluster.folder / "out").read_text()
    assert "\nbundle_gateway='gw.example.com:15012'\n" in text
    assert "    gateway-root.pem) cat <<" in text
    assert "    cluster.env) cat <<" not in text


def test_with_cluster__folder_of_a_bundle__its_gateways_root_is_replaced(cluster: Cluster) -> None:
    for name in ["one", "two"]:
        (cluster.folder / name).write_text(f"{name}\n" + ROOT_CERT)
    flags = ["--gateway-name", "gw.example.com", "--gateway-root"]
    cluster.create(*flags, cluster.folder / "one")
    out = cluster.folder / "out"
    before = {path.name: path.stat().st_ino for path in out.iterdir()}

    of_cluster(cluster, *flags, cluster.folder / "two")

    assert (out / "gateway-root.pem").read_text() == "two\n" + ROOT_CERT
    after = {path.name: path.stat().st_ino for path in out.iterdir()}
    assert {name for name in after if before.get(name) != after[name]} == {
        "istio-token", "root-cert.pem", "gateway-root.pem"}


def test_with_cluster__no_token__none_is_asked_for_and_the_old_one_stays(cluster: Cluster) -> None:
    cluster.create()
    out = cluster.folder / "out"
    before = {path.name: path.stat().st_ino for path in out.iterdir()}
    cluster.api.asked.clear()

    said = of_cluster(cluster, "--no-token")

    assert POST not in cluster.api.asked
    assert said == f"{out}: dir with new roots for VMs of vm in vms\n"
    after = {path.name: path.stat().st_ino for path in out.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"root-cert.pem"}


def test_with_cluster__folder_of_another_bundle__refused_and_kept(cluster: Cluster) -> None:
    cluster.create()
    out = cluster.folder / "out"
    before = {path.name: path.read_text() for path in out.iterdir()}
    (cluster.folder / "gw.pem").write_text(ROOT_CERT)

    assert f"{out}: its VMs call istiod.istio-system.svc:15012, not gw.example.com:15012" in \
        of_cluster(cluster, "--gateway-name", "gw.example.com", code=1)
    assert f"{out}/cluster.env: VMs have no root for the gateway" in of_cluster(
        cluster, "--gateway-root", cluster.folder / "gw.pem", code=1)
    (out / "cluster.env").write_text("ISTIO_NAMESPACE=vms\nSERVICE_ACCOUNT=db\n")
    assert f"{out}/cluster.env: is for ns/vms/sa/db, but this is for ns/vms/sa/orders" in \
        of_cluster(cluster, code=1)

    before["cluster.env"] = (out / "cluster.env").read_text()
    assert {path.name: path.read_text() for path in out.iterdir()} == before


def test_with_cluster__folder_of_a_bundle_and_istiods_name__that_is_what_it_calls(
        cluster: Cluster) -> None:
    cluster.create()
    out = cluster.folder / "out"
    assert "CA_ADDR" not in (out / "cluster.env").read_text()

    of_cluster(cluster, "--gateway-name", "istiod.istio-system.svc")


def test_from_files__nobody_is_asked(tmp_path: Path) -> None:
    (tmp_path / "group.yaml").write_text("metadata: {name: vm, namespace: vms}\nspec: {}\n")
    (tmp_path / "root.pem").write_text(ROOT_CERT)
    (tmp_path / "token").write_text(TOKEN + "\n")

    renew("-f", tmp_path / "group.yaml", "--rootCert", tmp_path / "root.pem", "--token",
          tmp_path / "token", "-o", tmp_path / "out", "--format", "script")

    text = (tmp_path / "out").read_text()
    assert "bundle_title='vm in vms'" in text
    assert "bundle_renews='/ns/vms/sa/default'" in text


@pytest.mark.parametrize(("seconds", "account", "sentence"), [
    (-7200, "default", "token: it ran out 2 h ago"),
    (3600, "db", "token: it is for system:serviceaccount:vms:db, but"),
])
def test_from_files__token_of_no_use__refused(tmp_path: Path, seconds: int, account: str,
                                              sentence: str) -> None:
    (tmp_path / "group.yaml").write_text("metadata: {name: vm, namespace: vms}\nspec: {}\n")
    (tmp_path / "root.pem").write_text(ROOT_CERT)
    (tmp_path / "token").write_text(vm_token(time.time() + seconds, account))

    said = renew("-f", tmp_path / "group.yaml", "--rootCert", tmp_path / "root.pem", "--token",
                 tmp_path / "token", "-o", tmp_path / "out", "--format", "script", code=2)

    assert sentence in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["-o", "x"], "which WorkloadGroup?"),
    (["vm"], "--output PATH is missing"),
    (["vm", "-o", "x", "--gateway", "192.0.2.1"], "gateway"),
    (["vm", "-o", "x", "--gateway-name", "192.0.2.1"], "gateway's name 192.0.2.1: that is an addr"),
    (["vm", "-o", "x", "--tokenDuration", "60"], "600 to"),
])
def test_wrong_usage__said(arguments: list[str], sentence: str) -> None:
    assert sentence in renew(*arguments, code=2)
