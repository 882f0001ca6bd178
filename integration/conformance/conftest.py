# SPDX-License-Identifier: Apache-2.0
"""The programs, the certificates and the processes that the conformance tests share."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import programs

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NAME = "istiod.istio-system.svc"
LISTENER = 15012  # these two are in any-grpc.yaml
SERVER = 15013

LEAF = f"""
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:{NAME},DNS:localhost
"""


def openssl(*command: str | Path, cwd: Path) -> None:
    subprocess.run(["openssl", *map(str, command)], cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where xdsgate runs: a CA and one serving certificate, for xdsgate and for the server."""
    home = tmp_path_factory.mktemp("conformance")
    (home / "leaf.cnf").write_text(LEAF)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-subj", "/O=conformance", "-days", "2", "-keyout", "ca.key",
            "-addext", "keyUsage=critical,keyCertSign", "-out", "root-cert.pem", cwd=home)
    openssl("req", *key, "-subj", "/", "-keyout", "tls.key", "-out", "tls.csr", cwd=home)
    openssl("x509", "-req", "-in", "tls.csr", "-CA", "root-cert.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "1", "-extfile", "leaf.cnf", "-out", "tls.crt", cwd=home)
    return home


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder of h2spec, grpcurl and the interop client and server."""
    given = os.environ.get("XDSGATE_CONFORMANCE_PROGRAMS")
    return Path(given) if given else programs.build()


def wait_for_port(port: int, process: subprocess.Popen, log: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"{process.args[0]} ended with {process.returncode}:\n{log.read_text()}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    pytest.fail(f"nobody listens on port {port} after {seconds} s:\n{log.read_text()}")


@contextmanager
def running(command: list[str | Path], port: int, log: Path, cwd: Path) -> Iterator[None]:
    """A server process, ready when its port is; ended by SIGTERM, which it must obey."""
    with open(log, "wb") as out:
        process = subprocess.Popen([str(word) for word in command], cwd=cwd, stdout=out, stderr=out)
    try:
        wait_for_port(port, process, log)
        yield
        assert process.poll() is None, f"{command[0]} has ended by itself:\n{log.read_text()}"
        process.terminate()
        code = process.wait(timeout=30)
        assert code in (0, -15), f"{command[0]} ended with {code}:\n{log.read_text()}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def server(folder: Path, tools: Path) -> Iterator[int]:
    """grpc-go's interop server."""
    command = [tools / "server", "--use_tls", "--tls_cert_file=tls.crt", "--tls_key_file=tls.key",
               f"--port={SERVER}"]
    with running(command, SERVER, folder / "server.log", folder):
        yield SERVER


@pytest.fixture(scope="session")
def listener(folder: Path, server: int) -> Iterator[int]:
    """xdsgate with any-grpc.yaml in front of the interop server."""
    binary = Path(os.environ.get("XDSGATE_BIN", ROOT / "build/release/xdsgate")).resolve()
    log = folder / "xdsgate.log"
    with running([binary, "run", "--config", HERE / "any-grpc.yaml"], LISTENER, log, folder):
        yield LISTENER
    assert "ERROR: " not in log.read_text(), f"a sanitizer spoke:\n{log.read_text()}"
