# SPDX-License-Identifier: Apache-2.0
"""Real ClientHellos, made by OpenSSL."""

from __future__ import annotations

import ssl


def client_hello(sni: str | None) -> bytes:
    """The first flight of a TLS client that asks for a name, or for none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=sni)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()
