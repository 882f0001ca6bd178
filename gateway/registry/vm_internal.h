/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One VM, between the files of the registry. Two locks, taken in this order: the table's, and a
 * VM's; never two VMs'. What is marked (both) changes under both, so whoever holds one of them may
 * read it.
 */
#pragma once

#include <pthread.h>

#include "core/base/list.h"
#include "gateway/registry/registry.h"
#include "gateway/registry/shared_text.h"
#include "gateway/registry/vm_claim.h"
#include "gateway/registry/vm_event.h"
#include "gateway/registry/vm_index.h"
#include "gateway/registry/vm_rows.h"
#include "gateway/registry/vm_view.h"
#include "gateway/vmconfig/vm_config.h"

#define VM_MAGIC 0x5a3d90c1u

/** Keys of a VM that are remembered: a certificate lives for a day and is renewed after half of it,
 * so the one that is shown, the one before and the next. */
#define VM_KEYS 3
#define VM_NO_KEY VM_KEYS

/** Living streams of one VM: more than one only with rule `duplicate` off, or for a moment. */
#define VM_STREAMS_MAX 8

/** The same of those that nobody has believed yet: tries of one VM that has no certificate. */
#define VM_STRANGE_STREAMS_MAX 4

/** Which list a VM is on: exactly one. */
enum vm_rest {
    VM_LIVING,   /**< it has streams; the list has no order */
    VM_GONE,     /**< istiod has believed it, and it has no stream; who left first is first */
    VM_REFUSED,  /**< it has a certificate, and was always refused */
    VM_STRANGER, /**< it has none, and istiod has never answered it */
    VM_RESTS
};

struct vm_key {
    struct vm_link by_key;
    uint8_t key[REGISTRY_KEY_BYTES];
};

/** A living stream. (both) */
struct vm_stream {
    struct vm_stream *next;    /**< the one that began before */
    struct vm_link by_address; /**< in the index while trusted */
    struct vm *vm;             /**< it holds a reference */
    struct vm_claim *claim;    /**< shared (ref) */
    uint64_t stream;
    int64_t since_ms;
    unsigned worker;
    uint8_t key;    /**< that it has shown: a slot of the VM, or VM_NO_KEY */
    bool trusted;   /**< it has a certificate, or istiod has answered it */
    bool admitted;  /**< istiod has answered it; the VM's lock alone */
    bool has_begun; /**< a request has passed; the VM's lock alone */
    bool passes;    /**< rule `duplicate` only reports */
    uint8_t after;  /**< enum end_reason: how the VM's stream before it had ended */
};

/** The last NACK of each type. */
struct vm_nacks {
    struct {
        struct shared_text *text; /**< shared (ref) */
        int64_t at_ms;
    } of[XDS_TYPES];
};

struct vm {
    uint32_t magic;
    uint32_t refs;             /**< atomic */
    struct registry *registry; /**< borrowed */

    /* Its own lock, and what each message touches under it. Together: VMs are many and say little,
     * so when one does, nothing of it is in the CPU's caches. */
    pthread_mutex_t lock;
    uint64_t speaker; /**< number of the stream that speaks for it; 0: none does */
    uint64_t changed; /**< the registry's epoch of that time */
    struct vm_rows rows;
    int64_t last_seen_ms;
    uint64_t bytes_up;
    uint64_t messages_up;
    uint8_t variant; /**< enum xds_variant: of the speaker */
    bool has_begun;  /**< the speaker has */
    uint64_t bytes_down;
    uint64_t messages_down;
    struct vm_events events;

    uint64_t id;

    /* the table's lock */
    struct vm_link by_id;
    struct list node; /**< on the list of its rest */
    int64_t rest_ms;  /**< since when */

    /* both */
    struct vm_key keys[VM_KEYS];
    uint8_t has_keys; /**< one bit for each slot */
    uint8_t heirs;    /**< of these, the ones that the holder of `shown` was given */
    uint8_t shown;    /**< the slot of the key that was shown last, or VM_NO_KEY */
    bool known;       /**< istiod has believed it, or it has a certificate and was let in */
    bool revoked;     /**< by the deny list */
    uint8_t rest;     /**< enum vm_rest; the table's lock */
    bool in_table;    /**< the table's lock */
    struct vm_stream *streams; /**< owned; the newest first */
    struct vm_stream *current; /**< the one that speaks for it, or NULL */
    struct vm_claim *claim;    /**< shared (ref): what is shown */
    int64_t held_until_ms;

