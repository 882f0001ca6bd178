# SPDX-License-Identifier: Apache-2.0
"""What the script installs, under dash, bash and busybox with its own tools. Needs root."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess

import pytest

from rig.bundle_script import HOSTS_LINES, STATE, TOKEN_AT, Bundle, Shell, last_line
from rig.vm_image import GID, HOSTS, UID, VmImage


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


def test_script__gateway_with_a_root_of_its_own__it_is_roots_file(
        bundle: Bundle, vm: VmImage, shell: Shell) -> None:
    """The agent has no business to change whom it believes there."""
    bundle.write("gateway-root.pem", bundle.text("root-cert.pem"))
    before = vm.snapshot()
    script = bundle.form("script")

    said = shell.run(script, "--root", vm.root).stdout

    assert said.index("write /var/lib/istio/envoy/gateway-root.pem") < said.index("/cluster.env")
    entry = vm.entry("var/lib/istio/envoy/gateway-root.pem")
    assert (entry.content.decode(), entry.owner, entry.mode) == (
        bundle.text("gateway-root.pem"), (0, 0), 0o644)
    assert last_line(shell.run(script, "--root", vm.root)) == "unchanged"
    shell.run(script, "--root", vm.root, "--undo")
    assert vm.snapshot() == before


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
