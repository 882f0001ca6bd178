# SPDX-License-Identifier: Apache-2.0
"""The list of what is proven, and in which columns.

This list is what is counted: a run has to show a result for every cell of it. It also says the
order, which is that of a VM's life; what disturbs istiod comes last.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from harness.site import COLUMNS, PASSTHROUGH, TERMINATE, TERMINATED, TOKEN

from . import (agent, attacks, bundle, certs, config, discovery, doctor, envoy, failures, firstvm,
               gateway_name, handover, istiod, losses, networks, readme, registration, rights, scale,
               vms)


@dataclass(frozen=True)
class Scenario:
    """One row. `run` is called for each column, all columns at the same time.

    With `around`, a context manager does something once for all columns, and what it yields is
    given to `run`.
    """

    title: str
    run: Callable[..., None]
    around: Callable[..., AbstractContextManager] | None = None
    columns: tuple[str, ...] = COLUMNS
    on_kind: bool = True  # whether it applies where istiod is one pod
    by_default: bool = True  # whether it runs without --losses
    in_losses: bool = False  # whether it runs with --losses

    @property
    def name(self) -> str:
        return f"{self.run.__module__.rpartition('.')[2]}.{self.run.__name__}"


def attack(title: str, run: Callable[..., None]) -> Scenario:
    return Scenario(title, run, columns=(TERMINATE,))


def loss(title: str, run: Callable[..., None], quick: bool = False) -> Scenario:
    """A line of README.md's table of what is lost when. Most of them take minutes."""
    return Scenario(title, run, columns=(TERMINATE,), on_kind=quick, by_default=quick,
                    in_losses=True)


