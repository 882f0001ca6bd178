# SPDX-License-Identifier: Apache-2.0
"""What the script refuses, and what happens when it fails or is killed half way. Needs root."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from rig.bundle_script import (STATE, TOKEN_AT, Bundle, Shell, broken_tool, last_line, refused,
                               tool_that)
from rig.jwt import vm_token
from rig.vm_image import GID, UID, VmImage


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
