# SPDX-License-Identifier: Apache-2.0
"""What a VM may not become through a terminating route: anybody but itself.

istiod believes the header x-forwarded-client-cert of whoever comes from the trusted address, and
that is what xdsgate builds for each VM. So every attack here is made twice: through xdsgate, where
it must get nothing; and as a control without xdsgate's protection, from the trusted address itself
or straight to istiod, where it works. A control that no longer works fails the scenario, because
then the attack proves nothing.

What an attack got is read from the certificate that istiod issued, if it issued one, and from
istiod's own counter of issued certificates if it did not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from harness import pki
from harness.grpc_raw import (CREATE_CERTIFICATE, STREAM_RESOURCES, Answer, Caller, Headers,
                              certificate_request, first_discovery_request, issued_chain)
from harness.lab import Column, Lab
from harness.site import TERMINATE, Endpoint

XFCC = "x-forwarded-client-cert"
ISTIOD_IDENTITY = "spiffe://cluster.local/ns/istio-system/sa/istiod"
MESH = "spiffe://cluster.local"
OWN = f"{MESH}/ns/{TERMINATE}/sa/client"
OTHER = f"{MESH}/ns/{TERMINATE}/sa/server"
TRIES = 3
ISSUED = "citadel_server_success_cert_issuance_count"


@dataclass
class Range:
    """The attacker's machine, among the VMs of the column, and what it has."""

    lab: Lab
    folder: Path

    def __init__(self, column: Column) -> None:
        self.lab = column.lab
        self.folder = self.lab.folder / "attacker"
        self.folder.mkdir(exist_ok=True)
        root, site = str(self.lab.authority.certificate), self.lab.site
        self.through_edge = Caller(column.attacker, Endpoint(site.edge_untrusted), root)
        # past the edge: the machine of the edge, from its address that means nothing to istiod
        self.straight = Caller(self.lab.edge.netns, site.istiods[0], root,
                               source=site.edge_untrusted)
        self.from_trusted = Caller(self.lab.edge.netns, site.istiods[0], root,
                                   source=site.edge_trusted)

    def certificate(self, name: str, *identities: str, days: int = 30,
                    authority: pki.Pair | None = None) -> pki.Pair:
        """A client certificate with these URIs, of the mesh CA unless said otherwise."""
        return pki.issue(authority or self.lab.authority, self.folder, name, days=days, subject="/",
                         sans="critical," + ",".join(f"URI:{identity}" for identity in identities))

    def own(self, caller: Caller) -> Caller:
        """The same, showing a perfectly good certificate of a VM's own."""
        return replace(caller, certificate=self.certificate("own", OWN))

    def ask(self, caller: Caller, headers: Headers = (), trailers: Headers = ()) -> Answer:
        """Asks for a certificate: its names are those that istiod believes the caller has."""
        request = certificate_request(pki.signing_request(self.folder, "asked"))
        return caller.call(CREATE_CERTIFICATE, request, headers, trailers)

    def subscribe(self, caller: Caller, headers: Headers = ()) -> Answer:
        """Opens an ADS stream as the VM `server` of this column."""
        request = first_discovery_request(
            f"sidecar~10.99.9.9~forged.{TERMINATE}~{TERMINATE}.svc.cluster.local",
            {"NAMESPACE": TERMINATE, "SERVICE_ACCOUNT": "server", "CLUSTER_ID": "Kubernetes"})
        return caller.call(STREAM_RESOURCES, request, headers, keep_open=True)

    def gets_nothing(self, caller: Caller, headers: Headers = (), trailers: Headers = ()) -> Answer:
        """The attack ends without a certificate, and istiod issued none to anybody: not each time,
        at least, because an agent may happen to ask for its own meanwhile."""
        istiod = self.lab.istiods[0]
        for _ in range(TRIES):
            before = istiod.metric(ISSUED)
            answer = self.ask(caller, headers, trailers)
            assert not answer.ok, f"istiod issued {named(answer)}"
            assert answer.refused_by != "nobody", answer
            if istiod.metric(ISSUED) == before:
                return answer
        raise AssertionError(f"istiod issues a certificate each time: {answer}")

    def stays_itself(self, headers: Headers = (), trailers: Headers = ()) -> None:
        """Beside a good certificate the attack changes nothing: the VM is who it is, or nobody."""
        answer = self.ask(self.own(self.through_edge), headers, trailers)
        assert answer.refused_by != "nobody", answer
        assert not answer.ok or named(answer) == {f"URI:{OWN}"}, named(answer)

    def works_for(self, caller: Caller, identity: set[str], headers: Headers = ()) -> None:
        """The control: without xdsgate in between, this is whom istiod believes."""
        answer = self.ask(caller, headers)
        assert answer.ok, f"the control fails, so the attack proves nothing: {answer}"
        assert named(answer) == {f"URI:{name}" for name in identity}


