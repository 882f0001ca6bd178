# SPDX-License-Identifier: Apache-2.0
"""xdsgate alone, in its default configuration, with a backend and good VMs."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import certs
import hostile
import peers
from programs import Backend, Vms
from rows import IN_FLIGHT, LOAD_CPU, RELAY_CPU, Scene

OPEN_STEP = 200  # VMs at a time: the default pace to istiod begins with 25 a second
PEER = "xdsgate-default"

peers.KINDS[PEER] = dataclasses.replace(peers.KINDS["xdsgate"], file=f"{PEER}.yaml")


@contextmanager
def scene(vms: int) -> Iterator[tuple[Scene, Path]]:
    """With so many VMs up; also the folder of its certificates and logs."""
    with tempfile.TemporaryDirectory(prefix="xdsgate-bench-") as name:
        folder = Path(name)
        certs.make(folder)
        with (Backend(folder, LOAD_CPU, "default") as backend,
              peers.Peer(PEER, folder, backend.port, cpus=RELAY_CPU) as relay,
              Vms(folder, LOAD_CPU, relay.port) as load):
            (folder / "first").write_bytes(load.first(hostile.NUMBER))
            for begun in range(0, vms, OPEN_STEP):
                load.open(min(OPEN_STEP, vms - begun), IN_FLIGHT)
            yield Scene(relay, backend, load), folder
            relay.must_run()
