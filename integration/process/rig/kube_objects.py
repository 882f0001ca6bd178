# SPDX-License-Identifier: Apache-2.0
"""The objects of a fake API server that can be listed and watched, and what happened to them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

LOOK_S = 0.05
SERVICE_NAME = "kubernetes.io/service-name"


def slice_of(name: str, service: str, port: int, *pods: str, ready: bool = True,
             node: str = "node-1", family: str = "IPv4") -> dict:
    """An endpoint slice of these pods' addresses."""
    return {"metadata": {"name": name, "labels": {SERVICE_NAME: service}}, "addressType": family,
            "ports": [{"name": "https-dns", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [pod], "conditions": {"ready": ready}, "nodeName": node}
                          for pod in pods]}


def node_port_service(name: str, node_port: int) -> dict:
    return {"metadata": {"name": name}, "spec": {"ports": [
        {"name": "https-dns", "port": 15012, "nodePort": node_port}]}}


def node(name: str, **addresses: str) -> dict:
    return {"metadata": {"name": name}, "status": {"addresses": [
        {"type": kind, "address": address} for kind, address in addresses.items()]}}


def published_roots(*files: Path) -> dict:
    """What the mesh publishes as its roots: the certificates of these files."""
    return root_text("".join(file.read_text() for file in files))


def root_text(text: str) -> dict:
    return {"metadata": {"name": "istio-ca-root-cert"}, "data": {"root-cert.pem": text}}


def collection(kind: str, namespace: str = "istio-system") -> str:
    """Its path in the API."""
    return {"endpointslices": f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
            "configmaps": f"/api/v1/namespaces/{namespace}/configmaps",
            "services": f"/api/v1/namespaces/{namespace}/services",
            "nodes": "/api/v1/nodes"}[kind]


def matches(query: dict[str, list[str]], thing: dict) -> bool:
    """Does it have the labels and the name that are asked for?"""
    labels = thing["metadata"].get("labels", {})
    for selector in query.get("labelSelector", []):
        key, _, value = selector.partition("=")
        if labels.get(key) != value:
            return False
    return all(selector == f"metadata.name={thing['metadata']['name']}"
               for selector in query.get("fieldSelector", []))


class Objects:
    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.version = 100
        self.oldest = 0  # a watch from before is too old
        self.things: dict[tuple[str, str], dict] = {}  # by collection and name
        self.history: list[tuple[int, str, str, dict]] = []  # version, type, collection, object
        self.cuts = 0
        self.lists: list[str] = []  # paths that were asked for
        self.watches: list[str] = []
        self.watching = 0  # now

    # ---- for tests ----

    def put(self, kind: str, thing: dict) -> None:
        with self.changed:
            key = (collection(kind), thing["metadata"]["name"])
            self._note("MODIFIED" if key in self.things else "ADDED", key, thing)

    def delete(self, kind: str, name: str) -> None:
        with self.changed:
            key = (collection(kind), name)
            self._note("DELETED", key, self.things[key])

    def cut(self) -> None:
        """End all watches without a word."""
        with self.changed:
            self.cuts += 1
            self.changed.notify_all()

    def expire(self) -> None:
        """What has happened so far is forgotten: watches from before are answered by 410."""
        with self.changed:
            self.oldest = self.version

    def _note(self, what: str, key: tuple[str, str], thing: dict) -> None:
        self.version += 1
        thing = {**thing, "metadata": {**thing["metadata"], "resourceVersion": str(self.version)}}
        if what == "DELETED":
            del self.things[key]
        else:
            self.things[key] = thing
        self.history.append((self.version, what, key[0], thing))
        self.changed.notify_all()

    # ---- for the server ----

    @staticmethod
    def knows(path: str) -> bool:
        return urlsplit(path).path.endswith(("/endpointslices", "/services", "/nodes",
                                            "/configmaps"))

    @staticmethod
    def is_watch(path: str) -> bool:
        return Objects.knows(path) and "watch" in parse_qs(urlsplit(path).query)

    def list(self, path: str) -> bytes:
        url, query = urlsplit(path), parse_qs(urlsplit(path).query)
        with self.changed:
            self.lists.append(path)
            items = [thing for (where, _), thing in self.things.items()
                     if where == url.path and matches(query, thing)]
            return json.dumps({"metadata": {"resourceVersion": str(self.version)},
                               "items": items or None}).encode()

    def is_expired(self, path: str) -> bool:
        since = int(parse_qs(urlsplit(path).query)["resourceVersion"][0])
        return since < self.oldest

    def watch(self, path: str) -> Iterator[bytes]:
        """Lines, until it is cut; empty ones now and then, for a look at who reads."""
        url, query = urlsplit(path), parse_qs(urlsplit(path).query)
        since = int(query["resourceVersion"][0])
        with self.changed:
            self.watches.append(path)
            self.watching += 1
            cuts = self.cuts
        try:
            while True:
                with self.changed:
                    self.changed.wait_for(lambda: self.cuts != cuts or self.version > since,
                                          LOOK_S)
                    if self.cuts != cuts:
                        return
                    news = [row for row in self.history if row[0] > since]
                    since = self.version
                for _, what, where, thing in news:
                    if where == url.path and matches(query, thing):
                        yield json.dumps({"type": what, "object": thing}).encode() + b"\n"
                yield b""
        finally:
            with self.changed:
                self.watching -= 1
