# SPDX-License-Identifier: Apache-2.0
"""The script that installs a bundle: what it is made of, and the shells that run it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from .jwt import vm_token
from .vm_image import VmImage
from .vm_side import PACK

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

    def renewal(self, account: str = "/ns/vms/sa/web", gateway: str = "") -> Path:
        """What `bundle renew` makes: a script with the token and the roots only; for VMs that call
        this gateway, NAME:PORT."""
        output = self.folder / "renewal.sh"
        subprocess.run([PACK, "script", self.files, output, str(int(self.now)), account,
                        *([gateway] if gateway else [])], check=True)
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


def refused(done: subprocess.CompletedProcess[str], vm: VmImage, before: dict) -> str:
    assert vm.snapshot() == before
    return done.stderr
