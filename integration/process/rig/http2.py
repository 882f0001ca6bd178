# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 frame by frame, for a VM that does what no library would let it do.

Header blocks are written as plain literals; what comes is decoded by the daemon's own library.
"""

from __future__ import annotations

import ctypes
import ssl
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .pki import SERVER_NAME
from .upstream import connect
from .wait import LONG_S

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
CSR = "/istio.v1.auth.IstioCertificateService/CreateCertificate"

Fields = Iterable[tuple[str, str]]


class _Field(ctypes.Structure):
    _fields_ = [("name", ctypes.POINTER(ctypes.c_uint8)), ("value", ctypes.POINTER(ctypes.c_uint8)),
                ("name_length", ctypes.c_size_t), ("value_length", ctypes.c_size_t),
                ("flags", ctypes.c_uint8)]


class Inflater:
    def __init__(self) -> None:
        self.library = ctypes.CDLL("libnghttp2.so.14")
        self.library.nghttp2_hd_inflate_hd2.restype = ctypes.c_ssize_t
        self.state = ctypes.c_void_p()
        assert self.library.nghttp2_hd_inflate_new(ctypes.byref(self.state)) == 0

    def fields(self, block: bytes) -> list[tuple[str, str]]:
        found = []
        while True:
            field, flags = _Field(), ctypes.c_int()
            used = self.library.nghttp2_hd_inflate_hd2(
                self.state, ctypes.byref(field), ctypes.byref(flags), block,
                ctypes.c_size_t(len(block)), 1)
            assert used >= 0, f"header block: error {used}"
            block = block[used:]
            if flags.value & 2:  # a field
                found.append((ctypes.string_at(field.name, field.name_length).decode(),
                              ctypes.string_at(field.value, field.value_length).decode()))
            if flags.value & 1:  # the end
                self.library.nghttp2_hd_inflate_end_headers(self.state)
                return found


def integer(value: int, prefix: int) -> bytes:
    """RFC 7541, 5.1."""
    most = (1 << prefix) - 1
    if value < most:
        return bytes([value])
    value -= most
    out = [most]
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def header_block(fields: Fields) -> bytes:
    """Literals that are never indexed, without Huffman."""
    parts = []
    for name, value in fields:
        parts.append(b"\x10")
        for text in (name, value):
            parts.append(integer(len(text.encode()), 7) + text.encode())
    return b"".join(parts)


def message(payload: bytes) -> bytes:
    """One gRPC message."""
    return b"\0" + struct.pack(">I", len(payload)) + payload


class Http2:
    """A connection. Frames of the peer are kept; PING and SETTINGS are answered."""

    def __init__(self, port: int, token: str | None = None, source: str = "127.0.0.1",
                 pair: tuple[Path, Path] | None = None) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        if pair:
            context.load_cert_chain(*pair)
        self.token = token
        self.tls = context.wrap_socket(connect(port, source), server_hostname=SERVER_NAME)
        self.tls.settimeout(LONG_S)
        self.buffer = b""
        self.held: list[bytes] | None = None  # what is to be sent at once
        self.inflater = Inflater()
        self.headers: dict[int, dict[str, str]] = {}  # by stream: headers and trailers
        self.data: dict[int, bytes] = {}
        self.reset: dict[int, int] = {}
        self.ended: set[int] = set()
        self.goaway: int | None = None
        self.closed = False

    def close(self) -> None:
        self.tls.close()

    # ---- out ----

    def send_raw(self, data: bytes) -> None:
        """It may be gone already: what it did about us is read afterwards."""
        if self.held is not None:
            self.held.append(data)
            return
        try:
            self.tls.sendall(data)
        except OSError:
            pass

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """What is sent here leaves as one piece, so that no time passes within it."""
        self.held = []
        yield
        data, self.held = b"".join(self.held), None
        assert len(data) <= 16384  # one TLS record
        self.send_raw(data)

    def begin(self, *settings: tuple[int, int]) -> "Http2":
        payload = b"".join(struct.pack(">HI", *row) for row in settings)
        self.send_raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, payload))
        return self

    def send(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        self.send_raw(frame(kind, flags, stream, payload))

    def request(self, stream: int, path: str = ADS, more: Fields = (), end: bool = False,
                replace: dict[str, str] | None = None) -> None:
        """The headers of a call."""
        fields = {":method": "POST", ":scheme": "https", ":authority": SERVER_NAME, ":path": path,
                  "content-type": "application/grpc", "te": "trailers", **(replace or {})}
        auth = [("authorization", f"Bearer {self.token}")] if self.token else []
        block = header_block([*fields.items(), *auth, *more])
        first, *rest = [block[i:i + 16384] for i in range(0, len(block), 16384)]
        last = END_STREAM if end else 0
        self.send(HEADERS, last | (0 if rest else END_HEADERS), stream, first)
        for i, part in enumerate(rest):
            self.send(9, END_HEADERS if i == len(rest) - 1 else 0, stream, part)

    def send_data(self, stream: int, data: bytes, end: bool = False) -> None:
        for i in range(0, len(data), 16384) or [0]:
            final = end and i + 16384 >= len(data)
            self.send(DATA, END_STREAM if final else 0, stream, data[i:i + 16384])

    # ---- in ----

    def read_until_ended(self, stream: int) -> dict[str, str]:
        """Headers and trailers of an answer that ended or was reset (":reset")."""
        while stream not in self.ended and not self.closed:
            self.read_frame()
        fields = self.headers.get(stream, {})
        if stream in self.reset:
            fields = {**fields, ":reset": str(self.reset[stream])}
        assert fields, f"stream {stream} has no answer; GOAWAY {self.goaway}, closed {self.closed}"
        return fields

    def read_until_closed(self) -> int | None:
        """The code of the GOAWAY that came before, if one did."""
        while not self.closed:
            self.read_frame()
        return self.goaway

    def look(self, wait_s: float) -> None:
        """One frame, if it comes within this time."""
        self.tls.settimeout(wait_s)
        try:
            self.read_frame()
        except TimeoutError:
            pass
        finally:
            self.tls.settimeout(LONG_S)

    def _has(self, n: int) -> bool:
        """Reads until there are so many bytes. What has come stays when the time is over."""
        while len(self.buffer) < n:
            try:
                part = self.tls.recv(65536)
            except (ConnectionError, ssl.SSLError):
                part = b""
            if not part:
                self.closed = True
                return False
            self.buffer += part
        return True

    def read_frame(self) -> None:
        if not self._has(9) or not self._has(end := 9 + int.from_bytes(self.buffer[:3], "big")):
            return
        head, payload, self.buffer = self.buffer[:9], self.buffer[9:end], self.buffer[end:]
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
        if kind == HEADERS:
            self.headers.setdefault(stream, {}).update(self.inflater.fields(payload))
        elif kind == DATA:
            self.data[stream] = self.data.get(stream, b"") + payload
        elif kind == RST_STREAM:
            self.reset[stream] = int.from_bytes(payload, "big")
            self.ended.add(stream)
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")
        elif kind in (PING, SETTINGS) and not flags & ACK:
            self.send(kind, ACK, 0, payload if kind == PING else b"")
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            self.ended.add(stream)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return (len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
            + payload)


def first_request() -> bytes:
    """A DiscoveryRequest for clusters with a Node that the sandbox knows."""
    def text(number: int, value: str) -> bytes:
        return bytes([number << 3 | 2, len(value.encode())]) + value.encode()

    node = text(1, "sidecar~10.99.7.7~bad-1.vms~vms.svc.cluster.local")
    return (b"\x12" + bytes([len(node)]) + node
            + text(4, "type.googleapis.com/envoy.config.cluster.v3.Cluster"))
