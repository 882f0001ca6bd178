# SPDX-License-Identifier: Apache-2.0
"""What `xdsgate doctor` says, by its table of causes; an API server with the objects of a mesh."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from .gateway import BINARY, ROOT
from .kube_api import BEARER, Answer, KubeApi, status
from .kube_objects import matches

PATIENCE = "20s"  # who answers on a busy machine, does so sooner
SILENCE = "2s"  # where somebody is not to answer, and only there

T = TypeVar("T")

CAUSES = set(re.findall(r'CAUSE\(\w+, "([a-z-]+)", (?:BAD|WARN),',
                        (ROOT / "gateway/doctor/causes.def").read_text()))


@dataclass(frozen=True)
class Said:
    """The answer of one run, as -o json gives it."""
    code: int
    findings: list[dict]
    looked_at: list[str]
    not_looked_at: list[str]

    def ids(self) -> set[str]:
        return {row["id"] for row in self.findings}

    def has(self, cause: str, text: str, command: str = "", level: str = "bad") -> dict:
        """One finding of this cause says this; the table knows it."""
        assert cause in CAUSES
        rows = [row for row in self.findings if row["id"] == cause and text in row["text"]]
        assert rows, f"no {cause} with {text!r}: {self.findings} {self.not_looked_at}"
        assert command in rows[0]["command"], rows[0]
        assert rows[0]["command"]
        assert rows[0]["level"] == level
        assert self.code != 0
        return rows[0]

    def skips(self, text: str) -> bool:
        return any(text in row for row in self.not_looked_at)

    def looks(self, text: str) -> bool:
        return any(text in row for row in self.looked_at)


def said_by(done: subprocess.CompletedProcess[str]) -> Said:
    assert done.stderr == ""
    answer = json.loads(done.stdout)
    assert done.returncode in (0, 1, 2, 3), done.stdout
    assert (done.returncode == 0) == (answer["findings"] == [])
    for row in answer["findings"]:
        assert set(row) == {"id", "level", "text", "command"}
        assert not re.search(r"\{([1-6]|cluster|istio|system|istiod)\}", row["text"] + row["command"])
    return Said(done.returncode, answer["findings"], answer["looked_at"], answer["not_looked_at"])


def doctor(*options: object, patience: str = PATIENCE, env: dict[str, str] | None = None) -> Said:
    return said_by(subprocess.run([BINARY, "doctor", "-o", "json", "--timeout", patience,
                                   *map(str, options)], text=True, capture_output=True, timeout=120,
                                  check=False, env=env))


def with_silence(ask: Callable[[str], T], is_it: Callable[[T], bool]) -> T:
    """What is said with so much patience that who is to answer did, as far as he was to."""
    for patience in (SILENCE, "4s", "8s", "16s", "32s"):
        said = ask(patience)
        if is_it(said):
            break
    return said


ISTIO = "/apis/networking.istio.io/v1/namespaces/vms"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
SYSTEM = "/api/v1/namespaces/istio-system"
ISTIOD = "/apis/apps/v1/namespaces/istio-system/deployments/istiod"


def group(name: str, account: str, **spec: object) -> dict:
    return {"metadata": {"name": name, "namespace": "vms"},
            "spec": {"template": {"serviceAccount": account}, **spec}}


def entry(name: str, address: str, account: str = "vm", network: str = "",
          annotations: dict | None = None, conditions: list | None = None,
          labels: dict | None = None, own_labels: dict | None = None) -> dict:
    """labels: of its spec; own_labels: of the object."""
    return {"metadata": {"name": name, "namespace": "vms", "labels": own_labels or {},
                         "annotations": {"istio.io/autoRegistrationGroup": "web",
                                         **(annotations or {})}},
            "spec": {"address": address, "serviceAccount": account, "network": network,
                     "labels": labels or {}},
            "status": {"conditions": conditions or []}}


def binding(name: str, account: str = "vm", ns: str = "vms") -> dict:
    return {"metadata": {"name": name, "namespace": ns},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "vms"}]}


class Cluster(KubeApi):
    """Its objects are what the test puts there; whoever asks may read them all."""

    def __init__(self, folder: Path, token_key: Path) -> None:
        self.accounts = {"vms/vm"}  # tokens may be made of these
        self.forbidden: set[str] = set()  # of these not
        self.may_make_all = False
        self.roots_namespace = "istio-system"
        self.may_not: set[str] = set()  # verbs, with the ConfigMap of the mesh's roots
        self.lists: dict[str, list[dict]] = {
            f"{ISTIO}/workloadgroups": [group("web", "vm")], f"{ISTIO}/workloadentries": [],
            f"{RBAC}/rolebindings": [], f"{RBAC}/clusterrolebindings": [],
            f"{SYSTEM}/services": [self.service()]}
        self.things: dict[str, dict] = {ISTIOD: {}}
        self.deploy(PILOT_WORKLOAD_ENTRY_GRACE_PERIOD="2m")
        super().__init__(folder, token_key)

    def service(self, kind: str = "NodePort", policy: str = "Local") -> dict:
        return {"metadata": {"name": "istiod-xdsgate"},
                "spec": {"type": kind, "externalTrafficPolicy": policy,
                         "ports": [{"port": 15012, "targetPort": 15012}]}}

    def deploy(self, **env: str) -> None:
        rows = [{"name": name, "value": value} for name, value in env.items()]
        self.things[ISTIOD] = {"metadata": {"name": "istiod"}, "spec": {"template": {"spec": {
            "containers": [{"name": "discovery", "image": "docker.io/istio/pilot:1.31.0",
                            "env": rows}]}}}}

    def config_map(self, name: str, key: str, value: str) -> None:
        self.things[f"{SYSTEM}/configmaps/{name}"] = {"metadata": {"name": name},
                                                       "data": {key: value}}

    def answer(self, path: str, bearer: str | None, body: bytes) -> Answer:
        plain = urlsplit(path).path
        if bearer == BEARER and not self.instead(path):
            if plain in self.lists:
                return 200, {}, self.page(path)
            folder, _, name = plain.rpartition("/")
            for row in self.lists.get(folder, []):
                if row["metadata"]["name"] == name:
                    return 200, {}, json.dumps(row).encode()
            if plain in self.things:
                return 200, {}, json.dumps(self.things[plain]).encode()
            if plain.endswith("/selfsubjectaccessreviews"):
                return 201, {}, json.dumps({"status": {"allowed": self.may(body)}}).encode()
            if made := self.refuse_token(plain):
                return made
        return super().answer(path, bearer, body)

    def may(self, body: bytes) -> bool:
        """The answer to a SelfSubjectAccessReview."""
        asked = json.loads(body)["spec"]["resourceAttributes"]
        if asked["resource"] == "serviceaccounts":
            return self.may_make_all
        assert (asked["resource"], asked["name"]) == ("configmaps", "istio-ca-root-cert")
        return asked["namespace"] == self.roots_namespace and asked["verb"] not in self.may_not

    def page(self, path: str) -> bytes:
        """At most `limit` objects of those that are asked for, and where to go on."""
        query = parse_qs(urlsplit(path).query)
        rows = [row for row in self.lists[urlsplit(path).path] if matches(query, row)]
        begin = int(query.get("continue", ["0"])[0])
        end = begin + int(query.get("limit", [len(rows)])[0])
        next_one = {"continue": str(end)} if end < len(rows) else {}
        return json.dumps({"kind": "List", "metadata": next_one,
                           "items": rows[begin:end]}).encode()

    def refuse_token(self, path: str) -> Answer | None:
        match path.split("/")[1:]:
            case ["api", "v1", "namespaces", ns, "serviceaccounts", name, "token"]:
                if f"{ns}/{name}" in self.forbidden:
                    return 403, {}, status(403, "Forbidden", "serviceaccounts is forbidden")
                if f"{ns}/{name}" not in self.accounts:
                    body = json.loads(status(404, "NotFound", "not found"))
                    return 404, {}, json.dumps({**body, "details": {"name": name}}).encode()
        return None
