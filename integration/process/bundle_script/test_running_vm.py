# SPDX-License-Identifier: Apache-2.0
"""The script on a VM that runs: processes, sockets, the service. Needs root."""

from __future__ import annotations

import os
import re
import shutil
import socket
import time

import pytest

from rig.bundle_script import Bundle, Shell, last_line
from rig.jwt import vm_token
from rig.vm_image import OLD_ENVOY, VmImage

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
