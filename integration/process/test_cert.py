# SPDX-License-Identifier: Apache-2.0
"""`xdsgate cert`: what it signs is judged by openssl (test_cert_daemon.py: by the daemon)."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Rig
from rig.cert import cert, verify
from rig.gateway import BINARY
from rig.kube_api import KubeApi, secret
from rig.pki import NEW_KEY, SERVER_NAME, Pair, openssl
from rig.sandbox import GATEWAY_IP
from rig.wait import until

CA = "keyUsage=critical,keyCertSign,cRLSign"


def make_root(folder: Path, name: str = "root", *more: str) -> Pair:
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    openssl("req", "-x509", *NEW_KEY, "-subj", f"/O=cluster.local/CN={name}", "-days", "365",
            "-keyout", pair.private_key, "-out", pair.certificate, "-addext", CA, *more)
    return pair


def make_below(folder: Path, above: Pair, name: str, days: int = 300) -> Pair:
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    request, settings = folder / f"{name}.csr", folder / f"{name}.cnf"
    settings.write_text(f"basicConstraints=critical,CA:true\n{CA}\n"
                        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
    openssl("req", *NEW_KEY, "-subj", f"/O=cluster.local/CN={name}", "-keyout", pair.private_key,
            "-out", request)
    openssl("x509", "-req", "-in", request, "-CA", above.certificate, "-CAkey",
            above.private_key, "-days", str(days), "-extfile", settings, "-out", pair.certificate)
    return pair


def of(ca: Pair) -> list[object]:
    return ["--ca-cert", ca.certificate, "--ca-key", ca.private_key]


def certificates_in(path: Path) -> int:
    return path.read_text().count("BEGIN CERTIFICATE")


def names_of(certificate: Path) -> str:
    return openssl("x509", "-in", certificate, "-noout", "-ext", "subjectAltName").splitlines()[1]


# ---- cert issue ----


def test_root_of_the_mesh__openssl_and_files_are_content(tmp_path: Path) -> None:
    root = make_root(tmp_path)
    out = tmp_path / "out"

    done = cert("issue", *of(root), "--output", out, "--revision", "canary", "--name",
                "gw.example.test,10.0.0.9")

    assert str(out / "tls.crt") in done.stdout and done.stderr == ""
    for name in (SERVER_NAME, "istiod-canary.istio-system.svc", "gw.example.test"):
        verify(out, name)
    assert "IP Address:10.0.0.9" in names_of(out / "tls.crt")
    openssl("verify", "-x509_strict", "-verify_ip", "10.0.0.9", "-CAfile", out / "root-cert.pem",
            out / "tls.crt")
    assert stat.S_IMODE((out / "tls.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((out / "tls.crt").stat().st_mode) == 0o644
    assert sorted(path.name for path in out.iterdir()) == ["root-cert.pem", "tls.crt", "tls.key"]


@pytest.mark.parametrize("key", ["ecdsa-p256", "rsa-2048", "rsa-3072"])
def test_each_key__openssl_takes_it(tmp_path: Path, key: str) -> None:
    out = tmp_path / "out"
    cert("issue", *of(make_root(tmp_path)), "--output", out, "--key", key)
    verify(out)
    openssl("pkey", "-in", out / "tls.key", "-noout", "-check")


def test_plug_in_ca__chain_without_the_root(tmp_path: Path) -> None:
    root = make_root(tmp_path)
    upper = make_below(tmp_path, root, "upper")
    lower = make_below(tmp_path, upper, "lower", days=30)
    chain = tmp_path / "cert-chain.pem"
    chain.write_text("".join(pair.certificate.read_text() for pair in (lower, upper, root)))
    out = tmp_path / "out"

    done = cert("issue", *of(lower), "--cert-chain", chain, "--root-cert", root.certificate,
                "--output", out)

    verify(out, roots=root.certificate)
    assert certificates_in(out / "tls.crt") == 3
    assert (out / "root-cert.pem").read_text() == root.certificate.read_text()
    assert "sooner than was asked" in done.stdout  # 90 days; the authority has 30


def test_encrypted_key__passphrase_from_a_file_and_never_a_question(tmp_path: Path) -> None:
    root = make_root(tmp_path)
    locked, word = tmp_path / "locked.key", tmp_path / "word"
    openssl("pkey", "-in", root.private_key, "-aes256", "-passout", "pass:hunter2 ", "-out", locked)
    arguments = ["issue", "--ca-cert", root.certificate, "--ca-key", locked, "--output",
                 tmp_path / "out"]

    asked = cert(*arguments, code=1).stderr
    assert "is encrypted: give its passphrase by --passphrase-file FILE" in asked

    main, terminal = pty.openpty()  # at a terminal it asks no more than without one
    at_terminal = subprocess.run([BINARY, "cert", *map(str, arguments)], stdin=terminal,
                                 capture_output=True, text=True, timeout=60,
                                 start_new_session=True)
    os.close(main)
    os.close(terminal)
    assert at_terminal.returncode == 1 and at_terminal.stderr == asked

    word.write_text("wrong\n")
    assert "passphrase is wrong" in cert(*arguments, "--passphrase-file", word, code=1).stderr
    word.write_text("\n")
    assert "no passphrase" in cert(*arguments, "--passphrase-file", word, code=1).stderr
    word.write_text("hunter2 \nand a second line\n")
    cert(*arguments, "--passphrase-file", word)
    verify(tmp_path / "out")


def test_encrypted_key_of_an_own_authority__no_option_is_advised_that_is_refused(
        tmp_path: Path) -> None:
    cert("issue", "--self-signed-ca", tmp_path, "--output", tmp_path / "out")
    key, locked = tmp_path / "ca-key.pem", tmp_path / "locked.pem"
    openssl("pkey", "-in", key, "-aes256", "-passout", "pass:x", "-out", locked)
    locked.rename(key)

    said = cert("issue", "--self-signed-ca", tmp_path, "--output", tmp_path / "new", code=1).stderr

    assert "is encrypted" in said and "--passphrase-file" not in said


def test_own_authority__made_once_and_used_again(tmp_path: Path) -> None:
    ca, first, second = tmp_path / "ca", tmp_path / "first", tmp_path / "second"

    cert("issue", "--self-signed-ca", ca, "--output", first)
    assert stat.S_IMODE((ca / "ca-key.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(ca.stat().st_mode) == 0o700
    cert("issue", "--self-signed-ca", ca, "--output", second, "--names-only", "--name", "gw.test")

    verify(first)
    verify(second, "gw.test")
    assert names_of(second / "tls.crt").strip() == "DNS:gw.test"
    assert (first / "root-cert.pem").read_text() == (second / "root-cert.pem").read_text()
    (ca / "ca-key.pem").unlink()
    assert "is missing" in cert("issue", "--self-signed-ca", ca, "--output", tmp_path / "third",
                                code=1).stderr


def test_own_authority__is_elsewhere_and_not_there_now__none_is_made(tmp_path: Path) -> None:
    """On a medium that is not mounted: who has VMs that believe it wants no other one."""
    ca = tmp_path / "ca"
    ca.mkdir()
    for name in ["ca-cert.pem", "ca-key.pem"]:
        (ca / name).symlink_to(tmp_path / "medium" / name)

    said = cert("issue", "--self-signed-ca", ca, "--output", tmp_path / "out", code=1).stderr

    assert f"{ca}/ca-cert.pem cannot be opened: No such file or directory" in said
    assert (ca / "ca-key.pem").is_symlink() and not (tmp_path / "out").exists()


def test_own_authority__two_runs_at_once__one_authority(tmp_path: Path) -> None:
    """For two gateways: each would make one, and the certificate of one of them is by nobody then."""
    ca, outs = tmp_path / "ca", [tmp_path / "one", tmp_path / "two"]
    ca.mkdir()
    lock = os.open(ca, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # both are to be at the same point

    runs = [subprocess.Popen([BINARY, "cert", "issue", "--self-signed-ca", ca, "--output", out])
            for out in outs]
    try:
        until(lambda: all(re.search(rf"-> FLOCK .* {run.pid} ", Path("/proc/locks").read_text())
                          for run in runs), "both runs wait for each other")
    finally:
        os.close(lock)

    assert [run.wait(20) for run in runs] == [0, 0]
    assert outs[0].joinpath("root-cert.pem").read_text() == outs[1].joinpath(
        "root-cert.pem").read_text() == (ca / "ca-cert.pem").read_text()


def test_own_authority__renewal__makes_none(tmp_path: Path) -> None:
    """Another one would be a gateway that no VM believes."""
    ca, out = tmp_path / "ca", tmp_path / "out"
    cert("issue", "--self-signed-ca", ca, "--output", out)
    before = {path.name: path.read_text() for path in out.iterdir()}

    said = cert("issue", "--self-signed-ca", tmp_path / "typo", "--output", out, "--renew",
                code=1).stderr

    assert f"{tmp_path}/typo/ca-cert.pem is missing: --renew makes no new authority" in said
    assert not (tmp_path / "typo").exists()
    assert {path.name: path.read_text() for path in out.iterdir()} == before
    cert("issue", "--self-signed-ca", ca, "--output", out, "--renew")


def test_output__link_to_nowhere__is_there_already(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "tls.key").symlink_to(tmp_path / "medium/tls.key")

    said = cert("issue", *of(make_root(tmp_path, "root")), "--output", out, code=1).stderr

    assert f"{out}/tls.key is there already" in said
    assert [path.name for path in out.iterdir()] == ["tls.key"]


def test_renew__same_names_new_key_and_no_root_is_lost(tmp_path: Path) -> None:
    old, new = make_root(tmp_path, "old"), make_root(tmp_path, "new")
    out = tmp_path / "out"
    cert("issue", *of(old), "--output", out, "--name", "gw.test")
    before = {path.name: path.read_text() for path in out.iterdir()}
    names = names_of(out / "tls.crt")
    os.chmod(out / "tls.key", 0o640)

    again = cert("issue", *of(new), "--output", out, code=1).stderr
    assert "is there already" in again and "--renew" in again
    said = cert("issue", *of(new), "--output", out, "--renew", "--name", "x.test", code=1).stderr
    assert "other names" in said and "--force instead of --renew" in said
    assert {path.name: path.read_text() for path in out.iterdir()} == before

    cert("issue", *of(new), "--output", out, "--renew")  # the root of the mesh has changed

    assert names_of(out / "tls.crt") == names
    assert (out / "tls.key").read_text() != before["tls.key"]
    assert stat.S_IMODE((out / "tls.key").stat().st_mode) == 0o640
    assert certificates_in(out / "root-cert.pem") == 2
    assert before["root-cert.pem"] in (out / "root-cert.pem").read_text()
    verify(out, roots=new.certificate)

    written = (out / "root-cert.pem").stat().st_mtime_ns
    cert("issue", *of(new), "--output", out, "--renew", "--name", "GW.test")
    assert (out / "root-cert.pem").stat().st_mtime_ns == written
    cert("issue", *of(new), "--output", out, "--force", "--name", "x.test")
    assert certificates_in(out / "root-cert.pem") == 1
    assert cert("issue", *of(new), "--output", tmp_path / "none", "--renew", code=1).stderr


def test_passphrase__longer_than_is_read__said(tmp_path: Path) -> None:
    (tmp_path / "long").write_text("x" * 1024 + "\n")

    said = cert("issue", *of(make_root(tmp_path, "root")), "--output", tmp_path / "out",
                "--passphrase-file", tmp_path / "long", code=1).stderr

    assert f"{tmp_path}/long has a first line of more than 1023 characters" in said


def test_renew__address_in_another_notation__is_the_same_name(tmp_path: Path) -> None:
    ca = make_root(tmp_path, "root")
    name = ["--names-only", "--name", "2001:0DB8:0::1"]

    cert("issue", *of(ca), "--output", tmp_path / "out", *name, "--name", "2001:db8::1")
    assert names_of(tmp_path / "out/tls.crt").strip() == "IP Address:2001:DB8:0:0:0:0:0:1"
    cert("issue", *of(ca), "--output", tmp_path / "out", "--renew", *name)


@pytest.mark.parametrize(("arguments", "code", "text"), [
    (["--output", "out"], 2, "one of --ca-cert"),
    (["--output", "out", "--ca-cert", "root.pem"], 2, "go together"),
    (["--output", "out", "--self-signed-ca", "ca", "--root-cert", "root.pem"], 2, "goes with"),
    (["--output", "out", "--self-signed-ca", "ca", "--ca-key", "x"], 2, "one of"),
    (["--output", "out", "--from-cluster", "--ca-secret", "x"], 2, "one of"),
    (["--output", "out", "--ca-secret", "x", "--context", "x"], 2, "go with --from-cluster"),
    (["--output", "out", "--ca-cert", "none", "--ca-key", "root.key"], 1, "none cannot be opened"),
    (["--output", "out", "--ca-cert", "root.key", "--ca-key", "root.key"], 1, "root.key has no PEM"),
    (["--output", "out", "--ca-cert", "root.pem", "--ca-key", "other.key"], 1, "other.key is not"),
    (["--output", "out", "--ca-cert", "old.pem", "--ca-key", "old.key"], 1, "has expired"),
    (["--output", "no/out", "--self-signed-ca", "ca"], 1, "no/out cannot be made"),
    (["--output", "out", "--self-signed-ca", "ca", "--name", "b\u00fccher.test"], 2, "xn--"),
    (["--output", "out", "--self-signed-ca", "ca", "--revision", "a_b"], 2, "istiod-a_b."),
    (["--output", "out", "--self-signed-ca", "ca", "--validity", "500d"], 2, "--validity"),
    (["--output", "out", "--self-signed-ca", "ca", "--names-only"], 2, "needs a --name"),
    (["--output", "out", "--self-signed-ca", "ca", "more"], 2, "more"),
])
def test_what_cannot_be_done__is_said_and_nothing_written(
        tmp_path: Path, arguments: list[str], code: int, text: str) -> None:
    make_root(tmp_path)
    make_root(tmp_path, "other")
    expire(tmp_path)
    done = subprocess.run([BINARY, "cert", "issue", *arguments], cwd=tmp_path, text=True,
                          capture_output=True, timeout=60, stdin=subprocess.DEVNULL)

    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert not (tmp_path / "out").exists()


def expire(folder: Path) -> None:
    """old.pem: a root that has expired."""
    key, request = folder / "old.key", folder / "old.csr"
    settings = folder / "old.cnf"
    settings.write_text(f"basicConstraints=critical,CA:true\n{CA}\n")
    openssl("req", *NEW_KEY, "-subj", "/CN=old", "-keyout", key, "-out", request)
    openssl("x509", "-req", "-in", request, "-signkey", key, "-days", "-1", "-extfile", settings,
            "-out", folder / "old.pem")


# ---- cert issue, with a secret of Istio ----


def istio_secret(root: Pair) -> dict[str, bytes]:
    """As istiod writes istio-ca-secret."""
    return {"ca-cert.pem": root.certificate.read_bytes(), "ca-key.pem": root.private_key.read_bytes(),
            "cert-chain.pem": b"", "root-cert.pem": b"", "key.pem": b""}


def tls_secret(pair: Pair, root: Pair) -> dict[str, bytes]:
    """As cert-manager writes cacerts."""
    return {"tls.crt": pair.certificate.read_bytes() + root.certificate.read_bytes(),
            "tls.key": pair.private_key.read_bytes(), "ca.crt": root.certificate.read_bytes()}


def test_secret_by_a_pipe__no_key_on_the_disk(tmp_path: Path) -> None:
    root = make_root(tmp_path)
    below = make_below(tmp_path, root, "below")

    for number, values in enumerate([istio_secret(root), tls_secret(below, root)]):
        out = tmp_path / f"out-{number}"
        done = subprocess.run([BINARY, "cert", "issue", "--ca-secret", "-", "--output", out],
                              input=secret("cacerts", values), capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        verify(out, roots=root.certificate)
    assert certificates_in(tmp_path / "out-1/tls.crt") == 2


@pytest.mark.parametrize(("text", "complaint"), [
    ("", "no document"), ("a: [", "line 2"), ("kind: Secret", "is no secret with ca-cert.pem"),
    ("data: {ca-key.pem: '%%%'}", "not base64"),
    ("data: {ca-key.pem: bm9uZQ==}", "ca-cert.pem is empty"),
    ("data: {tls.key: bm9uZQ==, tls.crt: bm9uZQ==}", "tls.crt has no PEM certificate"),
    pytest.param("x" * (2 * 1024 * 1024), "larger than 2 MiB", id="too large"),
])
def test_bad_secret__is_said(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "secret.yaml"
    path.write_text(text)

    done = cert("issue", "--ca-secret", path, "--output", tmp_path / "out", code=1)

    assert done.stderr.startswith(f"xdsgate cert issue: {path}: ") and complaint in done.stderr
    assert not (tmp_path / "out").exists()
    assert "No such file" in cert("issue", "--ca-secret", tmp_path / "none", "--output",
                                  tmp_path / "out", code=1).stderr


@pytest.fixture
def api(tmp_path: Path) -> Iterator[KubeApi]:
    folder = tmp_path / "kube"
    folder.mkdir()
    api = KubeApi(folder, folder / "no-token-key")
    yield api
    api.stop()


def test_from_cluster__the_plugged_in_authority_comes_first(tmp_path: Path, api: KubeApi) -> None:
    own, plugged, out = make_root(tmp_path, "own"), make_root(tmp_path, "plugged"), tmp_path / "out"
    arguments = ["issue", "--from-cluster", "--kubeconfig", api.kubeconfig(), "--output", out]

    assert "has neither secret cacerts nor istio-ca-secret" in cert(*arguments, code=1).stderr
    api.secrets["istio-system/istio-ca-secret"] = istio_secret(own)
    cert(*arguments)
    verify(out, roots=own.certificate)

    api.secrets["istio-system/cacerts"] = istio_secret(plugged)
    cert(*arguments, "--force")
    verify(out, roots=plugged.certificate)

    api.secrets["mesh/cacerts"] = istio_secret(own)
    cert(*arguments, "--force", "-i", "mesh")
    verify(out, "istiod.mesh.svc", own.certificate)
    api.secrets["mesh/cacerts"]["ca-key.pem"] = plugged.private_key.read_bytes()
    said = cert(*arguments, "--force", "-i", "mesh", code=1).stderr
    assert "secret cacerts in namespace mesh: ca-key.pem is not the key" in said


def test_from_cluster__that_refuses_or_is_away__is_said(tmp_path: Path, api: KubeApi) -> None:
    arguments = ["issue", "--from-cluster", "--output", tmp_path / "out", "--kubeconfig"]

    api.fail(403, "Forbidden")
    said = cert(*arguments, api.kubeconfig(), code=1).stderr
    assert "secret cacerts in namespace istio-system" in said and "made to fail with 403" in said
    assert "is no name" in cert(*arguments, api.kubeconfig(), "-i", "A_b", code=2).stderr
    api.stop()
    assert "secret cacerts" in cert(*arguments, api.kubeconfig(), code=3).stderr
    assert "none" in cert(*arguments, tmp_path / "none", code=2).stderr
    assert not (tmp_path / "out").exists()


# ---- signed by istiod ----


def test_from_istiod__wrong_in_other_ways__is_said(rig: Rig, other_root) -> None:
    istiod, out = rig.istiod(), rig.folder / "tls"
    root = ("--root-cert", istiod.dir / "root-cert.pem", "--output", out)

    def said(code: int, *arguments: object) -> str:
        return cert("issue", *arguments, code=code).stderr

    assert "needs --root-cert" in said(2, "--from-istiod", istiod.endpoint, "--output", out)
    for text in ("istiod", "istiod:15o12", "istiod:0", "::1:15012"):
        assert "is not HOST:PORT" in said(2, "--from-istiod", text, *root)
    assert "cannot be reached from" in said(2, "--from-istiod", "[::1]:15012", "--source",
                                            GATEWAY_IP, *root)
    assert "is no address" in said(2, "--from-istiod", istiod.endpoint, "--source", "x", *root)
    assert "only DNS names" in said(2, "--from-istiod", istiod.endpoint, "--source", GATEWAY_IP,
                                    "--name", "10.0.0.1", *root)
    assert "self-signed" in said(3, "--from-istiod", istiod.endpoint, "--root-cert",
                                   other_root[0], "--output", out)
    istiod.stop()
    assert istiod.endpoint in said(3, "--from-istiod", istiod.endpoint, *root)
    assert not out.exists()


def test_from_istiod__host_with_several_addresses__each_is_tried(rig: Rig) -> None:
    istiod, hosts = rig.istiod(), rig.folder / "hosts"
    hosts.write_text("".join(f"{address} many.test\n"
                             for address in ("::1", "127.0.0.9", "127.0.0.1")))
    shell = 'mount --bind "$0" /etc/hosts && exec "$@"'

    for number, source in enumerate(([], ["--source", GATEWAY_IP])):
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", shell, hosts, BINARY,
             "cert", "issue", "--from-istiod", f"many.test:{istiod.port}", "--root-cert",
             istiod.dir / "root-cert.pem", "--output", rig.folder / f"tls-{number}", *source],
            capture_output=True, text=True, timeout=60)
        # Without a source istiod is reached, too: it trusts loopback, where the kernel leaves from.
        assert done.returncode == 0, done.stderr
        verify(rig.folder / f"tls-{number}")


def test_from_istiod__number_of_names__is_checked_as_for_every_authority(rig: Rig) -> None:
    istiod, out = rig.istiod(), rig.folder / "tls"
    many = [part for i in range(64) for part in ("--name", f"n{i}.test")]

    def said(code: int, *arguments: object) -> str:
        return cert("issue", "--from-istiod", istiod.endpoint, "--source", GATEWAY_IP,
                    "--root-cert", istiod.dir / "root-cert.pem", "--output", out, *arguments,
                    code=code).stderr

    assert "1 to 64 names" in said(2, *many)
    assert not out.exists()
    said(0, *many, "--names-only")

    make_root(out, "nameless")
    (out / "nameless.pem").rename(out / "tls.crt")
    assert "tls.crt has no names" in said(2, "--renew")


# ---- cert show ----


def show(*arguments: object, code: int = 0) -> list[dict]:
    """The rows; the answer for people has the same exit code."""
    cert("show", *arguments, code=code)
    answer = json.loads(cert("show", *arguments, "-o", "json", code=code).stdout)
    assert answer["good"] is (code == 0)
    assert answer["good"] is not any(row["problems"] for row in answer["certificates"])
    return answer["certificates"]


def test_show__says_what_openssl_says(tmp_path: Path) -> None:
    root = make_root(tmp_path)
    out = tmp_path / "out"
    cert("issue", *of(root), "--output", out, "--name", "10.0.0.9,gw.test", "--key", "rsa-2048")

    rows = show(out / "tls.crt", out / "tls.key", out / "root-cert.pem")

    assert [row["file"] for row in rows] == [str(out / "tls.crt"), str(out / "root-cert.pem")]
    row = rows[0]
    assert row["names"] == [SERVER_NAME, "10.0.0.9", "gw.test"]
    assert row["use"] == ["server"] and row["key"] == "RSA 2048"
    assert row["days_left"] in (89, 90)  # a new day may begin
    assert row["private_key"] == str(out / "tls.key")
    assert row["chains_to"] == [{"file": str(out / "root-cert.pem"),
                                 "subject": "CN=root,O=cluster.local"}]
    said = openssl("x509", "-in", out / "tls.crt", "-noout", "-serial", "-fingerprint", "-sha256",
                   "-subject", "-issuer", "-nameopt", "RFC2253", "-enddate", "-dateopt", "iso_8601")
    fields = dict(line.split("=", 1) for line in said.splitlines())
    assert row["serial"] == fields["serial"].lower()
    assert row["sha256"] == fields["sha256 Fingerprint"].replace(":", "").lower()
    assert row["subject"] == fields["subject"] and row["issuer"] == fields["issuer"]
    assert row["not_after"] == fields["notAfter"].replace(" ", "T")
    assert rows[1]["authority"] and rows[1]["self_signed"] and rows[1]["chains_to"] == []

    text = cert("show", out / "tls.crt", out / "tls.key", out / "root-cert.pem").stdout
    for part in (SERVER_NAME, " days left", "RSA 2048", row["sha256"], "chains to"):
        assert part in text


def test_show__what_nobody_would_accept_is_named(tmp_path: Path) -> None:
    root, other = make_root(tmp_path), make_root(tmp_path, "other")
    out = tmp_path / "out"
    cert("issue", *of(root), "--output", out)
    expire(tmp_path)
    locked = tmp_path / "locked.key"
    openssl("pkey", "-in", out / "tls.key", "-aes256", "-passout", "pass:x", "-out", locked)

    def problems(*arguments: object) -> list[str]:
        return [text for row in show(*arguments, code=1) for text in row["problems"]]

    assert problems(tmp_path / "old.pem") == ["it has expired"]
    assert problems(out / "tls.crt", other.private_key) == [
        "none of the private keys given is its own"]
    assert problems(out / "tls.crt", other.certificate) == [
        "none of the roots given vouches for it: unable to get local issuer certificate"]
    assert problems(tmp_path / "none", out / "tls.crt") == [
        "the file cannot be opened: No such file or directory"]
    none = show(tmp_path / "none", code=1)[0]
    assert (none["number"], none["of"]) == (0, 0)
    assert problems(locked) == ["its private key is encrypted: the daemon cannot read it"]
    assert show(out / "tls.crt")[0]["problems"] == []
    assert "no certificate" in cert("show", out / "tls.key", code=1).stderr
    assert "either files or --config" in cert("show", code=2).stderr
    assert "either files or --config" in cert("show", out / "tls.crt", "-c", "x", code=2).stderr


def test_show__odd_names__reach_no_terminal(tmp_path: Path) -> None:
    root = make_root(tmp_path, "root", "-addext", "subjectAltName=DNS:a\x1b[31mb")
    odd = tmp_path / "o\x1b[31m\ndd.pem"
    odd.write_bytes(root.certificate.read_bytes())
    latin = os.fsencode(tmp_path) + b"/\xe9.pem"  # no UTF-8
    Path(os.fsdecode(latin)).write_bytes(root.certificate.read_bytes())
    done = subprocess.run([BINARY, "cert", "show", latin, "-o", "json"], capture_output=True)

    assert json.loads(done.stdout)["certificates"][0]["file"] == f"{tmp_path}/?.pem"
    text = cert("show", odd).stdout

    assert "\x1b" not in text and "a\\x1b[31mb" in text
    assert text.splitlines()[0] == str(tmp_path / "o\\x1b[31m\\x0add.pem")


def config_of(folder: Path, certificate: Path, key: Path, roots: Path) -> Path:
    path = folder / "xdsgate.yaml"
    path.write_text(f"""
