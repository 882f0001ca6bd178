# SPDX-License-Identifier: Apache-2.0
"""A terminating listener judged by programs that are not ours: h2spec, grpc-go, curl, OpenSSL."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from conftest import HERE, NAME

H2SPEC_CASES = 146  # of version 2.2.1, with --strict

INTEROP_CASES = [
    "empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong",
    "empty_stream", "timeout_on_sleeping_server", "cancel_after_begin",
    "cancel_after_first_response", "status_code_and_message", "special_status_message",
    "custom_metadata", "unimplemented_method", "unimplemented_service",
]
SOAK = ["--soak_iterations=200", "--soak_num_threads=4", "--soak_overall_timeout_seconds=60",
        "--soak_per_iteration_max_acceptable_latency_ms=10000"]


def ran(*command: str | Path, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Output and errors of a program in one text."""
    return subprocess.run([str(word) for word in command], cwd=cwd, input=stdin, text=True,
                          errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=120)


# ---- HTTP/2 ----

def test_h2spec__strict_over_tls__nothing_fails(tools: Path, listener: int, folder: Path):
    xml = folder / "h2spec.xml"

    done = ran(tools / "h2spec", "--strict", "--tls", "--insecure", "--host", "127.0.0.1",
               "--port", str(listener), "--timeout", "20", "--junit-report", xml, cwd=folder)

    cases = ElementTree.parse(xml).getroot().findall(".//testcase")
    failed = [f"{case.get('package')} {case.get('classname')}: {problem.text}" for case in cases
              for kind in ("failure", "error") for problem in case.findall(kind)]
    assert not failed, "\n".join(failed)
    assert done.returncode == 0, done.stdout[-2000:]
    assert len(cases) == H2SPEC_CASES


# ---- gRPC ----

def interop(tools: Path, folder: Path, port: int, case: str, *more: str) -> None:
    done = ran(tools / "client", "--use_tls", "--use_test_ca", "--ca_file=root-cert.pem",
               f"--server_host_override={NAME}", "--server_host=127.0.0.1",
               f"--server_port={port}", f"--test_case={case}", *more, cwd=folder)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.parametrize("case", INTEROP_CASES)
def test_interop__through_xdsgate__passes(case: str, tools: Path, folder: Path, listener: int):
    interop(tools, folder, listener, case)


@pytest.mark.parametrize("case", ["rpc_soak", "channel_soak"])
def test_interop__soak__every_call_passes(case: str, tools: Path, folder: Path, listener: int):
    interop(tools, folder, listener, case, *SOAK)


def grpcurl(tools: Path, folder: Path, port: int, method: str) -> subprocess.CompletedProcess[str]:
    return ran(tools / "grpcurl", "-cacert", "root-cert.pem", "-authority", NAME, "-import-path",
               HERE, "-proto", "test_service.proto", f"127.0.0.1:{port}",
               f"grpc.testing.TestService/{method}", cwd=folder)


def test_grpcurl__known_method__gets_its_answer(tools: Path, folder: Path, listener: int):
    done = grpcurl(tools, folder, listener, "EmptyCall")

    assert (done.returncode, done.stdout.strip()) == (0, "{}"), done.stdout


def test_grpcurl__method_the_server_lacks__says_unimplemented(tools: Path, folder: Path,
                                                              listener: int):
    done = grpcurl(tools, folder, listener, "UnimplementedCall")

    assert "Code: Unimplemented" in done.stdout


# ---- HTTP that is not gRPC ----

def curl(folder: Path, port: int, path: str, *more: str) -> subprocess.CompletedProcess[str]:
    return ran("curl", "-sSi", "--cacert", "root-cert.pem", "--connect-to", f"::127.0.0.1:{port}",
               "--max-time", "30", *more, f"https://{NAME}{path}", cwd=folder)


@pytest.mark.parametrize("more", [
    [], ["-I"], ["-d", "a=b"], ["-X", "DELETE"],
    ["-H", "content-type: application/grpcx", "-d", ""],
    ["-H", "content-type: application/json", "-d", "{}"],
], ids=["get", "head", "form", "delete", "grpcx", "json"])
def test_curl__not_grpc__gets_415(more: list[str], folder: Path, listener: int):
    done = curl(folder, listener, "/grpc.testing.TestService/EmptyCall", "--http2", *more)

    assert done.returncode == 0, done.stdout
    assert re.match(r"HTTP/2 415\b", done.stdout), done.stdout


def test_curl__grpc_by_hand__gets_answer_and_trailer(folder: Path, listener: int):
    (folder / "empty-message").write_bytes(bytes(5))

    done = curl(folder, listener, "/grpc.testing.TestService/EmptyCall", "--http2",
                "-H", "content-type: application/grpc", "-H", "te: trailers",
                "--data-binary", "@empty-message")

    assert re.match(r"HTTP/2 200\b", done.stdout), done.stdout
    assert re.search(r"grpc-status: 0\b", done.stdout), done.stdout


@pytest.mark.parametrize("how", ["--http1.1", "--no-alpn"])
def test_curl__without_h2__fails_in_the_handshake(how: str, folder: Path, listener: int):
    done = curl(folder, listener, "/", how)

    assert done.returncode == 35, done.stdout
    assert "no application protocol" in done.stdout


# ---- TLS ----

def s_client(folder: Path, port: int, *more: str, stdin: str = "") -> str:
    """What openssl s_client has to say; it ends when stdin does."""
    return ran("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", NAME,
               "-CAfile", "root-cert.pem", "-verify_return_error", *more, cwd=folder,
               stdin=stdin).stdout


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_s_client__alpn_h2__is_agreed(version: str, folder: Path, listener: int):
    said = s_client(folder, listener, version, "-alpn", "http/1.1,h2")

    assert "ALPN protocol: h2" in said, said
    assert "Verify return code: 0 (ok)" in said


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("alpn", [[], ["-alpn", "http/1.1"]], ids=["none", "http1"])
def test_s_client__no_common_alpn__gets_the_alert(version: str, alpn: list[str], folder: Path,
                                                  listener: int):
    said = s_client(folder, listener, version, *alpn)

    assert "alert no application protocol" in said, said


def test_s_client__old_tls__is_refused(folder: Path, listener: int):
    said = s_client(folder, listener, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-alpn", "h2")

    assert "alert protocol version" in said, said


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_s_client__session__has_no_ticket(version: str, folder: Path, listener: int):
    """What is sent is not HTTP/2: the server closes, and until then s_client reads everything."""
    said = s_client(folder, listener, version, "-alpn", "h2", "-msg", "-ign_eof",
                    stdin="no preface of HTTP/2\n" * 10)

    assert "ServerHello" in said and "closed" in said, said
    assert "NewSessionTicket" not in said
