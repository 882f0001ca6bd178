# SPDX-License-Identifier: Apache-2.0
"""What a VM may not claim, though its certificate is good: what another one is.

Each rule of `registration:` has an attack here, made twice by the same machine with the same
certificate: with the rule on, as it is by default, xdsgate refuses it and says which rule it was;
with that one rule off it works, which is read from istiod or from the WorkloadEntry that it has
made. Both by both variants of the protocol.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from harness.edge import REGISTRATION
from harness.entries import Entry
from harness.grpc_raw import (CLUSTERS, DELTA_RESOURCES, HEALTH, LISTENERS, ROUTES,
                              STREAM_RESOURCES, Answer, Caller, Stream, discovery_request, node_of,
                              type_of)
from harness.istio import Istiod
from harness.lab import ATTACKER, Column, Lab
from harness.site import TERMINATE, TOKEN
from harness.wait import NotYet, until

from .attacks import OWN, Range

INVALID_ARGUMENT, PERMISSION_DENIED = 3, 7
SYNC_STATUS = "istio.io/debug/syncz"  # type of all that /debug/syncz shows
SERVICE_ENTRIES = "networking.istio.io/v1/ServiceEntry"
INSIDE = "10.99.250.1"  # claimed by several, where address_networks allows it
HELD_S = 20  # longer than istiod's grace
HEARD_S = 120
WRITTEN_S = 120  # by istiod, or deleted

# What istiods before 1.17 did not look at, and others do not when they are told not to.
CARELESS = {"PILOT_ENABLE_XDS_IDENTITY_CHECK": "false",
            "ISTIO_WORKLOAD_ENTRY_VALIDATE_IDENTITY": "false",
            "ENABLE_XDS_API_GENERATOR_AUTH": "false"}

TO_CARELESS = """\
  - from: ["{attacker}/32"]
    sni: ["{server_name}"]
    mode: terminate
    upstream: careless
"""
CARELESS_UPSTREAM = """\
- name: careless
  endpoints: ["{endpoint}"]
  tls:
    server_name: {server_name}
    roots: [{root}]
  identity: xfcc
  source_address: ["{trusted}"]
"""

# A group that shares its account with another one.
PAYMENTS = """\
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {{name: payments, namespace: {namespace}}}
spec:
  metadata:
    labels: {{app: payments}}
  template:
    serviceAccount: client
"""

ELDER = """\
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  name: elder
  namespace: {namespace}
  annotations: {{proxy.istio.io/health-checks-enabled: "true"}}
spec: {{address: 10.99.250.2, serviceAccount: client, labels: {{app: elder}}}}
"""


@dataclass(frozen=True)
class Claim:
    """What a VM says in its first request; by default what the intruder's own agent would."""

    address: str
    name: str
    namespace: str = TERMINATE
    account: str = "client"
    group: str = "client"
    kind: str = "sidecar"
    type_url: str = CLUSTERS
    more: dict[str, str | dict] = field(default_factory=dict)  # metadata
    first: str = ""  # a type of which a request without a node comes before

    def requests(self, delta: bool) -> list[bytes]:
        node = node_of(f"{self.kind}~{self.address}~{self.name}"
                       f"~{self.namespace}.svc.cluster.local",
                       {"NAMESPACE": self.namespace, "SERVICE_ACCOUNT": self.account,
                        "CLUSTER_ID": "Kubernetes", "INSTANCE_IPS": self.address,
                        "AUTO_REGISTER_GROUP": self.group, **self.more})
        before = [discovery_request(self.first, delta=delta)] if self.first else []
        return [*before, discovery_request(self.type_url, node, delta=delta)]

    @property
    def entry_name(self) -> str:
        if "WORKLOAD_ENTRY" in self.more:
            return f"{self.namespace}/{self.more['WORKLOAD_ENTRY']}"
        network = f"-{self.more['NETWORK']}" if "NETWORK" in self.more else ""
        return f"{self.namespace}/{self.group}-{self.address}{network}"


