# SPDX-License-Identifier: Apache-2.0
"""Certificates by openssl."""

from __future__ import annotations

import subprocess
import time
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


def issue_between(folder: Path, name: str, root: Path, root_key: Path, uri: str,
                  start: float, end: float) -> Pair:
    """A client certificate for this URI that is good from start to end: seconds since 1970."""
    csr, key = request(folder, name, uri)
    pair = Pair(folder / f"{name}.crt", key)
    (folder / f"{name}.csr").write_text(csr)
    (folder / f"{name}.index").write_text("")
    settings = folder / f"{name}.cnf"
    settings.write_text(f"[ca]\ndefault_ca=it\n[it]\ndatabase={folder}/{name}.index\n"
                        f"new_certs_dir={folder}\nrand_serial=yes\ndefault_md=sha256\n"
                        "policy=any\nx509_extensions=vm\n[any]\nO=optional\n"
                        "[vm]\nbasicConstraints=critical,CA:false\n"
                        "keyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n"
                        f"subjectAltName=URI:{uri}\n")
    dates = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(t)) for t in (start, end)]
    openssl("ca", "-batch", "-notext", "-config", settings, "-in", folder / f"{name}.csr", "-cert",
            root, "-keyfile", root_key, "-subj", "/O=vm", "-startdate", dates[0], "-enddate",
            dates[1], "-out", pair.certificate)
    return pair
