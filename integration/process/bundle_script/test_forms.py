# SPDX-License-Identifier: Apache-2.0
"""The other forms of a bundle, and what cannot be put into one; build/*/tests/pack_bundle writes
them. Needs root."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from rig.bundle_script import Bundle, Shell, last_line
from rig.gateway import ROOT
from rig.vm_image import GID, UID, VmImage
from rig.vm_side import PACK

TEMPLATE = ROOT / "bootstrap/install.sh"


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


def test_forms__root_of_the_gateway__is_in_each(bundle: Bundle) -> None:
    bundle.write("gateway-root.pem", bundle.text("root-cert.pem"))
    line = "    gateway-root.pem) cat <<"

    with tarfile.open(bundle.form("tar"), "r:") as tar:
        member = tar.getmember("gateway-root.pem")
        assert tar.extractfile(member).read().decode() == bundle.text("gateway-root.pem")
    assert member.mode == 0o644
    assert (bundle.form("dir") / "gateway-root.pem").read_text() == bundle.text("gateway-root.pem")
    for form in ["script", "cloud-init", "ansible"]:
        assert line in bundle.form(form).read_text()


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
    ("gateway-root.pem", "nothing\n", "gateway-root.pem has neither"),
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