class Intruder(Range):
    """The attacker's machine, with a certificate that is its own: ns/terminate/sa/client."""

    def __init__(self, column: Column, name: str) -> None:
        super().__init__(column)
        self.began = time.time()
        self.name = f"{name}.{column}"
        self.edge = self.lab.edge
        self.address = self.lab.site.machine(column.name, ATTACKER)
        self.caller = self.with_certificate("intruder")

    def with_certificate(self, name: str) -> Caller:
        """With a key of its own, and the same identity."""
        return Caller(self.through_edge.netns, self.through_edge.server, self.through_edge.root,
                      certificate=self.certificate(name, OWN))

    def claim(self, **lies: object) -> Claim:
        return Claim(**{"address": self.address, "name": self.name, **lies})

    def opens(self, claim: Claim, delta: bool = False, caller: Caller | None = None) -> Stream:
        """A stream with that as its first request, whatever comes of it."""
        path = DELTA_RESOURCES if delta else STREAM_RESOURCES
        return (caller or self.caller).open(path, *claim.requests(delta))

    def is_heard(self, claim: Claim, delta: bool = False, caller: Caller | None = None) -> Stream:
        """A stream that istiod answers. Who has just left, such as the one before, is still being
        written down by istiod, so it may have to be tried again, as an agent does."""
        def attempt() -> Stream | None:
            stream = self.opens(claim, delta, caller)
            if stream.answer.messages:
                return stream
            answers.append(stream.close())
            return None
        answers: list[Answer] = []
        try:
            return until(attempt, HEARD_S, "istiod answers", tick=0.2)
        except NotYet as late:
            raise NotYet(f"nobody answers, so this proves nothing: {late} {answers[-1:]}") from None

    def is_refused(self, rule: str, claim: Claim, caller: Caller | None = None) -> None:
        status = INVALID_ARGUMENT if rule == "readable" else PERMISSION_DENIED
        for delta in (False, True):
            answer = self.opens(claim, delta, caller).close()
            assert answer.status == status and f"refused ({rule})" in answer.text, answer
            assert not answer.messages, answer
        shown = [vm["refused"]["rule"] for vm in self.edge.vm_list()
                 if vm["identity"] == OWN and vm["refused"]
                 and vm["name"] == (None if claim.first else claim.name)]
        assert rule in shown, shown

    def is_stopped_by(self, rule: str, claim: Claim, *, changes: dict | None = None,
                      **settings: object) -> list[Answer]:
        """With `settings` the rule stops the claim, and nothing else does: what is got without it,
        by each variant."""
        on = {**REGISTRATION, **settings}
        try:
            if settings or changes:
                self.edge.reconfigure(registration=on, **(changes or {}))
            self.is_refused(rule, claim)
            entry = self.lab.entries.get(claim.entry_name)
            assert not entry or not entry.connected_at
            self.edge.reconfigure(registration={**on, "rules": {rule: "off"}}, **(changes or {}))
            return [self.is_heard(claim, delta).close() for delta in (False, True)]
        finally:
            self.edge.reconfigure()

    def takes_entry(self, claim: Claim, what: Callable[[Entry], object] = lambda _: True) -> None:
        """The WorkloadEntry that the claim has made; it is cleared away, if istiod has not done so
        because the grace was over."""
        self.lab.entries.wait_seen(claim.entry_name, what, self.began, WRITTEN_S,
                                   "is what was claimed")
        self.clears(claim)

    def clears(self, claim: Claim) -> None:
        namespace, _, name = claim.entry_name.partition("/")
        self.lab.kube.kubectl("-n", namespace, "delete", "workloadentry", name,
                              "--ignore-not-found")
        self.lab.entries.wait_gone(claim.entry_name, WRITTEN_S)


def allow(**what: object) -> list[dict]:
    """That for the intruder's identity, all others as before."""
    return [{"identity": f"ns/{TERMINATE}/sa/client", **what}, {"identity": "ns/*/sa/*"}]


# ---- who it is

def label(column: Column) -> None:
    """It takes the label by which a service finds its VMs."""
    attack = Intruder(column, "label")
    claim = attack.claim(more={"LABELS": {"app": "server"}})

    attack.is_stopped_by("labels", claim, allow=allow(labels={"app": ["client", "by-hand"]}))
    attack.takes_entry(claim, lambda entry: entry.spec["labels"]["app"] == "server")


def label_in_second_request(column: Column) -> None:
    """The same where a relay might not look: istiod passes over a first report of health, and takes
    the node of what follows."""
    attack = Intruder(column, "late")
    claim = attack.claim(more={"LABELS": {"app": "server"}}, first=HEALTH)

    attack.is_stopped_by("readable", claim, allow=allow(labels={"app": ["client", "by-hand"]}))
    attack.takes_entry(claim, lambda entry: entry.spec["labels"]["app"] == "server")


def address(column: Column) -> None:
    """It sends what is meant for another VM there, or that VM what is meant for itself."""
    attack = Intruder(column, "address")
    claim = attack.claim(address=column.vm("server").address)

    attack.is_stopped_by("address", claim)
    attack.takes_entry(claim, lambda entry: entry.spec["address"] == column.vm("server").address)


