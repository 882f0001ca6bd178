# SPDX-License-Identifier: Apache-2.0
"""A gRPC client that may say anything: it writes its own HTTP/2 frames and header names.

gRPC libraries refuse to send header names in capitals or metadata in request trailers. An
attacker does not use a library.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events

from . import netns, pki
from .site import SERVER_NAME, Endpoint

CREATE_CERTIFICATE = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
STREAM_RESOURCES = ("/envoy.service.discovery.v3.AggregatedDiscoveryService/"
                    "StreamAggregatedResources")
DELTA_RESOURCES = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
CLUSTERS = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
LISTENERS = "type.googleapis.com/envoy.config.listener.v3.Listener"
HEALTH = "type.googleapis.com/istio.v1.HealthInformation"
ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"

ANSWER_S = 30  # for whatever is waited for on a connection

Headers = list[tuple[str, str]]


@dataclass
class Answer:
    """How a call ended, wherever it ended."""

    status: int | None = None  # grpc-status
    text: str = ""  # grpc-message, or what happened instead of an answer
    messages: list[bytes] = field(default_factory=list)
    refused_by: str = ""  # "tls", "connection" or "stream" when there was no grpc-status

    @property
    def ok(self) -> bool:
        return self.status == 0 or bool(self.messages)


@dataclass(frozen=True)
class Caller:
    """Where a call comes from and what it shows."""

    netns: str
    server: Endpoint
    root: str
    source: str | None = None
    certificate: pki.Pair | None = None
    server_name: str = SERVER_NAME

    def call(self, path: str, message: bytes, headers: Headers = (), trailers: Headers = (),
             keep_open: bool = False) -> Answer:
        """One request; with `keep_open` the answer ends at its first message."""
        try:
            connection = self._connect()
        except ssl.SSLError as error:
            return Answer(text=str(error), refused_by="tls")
        except ConnectionError as error:
            return Answer(text=str(error), refused_by="connection")
        with connection:
            return _Call(connection).run(self.server_name, path, message, list(headers),
                                         list(trailers), keep_open)

    def open(self, path: str, *messages: bytes) -> "Stream":
        """A call that goes on after these; its first answer has come, or its end."""
        stream = Stream(_Call(self._connect()), self.server_name, path)
        for message in messages[:-1]:
            stream.send(message, 0)
        stream.send(messages[-1], 1)
        return stream

    def _connect(self) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=self.root)
        context.set_alpn_protocols(["h2"])
        if self.certificate:
            context.load_cert_chain(self.certificate.certificate, self.certificate.key)
        plain = netns.connect(self.netns, self.server.address, self.server.port, timeout=ANSWER_S,
                              source=self.source)
        return context.wrap_socket(plain, server_hostname=self.server_name)


class _Call:
    """One request on one connection, by hand."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self.connection = connection
        # What a client may not do is to be the server's decision, not this library's.
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            header_encoding="utf-8", validate_outbound_headers=False,
            normalize_outbound_headers=False))
        self.answer = Answer()
        self.body = b""
        self.ended = False

    def run(self, authority: str, path: str, message: bytes, headers: Headers, trailers: Headers,
            keep_open: bool) -> Answer:
        def converse() -> None:
            self.begin(authority, path, headers)
            self.send(message, last=not trailers and not keep_open)
            if trailers:
                self.h2.send_headers(1, trailers, end_stream=True)
        return self.go_on(converse, lambda: keep_open and bool(self.answer.messages))

    def begin(self, authority: str, path: str, headers: Headers) -> None:
        self.h2.initiate_connection()
        self.h2.send_headers(1, [
            (":method", "POST"), (":scheme", "https"), (":authority", authority),
            (":path", path), ("content-type", "application/grpc"), ("te", "trailers"), *headers])

    def send(self, message: bytes, last: bool = False) -> None:
        self.h2.send_data(1, b"\0" + struct.pack(">I", len(message)) + message, end_stream=last)

    def go_on(self, say: Callable[[], None], done: Callable[[], bool]) -> Answer:
        """Says that, and listens until it is done or the call has ended."""
        try:
            say()
            self._flush()
            while not self.ended and not done():
                self._receive()
        except (ssl.SSLError, ConnectionError) as error:
            # With TLS 1.3 a client learns only now that its certificate was refused.
            self._refused("tls" if isinstance(error, ssl.SSLError) else "connection", str(error))
        except socket.timeout:
            self._refused("nobody", "no answer in time")
        return self.answer

    def _receive(self) -> None:
        data = self.connection.recv(65536)
        if not data:
            self._refused("connection", "closed without an answer")
            return
        for event in self.h2.receive_data(data):
            self._take(event)
        self._flush()

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
            fields = dict(event.headers)
            if "grpc-status" in fields:
                self.answer.status = int(fields["grpc-status"])
                self.answer.text = fields.get("grpc-message", "")
        elif isinstance(event, h2.events.DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.body += event.data
            self._cut_messages()
        elif isinstance(event, h2.events.StreamEnded):
            self.ended = True
        elif isinstance(event, h2.events.StreamReset):
            self._refused("stream", f"reset, {h2.errors._error_code_from_int(event.error_code)!r}")
        elif isinstance(event, h2.events.ConnectionTerminated):
            self._refused("connection", f"GOAWAY {event.error_code!r} {event.additional_data!r}")

    def _cut_messages(self) -> None:
        while len(self.body) >= 5:
            size = struct.unpack(">I", self.body[1:5])[0]
            if len(self.body) < 5 + size:
                return
            self.answer.messages.append(self.body[5:5 + size])
            self.body = self.body[5 + size:]

    def _refused(self, by: str, text: str) -> None:
        if self.answer.status is None:
            self.answer.refused_by, self.answer.text = by, text
        self.ended = True

    def _flush(self) -> None:
        self.connection.sendall(self.h2.data_to_send())


class Stream:
    """A call with more than one request, such as an ADS stream. Closed by whoever has opened it."""

    def __init__(self, call: _Call, authority: str, path: str) -> None:
        self.call = call
        self.answer = call.answer
        call.begin(authority, path, [])

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, message: bytes, more: int) -> Answer:
        """One request, and so many messages of the other side; or fewer, and its end."""
        count = len(self.answer.messages) + more
        return self.call.go_on(lambda: self.call.send(message),
                               lambda: len(self.answer.messages) >= count)

    def hear(self, more: int) -> Answer:
        """So many messages more."""
        count = len(self.answer.messages) + more
        return self.call.go_on(lambda: None, lambda: len(self.answer.messages) >= count)

    def await_end(self) -> Answer:
        return self.call.go_on(lambda: None, lambda: False)

    def close(self) -> Answer:
        self.call.connection.close()
        return self.answer


