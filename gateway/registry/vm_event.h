/* SPDX-License-Identifier: Apache-2.0 */
/* What has happened to a VM, in eight bytes: there is a list of these for each. Pure. */
#pragma once

#include <stdint.h>

/** Events that are kept of each VM. Of pushes only the last one of each type is, and of refusals by
 * each rule, so that they do not push the others out. */
#define VM_EVENTS 16

/** What happened; the detail that goes with it. */
enum vm_what {
    VM_WHAT_CONNECTED,
    VM_WHAT_DISCONNECTED, /**< enum end_reason */
    VM_WHAT_PUSH,         /**< enum xds_type */
    VM_WHAT_NACK,         /**< enum xds_type */
    VM_WHAT_HEALTHY,
    VM_WHAT_UNHEALTHY,
    VM_WHAT_REFUSED, /**< enum rule */
    VM_WHAT_ISSUED,
    VM_WHATS
};

/** The oldest first. Begins as {0}. */
struct vm_events {
    uint8_t n;
    uint64_t of[VM_EVENTS];
};

/** Add one; the oldest makes room. now_ms: since 1970, below 2^48. */
void vm_events_add(struct vm_events *e, enum vm_what what, unsigned detail, int64_t now_ms);

/** One event taken apart. */
struct vm_event {
    int64_t at_ms;
    enum vm_what what;
    unsigned detail;
};

/** Number i, 0 .. n - 1. */
struct vm_event vm_events_get(const struct vm_events *e, uint8_t i);

/** "connected". Static. */
const char *vm_what_name(enum vm_what what);

/** The detail as text: "CDS", "upstream_retired", "address"; "": there is none. Static. */
const char *vm_event_detail(const struct vm_event *v);
