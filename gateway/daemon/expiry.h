/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Warnings that certificates end: 30 days before, 7 days, one day, and when it is over; each once.
 * A certificate that is renewed begins anew. One thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "gateway/daemon/generation.h"

enum expiry_kind { EXPIRY_SERVING, EXPIRY_CLIENT_ROOTS, EXPIRY_UPSTREAM_ROOTS };

enum expiry_stage { EXPIRY_FAR, EXPIRY_IN_30_DAYS, EXPIRY_IN_7_DAYS, EXPIRY_IN_1_DAY, EXPIRY_OVER };

struct expiry_row; /* one thing that ends, and what was said about it */

struct expiry_watch {
    struct expiry_row *rows; /**< owned */
    size_t n;
};

/**
 * What is to be said now about a thing that ends, if anything?
 *
 * owner    borrowed; the name of the listener or upstream.
 * expiry   seconds since 1970.
 * now      seconds since 1970.
 * Returns  the stage that is new since the last call; EXPIRY_FAR: nothing is to be said, also when
 *          there is no memory to remember it.
 */
enum expiry_stage expiry_watch_note(struct expiry_watch *w, enum expiry_kind kind,
                                    const char *owner, int64_t expiry, int64_t now);

/** Look at all that a generation serves and believes, and log what has come near its end. */
void expiry_watch_look(struct expiry_watch *w, const struct generation *g, int64_t now);

/** Free what it holds. */
void expiry_watch_fini(struct expiry_watch *w);
