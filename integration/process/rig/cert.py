# SPDX-License-Identifier: Apache-2.0
"""`xdsgate cert`, and openssl's judgement of what it has signed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .gateway import BINARY
from .pki import SERVER_NAME, openssl


def cert(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([BINARY, "cert", *map(str, arguments)], capture_output=True, text=True,
                          timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def verify(folder: Path, name: str = SERVER_NAME, roots: Path | None = None) -> str:
    """As strict as openssl can be, with what the file has besides the certificate."""
    return openssl("verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", name,
                   "-CAfile", roots or folder / "root-cert.pem", "-untrusted", folder / "tls.crt",
                   folder / "tls.crt")
