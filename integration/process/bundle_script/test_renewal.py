# SPDX-License-Identifier: Apache-2.0
"""Certificates of an older life, and the script of `bundle renew`. Needs root."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from rig.bundle_script import STATE, TOKEN_AT, Bundle, Shell, last_line, refused
from rig.jwt import vm_token
from rig.pki import NEW_KEY, openssl, request
from rig.vm_image import GID, HOSTS, UID, VmImage


def agent_certificate(vm: VmImage, mesh_root: tuple[Path, Path], account: str, days: int) -> None:
    """What an agent has left in /etc/certs, owned by root."""
    certs, (root, root_key) = vm.root / "etc/certs", mesh_root
    csr, key = request(certs, "key", f"spiffe://cluster.local/ns/vms/sa/{account}")
    (vm.root / "tmp/csr.pem").write_text(csr)
    openssl("x509", "-req", "-in", vm.root / "tmp/csr.pem", "-copy_extensions", "copy", "-CA", root,
            "-CAkey", root_key, "-days", str(days), "-out", certs / "cert-chain.pem")
    key.rename(certs / "key.pem")


@pytest.mark.parametrize(("account", "days", "why"), [
    ("web", 1, None),
    ("web", -1, "it has expired"),
    ("other", 1, "it is for spiffe://cluster.local/ns/vms/sa/other"),
])
def test_certificate__good_or_not__stays_or_is_set_aside(
        bundle: Bundle, vm: VmImage, shell: Shell, mesh_root: tuple[Path, Path], account: str,
        days: int, why: str | None) -> None:
    agent_certificate(vm, mesh_root, account, days)
    before = vm.snapshot()
    script = bundle.form("script")

    done = shell.run(script, "--root", vm.root)

    assert (vm.root / "etc/certs/cert-chain.pem").exists() is (why is None)
    assert (vm.root / "etc/certs/key.pem").exists() is (why is None)
    if why is None:
        assert vm.entry("etc/certs/key.pem").owner == (UID, GID)
    else:
        assert why in done.stdout
    shell.run(script, "--root", vm.root, "--undo")
    assert vm.snapshot() == before


def test_certificate__of_no_use_and_no_token_to_take_its_place__stays(
        bundle: Bundle, vm: VmImage, shell: Shell, mesh_root: tuple[Path, Path]) -> None:
    """A clock that is ahead would lose a good one."""
    agent_certificate(vm, mesh_root, "web", -1)
    (bundle.files / "istio-token").unlink()

    done = shell.run(bundle.form("script"), "--root", vm.root)

    assert "set aside" not in done.stdout
    assert (vm.root / "etc/certs/cert-chain.pem").exists()


# ---- a renewal ----

def test_renewal__token_ran_out__only_it_is_replaced(bundle: Bundle, vm: VmImage, shell: Shell,
                                                     mesh_root: tuple[Path, Path]) -> None:
    shell.run(bundle.form("script"), "--root", vm.root)
    agent_certificate(vm, mesh_root, "web", -1)
    before = vm.snapshot()
    bundle.write("istio-token", vm_token(bundle.now + 7200))
    script = bundle.renewal()

    done = shell.run(script, "--root", vm.root)

    assert last_line(done) == "changed"
    assert "Renewing the bundle for web in vms" in done.stdout
    gone = {"etc/certs/cert-chain.pem", "etc/certs/key.pem"}
    changed = {path for path, entry in vm.snapshot().items() if before.get(path) != entry
               and not path.startswith((f"{STATE}/before", f"{STATE}/list", f"{STATE}/inst"))}
    assert changed == {TOKEN_AT, f"{STATE}/istio-token"}
    assert set(before) - set(vm.snapshot()) == gone
    assert vm.text(TOKEN_AT) == bundle.text("istio-token")
    assert vm.entry(TOKEN_AT).owner == (UID, GID)
    assert last_line(shell.run(script, "--root", vm.root)) == "unchanged"


def test_renewal__mesh_has_another_root__replaced(bundle: Bundle, vm: VmImage, dash: Shell,
                                                  tmp_path: Path) -> None:
    dash.run(bundle.form("script"), "--root", vm.root)
    openssl("req", "-x509", *NEW_KEY, "-subj", "/O=new", "-days", "2", "-keyout",
            tmp_path / "new.key", "-out", bundle.files / "root-cert.pem")

    dash.run(bundle.renewal(), "--root", vm.root)

    assert vm.text("etc/certs/root-cert.pem") == bundle.text("root-cert.pem")


@pytest.mark.parametrize("env", [
    "CANONICAL_SERVICE='web'\nISTIO_NAMESPACE='vms'\nSERVICE_ACCOUNT='web'\n",
    'ISTIO_NAMESPACE="vms"\nSERVICE_ACCOUNT=web\n',
    "ISTIO_NAMESPACE='other'\nSERVICE_ACCOUNT='web'\nISTIO_NAMESPACE='vms'\n",
])
def test_renewal__installed_by_hand__renewed_and_survives_a_reboot(
        bundle: Bundle, vm: VmImage, shell: Shell, env: str) -> None:
    """As istioctl's page says it, with the quotes that istioctl writes, or edited. Of what is set
    twice, a shell has the last."""
    (vm.root / "var/lib/istio/envoy/cluster.env").write_text(env)

    shell.run(bundle.renewal(), "--root", vm.root)
    vm.reboot()

    assert vm.text(TOKEN_AT) == bundle.text("istio-token")
    assert vm.text("etc/hosts") == HOSTS


@pytest.mark.parametrize(("env", "why"), [
    (None, "it needs a whole bundle"),
    ("ISTIO_NAMESPACE='vms'\nSERVICE_ACCOUNT='other'\n",
     "this is for ns/vms/sa/web, but this machine is ns/vms/sa/other"),
    ("ISTIO_NAMESPACE='$(touch /tmp/x)'\nSERVICE_ACCOUNT='web'\n",
     "this is for ns/vms/sa/web, but this machine is ns//sa/web"),
])
def test_renewal__another_machine__refused(bundle: Bundle, vm: VmImage, shell: Shell,
                                           env: str | None, why: str) -> None:
    if env is not None:
        (vm.root / "var/lib/istio/envoy/cluster.env").write_text(env)
    script = bundle.renewal()
    before = vm.snapshot()

    done = shell.run(script, "--root", vm.root, code=1)

    assert why in refused(done, vm, before)


# ---- a gateway with a root of its own ----

GATEWAY = "gw.example.com:15012"
GATEWAY_ROOT = "var/lib/istio/envoy/gateway-root.pem"
SIDECAR_ENV = "var/lib/istio/envoy/sidecar.env"
GATEWAY_ENV = ("ISTIO_NAMESPACE='vms'\nSERVICE_ACCOUNT='web'\n"
               f"CA_ADDR='{GATEWAY}'\nXDS_ROOT_CA='/{GATEWAY_ROOT}'\nCA_ROOT_CA='/{GATEWAY_ROOT}'\n")


def private_root(folder: Path, name: str, days: int = 9) -> str:
    csr, key, root = (folder / f"{name}.{kind}" for kind in ["csr", "key", "pem"])
    openssl("req", "-new", *NEW_KEY, "-subj", f"/O={name}", "-keyout", key, "-out", csr)
    openssl("x509", "-req", "-in", csr, "-signkey", key, "-days", str(days), "-out", root)
    return root.read_text()


@pytest.fixture
def with_gateway_root(bundle: Bundle, vm: VmImage, shell: Shell, tmp_path: Path) -> Bundle:
    """Installed, and the gateway has another authority now."""
    bundle.write("cluster.env", GATEWAY_ENV)
    bundle.write("gateway-root.pem", private_root(tmp_path, "gateway"))
    shell.run(bundle.form("script"), "--root", vm.root)
    bundle.write("gateway-root.pem", private_root(tmp_path, "other"))
    return bundle


def test_renewal__gateway_has_another_root__replaced_once(with_gateway_root: Bundle, vm: VmImage,
                                                          shell: Shell) -> None:
    before = vm.snapshot()
    script = with_gateway_root.renewal(gateway=GATEWAY)

    dry = shell.run(script, "--root", vm.root, "--dry-run")
    assert f"would write /{GATEWAY_ROOT}" in dry.stdout
    assert vm.snapshot() == before
    done = shell.run(script, "--root", vm.root)

    assert last_line(done) == "changed"
    assert [line for line in done.stdout.splitlines() if line.startswith("write ")] == [
        f"write /{GATEWAY_ROOT}"]
    entry = vm.entry(GATEWAY_ROOT)
    assert (entry.content.decode(), entry.owner, entry.mode) == (
        with_gateway_root.text("gateway-root.pem"), (0, 0), 0o644)
    assert (vm.root / STATE / "restart").exists()
    assert last_line(shell.run(script, "--root", vm.root)) == "unchanged"


def test_renewal__no_token__only_the_root_is_replaced(with_gateway_root: Bundle, vm: VmImage,
                                                      shell: Shell) -> None:
    """Of a VM that has a certificate: nothing secret has to be kept for it."""
    (vm.root / "etc/tmpfiles.d/xdsgate-bundle.conf").unlink()
    (with_gateway_root.files / "istio-token").unlink()
    script = with_gateway_root.renewal()
    before = vm.snapshot()

    shell.run(script, "--root", vm.root)

    changed = {path for path, entry in vm.snapshot().items() if before.get(path) != entry
               and not path.startswith(STATE)}
    assert changed == {GATEWAY_ROOT}
    assert last_line(shell.run(script, "--root", vm.root)) == "unchanged"


@pytest.mark.parametrize(("account", "days", "why"), [
    ("web", -1, "it has expired"),
    ("other", 1, "it is for spiffe://cluster.local/ns/vms/sa/other"),
])
def test_renewal__no_token_and_a_certificate_of_no_use__refused(
        with_gateway_root: Bundle, vm: VmImage, shell: Shell, mesh_root: tuple[Path, Path],
        account: str, days: int, why: str) -> None:
    """Also where the token of the VM is good: the certificate would speak louder."""
    agent_certificate(vm, mesh_root, account, days)
    (with_gateway_root.files / "istio-token").unlink()
    before = vm.snapshot()

    done = shell.run(with_gateway_root.renewal(), "--root", vm.root, code=1)

    assert (f"error: the certificate of this machine is of no use ({why}): it needs a token, too: "
            "xdsgate bundle renew without --no-token\n") == refused(done, vm, before)


@pytest.mark.parametrize(("of_the_agent", "kept", "code"), [
    (None, None, 1), (-60, None, 1), (-60, -60, 1), (600, None, 0), (None, 600, 0), (-60, 600, 0),
])
def test_renewal__no_token_and_no_certificate__needs_one_that_is_valid(
        with_gateway_root: Bundle, vm: VmImage, shell: Shell, of_the_agent: int | None,
        kept: int | None, code: int) -> None:
    """The copy comes into its place when the VM boots. Tokens are of any length: base64 of them
    ends anywhere."""
    now = int(time.time())
    for path, seconds in [(TOKEN_AT, of_the_agent), (f"{STATE}/istio-token", kept)]:
        (vm.root / path).unlink()
        if seconds is not None:
            (vm.root / path).write_text(vm_token(now + seconds, "web" + "x" * (seconds % 7)))
    (with_gateway_root.files / "istio-token").unlink()
    before = vm.snapshot()

    done = shell.run(with_gateway_root.renewal(), "--root", vm.root, code=code)

    if code == 0:
        assert last_line(done) == "changed"
    else:
        assert "this machine is of no use (it is missing): it needs a token, too" in \
            refused(done, vm, before)


def test_renewal__no_token_and_a_good_certificate__done(
        with_gateway_root: Bundle, vm: VmImage, shell: Shell,
        mesh_root: tuple[Path, Path]) -> None:
    """Its token may have run out long ago."""
    agent_certificate(vm, mesh_root, "web", 1)
    (vm.root / TOKEN_AT).write_text(vm_token(time.time() - 7200))
    (vm.root / f"{STATE}/istio-token").unlink()
    (with_gateway_root.files / "istio-token").unlink()

    done = shell.run(with_gateway_root.renewal(), "--root", vm.root)

    assert last_line(done) == "changed"
    assert (vm.root / "etc/certs/cert-chain.pem").exists()


def test_renewal__gateways_root_and_undo__as_before_the_first_bundle(
        bundle: Bundle, vm: VmImage, dash: Shell, tmp_path: Path) -> None:
    before = vm.snapshot()
    bundle.write("cluster.env", GATEWAY_ENV)
    bundle.write("gateway-root.pem", private_root(tmp_path, "gateway"))
    dash.run(bundle.form("script"), "--root", vm.root)
    bundle.write("gateway-root.pem", private_root(tmp_path, "other"))
    script = bundle.renewal()
    dash.run(script, "--root", vm.root)

    dash.run(script, "--root", vm.root, "--undo")

    assert vm.snapshot() == before


@pytest.mark.parametrize(("gateway", "why"), [
    ("new.example.com:15012", "this is for machines that call new.example.com:15012, but this one "
     f"calls {GATEWAY}: another name takes a whole bundle"),
    ("gw.example.com:31012", f"but this one calls {GATEWAY}: "),
])
def test_renewal__another_gateway__refused(with_gateway_root: Bundle, vm: VmImage, shell: Shell,
                                           gateway: str, why: str) -> None:
    before = vm.snapshot()

    done = shell.run(with_gateway_root.renewal(gateway=gateway), "--root", vm.root, code=1)

    assert why in refused(done, vm, before)


@pytest.mark.parametrize(("mesh", "calls"), [
    ("defaultConfig:\n  meshId: one # discoveryAddress: no.example.com:1\n",
     "istiod.istio-system.svc:15012"),
    (None, "istiod.istio-system.svc:15012"),
    ("defaultConfig:\n  discoveryAddress: istiod.mesh.svc:15012 # here\n",
     "istiod.mesh.svc:15012"),
    ("defaultConfig: {discoveryAddress: 'istiod.mesh.svc:31012', meshId: one}\n",
     "istiod.mesh.svc:31012"),
    ('{"defaultConfig": {"discoveryAddress" : "istiod.mesh.svc:31012"}}',
     "istiod.mesh.svc:31012"),
])
def test_renewal__no_ca_addr__the_mesh_says_what_is_called(
        bundle: Bundle, vm: VmImage, shell: Shell, mesh: str | None, calls: str) -> None:
    """As of every bundle without --gateway-name and --revision."""
    shell.run(bundle.form("script"), "--root", vm.root)
    (vm.root / "var/lib/istio/config/mesh").unlink()
    if mesh is not None:
        (vm.root / "var/lib/istio/config/mesh").write_text(mesh)
    before = vm.snapshot()

    done = shell.run(bundle.renewal(gateway=GATEWAY), "--root", vm.root, code=1)

    assert f"but this one calls {calls}: " in refused(done, vm, before)
    shell.run(bundle.renewal(gateway=calls), "--root", vm.root)


def test_renewal__gateways_root_for_a_vm_that_has_none__refused(bundle: Bundle, vm: VmImage,
                                                                shell: Shell) -> None:
    """Nobody would look at it."""
    shell.run(bundle.form("script"), "--root", vm.root)
    bundle.write("gateway-root.pem", bundle.text("root-cert.pem"))
    before = vm.snapshot()

    done = shell.run(bundle.renewal(), "--root", vm.root, code=1)

    assert "this machine has no root for the gateway: the first one takes a whole bundle" in \
        refused(done, vm, before)
    (bundle.files / "gateway-root.pem").unlink()
    done = shell.run(bundle.renewal(gateway=GATEWAY), "--root", vm.root, code=1)
    assert "but this one calls istiod.istio-system.svc:15012: " in refused(done, vm, before)


@pytest.mark.parametrize(("beside", "why"), [
    (f"XDS_ROOT_CA='/{GATEWAY_ROOT}'\nCA_ADDR='{GATEWAY}'\n", None),
    (f'CA_ROOT_CA="/{GATEWAY_ROOT}"\nCA_ADDR={GATEWAY}\n', None),
    (f"XDS_ROOT_CA=/other.pem\nCA_ADDR={GATEWAY}\n", "this machine has no root for the gateway"),
    (f"XDS_ROOT_CA=/{GATEWAY_ROOT}\nCA_ADDR=other.example.com:15012\n",
     "but this one calls other.example.com:15012: "),
])
def test_renewal__sidecar_env_names_the_gateway__counts(
        bundle: Bundle, vm: VmImage, shell: Shell, beside: str, why: str | None) -> None:
    """istio-start.sh reads both files, and so does `bundle verify`."""
    shell.run(bundle.form("script"), "--root", vm.root)
    (vm.root / SIDECAR_ENV).write_text(beside)
    bundle.write("gateway-root.pem", bundle.text("root-cert.pem"))
    script = bundle.renewal(gateway=GATEWAY)
    before = vm.snapshot()

    done = shell.run(script, "--root", vm.root, code=0 if why is None else 1)

    if why is None:
        assert vm.text(GATEWAY_ROOT) == bundle.text("gateway-root.pem")
    else:
        assert why in refused(done, vm, before)


def test_renewal__cluster_env_says_the_same_variable__it_wins(
        with_gateway_root: Bundle, vm: VmImage, shell: Shell) -> None:
    """It is read last; an empty value is one, too."""
    (vm.root / SIDECAR_ENV).write_text(
        "CA_ADDR=other.example.com:15012\nXDS_ROOT_CA=/other.pem\nCA_ROOT_CA=/other.pem\n")
    script = with_gateway_root.renewal(gateway=GATEWAY)
    assert last_line(shell.run(script, "--root", vm.root)) == "changed"
    (vm.root / SIDECAR_ENV).write_text(GATEWAY_ENV)
    (vm.root / "var/lib/istio/envoy/cluster.env").write_text(
        "ISTIO_NAMESPACE=vms\nSERVICE_ACCOUNT=web\n"
        f"CA_ADDR={GATEWAY}\nXDS_ROOT_CA=\nCA_ROOT_CA=''\n")
    before = vm.snapshot()

    done = shell.run(script, "--root", vm.root, code=1)

    assert "this machine has no root for the gateway" in refused(done, vm, before)


def test_renewal__gateways_root_has_expired__refused(with_gateway_root: Bundle, vm: VmImage,
                                                     shell: Shell, tmp_path: Path) -> None:
    with_gateway_root.write("gateway-root.pem", private_root(tmp_path, "old", -1))
    before = vm.snapshot()

    done = shell.run(with_gateway_root.renewal(), "--root", vm.root, code=1)

    assert "the gateway's root has expired: is the clock right?" in refused(done, vm, before)


@pytest.mark.parametrize(("installed", "warned"), [
    (["good"], False), (["old"], True), (["old", "good"], False), ([], True),
])
def test_renewal__without_the_gateways_root__says_when_that_is_needed(
        with_gateway_root: Bundle, vm: VmImage, shell: Shell, tmp_path: Path, installed: list[str],
        warned: bool) -> None:
    roots = [private_root(tmp_path, name, -1 if name == "old" else 9) for name in installed]
    (vm.root / GATEWAY_ROOT).write_text("".join(roots))
    if not installed:
        (vm.root / GATEWAY_ROOT).unlink()
    (with_gateway_root.files / "gateway-root.pem").unlink()

    done = shell.run(with_gateway_root.renewal(), "--root", vm.root)

    assert (f"warning: /{GATEWAY_ROOT} is missing or has expired" in
            done.stderr.replace(str(vm.root), "")) is warned
    assert ("bundle renew --gateway-root FILE brings another" in done.stderr) is warned


# ---- a renewal that comes late ----

@pytest.mark.parametrize("days", [None, 1, -1])
def test_renewal__its_token_has_run_out__refused(
        bundle: Bundle, vm: VmImage, shell: Shell, mesh_root: tuple[Path, Path],
        days: int | None) -> None:
    """Whatever certificate the VM has."""
    shell.run(bundle.form("script"), "--root", vm.root)
    if days is not None:
        agent_certificate(vm, mesh_root, "web", days)
    bundle.write("istio-token", vm_token(time.time() - 7200))
    script = bundle.renewal()
    before = vm.snapshot()

    done = shell.run(script, "--root", vm.root, code=1)

    assert "ran out 120 minutes ago" in refused(done, vm, before)


def test_renewal__undo__as_before_the_first_bundle(bundle: Bundle, vm: VmImage,
                                                   dash: Shell) -> None:
    before = vm.snapshot()
    dash.run(bundle.form("script"), "--root", vm.root)
    bundle.write("istio-token", vm_token(bundle.now + 7200))
    script = bundle.renewal()
    dash.run(script, "--root", vm.root)

    dash.run(script, "--root", vm.root, "--undo")

    assert vm.snapshot() == before