def named(answer: Answer) -> set[str]:
    return pki.names_of(issued_chain(answer)[0])


def element(identity: str) -> str:
    return f"URI={identity}"


# ---- the scenarios

def good_certificate(column: Column) -> None:
    """Not an attack: the attacker's tools work, and an honest VM gets what is its own."""
    attack = Range(column)

    answer = attack.ask(attack.own(attack.through_edge))
    assert answer.ok, answer
    assert named(answer) == {f"URI:{OWN}"}


def forged_header(column: Column) -> None:
    """A VM without any credential calls itself istiod."""
    attack = Range(column)
    forged = [(XFCC, element(ISTIOD_IDENTITY))]

    attack.works_for(attack.from_trusted, {ISTIOD_IDENTITY}, forged)
    refused = attack.gets_nothing(attack.through_edge, forged)
    assert refused.status == 16
    attack.stays_itself(forged)


def forged_header_on_stream(column: Column) -> None:
    """The same on an ADS stream: another VM's configuration."""
    attack = Range(column)
    forged = [(XFCC, element(OTHER))]

    assert attack.subscribe(attack.from_trusted, forged).ok
    assert not attack.subscribe(attack.through_edge, forged).ok
    assert not attack.subscribe(attack.own(attack.through_edge), forged).ok


def forged_header_end_to_end(column: Column) -> None:
    """Passed through, the VM's header reaches istiod, but from an address that is not trusted."""
    attack = Range(column)
    forged = [(XFCC, element(ISTIOD_IDENTITY))]

    attack.works_for(attack.from_trusted, {ISTIOD_IDENTITY}, forged)
    refused = attack.gets_nothing(attack.through_edge, forged)
    assert refused.status == 16
    attack.works_for(attack.own(attack.through_edge), {OWN}, forged)


def forged_header_twice(column: Column) -> None:
    """Two headers, and one header with two elements: istiod reads the first and believes all."""
    attack = Range(column)
    twice = [(XFCC, element(ISTIOD_IDENTITY)), (XFCC, element(OTHER))]
    listed = [(XFCC, f"{element(ISTIOD_IDENTITY)},{element(OTHER)}")]

    attack.works_for(attack.from_trusted, {ISTIOD_IDENTITY}, twice)
    attack.works_for(attack.from_trusted, {ISTIOD_IDENTITY, OTHER}, listed)
    for forged in (twice, listed):
        attack.gets_nothing(attack.through_edge, forged)
        attack.stays_itself(forged)


def forged_header_in_capitals(column: Column) -> None:
    """A name that a filter for small letters would let pass. HTTP/2 forbids it altogether."""
    attack = Range(column)

    for name in (XFCC.upper(), "X-Forwarded-Client-Cert", f" {XFCC}", f"{XFCC} "):
        forged = [(name, element(ISTIOD_IDENTITY))]
        attack.gets_nothing(attack.through_edge, forged)
        attack.stays_itself(forged)
    attack.works_for(attack.from_trusted, {ISTIOD_IDENTITY}, [(XFCC, element(ISTIOD_IDENTITY))])


def forged_header_in_trailers(column: Column) -> None:
    """After the message, where a relay might copy what it would have removed before it."""
    attack = Range(column)
    forged = [(XFCC, element(ISTIOD_IDENTITY))]

    attack.gets_nothing(attack.through_edge, trailers=forged)
    attack.stays_itself(trailers=forged)
    attack.works_for(attack.from_trusted, {ISTIOD_IDENTITY}, forged)


