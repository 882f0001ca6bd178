# SPDX-License-Identifier: Apache-2.0
"""Keys, certificates and tokens, by openssl.

What is signed here is also what an attacker might hold: certificates of the mesh CA with the
wrong name, the wrong dates or too many names, and tokens that have expired.
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .processes import run
from .wait import until


@dataclass(frozen=True)
class Pair:
    """A certificate (or chain) and its private key."""

    certificate: Path
    key: Path


def new_key(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)
    path.chmod(0o600)
    return path


def self_signed(folder: Path, name: str, *, subject: str = "/O=test", sans: str = "",
                authority: bool = False) -> Pair:
    """A certificate that vouches for itself; with `authority`, a CA."""
    pair = Pair(folder / f"{name}.crt", new_key(folder / f"{name}.key"))
    extensions = ["basicConstraints=critical,CA:TRUE" if authority else "basicConstraints=CA:FALSE"]
    if authority:
        extensions.append("keyUsage=critical,keyCertSign,cRLSign")
    if sans:
        extensions.append(f"subjectAltName=critical,{sans}")
    added = [part for extension in extensions for part in ("-addext", extension)]
    run("openssl", "req", "-x509", "-new", "-key", pair.key, "-out", pair.certificate,
        "-days", "30", "-subj", subject, *added)
    return pair


def issue(authority: Pair, folder: Path, name: str, *, sans: str, subject: str = "/O=test",
          days: int = 30, usage: str = "serverAuth,clientAuth") -> Pair:
    """A certificate signed by `authority`; negative `days` make one that has expired."""
    pair = Pair(folder / f"{name}.crt", new_key(folder / f"{name}.key"))
    request = run("openssl", "req", "-new", "-key", pair.key, "-subj", subject)
    extensions = folder / f"{name}.ext"
    extensions.write_text("basicConstraints=critical,CA:FALSE\n"
                          "keyUsage=critical,digitalSignature,keyEncipherment\n"
                          f"extendedKeyUsage={usage}\nsubjectAltName={sans}\n")
    leaf = run("openssl", "x509", "-req", "-CA", authority.certificate, "-CAkey", authority.key,
               "-CAcreateserial", "-CAserial", folder / "serial", "-days", str(days),
               "-extfile", extensions, stdin=request)
    pair.certificate.write_text(leaf + authority.certificate.read_text())
    return pair


def signing_request(folder: Path, name: str) -> str:
    """A CSR without any name: istiod takes the names from who asks, not from what is asked."""
    return run("openssl", "req", "-new", "-key", new_key(folder / f"{name}.key"), "-subj", "/")


def names_of(certificate: str) -> set[str]:
    """The subject alternative names of a PEM certificate, as openssl writes them."""
    text = run("openssl", "x509", "-noout", "-ext", "subjectAltName", stdin=certificate)
    return {name.strip() for line in text.splitlines()[1:] for name in line.split(",")
            if name.strip()}


def await_chain(path: Path, identity: str, within: float, other_than: str = "") -> str:
    """The certificate in a file that an agent writes, once it is another one and complete. Its name
    is that identity and nothing else."""
    def complete() -> tuple[str, set[str]] | None:
        text = path.read_text()
        return (text, names_of(text)) if text != other_than else None
    text, names = until(complete, within, f"a new certificate in {path}")
    assert names == {f"URI:{identity}"}, names
    return text


def sign_token(key: Path, claims: dict[str, object]) -> str:
    """A service account token, signed with the cluster's own key (RS256)."""
    parts = [_base64url(json.dumps(part).encode())
             for part in ({"alg": "RS256", "typ": "JWT"}, claims)]
    signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(key)], check=True,
                            input=".".join(parts).encode(), stdout=subprocess.PIPE).stdout
    return ".".join([*parts, _base64url(signed)])


def service_account_claims(namespace: str, account: str, uid: str, ttl_s: int) -> dict[str, object]:
    """What kube-apiserver writes into such a token. A negative `ttl_s` makes it expired."""
    now = int(time.time())
    return {
        "iss": "https://kubernetes.default.svc.cluster.local",
        "sub": f"system:serviceaccount:{namespace}:{account}",
        "aud": ["istio-ca"],
        "iat": min(now, now + ttl_s - 60), "nbf": min(now, now + ttl_s - 60), "exp": now + ttl_s,
        "jti": f"{now}-{namespace}-{account}-{ttl_s}",
        "kubernetes.io": {"namespace": namespace,
                          "serviceaccount": {"name": account, "uid": uid}},
    }


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
