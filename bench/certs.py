# SPDX-License-Identifier: Apache-2.0
"""P-256 certificates by openssl: a root, one for whoever serves, one for all VMs."""

from __future__ import annotations

import subprocess
from pathlib import Path

SERVER_NAME = "istiod.istio-system.svc"
SPIFFE_ID = "spiffe://cluster.local/ns/vms/sa/vm"
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(*command: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, command)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {command[0]}: {done.stderr[-1000:]}")


def issue(folder: Path, name: str, use: str, alt_name: str) -> None:
    """NAME.crt and NAME.key, and both in NAME.pem as haproxy wants them."""
    key, request, certificate = (folder / f"{name}.{suffix}" for suffix in ("key", "csr", "crt"))
    settings = folder / f"{name}.cnf"
    settings.write_text("basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\n"
                        f"extendedKeyUsage={use}\nsubjectAltName={alt_name}\n")
    openssl("req", "-new", *NEW_KEY, "-subj", "/", "-keyout", key, "-out", request)
    openssl("x509", "-req", "-in", request, "-CA", folder / "root.pem", "-CAkey",
            folder / "root.key", "-CAcreateserial", "-days", 2, "-extfile", settings,
            "-out", certificate)
    (folder / f"{name}.pem").write_text(certificate.read_text() + key.read_text())


def make(folder: Path) -> None:
    openssl("req", "-x509", "-new", *NEW_KEY, "-subj", "/O=bench", "-days", 2,
            "-keyout", folder / "root.key", "-out", folder / "root.pem",
            "-addext", "keyUsage=critical,keyCertSign")
    issue(folder, "serving", "serverAuth", f"DNS:{SERVER_NAME}")
    issue(folder, "vm", "clientAuth", f"critical,URI:{SPIFFE_ID}")
