# SPDX-License-Identifier: Apache-2.0
"""The script that installs a bundle on a VM, under dash, bash and busybox with its own tools; and
the other forms of a bundle. build/*/tests/pack_bundle writes them. Needs root."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import socket
import subprocess
import tarfile
import time
from pathlib import Path

import pytest
import yaml

from rig.gateway import ROOT
from rig.jwt import vm_token
from rig.pki import NEW_KEY, openssl, request
from rig.vm_image import GID, HOSTS, OLD_ENVOY, UID, VmImage
from rig.vm_side import PACK

TEMPLATE = ROOT / "bootstrap/install.sh"

HOSTS_LINES = "10.0.0.5 istiod.istio-system.svc\n"
TOKEN_AT = "run/secrets/tokens/istio-token"
STATE = "var/lib/xdsgate-bundle"


class Bundle:
    """A folder with the files, and the forms made of it."""

    def __init__(self, folder: Path, root_cert: Path) -> None:
        self.folder = folder
        self.files = folder / "files"
        self.files.mkdir()
        self.now = time.time()
        self.write("mesh.yaml", "defaultConfig:\n  meshId: one\n")
        self.write("cluster.env", "ISTIO_NAMESPACE=vms\nSERVICE_ACCOUNT=web\n")
        self.write("root-cert.pem", root_cert.read_text())
        self.write("istio-token", vm_token(self.now + 3600))
        self.write("hosts", HOSTS_LINES)

    def write(self, name: str, text: str) -> None:
        (self.files / name).write_text(text)

    def text(self, name: str) -> str:
        return (self.files / name).read_text()

    def form(self, name: str) -> Path:
        output = self.folder / f"bundle.{name}"
        subprocess.run([PACK, name, self.files, output, str(int(self.now))], check=True)
        return output

    def renewal(self, account: str = "/ns/vms/sa/web") -> Path:
        """What `bundle renew` makes: a script with the token and the root certificate only."""
        output = self.folder / "renewal.sh"
        subprocess.run([PACK, "script", self.files, output, str(int(self.now)), account],
                       check=True)
        return output

    def refused(self, name: str, output: str | Path) -> str:
        done = subprocess.run([PACK, name, self.files, output, "0"], text=True,
                              capture_output=True, check=False)
        assert done.returncode == 1
        return done.stderr.strip()


class Shell:
    """A shell and the tools that its script finds."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.path = path

    def run(self, script: Path, *options: object,
            code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([self.name, script, *map(str, options)], text=True, check=False,
                              capture_output=True, env={"PATH": self.path}, timeout=60)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done


@pytest.fixture(scope="session")
def applets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("applets")
    subprocess.run(["busybox", "--install", "-s", folder], check=True)
    (folder / "openssl").symlink_to("/usr/bin/openssl")
    return folder


@pytest.fixture(params=["dash", "bash", "busybox"])
def shell(request: pytest.FixtureRequest, applets: Path) -> Shell:
    if request.param == "busybox":
        return Shell(str(applets / "sh"), str(applets))
    return Shell(f"/bin/{request.param}", "/usr/sbin:/usr/bin")


@pytest.fixture
def dash() -> Shell:
    return Shell("/bin/dash", "/usr/sbin:/usr/bin")


@pytest.fixture(scope="session")
def mesh_root(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("mesh")
    openssl("req", "-x509", *NEW_KEY, "-subj", "/O=mesh", "-days", "2", "-keyout",
            folder / "ca.key", "-out", folder / "root.pem", "-addext",
            "keyUsage=critical,keyCertSign")
    return folder / "root.pem", folder / "ca.key"


@pytest.fixture
def bundle(tmp_path: Path, mesh_root: tuple[Path, Path]) -> Bundle:
    return Bundle(tmp_path, mesh_root[0])


@pytest.fixture
def vm(tmp_path: Path) -> VmImage:
    return VmImage(tmp_path / "vm")


def broken_tool(folder: Path, name: str, arguments: str, code: int = 1) -> Path:
    """A folder for the front of PATH: the tool fails when its arguments match."""
    tools = folder / "broken"
    tools.mkdir()
    (tools / name).write_text(f'#!/bin/sh\ncase "$*" in {arguments}) exit {code} ;; esac\n'
                              f'exec /usr/bin/{name} "$@"\n')
    (tools / name).chmod(0o755)
    return tools


def tool_that(folder: Path, name: str, first: str) -> Path:
    """A folder for the front of PATH: somebody else gets a turn before the tool does its work."""
    tools = folder / "turn"
    tools.mkdir(exist_ok=True)
    (tools / name).write_text(f'#!/bin/sh\n{first}\nexec /usr/bin/{name} "$@"\n')
    (tools / name).chmod(0o755)
    return tools


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout.splitlines()[-1]


# ---- installing ----

def test_script__first_run__every_file_in_its_place_with_owner_and_mode(
        bundle: Bundle, vm: VmImage, shell: Shell) -> None:
    done = shell.run(bundle.form("script"), "--root", vm.root)

    assert last_line(done) == "changed"
    agent, root = (UID, GID), (0, 0)
    for path, name, owner, mode in [
            ("var/lib/istio/envoy/cluster.env", "cluster.env", root, 0o644),
            ("var/lib/istio/config/mesh", "mesh.yaml", root, 0o644),
            ("etc/certs/root-cert.pem", "root-cert.pem", agent, 0o644),
            (TOKEN_AT, "istio-token", agent, 0o600),
            (f"{STATE}/istio-token", "istio-token", root, 0o600)]:
        entry = vm.entry(path)
        assert (entry.content.decode(), entry.owner, entry.mode) == (bundle.text(name), owner, mode)
    assert vm.entry("run/secrets/tokens").owner == agent
    assert vm.entry("run/secrets/tokens").mode == 0o700
    assert vm.entry(STATE).mode == 0o700
    assert vm.text("etc/hosts") == HOSTS + "10.0.0.5 istiod.istio-system.svc # xdsgate\n"
    assert vm.entry("etc/hosts").mode == 0o644


def test_script__says_what_it_does__never_the_token(bundle: Bundle, vm: VmImage,
                                                    shell: Shell) -> None:
    script = bundle.form("script")

    traced = subprocess.run([shell.name, "-x", script, "--root", vm.root], text=True, check=True,
                            capture_output=True, env={"PATH": shell.path})

    said = traced.stdout + traced.stderr
    assert "write /etc/hosts" in traced.stdout
    secret = bundle.text("istio-token")
    assert secret not in said
    assert base64.b64encode(secret.encode()).decode()[:40] not in said


def test_script__second_run__changes_nothing_and_says_so(bundle: Bundle, vm: VmImage,
                                                         shell: Shell) -> None:
    script = bundle.form("script")
    shell.run(script, "--root", vm.root)
    before = vm.snapshot()

    done = shell.run(script, "--root", vm.root)

    assert done.stdout.splitlines()[1:] == ["unchanged"]
    assert vm.snapshot() == before


def test_script__dry_run__says_it_and_changes_nothing(bundle: Bundle, vm: VmImage,
                                                      shell: Shell) -> None:
    before = vm.snapshot()

    done = shell.run(bundle.form("script"), "--root", vm.root, "--dry-run")

    assert last_line(done) == "would be changed"
    assert "would write /etc/hosts" in done.stdout
    assert vm.snapshot() == before


def test_script__agent_has_replaced_the_root__it_stays(bundle: Bundle, vm: VmImage,
                                                       dash: Shell) -> None:
    script = bundle.form("script")
    dash.run(script, "--root", vm.root)
    newer = vm.text("etc/certs/root-cert.pem") * 2
    (vm.root / "etc/certs/root-cert.pem").write_text(newer)

    done = dash.run(script, "--root", vm.root)

    assert last_line(done) == "unchanged"
    assert vm.text("etc/certs/root-cert.pem") == newer


def test_script__root_was_installed_by_hand_and_then_replaced_by_the_agent__it_stays(
        bundle: Bundle, vm: VmImage, shell: Shell) -> None:
    root_cert = vm.root / "etc/certs/root-cert.pem"
    root_cert.write_text(bundle.text("root-cert.pem"))
    os.chown(root_cert, UID, GID)
    before = vm.snapshot()
    script = bundle.form("script")
    assert "root-cert.pem" not in shell.run(script, "--root", vm.root).stdout
    newer = root_cert.read_text() * 2
    root_cert.write_text(newer)

    done = shell.run(script, "--root", vm.root)

    assert last_line(done) == "unchanged"
    assert root_cert.read_text() == newer
    root_cert.write_text(bundle.text("root-cert.pem"))
    shell.run(script, "--root", vm.root, "--undo")
    assert vm.snapshot() == before


def test_undo__everything_was_there_already__nothing_is_left(bundle: Bundle, vm: VmImage,
                                                             dash: Shell) -> None:
    script = bundle.form("script")
    dash.run(script, "--root", vm.root)
    shutil.rmtree(vm.root / STATE)
    (bundle.files / "istio-token").unlink()
    script = bundle.form("script")
    before = vm.snapshot()
    assert last_line(dash.run(script, "--root", vm.root)) == "unchanged"

    assert last_line(dash.run(script, "--root", vm.root, "--undo")) == "unchanged"

    assert vm.snapshot() == before


def test_script__no_token_in_the_bundle__the_rest_is_installed(bundle: Bundle, vm: VmImage,
                                                               dash: Shell) -> None:
    (bundle.files / "istio-token").unlink()

    dash.run(bundle.form("script"), "--root", vm.root)

    assert not (vm.root / TOKEN_AT).exists()
    assert vm.text("var/lib/istio/envoy/cluster.env") == bundle.text("cluster.env")


def test_script__folders_missing_and_owned_by_root__made_and_given_to_the_agent(
        bundle: Bundle, vm: VmImage, shell: Shell) -> None:
    shutil.rmtree(vm.root / "var/lib/istio")
    (vm.root / "etc/istio").unlink()
    os.chown(vm.root / "etc/certs", 0, 0)

    shell.run(bundle.form("script"), "--root", vm.root)

    assert vm.entry("etc/istio").content == b"/var/lib/istio"
    assert vm.text("var/lib/istio/config/mesh") == bundle.text("mesh.yaml")
    for path in ["etc/certs", "var/lib/istio/proxy", "var/lib/istio/config"]:
        assert vm.entry(path).owner == (UID, GID)


def test_script__what_root_runs_is_the_agents__given_to_root_and_back(bundle: Bundle, vm: VmImage,
                                                                      shell: Shell) -> None:
    folder = vm.root / "var/lib/istio/envoy"
    (folder / "sidecar.env").touch()
    os.chown(folder / "sidecar.env", UID, GID)
    before = vm.snapshot()
    script = bundle.form("script")

    shell.run(script, "--root", vm.root)

    for path in [folder, folder / "sidecar.env", folder / "cluster.env"]:
        assert (path.stat().st_uid, path.stat().st_gid) == (0, 0)
    shell.run(script, "--root", vm.root, "--undo")
    assert vm.snapshot() == before


def test_script__reboot__token_and_folders_are_back(bundle: Bundle, vm: VmImage,
                                                    dash: Shell) -> None:
    dash.run(bundle.form("script"), "--root", vm.root)
    before = {path: vm.entry(path) for path in ["run/secrets", "run/secrets/tokens", TOKEN_AT]}

    vm.reboot()

    assert {path: vm.entry(path) for path in before} == before


def test_script__another_mesh_file_was_edited__a_copy_of_it_is_kept(bundle: Bundle, vm: VmImage,
                                                                    shell: Shell) -> None:
    shell.run(bundle.form("script"), "--root", vm.root)
    (vm.root / "var/lib/istio/config/mesh").write_text("by hand\n")
    bundle.write("mesh.yaml", "defaultConfig: {}\n")

    done = shell.run(bundle.form("script"), "--root", vm.root)

    assert "it was edited since" in done.stdout
    assert vm.text(f"{STATE}/edited/var/lib/istio/config/mesh") == "by hand\n"
    assert vm.text("var/lib/istio/config/mesh") == "defaultConfig: {}\n"


# ---- hosts ----

@pytest.mark.parametrize(("before", "after"), [
    ("10.9.9.9 istiod.istio-system.svc\n", ""),
    ("10.9.9.9 db istiod.istio-system.svc cache # both\n", "10.9.9.9 db cache # both\n"),
    ("10.9.9.9 ISTIOD.istio-system.SVC\n", ""),
    ("# 10.9.9.9 istiod.istio-system.svc\n", "# 10.9.9.9 istiod.istio-system.svc\n"),
    ("10.9.9.9 db # istiod.istio-system.svc\n", "10.9.9.9 db # istiod.istio-system.svc\n"),
    ("10.9.9.9\tistiod.istio-system.svc.cluster.local\n",
     "10.9.9.9\tistiod.istio-system.svc.cluster.local\n"),
    ("fd00::9 istiod.istio-system.svc\n10.9.9.8 istiod.istio-system.svc\n", ""),
])
def test_hosts__older_lines__replaced_and_other_names_stay(
        bundle: Bundle, vm: VmImage, shell: Shell, before: str, after: str) -> None:
    (vm.root / "etc/hosts").write_text(HOSTS + before)

    shell.run(bundle.form("script"), "--root", vm.root)

    assert vm.text("etc/hosts") == HOSTS + after + "10.0.0.5 istiod.istio-system.svc # xdsgate\n"


def test_hosts__two_gateways_of_both_families__then_one_of_them(bundle: Bundle, vm: VmImage,
                                                                shell: Shell) -> None:
    bundle.write("hosts", "10.0.0.5 istiod.istio-system.svc\nfd00::5 istiod.istio-system.svc\n")
    script = bundle.form("script")
    shell.run(script, "--root", vm.root)
    both = vm.text("etc/hosts")
    assert last_line(shell.run(script, "--root", vm.root)) == "unchanged"
    bundle.write("hosts", "fd00::6 istiod.istio-system.svc\n")

    shell.run(bundle.form("script"), "--root", vm.root)

    assert both == HOSTS + ("10.0.0.5 istiod.istio-system.svc # xdsgate\n"
                            "fd00::5 istiod.istio-system.svc # xdsgate\n")
    assert vm.text("etc/hosts") == HOSTS + "fd00::6 istiod.istio-system.svc # xdsgate\n"


def test_hosts__right_line_is_there_already__file_is_not_touched(bundle: Bundle, vm: VmImage,
                                                                 shell: Shell) -> None:
    (vm.root / "etc/hosts").write_text("10.0.0.5 istiod.istio-system.svc\n127.0.0.1 localhost")

    done = shell.run(bundle.form("script"), "--root", vm.root)

    assert "/etc/hosts" not in done.stdout
    assert vm.text("etc/hosts") == "10.0.0.5 istiod.istio-system.svc\n127.0.0.1 localhost"


def test_hosts__missing_or_without_a_last_newline__written(bundle: Bundle, vm: VmImage,
                                                           shell: Shell) -> None:
    (vm.root / "etc/hosts").write_text("127.0.0.1 localhost")
    script = bundle.form("script")
    shell.run(script, "--root", vm.root)
    assert vm.text("etc/hosts").splitlines() == ["127.0.0.1 localhost",
                                                 "10.0.0.5 istiod.istio-system.svc # xdsgate"]
    (vm.root / "etc/hosts").unlink()

    shell.run(script, "--root", vm.root)

    assert vm.text("etc/hosts") == "10.0.0.5 istiod.istio-system.svc # xdsgate\n"


def test_hosts__symbolic_link__refused_before_anything_is_changed(bundle: Bundle, vm: VmImage,
                                                                  dash: Shell) -> None:
    (vm.root / "etc/hosts").rename(vm.root / "etc/hosts.real")
    (vm.root / "etc/hosts").symlink_to("hosts.real")
    before = vm.snapshot()

    done = dash.run(bundle.form("script"), "--root", vm.root, code=1)

    assert "/etc/hosts is a symbolic link" in done.stderr
    assert vm.snapshot() == before


def test_hosts__cloud_init_writes_it_at_each_boot__its_template_says_the_same(
        bundle: Bundle, vm: VmImage, shell: Shell) -> None:
    (vm.root / "etc/cloud/cloud.cfg.d").mkdir(parents=True)
    (vm.root / "etc/cloud/cloud.cfg.d/01_debian_cloud.cfg").write_text("manage_etc_hosts: true\n")
    (vm.root / "etc/cloud/templates").mkdir()
    template = "## template:jinja\n127.0.1.1 {{fqdn}} {{hostname}}\n"
    for family in ["debian", "redhat"]:
        (vm.root / f"etc/cloud/templates/hosts.{family}.tmpl").write_text(template)
    (vm.root / "etc/os-release").write_text('PRETTY_NAME="Ubuntu"\nID=ubuntu\nID_LIKE="debian"\n')
    before = vm.snapshot()
    script = bundle.form("script")

    shell.run(script, "--root", vm.root)

    line = "10.0.0.5 istiod.istio-system.svc # xdsgate\n"
    assert vm.text("etc/cloud/templates/hosts.debian.tmpl") == template + line
    assert vm.text("etc/cloud/templates/hosts.redhat.tmpl") == template
    shell.run(script, "--root", vm.root, "--undo")
    assert vm.snapshot()["etc/cloud/templates/hosts.debian.tmpl"] == \
        before["etc/cloud/templates/hosts.debian.tmpl"]


def test_hosts__cloud_init_on_a_system_without_os_release__written(bundle: Bundle, vm: VmImage,
                                                                   dash: Shell) -> None:
    (vm.root / "etc/cloud").mkdir()
    (vm.root / "etc/cloud/cloud.cfg").write_text("manage_etc_hosts: true\n")

    dash.run(bundle.form("script"), "--root", vm.root)

    assert HOSTS_LINES.strip() in vm.text("etc/hosts")


# ---- undo ----

def test_undo__after_two_runs__every_byte_is_as_before(bundle: Bundle, vm: VmImage,
                                                       shell: Shell) -> None:
    (vm.root / "etc/hosts").write_text(HOSTS + "10.9.9.9 db istiod.istio-system.svc\n")
    (vm.root / "etc/certs/root-cert.pem").write_text("an older one\n")
    (vm.root / "etc/certs/root-cert.pem").chmod(0o640)
    os.chown(vm.root / "etc/certs", 0, 0)
    before = vm.snapshot()
    shell.run(bundle.form("script"), "--root", vm.root)
    bundle.write("hosts", "10.0.0.6 istiod.istio-system.svc\n")
    bundle.write("mesh.yaml", "defaultConfig: {}\n")
    script = bundle.form("script")
    shell.run(script, "--root", vm.root)

    done = shell.run(script, "--root", vm.root, "--undo")

    assert last_line(done) == "changed"
    assert vm.snapshot() == before
    assert last_line(shell.run(script, "--root", vm.root, "--undo")) == "unchanged"


def test_undo__certificates_in_a_linked_folder__it_is_as_before(bundle: Bundle, vm: VmImage,
                                                                shell: Shell) -> None:
    folder = vm.root / "srv/certs"
    (vm.root / "etc/certs").rmdir()
    folder.mkdir(parents=True)
    (vm.root / "etc/certs").symlink_to("../srv/certs")
    before = vm.snapshot()
    script = bundle.form("script")

    shell.run(script, "--root", vm.root)

    assert (folder.stat().st_uid, folder.stat().st_gid) == (UID, GID)
    assert last_line(shell.run(script, "--root", vm.root)) == "unchanged"
    shell.run(script, "--root", vm.root, "--undo")
    assert vm.snapshot() == before


@pytest.mark.parametrize("target", ["mesh.real", "nowhere"])
def test_undo__a_file_was_a_link__it_is_one_again(bundle: Bundle, vm: VmImage, shell: Shell,
                                                  target: str) -> None:
    config = vm.root / "var/lib/istio/config"
    (config / "mesh").rename(config / "mesh.real")
    (config / "mesh").symlink_to(target)
    before = vm.snapshot()
    script = bundle.form("script")
    shell.run(script, "--root", vm.root)
    assert not (config / "mesh").is_symlink()

    shell.run(script, "--root", vm.root, "--undo")

    assert vm.snapshot() == before


def test_undo__dry_run__changes_nothing(bundle: Bundle, vm: VmImage, dash: Shell) -> None:
    script = bundle.form("script")
    dash.run(script, "--root", vm.root)
    before = vm.snapshot()

    done = dash.run(script, "--root", vm.root, "--undo", "--dry-run")

    assert "would restore /etc/hosts" in done.stdout
    assert vm.snapshot() == before


def test_undo__hosts_was_edited_since__the_edit_stays_and_the_old_address_is_back(
        bundle: Bundle, vm: VmImage, shell: Shell) -> None:
    (vm.root / "etc/hosts").write_text(HOSTS + "10.9.9.9 istiod.istio-system.svc\n")
    script = bundle.form("script")
    shell.run(script, "--root", vm.root)
    with open(vm.root / "etc/hosts", "a", encoding="ascii") as hosts:
        hosts.write("192.168.7.10 mail\n")

    shell.run(script, "--root", vm.root, "--undo")

    assert vm.text("etc/hosts") == (HOSTS + "192.168.7.10 mail\n"
                                    "10.9.9.9 istiod.istio-system.svc\n")


def test_undo__cannot_read_the_edited_hosts__exit_3_and_it_stays_as_it_is(
        bundle: Bundle, vm: VmImage, dash: Shell, tmp_path: Path) -> None:
    script = bundle.form("script")
    dash.run(script, "--root", vm.root)
    hosts = vm.root / "etc/hosts"
    hosts.write_text(hosts.read_text() + "10.9.9.9 new.example.com\n")
    before = hosts.read_text()
    broken = Shell("/bin/dash", f"{broken_tool(tmp_path, 'awk', '*names=*')}:{dash.path}")

    done = broken.run(script, "--root", vm.root, "--undo", code=3)

    assert "run it again, or with --undo" in done.stderr
    assert hosts.read_text() == before
    dash.run(script, "--root", vm.root, "--undo")
    assert hosts.read_text() == HOSTS + "10.9.9.9 new.example.com\n"


def test_undo__other_file_was_edited_since__that_version_is_kept(bundle: Bundle, vm: VmImage,
                                                                 shell: Shell) -> None:
    script = bundle.form("script")
    shell.run(script, "--root", vm.root)
    (vm.root / "var/lib/istio/envoy/cluster.env").write_text("BY=hand\n")

    shell.run(script, "--root", vm.root, "--undo")

    assert not (vm.root / "var/lib/istio/envoy/cluster.env").exists()
    assert vm.text(f"{STATE}/edited/var/lib/istio/envoy/cluster.env") == "BY=hand\n"


def test_undo__after_a_reboot__what_was_on_the_tmpfs_does_not_matter(bundle: Bundle, vm: VmImage,
                                                                     dash: Shell) -> None:
    script = bundle.form("script")
    dash.run(script, "--root", vm.root)
    shutil.rmtree(vm.root / "run")
    (vm.root / "run").mkdir()

    dash.run(script, "--root", vm.root, "--undo")

    assert not (vm.root / STATE).exists()


# ---- refusals ----

def refused(done: subprocess.CompletedProcess[str], vm: VmImage, before: dict) -> str:
    assert vm.snapshot() == before
    return done.stderr


def test_script__data_damaged__refused(bundle: Bundle, vm: VmImage, shell: Shell) -> None:
    script = bundle.form("script")
    text = script.read_text()
    found = re.search(r"mesh\.yaml\) cat <<'END-OF-FILE' ;;\n(....)", text)
    assert found
    script.write_text(text.replace(found.group(1), "AAAA"))
    before = vm.snapshot()

    done = shell.run(script, "--root", vm.root, code=1)

    assert "mesh.yaml is damaged" in refused(done, vm, before)


def test_script__cut_off_anywhere__runs_nothing(bundle: Bundle, vm: VmImage, dash: Shell) -> None:
    text = bundle.form("script").read_text()
    before = vm.snapshot()
    cut = bundle.folder / "cut.sh"

    for n in range(0, len(text) - len('main "$@" </dev/null\n'), len(text) // 97):
        cut.write_text(text[:n])
        subprocess.run(["dash", cut, "--root", vm.root], capture_output=True, check=False)

    assert vm.snapshot() == before


@pytest.mark.parametrize("shell", [["dash"], ["bash"], ["busybox", "sh"]])
def test_script__not_root__refused(bundle: Bundle, vm: VmImage, shell: list[str]) -> None:
    before = vm.snapshot()

    with open(bundle.form("script"), "rb") as script:
        done = subprocess.run([*shell, "-s"], stdin=script, text=True, capture_output=True, user=1,
                              check=False, cwd="/")

    assert done.returncode == 1
    assert "only root may do this" in refused(done, vm, before)


def test_script__tools_missing__named(bundle: Bundle, vm: VmImage, applets: Path) -> None:
    few = bundle.folder / "few"
    few.mkdir()
    for name in ["sh", "awk", "id", "cat"]:
        (few / name).symlink_to(applets / name)
    before = vm.snapshot()

    done = Shell(str(few / "sh"), str(few)).run(bundle.form("script"), "--root", vm.root, code=1)

    assert re.search("these programs are missing: base64 .*sha256sum", refused(done, vm, before))


def test_script__no_package__refused(bundle: Bundle, vm: VmImage, dash: Shell) -> None:
    script = bundle.form("script")
    (vm.root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    before = vm.snapshot()
    assert "no user istio-proxy" in refused(dash.run(script, "--root", vm.root, code=1), vm, before)
    (vm.root / "usr/local/bin/pilot-agent").unlink()

    done = dash.run(script, "--root", vm.root, code=1)

    assert "install Istio's sidecar package first" in refused(done, vm, before)


def test_script__clock_behind__refused(bundle: Bundle, vm: VmImage, shell: Shell) -> None:
    bundle.now += 7200
    before = vm.snapshot()

    done = shell.run(bundle.form("script"), "--root", vm.root, code=1)

    assert re.search(r"clock of this machine is 7[12]\d\d s behind", refused(done, vm, before))


def test_script__root_certificate_not_valid__refused(bundle: Bundle, vm: VmImage,
                                                     shell: Shell) -> None:
    script = bundle.form("script")
    text = script.read_text()
    before = vm.snapshot()
    for change, said in [("until=1600000000", "has expired"),
                         ("from=4000000000", "is not valid yet")]:
        script.write_text(re.sub(rf"bundle_roots_{change.split('=')[0]}=[0-9]+",
                                 f"bundle_roots_{change}", text))

        done = shell.run(script, "--root", vm.root, code=1)

        assert f"the root certificate {said}" in refused(done, vm, before)


def test_script__token_has_run_out__refused_on_a_new_vm_and_kept_out_of_an_old_one(
        bundle: Bundle, vm: VmImage, shell: Shell) -> None:
    good = bundle.form("script").rename(bundle.folder / "good.sh")
    old_token = vm_token(time.time() - 7200)
    bundle.write("istio-token", old_token)
    old = bundle.form("script")
    before = vm.snapshot()
    done = shell.run(old, "--root", vm.root, code=1)
    assert "ran out 120 minutes ago" in refused(done, vm, before)
    shell.run(good, "--root", vm.root)

    done = shell.run(old, "--root", vm.root)

    assert "has run out and is not installed" in done.stderr
    assert vm.text(TOKEN_AT) != old_token


def test_script__wrong_usage__exit_2(bundle: Bundle, vm: VmImage, shell: Shell) -> None:
    script = bundle.form("script")

    shell.run(script, "--no-such-option", code=2)
    shell.run(script, "--root", vm.root / "nowhere", code=2)
    assert "usage:" in shell.run(script, "--help").stdout


def test_script__link_out_of_the_image__refused(bundle: Bundle, vm: VmImage, dash: Shell,
                                                tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.rmtree(vm.root / "etc/certs")
    (vm.root / "etc/certs").symlink_to(outside)

    done = dash.run(bundle.form("script"), "--root", vm.root, code=3)

    assert "is outside of" in done.stderr
    assert not list(outside.iterdir())


def test_script__agents_folder_is_a_link_elsewhere__nothing_is_written_there(
        bundle: Bundle, vm: VmImage, shell: Shell) -> None:
    """The agent's user owns /run/secrets, so it can put anything in the token folder's place."""
    before = vm.snapshot()
    script = bundle.form("script")
    secrets = vm.root / "run/secrets"
    apt = vm.root / "etc/apt"
    apt.mkdir()
    secrets.mkdir()
    os.chown(secrets, UID, GID)
    (secrets / "tokens").symlink_to("../../etc/apt")
    os.chown(secrets / "tokens", UID, GID, follow_symlinks=False)

    done = shell.run(script, "--root", vm.root, code=3)

    assert "secrets/tokens is a link that somebody else than root may have made" in done.stderr
    assert not list(apt.iterdir())
    assert (apt.stat().st_uid, apt.stat().st_gid) == (0, 0)
    shell.run(script, "--root", vm.root, "--undo")
    shutil.rmtree(secrets)
    apt.rmdir()
    assert vm.snapshot() == before


@pytest.mark.parametrize("tool", ["chmod", "mv"])
def test_script__agent_puts_a_link_in_the_files_place_meanwhile__it_is_replaced(
        bundle: Bundle, vm: VmImage, dash: Shell, tool: str) -> None:
    apt = vm.root / "etc/apt"
    apt.mkdir()
    path = vm.root / "etc/certs/root-cert.pem"
    turn = tool_that(bundle.folder, tool,
                     f'case "$PWD $*" in *{path.parent}*) ln -sfn {apt} {path} ;; esac')

    Shell(dash.name, f"{turn}:{dash.path}").run(bundle.form("script"), "--root", vm.root)

    assert not list(apt.iterdir())
    assert not path.is_symlink()
    assert path.read_text() == bundle.text("root-cert.pem")


def test_script__agent_takes_away_what_is_being_made__nothing_is_written_elsewhere(
        bundle: Bundle, vm: VmImage, dash: Shell) -> None:
    """It owns the folder, and may put a link in the place of what it cannot enter."""
    apt = vm.root / "etc/apt"
    apt.mkdir(mode=0o700)
    certs = vm.root / "etc/certs"
    turn = tool_that(bundle.folder, "mktemp", f"""
        case $PWD in
        {certs}) mkdir .xdsgate.moved; ln -s {apt} .xdsgate.theirs; echo .xdsgate.theirs; exit ;;
        esac""")

    done = Shell(dash.name, f"{turn}:{dash.path}").run(bundle.form("script"), "--root", vm.root,
                                                       code=3)

    assert "somebody changes" in done.stderr
    assert not list(apt.iterdir())
    assert not list(certs.iterdir())


def test_script__something_fails_half_way__exit_3_and_the_next_run_goes_on(
        bundle: Bundle, vm: VmImage, shell: Shell) -> None:
    (vm.root / "etc/tmpfiles.d").rmdir()
    (vm.root / "etc/tmpfiles.d").write_text("a file, where a folder has to be\n")
    script = bundle.form("script")

    done = shell.run(script, "--root", vm.root, code=3)

    assert "run it again, or with --undo" in done.stderr
    assert not (vm.root / STATE / "lock").exists()
    (vm.root / "etc/tmpfiles.d").unlink()
    assert last_line(shell.run(script, "--root", vm.root)) == "changed"


def test_script__a_tool_fails_in_the_checks__exit_1_and_nothing_is_changed(
        bundle: Bundle, vm: VmImage, dash: Shell, tmp_path: Path) -> None:
    before = vm.snapshot()
    broken = Shell("/bin/dash", f"{broken_tool(tmp_path, 'sed', '*istio-proxy*', 2)}:{dash.path}")

    done = broken.run(bundle.form("script"), "--root", vm.root, code=1)

    assert "half way" not in done.stderr
    assert vm.snapshot() == before


def test_script__killed_run_left_its_lock__next_one_goes_on(bundle: Bundle, vm: VmImage,
                                                            shell: Shell) -> None:
    lock = vm.root / STATE / "lock"
    lock.mkdir(parents=True)
    started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    (lock / "pid").write_text(f"{os.getpid()} {started}\n")
    script = bundle.form("script")
    done = shell.run(script, "--root", vm.root, code=1)
    assert "another run is not over yet" in done.stderr
    (lock / "pid").write_text("4194305 1\n")  # there is no such process

    shell.run(script, "--root", vm.root)

    assert not lock.exists()


def test_script__another_process_has_the_number_in_the_lock__next_one_goes_on(
        bundle: Bundle, vm: VmImage, shell: Shell) -> None:
    """As after a reboot that the run did not survive."""
    lock = vm.root / STATE / "lock"
    lock.mkdir(parents=True)
    (lock / "pid").write_text(f"{os.getpid()} 1\n")

    shell.run(bundle.form("script"), "--root", vm.root)

    assert not lock.exists()


@pytest.mark.parametrize("options", [(), ("--undo",)])
def test_script__killed_run_left_files__next_one_takes_them_away(
        bundle: Bundle, vm: VmImage, dash: Shell, options: tuple[str]) -> None:
    before = vm.snapshot()
    script = bundle.form("script")
    turn = tool_that(bundle.folder, "mv", f"""
        case $PWD in
        {vm.root}/etc/certs*) kill -9 $(ps -o ppid= $PPID) $PPID; exit ;;  # a part of it runs this
        esac""")
    Shell(dash.name, f"{turn}:{dash.path}").run(script, "--root", vm.root, code=-signal.SIGKILL)
    assert list((vm.root / "etc/certs").glob(".xdsgate.*/new"))
    (vm.root / STATE / "work.killed").mkdir()
    (vm.root / STATE / "work.killed/istio-token").write_text("secret")

    dash.run(script, "--root", vm.root, *options)

    assert not [path for path in vm.root.rglob("*") if path.name.startswith((".xdsgate", "work."))]
    dash.run(script, "--root", vm.root, "--undo")
    assert vm.snapshot() == before


def test_script__killed_while_it_makes_a_folder__its_mode_is_right(bundle: Bundle, vm: VmImage,
                                                                   dash: Shell) -> None:
    shutil.rmtree(vm.root / "var/lib/istio")
    script = bundle.form("script")
    for name in ["chmod", "chown"]:
        turn = tool_that(bundle.folder, name,
                         f'case "$*" in *{vm.root}/var/lib/istio) kill -9 $PPID ;; esac')

    Shell(dash.name, f"{turn}:{dash.path}").run(script, "--root", vm.root, code=-signal.SIGKILL)

    assert vm.entry("var/lib/istio").mode == 0o755
    dash.run(script, "--root", vm.root)
    assert vm.text("var/lib/istio/config/mesh") == bundle.text("mesh.yaml")


# ---- certificates of an older life ----

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


def test_renewal__installed_by_hand__renewed_and_survives_a_reboot(bundle: Bundle, vm: VmImage,
                                                                   shell: Shell) -> None:
    """As istioctl's page says it, with the quotes that istioctl writes."""
    (vm.root / "var/lib/istio/envoy/cluster.env").write_text(
        "CANONICAL_SERVICE='web'\nISTIO_NAMESPACE='vms'\nSERVICE_ACCOUNT='web'\n")

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


# ---- a VM that runs: processes, sockets, the service ----

LEFTOVER = OLD_ENVOY + """
sh /tmp/bundle.sh --no-start
kill -0 $mine && echo "mine runs"
grep -q '[0-9]' /proc/$agent/task/$agent/children && echo "the agent has its Envoy"
kill -0 $old 2>/dev/null || echo "old ended"
"""


def put_script(bundle: Bundle, vm: VmImage) -> None:
    shutil.copy(bundle.form("script"), vm.root / "tmp/bundle.sh")


@pytest.mark.parametrize("systemd", [False, True])
def test_leftovers__envoy_without_its_agent__ended_and_other_envoys_run_on(
        bundle: Bundle, vm: VmImage, systemd: bool) -> None:
    if systemd:
        systemd_vm(vm)
    put_script(bundle, vm)

    done = vm.enter("sh", "-c", LEFTOVER)

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search("end process [0-9]+, /opt/envoy", done.stdout)
    assert done.stdout.splitlines()[-3:] == ["mine runs", "the agent has its Envoy", "old ended"]


def test_leftovers__stale_socket__removed_and_one_in_use_stays(bundle: Bundle, vm: VmImage,
                                                               shell: Shell) -> None:
    proxy = vm.root / "var/lib/istio/proxy"
    stale = socket.socket(socket.AF_UNIX)
    used = socket.socket(socket.AF_UNIX)
    before = os.getcwd()
    os.chdir(proxy)  # a socket's path is short
    try:
        stale.bind("SDS")
        stale.close()
    finally:
        os.chdir(before)
    with used:
        os.chdir(proxy.parent.parent)
        try:
            used.bind("istio/proxy/XDS")
        finally:
            os.chdir(before)

        done = shell.run(bundle.form("script"), "--root", vm.root)

        assert "remove /var/lib/istio/proxy/SDS: nobody listens" in done.stdout
        assert sorted(path.name for path in proxy.iterdir()) == ["XDS"]


def test_leftovers__link_to_a_socket_elsewhere__stays(bundle: Bundle, vm: VmImage,
                                                      shell: Shell) -> None:
    """As SPIRE's agent is given to Istio's; the kernel knows the socket by its own name."""
    link = vm.root / "run/secrets/workload-spiffe-uds/socket"
    link.parent.mkdir(parents=True)
    link.symlink_to("../../spire.sock")
    before = os.getcwd()
    os.chdir(vm.root / "run")
    with socket.socket(socket.AF_UNIX) as used:
        try:
            used.bind("spire.sock")
        finally:
            os.chdir(before)

        shell.run(bundle.form("script"), "--root", vm.root)

    assert link.is_socket()


SYSTEMCTL = """#!/bin/sh
# As much of systemctl as the script uses; its state is in files.
echo "$*" >>/var/log/systemctl
case $1 in
cat) ;;
is-active) [ -e /var/log/active ] && echo active || { echo inactive; exit 3; } ;;
is-enabled) [ -e /var/log/enabled ] && echo enabled || { echo disabled; exit 1; } ;;
enable) touch /var/log/enabled ;;
disable) rm /var/log/enabled ;;
restart) [ ! -e /var/log/broken ] && touch /var/log/active ;;
stop) rm /var/log/active ;;
esac
"""


def systemd_vm(vm: VmImage) -> VmImage:
    (vm.root / "run/systemd/system").mkdir(parents=True)
    vm.program("systemctl", SYSTEMCTL)
    return vm


def actions(vm: VmImage) -> list[str]:
    """What systemctl was asked to do since the last time."""
    log = vm.root / "var/log/systemctl"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return [line.split()[0] for line in lines if not line.startswith(("is-", "cat"))]


def test_service__first_and_second_run_new_token_and_undo(bundle: Bundle, vm: VmImage) -> None:
    systemd_vm(vm)
    put_script(bundle, vm)
    first = vm.enter("sh", "/tmp/bundle.sh")
    assert first.returncode == 0, first.stderr
    assert actions(vm) == ["enable", "restart"]

    assert last_line(vm.enter("sh", "/tmp/bundle.sh")) == "unchanged"
    assert actions(vm) == []

    bundle.write("istio-token", vm_token(time.time() + 7200))
    put_script(bundle, vm)
    assert last_line(vm.enter("sh", "/tmp/bundle.sh")) == "changed"
    assert actions(vm) == []  # the agent reads it at its next call

    assert vm.enter("sh", "/tmp/bundle.sh", "--undo").returncode == 0
    assert actions(vm) == ["disable", "stop"]


def test_service__runs_and_dry_run__says_that_it_would_be_restarted(bundle: Bundle,
                                                                    vm: VmImage) -> None:
    systemd_vm(vm)
    (vm.root / "var/log/active").touch()
    (vm.root / "var/log/enabled").touch()
    put_script(bundle, vm)

    done = vm.enter("sh", "/tmp/bundle.sh", "--dry-run")

    assert done.stdout.splitlines()[-2:] == ["would restart the service istio", "would be changed"]
    assert actions(vm) == []


def test_service__no_start__not_asked_and_a_later_run_restarts(bundle: Bundle,
                                                               vm: VmImage) -> None:
    systemd_vm(vm)
    (vm.root / "var/log/active").touch()
    (vm.root / "var/log/enabled").touch()
    put_script(bundle, vm)

    vm.enter("sh", "/tmp/bundle.sh", "--no-start")
    assert actions(vm) == []
    vm.enter("sh", "/tmp/bundle.sh")

    assert actions(vm) == ["restart"]


def test_service__restart_fails__exit_3_and_the_next_run_tries_again(bundle: Bundle,
                                                                     vm: VmImage) -> None:
    systemd_vm(vm)
    (vm.root / "var/log/broken").touch()
    put_script(bundle, vm)

    done = vm.enter("sh", "/tmp/bundle.sh")
    assert done.returncode == 3
    assert "journalctl -u istio" in done.stderr
    assert "run it again, or with --undo" in done.stderr
    (vm.root / "var/log/broken").unlink()
    actions(vm)

    assert vm.enter("sh", "/tmp/bundle.sh").returncode == 0
    assert actions(vm) == ["restart"]


def test_service__no_systemd__says_what_to_start(bundle: Bundle, vm: VmImage) -> None:
    put_script(bundle, vm)

    done = vm.enter("sh", "/tmp/bundle.sh")

    assert "start the agent, anew if it runs: /usr/local/bin/istio-start.sh" in done.stdout
    assert last_line(vm.enter("sh", "/tmp/bundle.sh")) == "unchanged"


# ---- the other forms ----

def test_script__is_clean_in_the_eyes_of_shellcheck(bundle: Bundle) -> None:
    for script in [TEMPLATE, bundle.form("script")]:
        subprocess.run(["shellcheck", script], check=True)


def test_tar__python_and_gnu_tar_read_it(bundle: Bundle, tmp_path: Path) -> None:
    archive = bundle.form("tar")
    names = ["mesh.yaml", "cluster.env", "root-cert.pem", "istio-token", "hosts"]

    with tarfile.open(archive, "r:") as tar:
        members = {member.name: member for member in tar.getmembers()}
        content = {name: tar.extractfile(name).read().decode() for name in members}
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["tar", "xf", archive, "-C", out], check=True)

    assert list(members) == names
    assert members["istio-token"].mode == 0o600
    assert members["hosts"].mode == 0o644
    assert all(member.mtime == int(bundle.now) for member in members.values())
    assert content == {name: bundle.text(name) for name in names}
    assert {name: (out / name).read_text() for name in names} == content


def test_tar__to_standard_output__the_same_bytes(bundle: Bundle) -> None:
    done = subprocess.run([PACK, "tar", bundle.files, "-", str(int(bundle.now))], check=True,
                          capture_output=True)

    assert done.stdout == bundle.form("tar").read_bytes()


def test_files__modes__nobody_else_reads_the_token(bundle: Bundle) -> None:
    assert bundle.form("script").stat().st_mode & 0o777 == 0o700
    for form in ["tar", "cloud-init", "ansible"]:
        assert bundle.form(form).stat().st_mode & 0o777 == 0o600
    folder = bundle.form("dir")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "mesh.yaml": 0o644, "cluster.env": 0o644, "root-cert.pem": 0o644, "hosts": 0o644,
        "istio-token": 0o600}


def test_cloud_init__carries_the_script__and_runs_it(bundle: Bundle, tmp_path: Path) -> None:
    data = bundle.form("cloud-init")
    assert data.read_text().startswith("#cloud-config\n")
    config = yaml.safe_load(data.read_text())

    [file] = config["write_files"]
    assert file["content"] == bundle.form("script").read_text()
    assert (file["owner"], file["permissions"]) == ("root:root", "0700")
    assert config["runcmd"] == [["sh", "-c", f"sh {file['path']}; code=$?; rm -f {file['path']}; "
                                             "exit $code"]]


class Unsafe(yaml.SafeLoader):
    """Knows Ansible's tag for text that is no template."""


Unsafe.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


def test_ansible__carries_the_script__and_hides_its_token(bundle: Bundle) -> None:
    [play] = yaml.load(bundle.form("ansible").read_text(), Unsafe)

    task = play["tasks"][0]
    assert play["become"] is True
    assert task["no_log"] is True
    assert task["ansible.builtin.command"]["stdin"] == bundle.form("script").read_text()


def test_script__read_from_standard_input__installs(bundle: Bundle, vm: VmImage,
                                                    shell: Shell) -> None:
    """As Ansible runs it."""
    with open(bundle.form("script"), "rb") as script:
        done = subprocess.run([shell.name, "-s", "--", "--root", vm.root], stdin=script, text=True,
                              capture_output=True, env={"PATH": shell.path}, check=False)

    assert (done.returncode, last_line(done)) == (0, "changed"), done.stderr


@pytest.mark.parametrize(("name", "text", "said"), [
    ("istio-token", "eyJ\neyJ\n", "istio-token: not one word"),
    ("istio-token", "", "istio-token: not one word"),
    ("root-cert.pem", "nothing\n", "root-cert.pem has neither"),
    ("hosts", "", "hosts: names no gateway"),
    ("hosts", "# nothing\n", "hosts: names no gateway"),
])
def test_pack__bad_file__refused_by_name(bundle: Bundle, tmp_path: Path, name: str, text: str,
                                         said: str) -> None:
    bundle.write(name, text)

    assert bundle.refused("script", tmp_path / "x").startswith(said)
    assert not (tmp_path / "x").exists()


def test_pack__file_of_somebody_else_in_the_way__becomes_ours(bundle: Bundle) -> None:
    """Who made it before must not read the token, nor change what root is to run."""
    older = bundle.folder / "bundle.script"
    older.write_text("theirs\n")
    os.chown(older, UID, GID)

    script = bundle.form("script")

    assert (script.stat().st_uid, script.stat().st_gid) == (os.geteuid(), os.getegid())
    assert script.stat().st_mode & 0o777 == 0o700


def test_pack__folder_of_somebody_else__refused(bundle: Bundle, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, UID, GID)

    assert "belongs to somebody else" in bundle.refused("dir", theirs)
    assert not list(theirs.iterdir())


def test_pack__link_or_folder_in_the_way__refused(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "hosts").symlink_to("/etc/passwd")

    assert "is a symbolic link" in bundle.refused("script", tmp_path / "link")
    assert "is there, and is no file" in bundle.refused("tar", folder)
    assert "hosts: is a symbolic link" in bundle.refused("dir", folder)
    assert [path.name for path in folder.iterdir()] == ["hosts"]
    assert "is there, and is no folder" in bundle.refused("dir", tmp_path / "link")
    assert "cannot go to standard output" in bundle.refused("dir", "-")
