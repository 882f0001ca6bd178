/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "google/protobuf/any.pb-c.h"
#include "integration/sandbox/common/text.h"

/** What a response says: sizes, and the names it refers to. {0} to begin. */
struct follower {
    struct names refers_to; /* owned; EDS names of clusters, RDS names of listeners */
    size_t n_resources;
    size_t n_bytes;
    uint64_t malformed;
};

/** Read one resource; `any` may be NULL. */
void follow_resource(struct follower *f, const Google__Protobuf__Any *any);

/** Append to `out` what is in `a` and not in `b`. */
void names_diff(const struct names *a, const struct names *b, struct names *out);

/** Append copies of all. */
void names_copy(struct names *to, const struct names *from);
