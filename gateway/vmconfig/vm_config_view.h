/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reader gets of the configuration that a VM has: references to what does not change any
 * more, taken at one moment, so that nobody waits while it is made into text. Names and versions
 * are what istiod sent: make them harmless before they are shown (core/base/show.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xds/xds_type.h"

struct config_blob;

/** Is the configuration of a type kept, or why not. What is not known as a whole is not shown. */
enum vm_config_state {
    VM_CONFIG_NONE,  /**< the VM has acknowledged nothing of this type, or not since it began */
    VM_CONFIG_KEPT,  /**< all of it is here */
    VM_CONFIG_NEVER, /**< of this type nothing is ever kept: secrets, and what no Envoy has */
    VM_CONFIG_FULL,  /**< there was no room for it: `registry.keep_config` */
    VM_CONFIG_UNREADABLE, /**< a response could not be read */
    VM_CONFIG_INCOMPLETE, /**< it was not seen from the beginning: with the VM's next stream it is
                           */
    VM_CONFIG_STATES
};

/** "kept", "none", "never", "full", "unreadable", "incomplete". Static. */
const char *vm_config_state_name(enum vm_config_state state);

/** One resource. All is borrowed from the view. */
struct vm_config_resource {
    const char *name;     /**< "" for types that have no names: NDS */
    const char *version;  /**< of the resource alone (delta); "": istiod gave none */
    const uint8_t *value; /**< of the Any, whose type URL is that of the view's type; what is secret
                             in it is overwritten with '*' */
    size_t n_value;
};

enum vm_config_what { VM_CONFIG_ADDED, VM_CONFIG_CHANGED, VM_CONFIG_REMOVED };

/** One row of a change. */
struct vm_config_change {
    enum vm_config_what what;
    const char *name;                 /**< borrowed from the view */
    struct vm_config_resource before; /**< not for VM_CONFIG_ADDED: {0} */
    struct vm_config_resource after;  /**< not for VM_CONFIG_REMOVED: {0} */
};

/** One type. Times are wall clock, milliseconds since 1970; 0: never. */
struct vm_config_type_view {
    enum vm_config_state state;
    const char *version; /**< of the response that was acknowledged last; borrowed from the view */
    int64_t acked_ms;    /**< its ACK */
    size_t n_resources;  /**< 0 unless VM_CONFIG_KEPT */
    int64_t changed_ms;  /**< the last change of what is kept; 0: none since it is kept */
    const char *changed_version; /**< with which response it came; borrowed from the view */
    size_t n_changes;            /**< its rows */
    bool change_lost;            /**< there was a change at that time, but no room for its rows */
    int64_t rejected_ms;         /**< the VM has rejected a response: the last time */
    bool partly_rejected; /**< since it was last brought as a whole; Envoy takes what is good of a
                             response that it rejects, so it may have more than is kept */

    /* Of vm_config_view.c: owned references, NULL when there is none. */
    struct config_blob *resources;
    struct config_blob *changes;
    struct config_blob *version_text;
    struct config_blob *changed_version_text;
};

/** All types of a VM. */
struct vm_config_view {
    struct vm_config_type_view types[XDS_TYPES];
};

/** Resource i, 0 .. n_resources - 1, in the order of the names (strcmp()). */
void vm_config_view_resource(const struct vm_config_type_view *t, size_t i,
                             struct vm_config_resource *out);

/** Row i of the last change, 0 .. n_changes - 1, in the order of the names. */
void vm_config_view_change(const struct vm_config_type_view *t, size_t i,
                           struct vm_config_change *out);

/** Give back what it holds; it is empty then. Any thread. */
void vm_config_view_fini(struct vm_config_view *v);
