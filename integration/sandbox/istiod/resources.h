/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "integration/sandbox/common/text.h"
#include "integration/sandbox/common/wire.h"

/** One packed resource. */
struct resource {
    char *name;     /* owned */
    uint8_t *bytes; /* owned; the packed message */
    size_t n_bytes;
};

/** Everything pushed at one version. Immutable once made. */
struct resource_set {
    char *version;                  /* owned; RFC3339 time and a counter */
    struct resource *of[XDS_TYPES]; /* owned arrays */
    size_t n[XDS_TYPES];
};

/**
 * Make clusters, endpoints, listeners and routes that refer to each other by name.
 *
 * out         gets the set; resources_fini() it.
 * counter     becomes part of the version.
 * push_bytes  about how many bytes the response of each type shall have.
 */
void resources_make(struct resource_set *out, uint64_t counter, size_t push_bytes);

/** Release the set. */
void resources_fini(struct resource_set *set);
