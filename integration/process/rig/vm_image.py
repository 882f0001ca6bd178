# SPDX-License-Identifier: Apache-2.0
"""The file system of a VM with Istio's sidecar package, and a way to run things in it; needs root.

The layout is that of tools/packaging of Istio: postinst.sh makes the folders, the link /etc/istio
and the user. The programs of this machine are there, too, by a mount that ends with the command.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

UID, GID = 996, 995  # of istio-proxy

HOSTS = """\
127.0.0.1\tlocalhost
::1 localhost ip6-localhost
# the database
192.168.7.9  db db.example.com # not in DNS
"""

# Mounts, then the command ($@) inside of the image. The proc file system stays the machine's.
ENTER = """
set -e
root=$1; shift
mount --rbind /usr "$root/usr"
mount --bind "$root/local" "$root/usr/local"
mount --bind /etc/alternatives "$root/etc/alternatives"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
exec chroot "$root" "$@"
"""

# An Envoy whose agent is gone ($old), another program's ($mine), and one with its agent ($agent).
# Only in the mount namespace of the image are they of the VM; the script looks at that.
OLD_ENVOY = """
set -e
mkfifo /tmp/never
sleep 60 >/tmp/never 2>&1 &
trap "kill $!" EXIT
mkdir -p /opt && cp /bin/dash /opt/envoy && cp /bin/dash /opt/pilot-agent
/opt/envoy -c 'read x' -c /etc/istio/proxy/envoy-rev.json </tmp/never &
old=$!
/opt/envoy -c 'read x' -c /etc/my/own.yaml </tmp/never &
mine=$!
/opt/pilot-agent -c '/opt/envoy -c "read x" -c istio/proxy/envoy-rev.json; :' </tmp/never &
agent=$!
until grep -qs '[0-9]' /proc/$agent/task/$agent/children; do
    kill -0 $agent && [ $((n = n + 1)) -lt 10000 ] || exit 9
done
"""


@dataclass(frozen=True)
class Entry:
    kind: str
    mode: int
    owner: tuple[int, int]
    content: bytes


class VmImage:
    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ["dev", "etc/alternatives", "etc/certs", "etc/tmpfiles.d", "local/bin",
                       "proc", "run", "tmp", "usr", "var/lib/istio/config", "var/lib/istio/envoy",
                       "var/lib/istio/proxy", "var/log/istio"]:
            (root / folder).mkdir(parents=True)
        for name in ["bin", "sbin", "lib", "lib64"]:
            (root / name).symlink_to(f"usr/{name}")
        (root / "var/run").symlink_to("/run")
        (root / "etc/istio").symlink_to("/var/lib/istio")
        (root / "var/lib/istio/config/mesh").touch()
        for owned in ["etc/certs", "var/lib/istio/config", "var/lib/istio/envoy",
                      "var/lib/istio/proxy", "var/log/istio", "var/lib/istio/config/mesh"]:
            os.chown(root / owned, UID, GID)
        (root / "etc/hosts").write_text(HOSTS)
        (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n"
                                         f"istio-proxy:x:{UID}:{GID}::/var/lib/istio:/bin/sh\n")
        (root / "etc/group").write_text(f"root:x:0:\nistio-proxy:x:{GID}:\n")
        self.program("pilot-agent", "#!/bin/sh\nexit 0\n")
        # With --root nothing is mounted; then this is where the program is.
        shutil.copytree(root / "local", root / "usr/local")

    def program(self, name: str, text: str) -> None:
        """In /usr/local/bin of a command that enter() runs."""
        path = self.root / "local/bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def enter(self, *command: str, env: Mapping[str, str] | None = None
              ) -> subprocess.CompletedProcess[str]:
        """Run it as root inside of the image."""
        shell = ["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, "enter",
                 str(self.root)]
        return subprocess.run([*shell, *command], text=True, capture_output=True, timeout=60,
                              env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin", **(env or {})},
                              check=False, stdin=subprocess.DEVNULL)

    def reboot(self) -> None:
        """/run is empty, then what systemd does at start."""
        shutil.rmtree(self.root / "run")
        (self.root / "run").mkdir()
        done = self.enter("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/xdsgate-bundle.conf")
        assert done.returncode == 0, done.stderr

    def text(self, path: str) -> str:
        return (self.root / path).read_text()

    def entry(self, path: str) -> Entry:
        return entry_of(self.root / path)

    def snapshot(self) -> dict[str, Entry]:
        """Everything that is in it, to the last byte."""
        return {str(path.relative_to(self.root)): entry_of(path)
                for path in sorted(self.root.rglob("*")) if not is_mount_point(path, self.root)}


def is_mount_point(path: Path, root: Path) -> bool:
    return path.relative_to(root).parts[0] in ("usr", "local", "dev", "proc", "tmp")


def entry_of(path: Path) -> Entry:
    status = path.lstat()
    kind = stat.S_IFMT(status.st_mode)
    content = b""
    if stat.S_ISREG(status.st_mode):
        content = path.read_bytes()
    elif stat.S_ISLNK(status.st_mode):
        content = os.readlink(path).encode()
    return Entry(oct(kind), stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid), content)