EVERYTHING = (
    Scenario("the agent gets its certificate", agent.certificate),
    Scenario("serving certificate by the mesh's CA", certs.from_the_cluster,
             columns=(TERMINATE,)),
    Scenario("cert issue, signed by istiod", certs.from_istiod, columns=(TERMINATE,)),
    Scenario("WorkloadEntry: labels, ports, address", agent.registration),
    Scenario("health True, False, True", agent.health),
    Scenario("health of a WorkloadEntry by hand", agent.health_by_hand),
    Scenario("state-of-the-world and delta", agent.state_of_the_world),
    Scenario("vm list equals istiod's syncz, at rest", vms.at_rest, columns=TERMINATED),
    Scenario("the same within 2 s after a push", vms.after_push, columns=TERMINATED),
    Scenario("health as in the WorkloadEntry", vms.health, columns=TERMINATED),
    Scenario("vm config equals Envoy's own dump", config.equals_envoy, columns=TERMINATED),
    Scenario("vm config, read by istioctl", config.read_by_istioctl, columns=(TERMINATE,)),
    Scenario("vm config --diff shows a change", config.change_is_shown, columns=(TERMINATE,)),
    Scenario("Envoy carries a request by mTLS", envoy.request_by_mtls),
    Scenario("plain text is refused there", envoy.other_callers_refused),
    Scenario("agent restarted, token gone", agent.restart_without_token),
    Scenario("agent restarted, token expired", agent.restart_with_expired_token),
    Scenario("bundle create equals istioctl", bundle.equals_istioctl, columns=(TERMINATE,)),
    Scenario("doctor: whom istiod believes", doctor.whom_istiod_believes, columns=(TERMINATE,)),
    Scenario("doctor: its probe leaves nothing behind", doctor.leaves_nothing_behind,
             columns=(TERMINATE,)),
    Scenario("doctor: one VM, by its entry", doctor.one_vm, columns=(TOKEN,), on_kind=False),
    Scenario("a machine joins by one script", firstvm.joins, columns=(TOKEN,)),
    Scenario("rebooted: its token is back", firstvm.reboots, columns=(TOKEN,)),
    Scenario("rebooted with an expired token", firstvm.token_expired, columns=(TOKEN,)),
    Scenario("off for too long: bundle renew", firstvm.renewed, columns=(TOKEN,)),
    Scenario("joins by the gateway's own name and CA", gateway_name.joins, columns=(TOKEN,)),
    Scenario("follows the gateway to another CA", gateway_name.takes_another_root,
             columns=(TOKEN,)),
    Scenario("README.md: the first VM", readme.first_vm, columns=(PASSTHROUGH,)),
    Scenario("a request into another network", networks.request, columns=(PASSTHROUGH,),
             on_kind=False),
    Scenario("agent killed: gone after the grace", failures.killed),
    Scenario("agent frozen: gone within a minute", failures.frozen),
    attack("an honest client of our own", attacks.good_certificate),
    Scenario("forged XFCC, from end to end", attacks.forged_header_end_to_end,
             columns=(PASSTHROUGH,)),
    attack("forged XFCC, alone", attacks.forged_header),
    attack("forged XFCC, on an ADS stream", attacks.forged_header_on_stream),
    attack("forged XFCC, twice", attacks.forged_header_twice),
    attack("forged XFCC, in capitals", attacks.forged_header_in_capitals),
    attack("forged XFCC, in trailers", attacks.forged_header_in_trailers),
    attack("certificate of another trust domain", attacks.other_trust_domain),
    attack("certificate of istio-system", attacks.istio_system),
    attack("certificate not in vm_identities", attacks.identity_not_listed),
    attack("certificate with two URIs", attacks.two_names),
    attack("certificate expired", attacks.expired),
    attack("certificate self-signed", attacks.self_made),
    attack("certificate beside another's token", attacks.token_of_another),
    attack("tokens that are no good", attacks.bad_tokens),
    attack("claims another service's label", registration.label),
    attack("the same in a second request", registration.label_in_second_request),
    attack("claims another VM's address", registration.address),
    attack("claims another group", registration.group),
    attack("claims another's WorkloadEntry", registration.entry_of_another),
    attack("claims another network", registration.network),
    attack("claims another's name", registration.name_of_another),
    attack("claims to be a gateway", registration.router),
    Scenario("what a careless istiod believes", registration.believed_by_careless_istiod,
             registration.careless_istiod, columns=(TERMINATE,), on_kind=False),
    attack("asks who else is there", registration.who_is_there),
    attack("a second one of the same name", registration.second_of_its_kind),
    attack("vm revoke: at once, and after a restart", registration.revoked),
    attack("vm reregister: a new WorkloadEntry", registration.registered_anew),
    Scenario("no token of an account that is not named", rights.account_not_named,
             columns=(TOKEN,)),
    Scenario("the mesh's roots without the right", rights.published_roots_not_readable,
             columns=(TOKEN,), on_kind=False),
    Scenario("each right for discovery counts", discovery.each_right_counts, columns=(TOKEN,),
             on_kind=False),
    Scenario("a NACK arrives at istiod, and in vm list", istiod.nack, istiod.with_foreign_filter),
    Scenario("istiod killed, started: all back", istiod.all_come_back, istiod.killed_and_started),
    Scenario("two istiods, one killed: all move", istiod.all_move, istiod.one_of_two_killed,
             on_kind=False),
    Scenario("discovery: istiod moves, VMs find it", discovery.follows_the_service,
             columns=(TOKEN,), on_kind=False),
    loss("SIGUSR2, 303 VMs: nobody is lost", handover.nobody_is_lost, quick=True),
    loss("xdsgate stopped, drained 2 s, started", losses.stopped_shortly),
    loss("xdsgate stopped, drained 60 s, started", losses.stopped_with_default_drain),
    loss("xdsgate killed, started after 1 s", losses.killed, quick=True),
    loss("edge host without power for 20 s", losses.powered_off),
    loss("istiod rolled out", losses.istiod_rolled_out),
    loss("istiod killed, started", losses.istiod_killed),
    loss("link VMs - edge down 5 s, in a push", losses.vm_link_5s),
    loss("link VMs - edge down 15 s", losses.vm_link_15s),
    loss("link VMs - edge down 15 s, in a push", losses.vm_link_15s_push),
    loss("link VMs - edge down 60 s", losses.vm_link_60s),
    loss("link edge - istiod down 5 s, in a push", losses.istiod_link_5s),
    loss("link edge - istiod down 15 s", losses.istiod_link_15s),
    loss("link edge - istiod down 15 s, in a push", losses.istiod_link_15s_push),
    loss("link edge - istiod down 60 s", losses.istiod_link_60s),
    Scenario("connection age 20 s, 200 VMs, 2 min", scale.no_entry_lost, scale.short_connections),
)

TABLE = tuple(one for one in EVERYTHING if one.on_kind or "XDSGATE_MESH_KIND" not in os.environ)
