# SPDX-License-Identifier: Apache-2.0
"""`xdsgate bundle` with a cluster that has one of the golden cases."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .gateway import BINARY, ROOT as REPOSITORY
from .pki import NEW_KEY, Pair, openssl

GOLDEN = REPOSITORY / "tests/bootstrap/golden"
sys.path.insert(0, str(GOLDEN))

from api import ROOT_CERT, TOKEN, Api  # noqa: E402, F401
from regenerate import flags_of, kubeconfig  # noqa: E402

GROUP = "/apis/networking.istio.io/v1/namespaces/vms/workloadgroups/vm"
MAPS = "/api/v1/namespaces/istio-system/configmaps"
ROOT = "/api/v1/namespaces/vms/configmaps/istio-ca-root-cert"


def case_of(name: str) -> dict:
    return yaml.safe_load((GOLDEN / name / "case.yaml").read_text())


def bundle(command: str, *arguments: object, code: int = 0,
           env: dict[str, str] | None = None) -> str:
    """What is said; the token never is."""
    clean = {key: value for key, value in os.environ.items()
             if key not in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HOME")}
    done = subprocess.run([BINARY, "bundle", command, *map(str, arguments)], capture_output=True,
                          text=True, timeout=60, stdin=subprocess.DEVNULL,
                          env=clean | {"HOME": "/nonexistent"} | (env or {}))
    assert done.returncode == code, done.stdout + done.stderr
    assert TOKEN not in done.stderr and "of-the-administrator" not in done.stdout + done.stderr
    return done.stdout + done.stderr


class Cluster:
    """An API server for one case, and the flags that lead to it."""

    def __init__(self, name: str, folder: Path, key: Pair) -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(key.certificate, key.private_key)
        self.case = case_of(name)
        self.api = Api(self.case, tls)
        self.folder = folder
        self.config = folder / "kubeconfig"
        self.config.write_text(kubeconfig(f"https://127.0.0.1:{self.api.server_port}",
                                          **{"certificate-authority": str(key.certificate)}))

    def bundle(self, command: str, *more: object, code: int = 0) -> str:
        """`xdsgate bundle create` or `renew` for its group."""
        return bundle(command, "vm", "-n", "vms", "--kubeconfig", self.config, "-o",
                      self.folder / "out", *more, code=code)

    def create(self, *more: object, code: int = 0) -> str:
        return self.bundle("create", *flags_of(self.case), *more, code=code)


# ---- fixtures, for conftest.py ----

@pytest.fixture(scope="session")
def server_key(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("api")
    pair = Pair(folder / "api.pem", folder / "api.key")
    openssl("req", "-x509", *NEW_KEY, "-subj", "/CN=api", "-days", "2", "-addext",
            "subjectAltName=IP:127.0.0.1", "-keyout", pair.private_key, "-out", pair.certificate)
    return pair


@pytest.fixture
def cluster(tmp_path: Path, server_key: Pair) -> Iterator[Cluster]:
    one = Cluster("single_network", tmp_path, server_key)
    yield one
    one.api.close()