def other_trust_domain(column: Column) -> None:
    """Right namespace, right account, wrong mesh: istiod itself does not compare it in a header."""
    attack = Range(column)
    foreign = f"spiffe://elsewhere.example/ns/{TERMINATE}/sa/client"

    attack.works_for(attack.from_trusted, {foreign}, [(XFCC, element(foreign))])
    shown = replace(attack.through_edge, certificate=attack.certificate("foreign", foreign))
    attack.gets_nothing(shown)


def istio_system(column: Column) -> None:
    """A stolen certificate of the control plane opens nothing from a VM's place."""
    attack = Range(column)
    stolen = attack.certificate("stolen", ISTIOD_IDENTITY)

    attack.works_for(replace(attack.straight, certificate=stolen), {ISTIOD_IDENTITY})
    attack.gets_nothing(replace(attack.through_edge, certificate=stolen))


def identity_not_listed(column: Column) -> None:
    """A certificate of the mesh, but of a namespace that vm_identities does not list."""
    attack = Range(column)
    pod = f"{MESH}/ns/default/sa/default"
    shown = attack.certificate("pod", pod)

    attack.works_for(replace(attack.straight, certificate=shown), {pod})
    attack.gets_nothing(replace(attack.through_edge, certificate=shown))


def two_names(column: Column) -> None:
    """One certificate, two URIs: neither may be chosen."""
    attack = Range(column)

    attack.works_for(attack.from_trusted, {OWN, OTHER},
                     [(XFCC, f"{element(OWN)};{element(OTHER)}")])
    for name, identities in (("two", (OWN, OTHER)), ("two-back", (ISTIOD_IDENTITY, OWN))):
        shown = attack.certificate(name, *identities)
        attack.gets_nothing(replace(attack.through_edge, certificate=shown))


def expired(column: Column) -> None:
    """Yesterday's certificate, otherwise the VM's own."""
    attack = Range(column)

    attack.works_for(replace(attack.through_edge, certificate=attack.certificate("fresh", OWN)),
                     {OWN})
    old = attack.certificate("old", OWN, days=-1)
    attack.gets_nothing(replace(attack.through_edge, certificate=old))


def self_made(column: Column) -> None:
    """The VM's own name in a certificate that vouches for itself, or comes from one's own CA."""
    attack = Range(column)
    alone = pki.self_signed(attack.folder, "alone", subject="/CN=vm", sans=f"URI:{OWN}")
    root = pki.self_signed(attack.folder, "root", subject="/O=cluster.local", authority=True)
    shown = attack.certificate("of-own-root", OWN, authority=root)

    for certificate in (alone, shown):
        attack.gets_nothing(replace(attack.through_edge, certificate=certificate))
    attack.works_for(attack.own(attack.through_edge), {OWN})


def token_of_another(column: Column) -> None:
    """One VM's certificate beside another one's token: istiod would believe the token first."""
    attack = Range(column)
    token = attack.lab.token(TERMINATE, "server", ttl_s=600)
    headers = [("authorization", f"Bearer {token}"), ("clusterid", "Kubernetes")]

    attack.works_for(attack.from_trusted, {OTHER}, [*headers, (XFCC, element(OWN))])
    attack.works_for(attack.own(attack.through_edge), {OWN}, headers)


def bad_tokens(column: Column) -> None:
    """No certificate and a token that is expired, garbage, or for somebody else's ears."""
    attack = Range(column)
    good = attack.lab.token(TERMINATE, "client", ttl_s=600)
    head, claims, _ = good.split(".")

    attack.works_for(attack.through_edge, {OWN}, [("authorization", f"Bearer {good}")])
    for bad in (attack.lab.token(TERMINATE, "client", ttl_s=-3600), "garbage", f"{head}.{claims}.",
                f"{head}.{claims}.AAAA", good + ".x"):
        refused = attack.gets_nothing(attack.through_edge, [("authorization", f"Bearer {bad}")])
        assert refused.status == 16, refused
