/* SPDX-License-Identifier: Apache-2.0 */
/* A registry, VMs that come to it, and which streams it has ended. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/registry/registry.h"
#include "gateway/registry/registry_read.h"

#define WEB "spiffe://cluster.local/ns/vms/sa/web"
#define DB "spiffe://cluster.local/ns/vms/sa/db"

/** 2026-11-22T01:02:03.456Z: when each test begins. */
#define START_MS INT64_C(1795309323456)

#define ENDED_MAX 64

struct fixture {
    struct registry *r;
    int64_t now_ms;
    int64_t waited_ms;     /**< of the last guest_request() */
    enum end_reason after; /**< of the last guest_admit() */
    uint64_t last_stream;
    struct {
        uint64_t stream;
        unsigned worker;
        enum end_reason why;
    } ended[ENDED_MAX];
    size_t n_ended;
    struct guest *guests; /**< owned; of guest_of() */
};

/** A VM and what it claims. */
struct guest {
    struct guest *next; /**< of the fixture */
    struct xds_node node;
    struct registry_claim claim;
    char id[XDS_NODE_ID_BYTES];
    char address[ADDR_TEXT_BYTES];
    struct vm *vm; /**< while it has a stream */
    uint64_t stream;
};

int registry_setup(void **state);
int registry_teardown(void **state);

/** Another fixture with these options, and its end: who still has a stream leaves. */
struct fixture *registry_make(const struct registry_opts *opts);
void registry_unmake(struct fixture **f);

/** All VMs leave, and are forgotten by the test. */
void guests_free(struct fixture *f);

/** What a certificate with this key looks like; key 0: there is none. */
struct registry_certificate certificate_of(uint8_t key);

/** A VM NAME.vms of WEB that comes from its address, with this key (0: without a certificate), rule
 * `duplicate` on. The fixture's. */
struct guest *guest_of(struct fixture *f, const char *name, const char *address, uint8_t key);

/** Change one of its texts; borrowed. */
void guest_set(struct guest *g, enum xds_node_text which, const char *text);

/** Write its node id anew: after a change of address or name. */
void guest_rename(struct guest *g, const char *name, const char *address);

/** It opens a stream. */
enum rc guest_enter(struct fixture *f, struct guest *g, struct registry_refusal *refusal);

/** It must be let in; and istiod answers. */
void guest_must_enter(struct fixture *f, struct guest *g);
void guest_must_come(struct fixture *f, struct guest *g);

/** It must be refused by this rule. */
void guest_must_not_enter(struct fixture *f, struct guest *g, enum rule rule);

/** istiod answers. */
void guest_admit(struct fixture *f, struct guest *g);

/** Its stream is over. */
void guest_leave(struct fixture *f, struct guest *g, enum end_reason why);

/** It asks, acknowledges (nonce) or rejects (error). */
enum xds_sync_event guest_request(struct fixture *f, struct guest *g, enum xds_type type,
                                  const char *nonce, const char *error);

/** istiod pushes. */
void guest_push(struct fixture *f, struct guest *g, enum xds_type type, const char *nonce);

/** The only VM of this name. v: vm_view_fini(). */
void must_see(struct fixture *f, const char *name, struct vm_view *v);

/** How many VMs have this name; NULL: any. */
size_t count_seen(struct fixture *f, const char *name);

/** The one VM of this name is in this state. */
void assert_state(struct fixture *f, const char *name, enum vm_state state);

/** This stream, and no other, was ended since the last call. */
void assert_ended(struct fixture *f, const struct guest *g, enum end_reason why);
void assert_nothing_ended(struct fixture *f);
