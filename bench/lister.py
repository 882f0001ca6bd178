#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Somebody who looks at all VMs without a pause: the API, the metrics, and `xdsgate vm list`.

    lister.py ADDRESS XDSGATE

Writes a line with the bytes of the list whenever it has seen all of them.
"""

from __future__ import annotations

import http.client
import subprocess
import sys


def get(address: str, path: str) -> bytes:
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
    return body


def main() -> None:
    address, program = sys.argv[1:]
    while True:
        size = len(get(address, "/api/v1/vms"))
        get(address, "/metrics")
        subprocess.run([program, "vm", "list", "--admin", address], stdout=subprocess.DEVNULL,
                       check=True)
        print(size, flush=True)


if __name__ == "__main__":
    main()
