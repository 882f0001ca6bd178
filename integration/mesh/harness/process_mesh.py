# SPDX-License-Identifier: Apache-2.0
"""The mesh as ordinary processes: etcd, kube-apiserver and up to two istiods in one namespace."""

from __future__ import annotations

from pathlib import Path

from . import istio
from .istio import Istiod
from .kube import Cluster, Kube
from .netns import Network
from .site import Endpoint, Site

SITE = Site("10.77", (Endpoint("10.77.0.1"), Endpoint("10.77.0.5")))


class ProcessMesh:
    """The control plane and the wires."""

    site = SITE

    def __init__(self, programs: Path, folder: Path, prefix: str) -> None:
        self.programs = programs
        self.folder = folder
        self.network = Network(prefix)
        self.kube: Kube
        self.istiods: list[Istiod] = []
        self.token_key: Path

    @property
    def api_server(self) -> str:
        """As the edge reaches it."""
        return f"https://{self.site.istiods[0].address}:6443"

    def start(self) -> None:
        hub = self.network.add_hub("cp", *(end.address for end in self.site.istiods))
        folder = self.folder / "kube"
        folder.mkdir(parents=True)
        cluster = Cluster(self.programs, folder, hub, self.site.istiods[0].address)
        self.token_key = cluster.token_key
        self.kube = cluster.start()
        istio.install(self.kube, self.programs)
        self.istiods = [Istiod(self.kube, self.programs, self.folder / f"istiod-{number}", number,
                               end, self.site.edge_trusted)
                        for number, end in enumerate(self.site.istiods)]
        self.istiods[0].start()
