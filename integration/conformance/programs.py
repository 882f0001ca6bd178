#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds h2spec, grpcurl and grpc-go's interop client and server once, into the cache folder.

As integration/mesh/build.py does, and with its Go: a folder keyed by what it is built from,
renamed into place when complete. A second run only prints where it is.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULE = HERE / "programs"
sys.path.insert(0, str(HERE.parent / "mesh"))
sys.dont_write_bytecode = True

import build as mesh  # noqa: E402


def key() -> str:
    digest = hashlib.sha256()
    for path in (MODULE / "go.mod", MODULE / "go.sum", Path(__file__).resolve()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def build() -> Path:
    """Returns the folder of the programs, building it first when it is not there."""
    root = mesh.cache_root()
    root.mkdir(parents=True, exist_ok=True)
    home = root / f"conformance-{key()}"
    with open(root / "conformance.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if home.exists():
            return home
        part = root / f"{home.name}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        env = dict(os.environ, CGO_ENABLED="0", GOTOOLCHAIN="local", GOFLAGS="-mod=readonly",
                   GOWORK="off")
        mesh.run(mesh.find_go(root), "build", "-ldflags", "-s -w", "-o", f"{part}/", "tool",
                 cwd=MODULE, env=env)
        part.rename(home)
    return home


if __name__ == "__main__":
    print(build())
