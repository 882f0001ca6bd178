#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One hostile VM: it does one thing for ever, and connects again as soon as it is ended.

    hostile.py KIND --port PORT --folder FOLDER

FOLDER has vm.crt and vm.key, and `first`, what it says first on a stream. It says one line when it begins, and ends with its stdin. TLS is
OpenSSL's by ctypes, because Python's has no KeyUpdate and a system call for each record.
"""

from __future__ import annotations

import argparse
import ctypes
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration/process"))
from rig.client_hello import client_hello  # noqa: E402
from rig.http2 import (ADS, DATA, END_HEADERS, HEADERS, PING, RST_STREAM, SETTINGS,  # noqa: E402
                       WINDOW_UPDATE, frame, header_block, integer, message)

NUMBER, SOURCE = 999_999, "127.31.249.250"  # of the bench's VMs, the last
SERVER_NAME = "istiod.istio-system.svc"
PRIORITY, CONTINUATION, END_STREAM = 2, 9, 1
INITIAL_WINDOW_SIZE = 4
CHUNK = 64 * 1024
HALF_OPEN = 500       # at a time, one more for each that is ended

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, b"")
NO_WINDOW = (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
             + frame(SETTINGS, 0, 0, bytes([0, INITIAL_WINDOW_SIZE, 0, 0, 0, 0])))


# ---- TLS ----

ssl = ctypes.CDLL("libssl.so.3")
crypto = ctypes.CDLL("libcrypto.so.3")
for function in (ssl.TLS_client_method, ssl.SSL_CTX_new, ssl.SSL_new, crypto.BIO_s_mem,
                 crypto.BIO_new):
    function.restype = ctypes.c_void_p
PENDING, SET_HOST_NAME, KEY_UPDATE_REQUESTED = 10, 55, 1


def tls_context(folder: Path | None) -> ctypes.c_void_p:
    """Of a VM with its certificate, or without."""
    context = ctypes.c_void_p(ssl.SSL_CTX_new(ctypes.c_void_p(ssl.TLS_client_method())))
    if folder:
        certificate, key = (str(folder / name).encode() for name in ("vm.crt", "vm.key"))
        assert ssl.SSL_CTX_use_certificate_chain_file(context, certificate) == 1
        assert ssl.SSL_CTX_use_PrivateKey_file(context, key, 1) == 1
    assert ssl.SSL_CTX_set_alpn_protos(context, b"\x02h2", 3) == 0
    return context


class Gone(Exception):
    """xdsgate has ended the connection."""


class Line:
    """A TLS connection; what is written is gathered until flush()."""

    def __init__(self, port: int, context: ctypes.c_void_p) -> None:
        self.socket = connect(port)
        self.ssl = ctypes.c_void_p(ssl.SSL_new(context))
        memory = ctypes.c_void_p(crypto.BIO_s_mem())
        self.inward, self.out = (ctypes.c_void_p(crypto.BIO_new(memory)) for _ in range(2))
        ssl.SSL_set_bio(self.ssl, self.inward, self.out)
        ssl.SSL_ctrl(self.ssl, SET_HOST_NAME, ctypes.c_long(0), SERVER_NAME.encode())
        ssl.SSL_set_connect_state(self.ssl)
        self.buffer = ctypes.create_string_buffer(4 * CHUNK)
        self.rest = b""  # encrypted, not sent yet
        while ssl.SSL_do_handshake(self.ssl) != 1:
            self.flush()
            self._receive(self.socket.recv(CHUNK))
        self.flush()
        self.socket.setblocking(False)

    def close(self) -> None:
        ssl.SSL_free(self.ssl)
        self.socket.close()

    def write(self, data: bytes) -> None:
        if data:
            ssl.SSL_write(self.ssl, data, len(data))

    def update_key(self) -> None:
        ssl.SSL_key_update(self.ssl, KEY_UPDATE_REQUESTED)
        ssl.SSL_do_handshake(self.ssl)

    def flush(self, reads: bool = True) -> None:
        """Send all of it; what comes meanwhile is read and forgotten, unless it does not read."""
        n = crypto.BIO_read(self.out, self.buffer, len(self.buffer))
        while n > 0:
            self.rest += self.buffer.raw[:n]
            n = crypto.BIO_read(self.out, self.buffer, len(self.buffer))
        while self.rest:
            if self.socket.getblocking():
                self.socket.sendall(self.rest)
                self.rest = b""
                return
            try:
                self.rest = self.rest[self.socket.send(self.rest):]
            except BlockingIOError:
                readable, _, _ = select.select([self.socket] if reads else [], [self.socket], [])
                if readable:
                    self.read()
        if reads:
            self.read()

    def read(self) -> None:
        """What is there, forgotten; GOAWAY is followed by the end, so nobody looks for it."""
        try:
            self._receive(self.socket.recv(CHUNK))
        except BlockingIOError:
            return

    def linger(self) -> None:
        """Nothing more to say: until it is ended."""
        while True:
            select.select([self.socket], [], [])
            self.read()

    def _receive(self, data: bytes) -> None:
        if not data:
            raise Gone
        crypto.BIO_write(self.inward, data, len(data))
        if ssl.SSL_is_init_finished(self.ssl):
            while ssl.SSL_read(self.ssl, self.buffer, len(self.buffer)) > 0:
                pass


def connect(port: int) -> socket.socket:
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((SOURCE, 0))
    s.connect(("127.0.0.1", port))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


# ---- what is sent, made beforehand ----

def call(stream: int, more: list[tuple[str, str]] | None = None, path: str = ADS,
         end: bool = False) -> bytes:
    fields = [(":method", "POST"), (":scheme", "https"), (":authority", SERVER_NAME),
              (":path", path), ("content-type", "application/grpc"), ("te", "trailers")]
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream,
                 header_block([*fields, *(more or [])]))


def filled(piece: bytes) -> bytes:
    return piece * (CHUNK // len(piece) + 1)


def calls(make: Callable[[int], bytes], n: int = 20_000) -> bytes:
    return b"".join(make(2 * i + 1) for i in range(n))


def bomb(stream: int) -> bytes:
    """A header of 4000 bytes that goes into the table, and 12,000 bytes that each repeat it."""
    value = b"y" * 3900
    block = (header_block([(":method", "POST"), (":scheme", "https"), (":path", ADS),
                           (":authority", SERVER_NAME)])
             + b"\x40\x01x" + integer(len(value), 7) + value + b"\xbe" * 12_000)
    return frame(HEADERS, END_HEADERS, stream, block)


WINDOW = frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1")


def endless(once: bytes, again: bytes, reads: bool = True) -> Callable[[Line], None]:
    """`once`, and then `again` for ever."""
    def run(line: Line) -> None:
        line.write(PREFACE + once)
        while True:
            line.write(again)
            line.flush(reads)
    return run


def once_and_again(data: bytes) -> Callable[[Line], None]:
    """All of it in pieces; then connect again."""
    def run(line: Line) -> None:
        line.write(PREFACE)
        for at in range(0, len(data), CHUNK):
            line.write(data[at:at + CHUNK])
            line.flush()
    return run


def slow_read(first: bytes) -> Callable[[Line], None]:
    """Streams that are answered, and no window for the answers."""
    def run(line: Line) -> None:
        line.write(NO_WINDOW + b"".join(call(s) + frame(DATA, 0, s, first)
                                        for s in range(1, 9, 2)))
        line.flush()
        line.linger()
    return run


def key_updates(line: Line) -> None:
    line.write(PREFACE)
    while True:
        for _ in range(200):
            line.update_key()
        line.flush()


def tiny_records(line: Line) -> None:
    """A legal frame, a byte in each TLS record."""
    data = frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1")
    line.write(PREFACE + call(1))
    while True:
        for i in range(80 * len(data)):
            line.write(data[i % len(data):][:1])
        line.flush()


def junk_token(first: bytes) -> Callable[[Line], None]:
    token = [("authorization", "Bearer e30.e30.e30")]

    def run(line: Line) -> None:
        line.write(PREFACE + b"".join(call(s, token) + frame(DATA, 0, s, first)
                                      for s in range(1, 33, 2)))
        line.flush()
        for _ in range(3):
            select.select([line.socket], [], [], 0.1)
            line.read()
    return run


def handshake_only(line: Line) -> None:
    line.write(PREFACE)
    line.flush()


def by_kind(kind: str, first: bytes) -> Callable[[Line], None]:
    """What is done on a connection; built only for the kind that is asked for."""
    huge = [(f"x-{i}", "y" * 4000) for i in range(7)]
    many = [(f"x-{i}", "y") for i in range(900)]
    kinds: dict[str, Callable[[], Callable[[Line], None]]] = {
        "ping": lambda: endless(b"", filled(frame(PING, 0, 0, b"x" * 8))),
        "ping, reads nothing": lambda: endless(b"", filled(frame(PING, 0, 0, b"x" * 8)), False),
        "settings": lambda: endless(b"", filled(frame(SETTINGS, 0, 0, b""))),
        "large settings": lambda: endless(b"", filled(
            frame(SETTINGS, 0, 0, bytes([0, INITIAL_WINDOW_SIZE, 0, 1, 0, 0]) * 2000))),
        "rapid reset": lambda: once_and_again(calls(
            lambda s: call(s) + frame(RST_STREAM, 0, s, b"\0\0\0\x08"))),
        "made you reset": lambda: once_and_again(calls(
            lambda s: call(s) + frame(WINDOW_UPDATE, 0, s, b"\x7f\xff\xff\xff"))),
        "requests": lambda: once_and_again(calls(lambda s: call(s, path="/no/Such", end=True))),
        "empty data": lambda: endless(call(1), filled(frame(DATA, 0, 1, b""))),
        "priority": lambda: endless(b"", filled(frame(PRIORITY, 0, 3, b"\0\0\0\0\x10"))),
        "window update": lambda: endless(b"", filled(WINDOW)),
        "window update, stream": lambda: endless(
            call(1) + frame(DATA, 0, 1, first), filled(frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1"))),
        "continuation": lambda: endless(
            frame(HEADERS, 0, 1, call(1)[9:]),
            filled(frame(CONTINUATION, 0, 1, header_block([("x", "y")])))),
        "huge headers": lambda: once_and_again(calls(
            lambda s: frame(HEADERS, 0, s, call(s, huge)[9:][:16384])
            + frame(CONTINUATION, END_HEADERS, s, call(s, huge)[9:][16384:]), 200)),
        "many headers": lambda: once_and_again(calls(lambda s: call(s, many), 500)),
        "header bomb": lambda: once_and_again(calls(bomb, 200)),
        "slow read": lambda: slow_read(first),
        "dribble": lambda: endless(
            call(1) + frame(DATA, 0, 1, b"\0\0\x3f\xff\xff"), filled(frame(DATA, 0, 1, b"x"))),
        "small messages": lambda: endless(
            call(1) + frame(DATA, 0, 1, first), filled(frame(DATA, 0, 1, message(b"A")))),
        "key update": lambda: key_updates,
        "tiny records": lambda: tiny_records,
        "handshakes": lambda: handshake_only,
        "junk token": lambda: junk_token(first),
    }
    return kinds[kind]()


# ---- the loops ----

def tls_flood(run: Callable[[Line], None], port: int, context: ctypes.c_void_p) -> Iterator[None]:
    while True:
        line = None
        try:
            line = Line(port, context)
            run(line)
        except (Gone, OSError):
            pass
        if line:
            line.close()
        yield


def half_open(port: int) -> Iterator[None]:
    """Connections that stop in the middle of their ClientHello."""
    data = client_hello(SERVER_NAME)[:60]
    poll = select.poll()
    sockets: dict[int, socket.socket] = {}
    while True:
        if len(sockets) < HALF_OPEN:
            s = connect(port)
            s.send(data)
            sockets[s.fileno()] = s
            poll.register(s, select.POLLIN)
        for fd, _ in poll.poll(0 if len(sockets) < HALF_OPEN else None):
            poll.unregister(fd)
            sockets.pop(fd).close()
        yield


def hellos(port: int) -> Iterator[None]:
    """A whole ClientHello, answered with keys and a signature, and gone: cheap for who sends it."""
    data = client_hello(SERVER_NAME)
    while True:
        try:
            with connect(port) as s:
                s.send(data)
                s.recv(1)
        except OSError:
            pass
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--pause", type=float, default=0.0, metavar="S",
                        help="between two connections")
    options = parser.parse_args()
    if options.kind == "half open":
        loop = half_open(options.port)
    elif options.kind == "hellos":
        loop = hellos(options.port)
    else:
        context = tls_context(None if options.kind == "junk token" else options.folder)
        loop = tls_flood(by_kind(options.kind, (options.folder / "first").read_bytes()),
                         options.port, context)
    print("begins", flush=True)
    for _ in loop:
        if options.pause:
            time.sleep(options.pause)


if __name__ == "__main__":
    main()
