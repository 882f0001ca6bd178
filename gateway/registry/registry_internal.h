/* SPDX-License-Identifier: Apache-2.0 */
/* The table of VMs, between the files of the registry. */
#pragma once

#include "gateway/registry/denylist.h"
#include "gateway/registry/registry_config.h"
#include "gateway/registry/registry_read.h"
#include "gateway/registry/vm_internal.h"

#define REGISTRY_MAGIC 0x4e915742u

/** Ids of VMs that were forgotten, so that a reader of changes hears of them. */
#define REGISTRY_GONE_IDS 1024

struct registry {
    uint32_t magic;
    registry_end_fn *end;
    void *arg;                    /**< borrowed */
    struct denylist *denylist;    /**< owned; has locks of its own, taken after these */
    struct config_store *configs; /**< owned; has a lock of its own, taken after these */
    int64_t config_warned_ms;     /**< registry_sweep() only: when it said that there is no room, */
    uint64_t config_warned;       /**< and for how many losses */
    uint64_t config_losses;       /**< registry_sweep() only: for which room was made */
    uint64_t epoch;               /**< atomic; one more for each walk of a reader */
    uint64_t start_epoch;

    pthread_mutex_t lock; /**< the table's */
    struct registry_opts opts;
    struct list lists[VM_RESTS];
    struct list forgotten; /**< by the table, with a configuration to free; the next sweep does */
    uint32_t n[VM_RESTS];  /**< on each list */
    uint32_t n_known;
    uint32_t n_strangers; /**< living ones that are not known */
    struct {
        uint64_t id;
        uint64_t epoch;
    } gone_ids[REGISTRY_GONE_IDS]; /**< a ring */
    uint64_t n_gone_ids;           /**< ever */
    struct vm_index by_id;
    struct vm_index by_key;
    struct vm_index by_address; /**< of trusted streams */
};

/** Streams that have to end, told when no lock is held any more. Begins as {0}. */
#define ENDINGS_MAX 16
struct endings {
    size_t n;
    struct {
        uint64_t stream;
        unsigned worker;
        enum end_reason why;
    } of[ENDINGS_MAX];
};

/* ---- registry.c: the table; its lock ---- */

/** The VM of an identity and a node id. NULL: there is none. */
struct vm *registry_find_vm(const struct registry *r, uint64_t id, const char *identity,
                            const char *node_id);

/** Put a new VM into the table, on a list; the table has the reference. */
void registry_add_vm(struct registry *r, struct vm *vm, enum vm_rest rest, int64_t now_ms);

/** Put it on another list, or at its end. What is too much there is forgotten. */
void registry_set_rest(struct registry *r, struct vm *vm, enum vm_rest rest, int64_t now_ms);

/** istiod has believed it. Both locks. */
void registry_set_known(struct registry *r, struct vm *vm);

/** Make room for one more that istiod believes. False: all are connected. */
bool registry_make_room(struct registry *r);

/** Forget a VM without streams. */
void registry_forget(struct registry *r, struct vm *vm);

/** End these streams. No lock. */
void registry_tell(struct registry *r, const struct endings *e);

/** Add all living streams of a VM. One of the locks. */
void endings_add(struct endings *e, const struct vm *vm, enum end_reason why);

/* ---- registry_refuse.c ---- */

/** A claim breaks a rule: note it with its VM, which is made if need be, and log it. No lock. */
void registry_note_breach(struct registry *r, const struct registry_claim *claim,
                          const struct breach *b);

/* ---- registry_read.c ---- */

/** VMs that a walk takes at a time, and room for the rest of the last bucket. */
#define REGISTRY_SLICE 256

/** References to the VMs of the next buckets, from *bucket on, which moves on. No lock. Returns how
 * many: 0 also when these buckets are empty. */
size_t registry_slice(struct registry *r, size_t *bucket, struct vm *vms[REGISTRY_SLICE]);

/* ---- registry_config.c ---- */

/** The budget of a configuration that comes into force. No lock. */
void registry_config_use(struct registry *r, uint64_t bytes);

/** When there was no room, drop the configuration of VMs that are gone, and say it in the log. No
 * lock. */
void registry_config_look(struct registry *r, int64_t now_ms);

/* ---- registry_operate.c ---- */

/** What is gathered of the VMs that a name means. */
struct registry_meant {
    const char *asked;
    bool known_only; /**< VMs that are known are meant before those that only claim the name */
    bool any_known;
    uint32_t n; /**< different pairs of identity and name */
    uint64_t id;
    char name[VM_NAME_BYTES];
    char *identity; /**< owned */
    uint8_t keys[DENYLIST_KEYS_MAX][DENYLIST_KEY_BYTES];
    size_t n_keys;
    bool connected;
    bool no_memory;
    char *why; /**< candidates */
    size_t n_why;
};

/** The one that is meant; identity is the caller's with RC_OK. No lock. RC_OK; RC_NOT_FOUND;
 * RC_BUSY; RC_NO_MEMORY. */
enum rc registry_find_meant(struct registry *r, const char *asked, char *why,
                            struct registry_meant *m) MUST_USE;

/** Hear what others have written into the deny list. No lock. */
void registry_look_at_denials(struct registry *r);