def group(column: Column) -> None:
    """It joins another service whose VMs have the same account."""
    attack = Intruder(column, "group")
    claim = attack.claim(group="payments")
    attack.lab.kube.apply(PAYMENTS.format(namespace=column))

    attack.is_stopped_by("group", claim, allow=allow(groups=["client"]))
    attack.takes_entry(claim, lambda entry: entry.spec["labels"]["app"] == "payments")


def entry_of_another(column: Column) -> None:
    """It speaks for a WorkloadEntry that was written for another VM, and says how that one does."""
    attack = Intruder(column, "speaker")
    claim = attack.claim(group="", more={"WORKLOAD_ENTRY": "elder"})
    attack.lab.kube.apply(ELDER.format(namespace=column))

    attack.is_stopped_by("group", claim, allow=allow(groups=["client"]))
    attack.takes_entry(claim, lambda entry: entry.controller)


def network(column: Column) -> None:
    """It says it is elsewhere, so that requests go by a gateway of its choice."""
    attack = Intruder(column, "network")
    claim = attack.claim(more={"NETWORK": "elsewhere"})

    attack.is_stopped_by("network", claim, allow=allow(networks=[""]))
    attack.takes_entry(claim, lambda entry: entry.spec["network"] == "elsewhere")


def name_of_another(column: Column) -> None:
    """By its name it is a VM of another namespace, where people look for its troubles."""
    attack = Intruder(column, "name-of-another")
    claim = attack.claim(name=f"victim.{TOKEN}")

    with attack.edge.configured(registration={**REGISTRATION, "rules": {"namespace": "off"}}):
        with attack.is_heard(claim):
            until(lambda: f"victim.{TOKEN}" in attack.lab.istiods[0].nodes(), HEARD_S,
                  "istiod has that name")
    attack.is_refused("namespace", claim)
    attack.takes_entry(claim)


def router(column: Column) -> None:
    """It is a gateway, and gets the configuration of one."""
    attack = Intruder(column, "router")
    claim = attack.claim(kind="router")

    attack.is_stopped_by("sidecar", claim)
    attack.takes_entry(claim)


@contextmanager
def careless_istiod(lab: Lab, columns: list[Column]) -> Iterator[None]:
    """A second one, which believes what is said. Only the intruder is led to it."""
    second = lab.istiods[1]
    second.start(**CARELESS)
    yield
    second.kill()


def believed_by_careless_istiod(column: Column, _: None) -> None:
    """Another namespace and another account, configuration of all; and a NACK that kills istiod."""
    attack, second = Intruder(column, "believed"), column.lab.istiods[1]
    values = dict(attack.edge.values, attacker=attack.address, endpoint=second.end)
    changes = dict(more_routes=TO_CARELESS.format(**values),
                   more_upstreams=CARELESS_UPSTREAM.format(**values))

    for rule, claim in (
            ("namespace", attack.claim(namespace=TOKEN, name=f"believed.{TOKEN}")),
            ("service_account", attack.claim(account="server", group="server"))):
        attack.is_stopped_by(rule, claim, changes=changes)
        attack.takes_entry(claim)

    asks = attack.claim(type_url=SERVICE_ENTRIES)
    for answer in attack.is_stopped_by("type", asks, changes=changes):
        assert b"others.mesh.test" in answer.messages[0]
    attack.takes_entry(asks)

    _rejects_what_it_has_not(attack, second, changes)


def _rejects_what_it_has_not(attack: Intruder, istiod: Istiod, changes: dict) -> None:
    """A NACK of what was never asked for is left out, whatever the rule is set to, and the stream
    goes on. istiod would die of it, as is seen without xdsgate."""
    for rules in ({}, {"nack": "off"}):
        registration = {**REGISTRATION, "rules": rules}
        with attack.edge.configured(registration=registration, **changes):
            for delta in (False, True):
                with attack.is_heard(attack.claim(), delta) as stream:
                    stream.send(unasked_nack(delta), 0)
                    stream.send(discovery_request(LISTENERS, delta=delta), 0)
                    hear_of(stream, LISTENERS)

    straight = replace(attack.straight, server=istiod.end, certificate=attack.caller.certificate)
    with attack.is_heard(attack.claim(), caller=straight) as stream:
        stream.send(unasked_nack(False), 0)
        until(lambda: not istiod.running(), WRITTEN_S, "istiod dies of an unasked NACK")
    attack.clears(attack.claim())


def unasked_nack(delta: bool) -> bytes:
    return discovery_request(ROUTES, delta=delta, error="what I have not got is bad")


