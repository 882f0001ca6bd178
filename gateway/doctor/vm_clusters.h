/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses out of Envoy's /clusters page, as it comes over HTTP/1.1. Pure, bounded. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/net/addr.h"

/** More are not kept. */
#define VM_CLUSTERS_MAX 5

/** All zero is empty. */
struct vm_clusters {
    struct addr list[VM_CLUSTERS_MAX]; /**< of outbound clusters; each once */
    size_t n;
    char line[1024];
    size_t n_line;
    bool in_body;  /**< the empty line behind the headers was seen */
    bool ok;       /**< the status line says 200 */
    bool chunked;  /**< by its Transfer-Encoding */
    char size[20]; /**< the line that says a chunk's length */
    size_t n_size;
    size_t in_chunk; /**< bytes that are left of it */
    bool after;      /**< a chunk is over, its line end is not */
    bool over;       /**< the last chunk was seen, or nonsense */
};

/** The next n bytes of the answer. */
void vm_clusters_feed(struct vm_clusters *c, const char *bytes, size_t n);

/** Was it an answer with status 200? */
bool vm_clusters_answered(const struct vm_clusters *c);
