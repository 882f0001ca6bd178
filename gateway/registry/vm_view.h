/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reader gets of a VM: a copy of one moment. Texts are the VM's own claims: make them
 * harmless before they are shown (core/base/show.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/end_reason.h"
#include "gateway/registry/registry.h"
#include "gateway/registry/shared_text.h"
#include "gateway/registry/vm_claim.h"
#include "gateway/registry/vm_event.h"

enum vm_state {
    VM_IS_CONNECTING,   /**< istiod has not answered its stream */
    VM_IS_CONNECTED,    /**< it has */
    VM_IS_DISCONNECTED, /**< it has no stream */
    VM_IS_REFUSED,      /**< nor has it, and the last one that it wanted was refused */
    VM_IS_REVOKED,      /**< by an operator */
    VM_STATES
};

enum vm_health { VM_HEALTH_UNKNOWN, VM_HEALTHY, VM_UNHEALTHY, VM_HEALTHS };

/** "connected". Static. */
const char *vm_state_name(enum vm_state state);

/** "healthy". Static. */
const char *vm_health_name(enum vm_health health);

/** A VM. Times are wall clock, milliseconds since 1970; 0: never. */
struct vm_view {
    uint64_t id;
    char name[VM_NAME_BYTES];
    enum vm_state state;
    enum vm_health health;
    int64_t health_since_ms;
    struct shared_text *health_message; /**< owned reference; NULL: none */
    struct vm_claim *claim;             /**< owned reference */
    struct addr endpoint;               /**< of istiod; ADDR_NONE: it has not answered yet */
    struct shared_text *pod;            /**< owned reference; NULL: nobody told its name */
    int64_t connected_since_ms;         /**< 0: it has no stream */
    int64_t last_seen_ms;               /**< its last request, or the end of its last stream */
    uint32_t reconnects;
    enum end_reason last_end; /**< END_NONE: no stream of it has ended */
    uint16_t ends[END_COUNT]; /**< of its streams, by reason */
    struct registry_certificate certificate;
    uint8_t n_sync;
    struct xds_sync sync[XDS_TYPES];
    struct {
        struct shared_text *text; /**< owned reference; NULL: there was none */
        int64_t at_ms;
    } nacks[XDS_TYPES];
    uint32_t n_nacks;
    enum xds_type last_nack; /**< XDS_TYPES: there was none */
    uint64_t bytes_up;
    uint64_t bytes_down;
    uint64_t messages_up;
    uint64_t messages_down;
    uint32_t unread;                    /**< messages that could not be read */
    enum rule refused_rule;             /**< RULES: it was never refused */
    struct shared_text *refused_detail; /**< owned reference */
    int64_t refused_ms;
    uint32_t refused_times; /**< by this rule, one after the other */
    bool refused_passed;    /**< the rule only reports */
    struct vm_events events;
};

/** Copy a VM that has changed since then (registry_collect()), for a moment under its lock. False:
 * it has not, and out is empty. out: vm_view_fini(). */
bool vm_view_take(struct vm *vm, uint64_t since, struct vm_view *out);

/** Give back what it holds. */
void vm_view_fini(struct vm_view *v);