def hear_of(stream: Stream, type_url: str) -> list[str]:
    """The types of all that has come, when something of that type has."""
    types = [type_of(message) for message in stream.answer.messages]
    while type_url not in types:
        answer = stream.hear(1)
        assert len(answer.messages) > len(types), answer
        types = [type_of(message) for message in answer.messages]
    return types


# ---- what it asks for

def who_is_there(column: Column) -> None:
    """It asks istiod for the others, as `istioctl proxy-status` does; first, or later."""
    attack = Intruder(column, "curious")
    victim = column.vm("server").node.encode()

    asks = attack.claim(type_url=SYNC_STATUS)
    for answer in attack.is_stopped_by("type", asks):
        assert victim in answer.messages[0]
    attack.clears(asks)
    assert SYNC_STATUS not in _asks_in_between(attack)
    with attack.edge.configured(registration={**REGISTRATION, "rules": {"type": "off"}}):
        assert SYNC_STATUS in _asks_in_between(attack)
    attack.takes_entry(attack.claim())


def _asks_in_between(attack: Intruder) -> list[str]:
    """The types of what comes, up to the listeners, which are asked for last."""
    with attack.is_heard(attack.claim()) as stream:
        stream.send(discovery_request(SYNC_STATUS), 0)
        stream.send(discovery_request(LISTENERS), 0)
        return hear_of(stream, LISTENERS)


# ---- twice the same

def second_of_its_kind(column: Column) -> None:
    """Another machine with the account's certificate takes the place of a VM that is there; the
    VM itself, which has the same key, may."""
    attack = Intruder(column, "second")
    claim = attack.claim(address=INSIDE)
    other = attack.with_certificate("second")

    with attack.is_heard(claim) as first:
        attack.is_refused("duplicate", claim, other)
        first.send(discovery_request(LISTENERS), 0)
        hear_of(first, LISTENERS)
        with attack.is_heard(claim):
            assert first.await_end().status is not None
    with attack.edge.configured(registration={**REGISTRATION, "rules": {"duplicate": "off"}}):
        with attack.is_heard(claim), attack.is_heard(claim, caller=other):
            until(lambda: attack.lab.istiods[0].nodes().count(claim.name) == 2, HEARD_S,
                  "istiod has both, and those before no more")
    attack.takes_entry(claim)


# ---- what an operator may do

def revoked(column: Column) -> None:
    """A revoked VM is gone at once, and stays away by name and by key; also after a restart."""
    attack = Intruder(column, "revoked")
    claim = attack.claim()
    new_key = attack.with_certificate("new-key")

    with attack.is_heard(claim) as stream:
        attack.edge.ask("vm", "revoke", attack.name)
        assert stream.await_end().status == PERMISSION_DENIED, stream.answer
    _stays_away(attack, new_key)
    before = {vm: vm.await_connected().connected_at
              for one in column.lab.columns.values() if one.relayed for vm in one.vms.values()}
    attack.edge.kill()
    attack.edge.start()
    _stays_away(attack, new_key)
    assert attack.edge.vms(TERMINATE)[claim.name]["state"] == "revoked"

    attack.edge.ask("vm", "unrevoke", attack.name)
    attack.is_heard(claim).close()
    for vm, connected_at in before.items():
        vm.await_back(connected_at)
    attack.clears(claim)


def _stays_away(attack: Intruder, new_key: Caller) -> None:
    attack.is_refused("revoked", attack.claim(), new_key)
    attack.is_refused("revoked", attack.claim(name=f"renamed.{TERMINATE}"))
    assert not attack.ask(attack.caller).ok


def registered_anew(column: Column) -> None:
    """istiod does not change an entry that is there; `vm reregister` makes it write a new one."""
    attack = Intruder(column, "anew")
    old, new = (attack.claim(more={"LABELS": {"tier": tier}}) for tier in ("old", "new"))
    entries = attack.lab.entries

    with attack.is_heard(old):
        entries.wait(old.entry_name, lambda entry: entry.spec["labels"].get("tier") == "old",
                     WRITTEN_S, "is old")
        stream = attack.is_heard(new)  # takes its place, so that no grace runs out
    with stream:
        entry = entries.wait(new.entry_name, lambda entry: entry.connected_at, WRITTEN_S,
                             "is connected")
        assert entry.spec["labels"]["tier"] == "old"
        attack.edge.ask("vm", "reregister", attack.name, "--hold", f"{HELD_S}s")
        assert stream.await_end().status is not None, stream.answer
    attack.is_refused("held", new)
    entries.wait_gone(new.entry_name, WRITTEN_S)
    attack.is_heard(new).close()
    attack.takes_entry(new, lambda entry: entry.spec["labels"]["tier"] == "new")
