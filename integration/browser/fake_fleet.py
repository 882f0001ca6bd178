# SPDX-License-Identifier: Apache-2.0
"""A fleet as the admin API tells it: the shape of the answers, and what changes them."""

from __future__ import annotations

import hashlib
import threading
import time
from datetime import datetime, timezone

TYPES = ("CDS", "LDS", "EDS", "RDS", "ECDS")
URL = "type.googleapis.com/envoy.config."
HOUR_S = 3600.0


def stamp(at: float) -> str:
    """RFC 3339 with milliseconds."""
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds").replace(
        "+00:00", "Z")


def id_of(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]


def vm(name: str, at: float, **fields: object) -> dict:
    """A summary: connected, healthy and synced, where the fields say nothing else."""
    return {
        "id": id_of(name), "name": name, "namespace": "vms",
        "identity": "spiffe://cluster.local/ns/vms/sa/vm", "verified": True,
        "state": "connected", "health": "healthy", "group": "web", "network": "vm-net",
        "cluster": "cl1", "revision": "default", "version": "1.29.0", "address": "192.168.7.11",
        "peer": "192.168.7.11:51234", "listener": "istiod", "upstream": "istiod",
        "endpoint": "10.0.0.11:15012", "istiod": "istiod-6d9f7c5b8-x2x9k", "variant": "delta",
        "connected_since": stamp(at - 2 * HOUR_S), "last_seen": stamp(at - 3), "reconnects": 3,
        "last_end": "upstream_retired", "types": dict.fromkeys(TYPES, "SYNCED"), "nacks": 0,
        "last_nack": None, "certificate_expires": stamp(at + 20 * HOUR_S),
        "token_expires": stamp(at + HOUR_S), "bytes_up": 12345, "bytes_down": 6543210,
        "refused": None, **fields}


def refused(rule: str, detail: str, at: float) -> dict:
    return {"rule": rule, "detail": detail, "at": stamp(at - 30), "times": 4, "passed": False}


def sync_row(summary: dict, kind: str, at: float) -> dict:
    state = summary["types"].get(kind, "IGNORED")
    nack = summary["last_nack"] if state == "ERROR" else None
    size = {"CDS": 400_000, "LDS": 900_000, "EDS": 60_000, "RDS": 120_000}.get(kind, 0)
    return {"type": kind, "url": f"{URL}{kind.lower()}", "state": state, "nonce": f"n-{kind}",
            "sent": stamp(at - 120), "acked": stamp(at - 119), "bytes": size // 10,
            "all_bytes": size, "resources": 12, "removed": 1, "responses": 3,
            "nacks": int(nack is not None), "error": nack["text"] if nack else None}


def detail_of(summary: dict, at: float) -> dict:
    return {
        **summary, "node_id": f"sidecar~{summary['address']}~{summary['name']}~vms.svc",
        "labels": summary.get("labels", {"app": "web", "version": "v1"}),
        "addresses": [summary["address"]], "workload": "web", "locality": None,
        "cut": summary.get("cut", False),
        "certificate": {"serial": "0a1b2c3d4e5f", "expires": summary["certificate_expires"],
                        "key": "5f" * 32},
        "health_since": stamp(at - 600), "health_message": summary.get("health_message"),
        "sync": [sync_row(summary, kind, at) for kind in TYPES], "messages_up": 21,
        "messages_down": 22, "unread": 0, "reconnect_reasons": {"upstream_retired": 2, "limit": 1},
        "events": summary.get("events", [
            {"at": stamp(at - 7200), "what": "connected", "detail": None},
            {"at": stamp(at - 7190), "what": "healthy", "detail": None},
            {"at": stamp(at - 120), "what": "push", "detail": "LDS"}])}


class FakeFleet:
    """Any thread. Answers carry only what changed when they are asked to."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = time.time()
        self.epoch = int(self.now * 1000)
        self.vms: dict[str, tuple[int, dict]] = {}  # id: when it changed
        self.gone: list[tuple[int, str]] = []
        self.restarted = False  # knows nothing of what it said before
        self.upstreams = [{
            "name": "istiod", "usable": True, "identity": "token", "unsafe": None, "waiting": 0,
            "new_streams_per_second": 25.0, "endpoints": [
                {"address": "10.0.0.11:15012", "istiod": "istiod-6d9f7c5b8-x2x9k", "vms": 2600},
                {"address": "10.0.0.12:15012", "istiod": None, "vms": 2200}]}]

    # ---- what happens ----

    def put(self, summary: dict) -> str:
        with self.lock:
            self.vms[summary["id"]] = (self.epoch, summary)
            return summary["id"]

    def change(self, which: str, **fields: object) -> None:
        with self.lock:
            self.vms[which] = (self.epoch, {**self.vms[which][1], **fields})

    def forget(self, which: str) -> None:
        with self.lock:
            del self.vms[which]
            self.gone.append((self.epoch, which))

    def fill(self, n: int) -> None:
        """A fleet in which everything occurs."""
        for i in range(n):
            self.put(self.typical(i))

    def typical(self, i: int) -> dict:
        at = self.now
        fields: dict = {"address": f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}",
                        "group": ("web", "db", "batch")[i % 3], "cluster": f"cl{i % 2 + 1}",
                        "connected_since": stamp(at - 60 * (i % 1400) - 61),
                        "certificate_expires": stamp(at + 60 * (70 + i % 1300))}
        if i % 2:
            fields |= {"istiod": None, "endpoint": "10.0.0.12:15012"}
        if i % 50 == 7:
            fields |= {"state": "disconnected", "types": {}, "connected_since": None,
                       "health": "unknown", "endpoint": None, "istiod": None}
        elif i % 500 == 11:
            fields |= {"state": "connecting", "types": {}, "health": "unknown"}
        elif i % 500 == 13:
            fields |= {"state": "refused", "types": {}, "health": "unknown", "endpoint": None,
                       "istiod": None, "connected_since": None,
                       "refused": refused("address", "it says 10.9.9.9 and comes from 10.1.1.1", at)}
        elif i == 17:
            fields |= {"state": "revoked", "types": {}, "health": "unknown",
                       "connected_since": None}
        elif i % 400 == 19:
            fields |= {"health": "unhealthy"}
        elif i % 300 == 23:
            fields |= {"types": {**dict.fromkeys(TYPES, "SYNCED"), "EDS": "STALE"}}
        elif i % 1000 == 29:
            fields |= {"types": {**dict.fromkeys(TYPES, "SYNCED"), "LDS": "ERROR"}, "nacks": 1,
                       "last_nack": {"type": "LDS", "at": stamp(at - 100), "text":
                                     "Error adding/updating listener(s) 10.0.0.1_80: filter\n"
                                     "envoy.filters.http.wasm: unable to create"}}
        elif i % 600 == 31:
            fields |= {"certificate_expires": stamp(at + 60 * (5 + i % 50))}
        elif i % 1500 == 37:
            fields |= {"certificate_expires": stamp(at - 60)}
        return vm(f"vm{i}.vms", at, **fields)

    # ---- what is asked ----

    def collect(self, since: int) -> dict:
        with self.lock:
            self.epoch = max(self.epoch + 1, int(time.time() * 1000))
            since = 0 if self.restarted else since
            answer: dict = {"now": stamp(time.time()), "next": self.epoch, "vms": [
                summary for changed, summary in self.vms.values() if changed >= since]}
            if since:
                answer["gone"] = [which for at, which in self.gone if at >= since]
            return answer

    def describe(self, which: str) -> dict | None:
        with self.lock:
            found = self.vms.get(which)
        return {"vms": [detail_of(found[1], self.now)]} if found else None
