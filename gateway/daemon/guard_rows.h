/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guard asks, and what it was answered: a row for each address of an upstream that is
 * passed on to, and each upstream that asks there. Answers belong to upstreams, not to a
 * generation, so that a reload forgets nothing. Of the guard's thread.
 */
#pragma once

#include <stddef.h>

#include "core/base/rc.h"
#include "core/net/addr.h"
#include "gateway/daemon/generation.h"

/** What is known of an address, and of an upstream: the highest of its addresses. */
enum guard_safety {
    GUARD_UNKNOWN, /**< nobody answered */
    GUARD_OTHER,   /**< what answers there is no istiod that the file knows */
    GUARD_SAFE,    /**< istiod was asked, and believes nobody from here */
    GUARD_UNASKED, /**< not asked yet: nothing can be said of the upstream */
    GUARD_UNSAFE,
};

struct guard_row {
    struct upstream *upstream; /**< borrowed of the generation: who is passed on to */
    struct upstream *like;     /**< the one that asks */
    struct addr peer;
    size_t index; /**< of upstream, in the generation */
    enum guard_safety safety;
    double at; /**< when it was asked; monotonic */
};

/** Zeroed: empty. */
struct guard_rows {
    struct guard_row *rows; /**< owned */
    size_t n;
};

/** Does an upstream ask? It has roots, so it knows an istiod when it sees one. */
bool guard_asks(const struct generation *g, size_t i);

/** Is what VMs write passed on to an upstream, and is there one that asks? */
bool guard_watches(const struct generation *g, size_t i);

/**
 * The rows for a generation and its addresses now. What was answered at an address is kept; who was
 * unsafe and has lost the upstream that asked is so for the others until they have asked. Call it
 * while the upstreams of the rows before are still held. RC_NO_MEMORY: the rows stay as they were.
 */
enum rc guard_rows_update(struct guard_rows *r, const struct generation *g) MUST_USE;

/** Whose turn it is in a round that began then: of those that are due, the one that has waited for
 * longest. NULL: nobody. */
struct guard_row *guard_rows_next(struct guard_rows *r, double began);

/** Note an answer. Who has closed the doors does not open them by being away. */
void guard_row_answer(struct guard_row *row, enum guard_safety safety, double at);

/** What is known of each upstream. out: n, by index. */
void guard_rows_judge(const struct guard_rows *r, enum guard_safety *out, size_t n);

/** Free what it holds. */
void guard_rows_fini(struct guard_rows *r);
