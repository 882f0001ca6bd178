# SPDX-License-Identifier: Apache-2.0
"""Machines with a disk, a /run, processes and a name of their own.

What runs on them is started as on any machine: by its unit file. Two things are ours: a systemctl
and a sudo that can do what is asked of them here (machine/). A VM has Istio's sidecar package and
nothing else; its agent runs as the user istio-proxy. Its Envoy is not Istio's own, and iptables
captures nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .processes import Process, run
from .wait import until

PARTS = Path(__file__).resolve().parent.parent / "machine"
DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
APPLICATION = Path(__file__).resolve().parent.parent / "application.py"
UID, GID = 996, 995  # of istio-proxy
BOOT_S = 180
CLEAN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "HOME": "/root"}

# What tools/packaging/postinst.sh of Istio makes for its user.
PACKAGE_FOLDERS = ("etc/certs", "var/lib/istio/config", "var/lib/istio/envoy",
                   "var/lib/istio/proxy", "var/log/istio")
OWNED = (*PACKAGE_FOLDERS, "var/lib/istio/config/mesh")
FOLDERS = ("dev", "etc/alternatives", "etc/systemd/system", "local/bin", "opt", "proc", "root",
           "run", "tmp", "usr", "var/log")


class Machine:
    """Powered off until boot()."""

    def __init__(self, name: str, netns: str, folder: Path) -> None:
        self.name = name
        self.netns = netns
        self.disk = folder / "disk"
        self.log = folder / "console.log"
        self._first: Process | None = None
        self._first_pid = 0  # as the host sees it
        self._install()

    # ---- power

    def boot(self) -> None:
        self._first = Process(
            f"machine {self.name}",
            ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child",
             "--uts", "sh", PARTS / "init.sh", self.disk, self.name],
            netns=self.netns, log=self.log)
        until(lambda: self._first.has_logged("booted") or not self._first.running(), BOOT_S,
              f"{self.name} has booted")
        assert self._first.running(), self._first.text()
        outer = self._first.popen.pid
        self._first_pid = int(Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0])

    def power_off(self) -> None:
        """Without a warning: no process ends by itself, and the tmpfs is gone."""
        self._first.kill()

    # ---- on it

    def run(self, *command: str, stdin: str | None = None) -> str:
        """As root; its output."""
        return run(*self.enter(), *command, stdin=stdin)

    def enter(self) -> list[str]:
        """What a command of the host has to begin with to run on it."""
        variables = [f"{name}={value}" for name, value in CLEAN.items()]
        return ["nsenter", "--target", str(self._first_pid), "--mount", "--pid", "--net", "--uts",
                "--root", "--wd=/root", "env", "-i", *variables]

    def start_application(self) -> None:
        """On port 8080, until the machine is powered off. Its first process is its parent: who is
        nobody's child there would keep the machine from ending."""
        self.run("sh", "-c", "setsid python3 -I -S /opt/application.py $(hostname) "
                             "</dev/null >/var/log/application.log 2>&1 &")

    def path(self, inside: str) -> Path:
        """A file of its disk; what is on a tmpfs is not there."""
        return self.disk / inside.lstrip("/")

    # ---- the disk

    def _install(self) -> None:
        for name in FOLDERS:
            (self.disk / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (self.disk / name).symlink_to(f"usr/{name}")
        (self.disk / "var/run").symlink_to("/run")
        (self.disk / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        (self.disk / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
        (self.disk / "etc/passwd").write_text(
            "root:x:0:0::/root:/bin/sh\n"
            f"istio-proxy:x:{UID}:{GID}::/var/lib/istio:/bin/sh\n")
        (self.disk / "etc/group").write_text(f"root:x:0:\nistio-proxy:x:{GID}:\n")
        (self.disk / "tmp").chmod(0o1777)
        shutil.copy(APPLICATION, self.disk / "opt/application.py")
        copy_program(PARTS / "systemctl.sh", self.disk / "local/bin/systemctl")
        copy_program(PARTS / "sudo.sh", self.disk / "local/bin/sudo")

    def install_sidecar(self, programs: Path) -> None:
        """As Istio's package does (tools/packaging/postinst.sh)."""
        share, local = programs / "share", self.disk / "local/bin"
        for name in PACKAGE_FOLDERS:
            (self.disk / name).mkdir(parents=True)
        (self.disk / "etc/istio").symlink_to("/var/lib/istio")
        (self.disk / "var/lib/istio/config/mesh").touch()
        for name in OWNED:
            os.chown(self.disk / name, UID, GID)
        for name in ("pilot-agent", "envoy"):
            copy_program((programs / "bin" / name).resolve(), local / name)
        copy_program(share / "istio-start.sh", local / "istio-start.sh")
        shutil.copy(share / "istio.service", self.disk / "etc/systemd/system/istio.service")
        envoy = self.disk / "var/lib/istio/envoy"
        shutil.copy(share / "envoy_bootstrap.json", envoy / "envoy_bootstrap_tmpl.json")
        (envoy / "sidecar.env").write_text("CLOUD_PLATFORM=none\nISTIO_CUSTOM_IP_TABLES=true\n")

    def install_program(self, binary: Path) -> None:
        """To /usr/local/bin, because /usr is the host's."""
        copy_program(binary, self.disk / "local/bin/xdsgate")

    def install_xdsgate(self, binary: Path) -> None:
        """As README.md says, but for the folder of the program."""
        unit = (DEPLOY / "systemd/xdsgate.service").read_text()
        assert "=/usr/bin/xdsgate" in unit
        (self.disk / "etc/systemd/system/xdsgate.service").write_text(
            unit.replace("=/usr/bin/xdsgate", "=/usr/local/bin/xdsgate"))
        (self.disk / "etc/xdsgate").mkdir()
        self.install_program(binary)


def copy_program(source: Path, target: Path) -> None:
    """A copy that costs no room where the file system can share it."""
    subprocess.run(["cp", "--reflink=auto", source, target], check=True)
    target.chmod(0o755)
