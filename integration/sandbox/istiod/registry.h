/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "integration/sandbox/common/text.h"
#include "integration/sandbox/istiod/node.h"

/** istiod deletes an entry this long after its VM was last seen. */
#define REGISTRY_GRACE_MS 10000

/** The Healthy condition of an entry. */
enum entry_health { HEALTH_NONE, HEALTH_TRUE, HEALTH_FALSE };

/** One WorkloadEntry, in memory. Strings owned. */
struct entry {
    struct entry *next; /* owned */
    char *name_space;
    char *name;  /* GROUP-IP[-NETWORK] when automatic */
    char *group; /* "" when written by hand */
    char *address;
    char *network;
    char *health_message; /* "" when healthy */
    enum entry_health health;
    bool automatic;          /* registered by a VM, deleted after the grace */
    unsigned streams;        /* ADS streams that hold it */
    int64_t disconnected_ms; /* when the last one ended; -1 while connected */
};

/** All WorkloadEntries and WorkloadGroups. Loop thread or lock held. */
struct registry {
    struct names groups;   /* NAMESPACE/NAME */
    struct entry *entries; /* owned list */
    int64_t grace_ms;
    uint64_t created; /* entries made by registration */
    uint64_t deleted; /* entries deleted after the grace */
    uint64_t kept;    /* reconnects within the grace */
};

/** Outcome of registry_connect(), a gRPC status code. */
enum register_code { REGISTER_OK = 0, REGISTER_UNKNOWN = 2, REGISTER_NO_GROUP = 9 };

/** Initialise an empty registry. */
void registry_init(struct registry *r, int64_t grace_ms);

/** Release everything. */
void registry_fini(struct registry *r);

/** Make a WorkloadGroup known: NAMESPACE/NAME. Returns false when it has no slash. */
bool registry_add_group(struct registry *r, const char *group);

/** Write a WorkloadEntry by hand: NAMESPACE/NAME. Returns false when it has no slash. */
bool registry_add_entry(struct registry *r, const char *name);

/**
 * A VM's ADS stream has sent its node: register it, or find its entry written by hand.
 *
 * entry    gets the entry, borrowed until registry_disconnect(); NULL when the node asks for none.
 * why      gets the error text when the code is not REGISTER_OK.
 */
enum register_code registry_connect(struct registry *r, const struct node *node,
                                    struct entry **entry, struct text *why);

/** The stream has ended; the grace begins with the last one. entry may be NULL. */
void registry_disconnect(struct registry *r, struct entry *entry, int64_t now_ms);

/** Delete what has been away for the grace; entries written by hand lose their condition. */
void registry_sweep(struct registry *r, int64_t now_ms);

/** Record what the VM says about its health. */
void entry_set_health(struct entry *e, bool healthy, const char *message);

/** "True", "False" or "Unknown". */
const char *entry_health_name(const struct entry *e);
