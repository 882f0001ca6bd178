/* SPDX-License-Identifier: Apache-2.0 */
/* A WorkloadGroup, checked and with its defaults. */
#pragma once

#include "bootstrap/why.h"
#include "core/doc/doc.h"

/** Embedded; one thread. */
struct group {
    const char *name;       /**< borrowed from the object */
    const char *name_space; /**< borrowed from the object or the caller */
    const char *account;    /**< borrowed from spec or static */
    const char *network;    /**< borrowed from spec or static; "" for none */
    json_t *spec;           /**< owned; as proto_json_read() made it */
    const json_t *object;   /**< borrowed */
    const json_t *ports;    /**< borrowed from spec; NULL: none */
    json_t *labels;         /**< owned; with the canonical name and revision */
};

/**
 * Check and read an object.
 *
 * object      borrowed while g lives.
 * name        what the group has to be called, or NULL. Borrowed as object is.
 * name_space  where it has to be, or NULL. Borrowed as object is.
 * Returns RC_OK, then free with group_fini(); RC_INVALID and *w says why; RC_NO_MEMORY.
 */
enum rc group_read(const json_t *object, const char *name, const char *name_space,
                   const struct why *w, struct group *g) MUST_USE;

/** Free what group_read() made. */
void group_fini(struct group *g);

/** Its canonical service name and revision. Borrowed from g. */
const char *group_canonical_name(const struct group *g);
const char *group_canonical_revision(const struct group *g);

/** The numbers of its ports by name, "8080,9090", or "*" for all when it has none. Owned by the
 * caller; NULL: out of memory. */
char *group_port_numbers(const struct group *g);

/** Its ports as the agent's JSON list. *out is owned by the caller, NULL when there are none.
 * Returns RC_OK or RC_NO_MEMORY. */
enum rc group_ports_json(const struct group *g, char **out) MUST_USE;
