/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept of the configuration of all VMs: blocks that do not change, each once, however many
 * VMs have it, and all within a budget of bytes. Thousands of VMs have nearly the same clusters,
 * and the VMs of one group have the same set of them, so a set is a block, too.
 *
 * That there is no room is an answer. Memory that was a block is wiped before it is free. Any
 * thread; what takes long is done outside of the lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"
#include "xds/xds_type.h"

struct config_store;
struct config_blob;

/** Two references, in a set: a resource and its version; in a change: before and after. NULL where
 * there is none. */
struct config_pair {
    struct config_blob *a;
    struct config_blob *b;
};

/** A resource as it is looked for and made. Borrowed. */
struct config_resource {
    enum xds_type type;
    const char *name;     /**< zero-terminated */
    const uint8_t *value; /**< NULL: only the name is known */
    size_t n_value;
};

/** Why something is not kept, as it is counted. */
enum config_loss {
    CONFIG_LOSS_FULL,
    CONFIG_LOSS_UNREADABLE,
    CONFIG_LOSS_INCOMPLETE,
    CONFIG_LOSSES
};

/** "full". Static. */
const char *config_loss_name(enum config_loss why);

/** Numbers of a moment. */
struct config_store_stats {
    uint64_t budget; /**< bytes; 0: off */
    uint64_t bytes;  /**< in use */
    uint64_t blobs;
    uint64_t vms;                   /**< of which something is kept */
    uint64_t losses[CONFIG_LOSSES]; /**< ever: a type of a VM that was kept no longer */
};

/** A store without a budget: off. out: owned. RC_NO_MEMORY; RC_SYSTEM: no random numbers. */
enum rc config_store_new(struct config_store **out) MUST_USE;

/** Everything was given back. Nulls the pointer; NULL is allowed. */
void config_store_free(struct config_store **s);

/** From now on this many bytes; 0: nothing more is kept. What there is stays until it is given
 * back. RC_OK; RC_NO_MEMORY: all stays as it was. */
enum rc config_store_set_budget(struct config_store *s, uint64_t bytes) MUST_USE;

/** Is anything to be kept? Cheap. */
bool config_store_is_on(const struct config_store *s);

/** Bytes in use. Cheap. */
uint64_t config_store_bytes(const struct config_store *s);

/** Numbers, for readers. */
void config_store_stats(struct config_store *s, struct config_store_stats *out);

/** Count n bytes that somebody else has. False: there is no room. */
bool config_store_take(struct config_store *s, size_t n) MUST_USE;

/** The same, room or not: for what is small, and there for a moment. */
void config_store_take_anyway(struct config_store *s, size_t n);

/** Give back what was taken. */
void config_store_give(struct config_store *s, size_t n);

/** One VM more, or one less, of which something is kept. */
void config_store_count_vm(struct config_store *s, int n);

/** A type of a VM is no longer kept. */
void config_store_count_loss(struct config_store *s, enum config_loss why);

/** A number for a text, which nobody outside can foresee: to know it again. */
uint64_t config_store_hash(const struct config_store *s, const char *text);

/** The block of a resource. out: owned reference. RC_OK; RC_FULL; RC_NO_MEMORY. */
enum rc config_store_resource(struct config_store *s, const struct config_resource *r,
                              struct config_blob **out) MUST_USE;

/** The block of a text; "" is NULL. As above. */
enum rc config_store_text(struct config_store *s, const char *text,
                          struct config_blob **out) MUST_USE;

/**
 * The block of a list of pairs; of none NULL.
 *
 * pairs  borrowed, their references are taken, also with an error.
 * out    owned reference. RC_OK; RC_FULL; RC_NO_MEMORY.
 */
enum rc config_store_pairs(struct config_store *s, const struct config_pair *pairs, size_t n,
                           struct config_blob **out) MUST_USE;

/** One reference more; NULL is allowed and returned. */
struct config_blob *config_blob_ref(struct config_blob *b);

/** Give a reference back and null the pointer; NULL is allowed. */
void config_blob_unref(struct config_blob **b);

/** A resource's or a text's bytes: the name, or the text; "" for NULL. Borrowed. */
const char *config_blob_text(const struct config_blob *b);

/** A resource's value; NULL: only the name is known. Borrowed. */
const uint8_t *config_blob_value(const struct config_blob *b, size_t *n);

/** The pairs of a list; of NULL none. Borrowed. */
const struct config_pair *config_blob_pairs(const struct config_blob *b, size_t *n);