version: 1
listeners:
- name: edge
  bind: ["127.0.0.1:15012"]
  tls:
    certificates: [{{certificate: {certificate}, private_key: {key}}}]
    client_roots: [{roots}]
  vm_identities: ["ns/vms/sa/*"]
  routes: [{{sni: ["*"], mode: terminate, upstream: up}}]
upstreams:
- name: up
  endpoints: ["10.0.0.11:15012"]
  identity: forward
  tls: {{server_name: {SERVER_NAME}, roots: [{roots}]}}
""")
    return path


def test_show__configuration__each_certificate_with_its_place(tmp_path: Path) -> None:
    root, out = make_root(tmp_path), tmp_path / "out"
    cert("issue", *of(root), "--output", out)
    config = config_of(tmp_path, out / "tls.crt", out / "tls.key", root.certificate)

    rows = show("--config", config)

    assert [(row["role"], row.get("listener"), row.get("upstream")) for row in rows] == [
        ("serving", "edge", None), ("client_roots", "edge", None), ("roots", None, "up")]
    assert rows[0]["private_key"] == str(out / "tls.key")
    assert [to["file"] for to in rows[0]["chains_to"]] == [str(root.certificate)]


def test_show__configuration_that_the_daemon_refuses__is_shown(tmp_path: Path) -> None:
    root, out, other = make_root(tmp_path), tmp_path / "out", make_root(tmp_path, "other")
    cert("issue", *of(root), "--output", out)
    expire(tmp_path)

    config = config_of(tmp_path, tmp_path / "old.pem", tmp_path / "old.key", tmp_path / "old.pem")
    rows = show("--config", config, code=1)
    assert "the daemon refuses it: the certificate expired at 20" in rows[0]["problems"][0]
    assert [row["problems"] for row in rows[1:]] == [["it has expired"]] * 2

    config = config_of(tmp_path, out / "tls.crt", other.private_key, other.certificate)
    rows = show("--config", config, code=1)
    assert [len(row["problems"]) for row in rows] == [1, 0, 0]  # VMs may have another root
    assert str(other.private_key) in rows[0]["problems"][0]

    config = config_of(tmp_path, out / "tls.key", out / "tls.crt", root.private_key)
    rows = show("--config", config, code=1)
    assert [row["problems"] for row in rows] == [["the file has no certificate in it"]] * 3

    config.write_text("listeners: [")
    assert f"{config}:2:" in cert("show", "--config", config, code=2).stderr
    assert "cannot be read" in cert("show", "--config", tmp_path / "none", code=2).stderr
