/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon/guard_rows.h"

#include <stdlib.h>

/* When an address is asked again. istiod logs each question. */
static const double again_s[] = {[GUARD_UNKNOWN] = 2.5,
                                 [GUARD_OTHER] = 60,
                                 [GUARD_SAFE] = 300,
                                 [GUARD_UNASKED] = 0,
                                 [GUARD_UNSAFE] = 2.5};

bool guard_asks(const struct generation *g, size_t i)
{
    return g->upstreams[i]->roots != NULL;
}

static size_t count_askers(const struct generation *g)
{
    size_t n = 0;

    for (size_t i = 0; i < g->config->n_upstreams; i++) {
        n += guard_asks(g, i);
    }
    return n;
}

bool guard_watches(const struct generation *g, size_t i)
{
    return count_askers(g) > 0 && config_has_route(g->config, i, ROUTE_PASSTHROUGH);
}

/* ---- what was answered ---- */

static bool is_at(const struct guard_row *row, const struct upstream *u, const struct addr *peer)
{
    return row->upstream == u && row->peer.port == peer->port && addr_same_ip(&row->peer, peer);
}

static bool is_of(const struct generation *g, const struct upstream *u)
{
    for (size_t i = 0; i < g->config->n_upstreams; i++) {
        if (g->upstreams[i] == u) {
            return true;
        }
    }
    return false;
}

static const struct guard_row *find_same(const struct guard_rows *r, size_t from,
                                         const struct guard_row *row)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct guard_row *old = &r->rows[(from + i) % r->n];
        if (old->like == row->like && is_at(old, row->upstream, &row->peer)) {
            return old;
        }
    }
    return NULL;
}

/* It was unsafe for an upstream that is no more. */
static const struct guard_row *find_unsafe(const struct guard_rows *r, const struct generation *g,
                                           const struct guard_row *row)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct guard_row *old = &r->rows[i];
        if (old->safety == GUARD_UNSAFE && is_at(old, row->upstream, &row->peer) &&
            !is_of(g, old->like)) {
            return old;
        }
    }
    return NULL;
}

/* from: where it probably is, because rows keep their order. */
static void remember(const struct guard_rows *r, const struct generation *g, size_t *from,
                     struct guard_row *row)
{
    const struct guard_row *old = find_same(r, *from, row);

    if (old != NULL) {
        *from = (size_t)(old - r->rows) + 1;
    } else {
        old = find_unsafe(r, g, row);
    }
    if (old != NULL) {
        row->safety = old->safety;
        row->at = old->at;
    }
}

/* ---- the rows of a generation ---- */

/* A list that grows, and the one before. */
struct update {
    const struct generation *g;
    const struct guard_rows *before;
    struct guard_rows now;
    size_t from; /* in before */
};

static void add_address(struct update *d, size_t i, const struct addr *peer)
{
    for (size_t x = 0; x < d->g->config->n_upstreams; x++) {
        if (guard_asks(d->g, x)) {
            struct guard_row *row = &d->now.rows[d->now.n++];
            *row = (struct guard_row){.upstream = d->g->upstreams[i],
                                      .like = d->g->upstreams[x],
                                      .peer = *peer,
                                      .index = i,
                                      .safety = GUARD_UNASKED};
            remember(d->before, d->g, &d->from, row);
        }
    }
}

static enum rc add_upstream(struct update *d, size_t i)
{
    struct address_set *s = upstream_addresses(d->g->upstreams[i]);
    size_t more = s->n * count_askers(d->g);
    struct guard_row *rows = realloc(d->now.rows, (d->now.n + more + 1) * sizeof(*rows));

    if (rows != NULL) {
        d->now.rows = rows;
        for (size_t k = 0; k < s->n; k++) {
            add_address(d, i, &s->addrs[k]);
        }
    }
    address_set_unref(&s);
    return rows != NULL ? RC_OK : RC_NO_MEMORY;
}

enum rc guard_rows_update(struct guard_rows *r, const struct generation *g)
{
    struct update d = {.g = g, .before = r};
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < g->config->n_upstreams; i++) {
        if (guard_watches(g, i)) {
            rc = add_upstream(&d, i);
        }
    }
    if (rc != RC_OK) {
        guard_rows_fini(&d.now);
        return rc;
    }
    guard_rows_fini(r);
    *r = d.now;
    return RC_OK;
}

void guard_rows_fini(struct guard_rows *r)
{
    free(r->rows);
    *r = (struct guard_rows){.n = 0};
}

/* ---- questions and answers ---- */

static bool is_due(const struct guard_row *row, double began)
{
    return row->safety == GUARD_UNASKED || began - row->at >= again_s[row->safety];
}

static bool goes_first(const struct guard_row *a, const struct guard_row *b)
{
    bool a_new = a->safety == GUARD_UNASKED;
    bool b_new = b->safety == GUARD_UNASKED;

    return a_new != b_new ? a_new : a->at < b->at;
}

struct guard_row *guard_rows_next(struct guard_rows *r, double began)
{
    struct guard_row *first = NULL;

    for (size_t i = 0; i < r->n; i++) {
        struct guard_row *row = &r->rows[i];
        if (is_due(row, began) && (first == NULL || goes_first(row, first))) {
            first = row;
        }
    }
    return first;
}

void guard_row_answer(struct guard_row *row, enum guard_safety safety, double at)
{
    row->at = at;
    if (safety != GUARD_UNKNOWN || row->safety != GUARD_UNSAFE) {
        row->safety = safety;
    }
}

void guard_rows_judge(const struct guard_rows *r, enum guard_safety *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = GUARD_UNKNOWN;
    }
    for (size_t k = 0; k < r->n; k++) {
        enum guard_safety *highest = &out[r->rows[k].index];
        *highest = r->rows[k].safety > *highest ? r->rows[k].safety : *highest;
    }
}