    /* its own lock, too */
    struct vm_nacks *nacks;   /**< owned; NULL until the first NACK */
    struct vm_config *config; /**< owned; NULL: nothing is kept, or nothing passed since */
    struct shared_text *pod;  /**< shared (ref); NULL: not told */
    struct shared_text *health_message; /**< shared (ref); NULL: none */
    struct shared_text *refused_detail; /**< shared (ref) */
    struct addr endpoint;
    int64_t health_since_ms;
    int64_t refused_ms;
    int64_t certificate_expiry_s;
    int64_t expiry_said_s; /**< of the last certificate of which it was said that it expires soon */
    uint32_t unread;
    uint32_t n_connects;
    uint32_t n_nacks;
    uint32_t refused_times;
    uint16_t ends[END_COUNT]; /**< of streams, by reason */
    uint8_t last_end;         /**< enum end_reason */
    uint8_t last_nack;        /**< enum xds_type; XDS_TYPES: none */
    uint8_t health;           /**< enum vm_health */
    uint8_t refused_rule;     /**< enum rule; RULES: none */
    bool refused_passed;      /**< the rule only reported */
    bool logged;              /**< that it is registered */
    uint8_t certificate_key;  /**< a slot, or VM_NO_KEY: it has none */
    char serial[REGISTRY_SERIAL_BYTES];
};

/* ---- vm.c: one VM ---- */

/** A new one, with one reference, on no list and in no index. NULL: out of memory. */
struct vm *vm_new(struct registry *r, uint64_t id, struct vm_claim *claim);

/** One reference more. */
struct vm *vm_ref(struct vm *vm);

/** Give a reference back and null the pointer; NULL is allowed. */
void vm_unref(struct vm **vm);

/** Something changed. The VM's lock. */
void vm_touch(struct vm *vm);

/** Add an event and touch it. The VM's lock. */
void vm_note(struct vm *vm, enum vm_what what, unsigned detail, int64_t now_ms);

/** The living stream of this number, or NULL. One of the locks. */
struct vm_stream *vm_find_stream(const struct vm *vm, uint64_t stream);

/** Does this stream speak for it? The VM's lock. */
bool vm_speaks(const struct vm *vm, uint64_t stream);

/** Which stream speaks for it may have changed. Both locks. */
void vm_choose(struct vm *vm);

/* ---- registry_keys.c; both locks but where it says otherwise ---- */

/** Is the bit of this slot set? */
static inline bool vm_has_bit(uint8_t bits, uint8_t slot)
{
    return ((unsigned)bits >> slot & 1U) != 0;
}

/** Its slot of a key, or VM_NO_KEY. One of the locks. */
uint8_t vm_find_key(const struct vm *vm, const uint8_t *key);

/** It shows this certificate on a new stream. Returns the slot of the key. */
uint8_t vm_show_key(struct vm *vm, const struct registry_certificate *c);

/** Take its keys out of the index. */
void vm_drop_keys(struct vm *vm);

/* ---- registry_refuse.c ---- */

/** A rule that is broken. */
struct breach {
    enum rule rule;
    const char *detail; /**< borrowed */
    bool passed;        /**< the rule only reports */
    int64_t now_ms;
};

/** It breaks a rule. The VM's lock; for RULE_REVOKED both.
 */
void vm_note_breach(struct vm *vm, const struct breach *b);

/* ---- registry_config.c; the VM's lock ---- */

/** Another stream speaks for it, or none, or, if not is_other, it may be trusted now: what is kept
 * of its configuration hears of it. */
void vm_config_follow(struct vm *vm, bool is_other);

/* ---- vm_log.c: lines about a VM; no lock ---- */

/** Its first stream was answered by istiod. */
void vm_log_registered(const struct vm_claim *c, const char *pod, const struct addr *endpoint);

/** It breaks a rule. */
void vm_log_refused(const struct vm_claim *c, enum rule rule, const char *detail, bool passed,
                    uint32_t times);

/** It rejects configuration. */
void vm_log_rejected(const struct vm_claim *c, enum xds_type type, const char *text);

/** It says how it does. */
void vm_log_health(const struct vm_claim *c, bool healthy, const char *message);

/** It got a certificate. */
void vm_log_issued(const struct vm_claim *c, const struct registry_certificate *issued);

/** It has a certificate that expires soon, and has got no other. */
void vm_log_expires_soon(const struct vm_claim *c, int64_t expiry_s);

/** What an operator does to a VM. */
enum vm_order { VM_ORDER_REVOKE, VM_ORDER_UNREVOKE, VM_ORDER_REREGISTER };

/** An operator has done it. by: who, for people. */
void vm_log_operator(enum vm_order order, const char *name, const char *identity, const char *by);
