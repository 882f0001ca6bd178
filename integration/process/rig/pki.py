# SPDX-License-Identifier: Apache-2.0
"""Certificates by openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

SERVER_NAME = "istiod.istio-system.svc"
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(*command: str | Path) -> str:
    done = subprocess.run(["openssl", *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, f"openssl {' '.join(map(str, command))}: {done.stderr[-1000:]}"
    return done.stdout


@dataclass(frozen=True)
class Pair:
    certificate: Path
    private_key: Path

    def serial(self) -> str:
        return openssl("x509", "-in", self.certificate, "-noout", "-serial").strip()


def issue(folder: Path, name: str, root: Path, root_key: Path, days: int = 1,
          names: str = f"DNS:{SERVER_NAME}") -> Pair:
    """A serving certificate, written in place: first the key, then the chain."""
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    request, settings = folder / f"{name}.csr", folder / f"{name}.cnf"
    settings.write_text("basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\n"
                        f"extendedKeyUsage=serverAuth\nsubjectAltName={names}\n")
    openssl("req", *NEW_KEY, "-subj", "/", "-keyout", pair.private_key, "-out", request)
    openssl("x509", "-req", "-in", request, "-CA", root, "-CAkey", root_key, "-days", days,
            "-extfile", settings, "-out", pair.certificate)
    return pair


def request(folder: Path, name: str, uri: str) -> tuple[str, Path]:
    """A certificate signing request for this URI, as PEM, and the file of its key."""
    key = folder / f"{name}.key"
    csr = openssl("req", *NEW_KEY, "-subj", "/", "-keyout", key, "-addext",
                  f"subjectAltName=URI:{uri}")
    return csr, key
