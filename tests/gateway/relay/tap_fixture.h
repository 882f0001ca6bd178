/* SPDX-License-Identifier: Apache-2.0 */
/* A relay whose tap has a registry, VMs that come with xDS, an istiod that answers. Included by
 * tests of this folder only, once each. */
#pragma once

#include "tests/gateway/relay/relay_fixture.h"

#include <stdio.h>

#include "gateway/registry/registry_read.h"
#include "gateway/relay/relay_tap.h"
#include "tests/support/gateway_scope.h"
#include "tests/xds/pb_out.h"

/* Field numbers of DeltaDiscoveryRequest. */
#define REQUEST_NODE 1
#define REQUEST_URL 2
#define REQUEST_NONCE 6
#define REQUEST_ERROR 7

/* The same of DiscoveryRequest. */
#define SOTW_NODE 2
#define SOTW_NAMES 3
#define SOTW_URL 4
#define SOTW_ERROR 6

#define NODE_METADATA 3

#define URL(name) "type.googleapis.com/" name
#define CDS URL("envoy.config.cluster.v3.Cluster")
#define LDS URL("envoy.config.listener.v3.Listener")
#define EDS URL("envoy.config.endpoint.v3.ClusterLoadAssignment")

/* An address that VMs of the rig may claim, and one that they may not. */
#define OURS "192.0.0.77"
#define OF_ANOTHER "10.9.8.7"

struct tap {
    struct rig rig;
    struct registration_opts registration;
    struct addr_net network;
    struct relay_index index;
    struct tally tally;
    struct relay_tap_env env;
    struct registry *registry;
    unsigned ended; /* streams that the registry wants ended */
};

static inline void on_end(void *arg, unsigned worker, uint64_t stream, enum end_reason why)
{
    (void)worker, (void)stream, (void)why;
    ((struct tap *)arg)->ended++;
}

static inline void start(struct tap *t)
{
    static const struct rig_opts with_xfcc = {.identity = UPSTREAM_XFCC};
    const struct registry_opts opts = {.forget_after_s = 3600, .max_vms = 100};

    *t = (struct tap){.ended = 0};
    rig_start(&t->rig, &with_xfcc);
    assert_int_equal(addr_net_parse("192.0.0.0/24", &t->network), RC_OK);
    t->registration.address_networks = &t->network;
    t->registration.n_address_networks = 1;
    assert_int_equal(registry_new(&opts, on_end, t, &t->registry), RC_OK);
    relay_index_init(&t->index, 0);
    t->env = (struct relay_tap_env){.registry = t->registry,
                                    .registration = &t->registration,
                                    .trust_domain = "cluster.local",
                                    .index = &t->index,
                                    .tally = &t->tally};
    t->rig.route.listener = "istiod";
    t->rig.route.tap = &t->env;
}

/* Nothing is left: rig_stop() looks at the relay, relay_index_fini() at the numbers. */
static inline void stop(struct tap *t)
{
    struct registry_count count;

    rig_stop(&t->rig);
    registry_count(t->registry, &count);
    assert_int_equal(count.connected, 0);
    assert_int_equal(t->ended, 0);
    relay_index_fini(&t->index);
    registry_free(&t->registry);
}

/* ---- messages ---- */

static inline void put_node(struct pb_out *request, uint32_t number, const char *address,
                            const char *network)
{
    struct pb_out metadata = {0};
    struct pb_out node = {0};
    char id[128];

    (void)snprintf(id, sizeof(id), "sidecar~%s~vm1.vms~vms.svc.cluster.local", address);
    pb_string_entry(&metadata, "NAMESPACE", "vms");
    pb_string_entry(&metadata, "SERVICE_ACCOUNT", "web");
    pb_string_entry(&metadata, "AUTO_REGISTER_GROUP", "web");
    pb_string_entry(&metadata, "INSTANCE_IPS", address);
    if (network != NULL) {
        pb_string_entry(&metadata, "NETWORK", network);
    }
    pb_text(&node, 1, id);
    pb_message(&node, NODE_METADATA, &metadata);
    pb_message(request, number, &node);
}

/* Frame and send it; frees message. */
static inline void say(struct tap *t, struct peer_stream *st, uint8_t flag, struct pb_out *message)
{
    struct pb_out o = {0};

    pb_frame(&o, flag, message->data, message->n);
    peer_send(st, o.data, o.n);
    pb_free(message);
    pb_free(&o);
    rig_run(&t->rig);
}

/* A stream whose first request claims this address and network (NULL: none) and asks for CDS. */
static inline struct peer_stream *come_from(struct tap *t, const char *address, const char *network)
{
    struct peer_stream *st = peer_request(rig_vm(&t->rig, RIG_ID), rig_ads_request, false);
    struct pb_out q = {0};

    put_node(&q, REQUEST_NODE, address, network);
    pb_text(&q, REQUEST_URL, CDS);
    say(t, st, 0, &q);
    return st;
}

static inline struct peer_stream *come(struct tap *t, const char *address)
{
    return come_from(t, address, NULL);
}

/* A later request; an ACK with a nonce, and a NACK with an error. */
static inline void ask(struct tap *t, struct peer_stream *st, const char *url, const char *nonce,
                       const char *error)
{
    struct pb_out q = {0};

    pb_text(&q, REQUEST_URL, url);
    if (nonce != NULL) {
        pb_text(&q, REQUEST_NONCE, nonce);
    }
    if (error != NULL) {
        struct pb_out status = {0};
        pb_number(&status, 1, 3);
        pb_text(&status, 2, error);
        pb_message(&q, REQUEST_ERROR, &status);
    }
    say(t, st, 0, &q);
}

/* A DeltaDiscoveryResponse of one resource. */
static inline void push(struct tap *t, struct peer_stream *up, const char *url, const char *nonce)
{
    struct pb_out resource = {0};
    struct pb_out p = {0};

    pb_text(&resource, 3, "outbound|80||web.vms.svc.cluster.local");
    pb_message(&p, 2, &resource);
    pb_text(&p, 4, url);
    pb_text(&p, 5, nonce);
    say(t, up, 0, &p);
}

static inline struct peer_stream *answered(struct tap *t)
{
    struct peer_stream *up = rig_up(&t->rig, 0);

    assert_non_null(up);
    peer_respond(up, rig_response, false);
    rig_run(&t->rig);
    return up;
}
