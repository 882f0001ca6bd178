/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMs that an operator has revoked: each by identity and name, and by the keys that it is known to
 * have shown or got.
 *
 * The list is kept in a file (docs/api.md), written as a whole, atomically. Whoever else changes
 * that file, such as the process that takes over from this one, is heard: it is read again before
 * every change and by denylist_look(). What cannot be read or written then changes nothing that is
 * in force. Without a file the list lasts as long as the process.
 *
 * Any thread. Looking things up waits for no file.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/rc.h"

#define DENYLIST_MAX 4096   /**< VMs */
#define DENYLIST_KEYS_MAX 8 /**< of one VM: the newest ones */

/** SHA-256 of a public key (SubjectPublicKeyInfo). */
#define DENYLIST_KEY_BYTES 32

/** Room for every text about what is wrong. */
#define DENYLIST_WHY_BYTES 512

/** A revoked VM. Texts are borrowed. */
struct denial {
    uint64_t id;          /**< of the VM when it was revoked (vm_id.h) */
    const char *name;     /**< "vm1.vms" */
    const char *identity; /**< SPIFFE ID; "": it had none */
    const char *by;       /**< who revoked it, for people */
    const char *at;       /**< when, as RFC 3339 */
    const uint8_t *keys;  /**< n_keys of DENYLIST_KEY_BYTES, one after the other */
    size_t n_keys;
};

struct denylist;

/** An empty list without a file. out: owned. RC_NO_MEMORY. */
enum rc denylist_new(struct denylist **out) MUST_USE;

/** Free and null the pointer; NULL is allowed. */
void denylist_free(struct denylist **d);

/**
 * Could a list be kept in this file: can it be read, or is it not there yet, and can it be written?
 *
 * why   of DENYLIST_WHY_BYTES, with RC_INVALID.
 * Returns RC_OK; RC_INVALID; RC_NO_MEMORY.
 */
enum rc denylist_try(const char *path, char *why) MUST_USE;

/**
 * Keep the list in this file from now on. What the file has is added to what is in force; a file
 * that is not there is written with the first change.
 *
 * path  copied; NULL: in no file.
 * why   of DENYLIST_WHY_BYTES, with RC_INVALID: the file cannot be read, and all stays as it was.
 * Returns RC_OK; RC_INVALID; RC_NO_MEMORY.
 */
enum rc denylist_use(struct denylist *d, const char *path, char *why) MUST_USE;

/** Is it a revoked VM: by identity and name, or by its key? key: NULL when it has shown none. */
bool denylist_has(struct denylist *d, const char *identity, const char *name, const uint8_t *key);

/** Is it the key of a revoked VM? */
bool denylist_has_key(struct denylist *d, const uint8_t key[DENYLIST_KEY_BYTES]);

/** The id under which the VM of that identity and name is on the list. False: it is not. */
bool denylist_find(struct denylist *d, const char *identity, const char *name, uint64_t *id);

/** The same of the one that has this key. */
bool denylist_find_key(struct denylist *d, const uint8_t key[DENYLIST_KEY_BYTES], uint64_t *id);

/** The holder of `has`, or without it the VM of that identity and name, has this key, too: if it is
 * revoked, the key is from now on. Written by the next denylist_look(). Memory: it is not learned.
 */
void denylist_learn(struct denylist *d, const uint8_t *has, const char *identity, const char *name,
                    const uint8_t key[DENYLIST_KEY_BYTES]);

/**
 * Add a VM, or keys to one that is there already. In force when this returns RC_OK or RC_SYSTEM.
 *
 * v    copied.
 * why  of DENYLIST_WHY_BYTES, with RC_INVALID, RC_FULL and RC_SYSTEM.
 * Returns RC_OK; RC_INVALID: the file was changed and cannot be read; RC_FULL: DENYLIST_MAX are
 *         there; RC_SYSTEM: the file cannot be written; RC_NO_MEMORY.
 */
enum rc denylist_add(struct denylist *d, const struct denial *v, char *why) MUST_USE;

/**
 * Take the VM off that somebody means (vm_name_means()).
 *
 * removed  called once, before it is taken off, without a lock that others wait for.
 * Returns  RC_OK; RC_NOT_FOUND; RC_BUSY: several are meant, why lists them; RC_INVALID, RC_SYSTEM,
 *          RC_NO_MEMORY as denylist_add().
 */
enum rc denylist_remove(struct denylist *d, const char *asked,
                        void (*removed)(void *arg, const struct denial *v), void *arg,
                        char *why) MUST_USE;

/** Hear what others changed in the file, and write what was learned. Now and then. True: others
 * have changed the list. */
bool denylist_look(struct denylist *d);

/** How many there are. */
uint32_t denylist_count(struct denylist *d);
