# SPDX-License-Identifier: Apache-2.0
"""--undo: a VM is as it was before. Needs root."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from rig.bundle_script import HOSTS_LINES, STATE, Bundle, Shell, broken_tool, last_line
from rig.vm_image import GID, HOSTS, UID, VmImage


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


def install_twice(bundle: Bundle, vm: VmImage, shell: Shell, between: str, *paths: str) -> Path:
    """For one gateway and for another; somebody adds a line to these files between the two."""
    bundle.write("hosts", HOSTS_LINES)
    shell.run(bundle.form("script"), "--root", vm.root)
    for path in paths:
        with open(vm.root / path, "a", encoding="ascii") as hosts:
            hosts.write(between)
    bundle.write("hosts", "10.0.0.6 istiod.istio-system.svc\n")
    script = bundle.form("script")
    shell.run(script, "--root", vm.root)
    return script


def test_undo__hosts_was_edited_between_two_runs__the_edit_stays(bundle: Bundle, vm: VmImage,
                                                                shell: Shell) -> None:
    (vm.root / "etc/hosts").write_text(HOSTS + "10.9.9.9 istiod.istio-system.svc\n")
    script = install_twice(bundle, vm, shell, "192.168.7.10 mail\n", "etc/hosts")

    done = shell.run(script, "--root", vm.root, "--undo")

    assert "only our names are put back" in done.stdout
    assert vm.text("etc/hosts") == (HOSTS + "192.168.7.10 mail\n"
                                    "10.9.9.9 istiod.istio-system.svc\n")


def test_undo__there_was_no_hosts_file__what_others_wrote_since_stays(bundle: Bundle, vm: VmImage,
                                                                     shell: Shell) -> None:
    (vm.root / "etc/hosts").unlink()
    script = install_twice(bundle, vm, shell, "192.168.7.10 mail\n", "etc/hosts")

    shell.run(script, "--root", vm.root, "--undo")

    assert vm.text("etc/hosts") == "192.168.7.10 mail\n"


def test_undo__there_was_no_hosts_file__there_is_none_again(bundle: Bundle, vm: VmImage,
                                                           shell: Shell) -> None:
    (vm.root / "etc/hosts").unlink()
    script = install_twice(bundle, vm, shell, "")

    shell.run(script, "--root", vm.root, "--undo")

    assert not (vm.root / "etc/hosts").exists()


def with_template(vm: VmImage, text: str) -> Path:
    """cloud-init writes /etc/hosts anew from this file."""
    templates = vm.root / "etc/cloud/templates"
    templates.mkdir(parents=True)
    (vm.root / "etc/os-release").write_text("ID=debian\n")
    (vm.root / "etc/cloud/cloud.cfg").write_text("manage_etc_hosts: true\n")
    (templates / "hosts.debian.tmpl").write_text(text)
    return templates / "hosts.debian.tmpl"


def test_undo__template_was_edited_between_two_runs__the_edit_stays(bundle: Bundle, vm: VmImage,
                                                                   shell: Shell) -> None:
    template = with_template(vm, "127.0.0.1 {{fqdn}}\n")
    script = install_twice(bundle, vm, shell, "192.168.7.10 mail\n",
                           "etc/cloud/templates/hosts.debian.tmpl")

    shell.run(script, "--root", vm.root, "--undo")

    assert template.read_text() == "127.0.0.1 {{fqdn}}\n192.168.7.10 mail\n"
    assert vm.text("etc/hosts") == HOSTS


def test_undo__template_was_a_link__it_is_one_again_unless_it_was_edited(bundle: Bundle, vm: VmImage,
                                                                        shell: Shell) -> None:
    template = with_template(vm, "127.0.0.1 {{fqdn}}\n")
    template.rename(template.with_name("ours"))
    template.symlink_to("ours")
    before = vm.snapshot()

    script = install_twice(bundle, vm, shell, "")
    assert not template.is_symlink()
    shell.run(script, "--root", vm.root, "--undo")
    assert vm.snapshot() == before

    script = install_twice(bundle, vm, shell, "192.168.7.10 mail\n",
                           "etc/cloud/templates/hosts.debian.tmpl")
    shell.run(script, "--root", vm.root, "--undo")
    assert template.read_text() == "127.0.0.1 {{fqdn}}\n192.168.7.10 mail\n"


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