# ---- messages: a few fields of protobuf, written and read by hand

def field_bytes(number: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def fields(message: bytes, number: int) -> list[bytes]:
    """The length-delimited fields of that number; the messages here have no other kinds."""
    found, at = [], 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        size, at = _read_varint(message, at)
        if tag >> 3 == number:
            found.append(message[at:at + size])
        at += size
    return found


def strings(message: bytes, number: int) -> list[str]:
    return [value.decode() for value in fields(message, number)]


def certificate_request(csr: str) -> bytes:
    """IstioCertificateRequest: 1 csr."""
    return field_bytes(1, csr)


def issued_chain(answer: Answer) -> list[str]:
    """IstioCertificateResponse: 1 cert_chain."""
    return strings(answer.messages[0], 1)


def struct_of(values: dict[str, str | dict]) -> bytes:
    """Struct: 1 fields {1 key, 2 value {3 a text, 5 a Struct}}."""
    return b"".join(
        field_bytes(1, field_bytes(1, key) + field_bytes(2, (
            field_bytes(5, struct_of(value)) if isinstance(value, dict)
            else field_bytes(3, value))))
        for key, value in values.items())


def node_of(node_id: str, metadata: dict[str, str | dict]) -> bytes:
    """Node: 1 id, 3 metadata."""
    return field_bytes(1, node_id) + field_bytes(3, struct_of(metadata))


def discovery_request(type_url: str, node: bytes = b"", *, delta: bool = False,
                      error: str = "") -> bytes:
    """DiscoveryRequest: 2 node, 4 type_url, 6 error_detail {2 message}; the delta one: 1, 2, 7."""
    of_node, of_type, of_error = (1, 2, 7) if delta else (2, 4, 6)
    return ((field_bytes(of_node, node) if node else b"") + field_bytes(of_type, type_url)
            + (field_bytes(of_error, field_bytes(2, error)) if error else b""))


def first_discovery_request(node_id: str, metadata: dict[str, str | dict]) -> bytes:
    """For clusters, as Envoy begins."""
    return discovery_request(CLUSTERS, node_of(node_id, metadata))


def type_of(response: bytes) -> str:
    """DiscoveryResponse and DeltaDiscoveryResponse: 4 type_url."""
    return fields(response, 4)[0].decode()


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
